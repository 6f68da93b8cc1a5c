//! Many posts over one stream, as a gateway sends them.

use std::collections::{BTreeMap, BTreeSet};

use chat_core::Code;
use futures_util::stream;
use switchboard_proto::{
    status::to_error,
    v1::{self, chat_service_client::ChatServiceClient, post_outcome::Outcome},
};
use tokio::sync::mpsc;
use tonic::{Status, Streaming};

use crate::{
    process::{Client, Program, post, register, stored},
    support::World,
};

/// An open stream of posts.
struct Posts {
    batches: mpsc::Sender<v1::PostMessagesRequest>,
    answers: Streaming<v1::PostMessagesResponse>,
}

impl Posts {
    async fn open(client: &mut Client) -> Self {
        let (batches, mut taken) = mpsc::channel(8);
        let requests = stream::poll_fn(move |context| taken.poll_recv(context));
        let answers = client.post_messages(requests).await.expect("a stream").into_inner();
        Self { batches, answers }
    }

    /// Whether it could still be handed over.
    async fn sends(&self, posts: impl IntoIterator<Item = (u64, v1::PostMessageRequest)>) -> bool {
        let numbered = |(number, post)| (number, post, false);
        self.sends_some_together(posts.into_iter().map(numbered)).await
    }

    /// The same; those with a `true` follow the one before.
    async fn sends_some_together(
        &self,
        posts: impl IntoIterator<Item = (u64, v1::PostMessageRequest, bool)>,
    ) -> bool {
        let numbered =
            |(number, post, follows)| v1::NumberedPost { number, post: Some(post), follows };
        let posts = posts.into_iter().map(numbered).collect();
        self.batches.send(v1::PostMessagesRequest { posts }).await.is_ok()
    }

    async fn next(&mut self) -> v1::PostMessagesResponse {
        self.answers.message().await.expect("no error").expect("an answer")
    }

    /// The next so many outcomes by number, and how many messages they came in.
    async fn hears(&mut self, count: usize) -> (BTreeMap<u64, Outcome>, usize) {
        let (mut heard, mut messages) = (BTreeMap::new(), 0);
        while heard.len() < count {
            let answer = self.next().await;
            messages += 1;
            for outcome in answer.outcomes {
                heard.insert(outcome.number, outcome.outcome.expect("an outcome"));
            }
        }
        (heard, messages)
    }
}

fn refusal(outcome: Option<&Outcome>) -> Code {
    match outcome {
        Some(Outcome::Refusal(refusal)) => to_error(&Status::from(refusal.clone())).code(),
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_post_of_a_stream_has_its_own_answer_and_they_come_together() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let alice = register(&mut client, "alice").await;
    let mut posts = Posts::open(&mut client).await;
    let nowhere =
        v1::PostMessageRequest { conversation_id: "r-1".into(), ..post(&alice, "where?") };
    let odd = [(1, post(&alice, " ")), (2, nowhere), (3, v1::PostMessageRequest::default())];
    let good = (10..210).map(|number| (number, post(&alice, &number.to_string())));
    assert!(posts.sends(odd.into_iter().chain(good)).await);
    let (heard, messages) = posts.hears(203).await;
    assert_eq!(refusal(heard.get(&1)), Code::Empty);
    assert!(matches!(heard.get(&2), Some(Outcome::Refusal(_))));
    assert_eq!(refusal(heard.get(&3)), Code::InvalidPayload);
    for number in 10..210 {
        let Some(Outcome::Message(message)) = heard.get(&number) else { panic!("{number}") };
        assert_eq!(message.text, number.to_string());
    }
    assert!(messages < 60, "{messages} messages for 203 answers");
    // The same key again, by either way, is the same message.
    assert!(posts.sends([(300, post(&alice, "10"))]).await);
    let (again, _) = posts.hears(1).await;
    assert_eq!(again.get(&300), heard.get(&10));
    assert_eq!(stored(&mut client, &alice).await.len(), 200);
    drop(posts.batches);
    assert!(posts.answers.message().await.expect("no error").expect("an answer").is_last);
    assert!(posts.answers.message().await.expect("no error").is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn posts_that_follow_one_another_are_stored_in_a_row() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let alice = register(&mut client, "alice").await;
    let bob = register(&mut client, "bob").await;
    let mut posts = Posts::open(&mut client).await;
    // Twenty runs of ten; the fourth of each is empty.
    let text = |n: u64| if n % 10 == 3 { " ".to_owned() } else { n.to_string() };
    let all = (0..200).map(|n| (n, post(&alice, &text(n)), n % 10 != 0));
    assert!(posts.sends_some_together(all).await);
    let (heard, _) = posts.hears(200).await;
    let mut places = Vec::new();
    for n in 0..200 {
        match heard.get(&n) {
            Some(Outcome::Message(message)) => places.push((message.seq, n)),
            other => assert_eq!((n % 10, refusal(other)), (3, Code::Empty)),
        }
    }
    places.sort_unstable();
    for run in places.chunks(9) {
        let numbers: Vec<_> = run.iter().map(|(_, n)| *n).collect();
        let first = numbers[0];
        assert_eq!(first % 10, 0, "a run begins with its first: {numbers:?}");
        let expected: Vec<_> = (first..first + 10).filter(|n| n % 10 != 3).collect();
        assert_eq!(numbers, expected);
    }
    // Another caller's post can't follow; nor can too many.
    let mixed = [(300, post(&alice, "300"), false), (301, post(&bob, "301"), true)];
    let long = (400..433).map(|n| (n, post(&alice, &n.to_string()), n > 400));
    assert!(posts.sends_some_together(mixed.into_iter().chain(long)).await);
    let (heard, _) = posts.hears(35).await;
    for outcome in heard.values() {
        assert_eq!(refusal(Some(outcome)), Code::InvalidPayload);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_needs_the_service_token() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut stranger = ChatServiceClient::new(program.channel());
    let refused = stranger.post_messages(stream::pending()).await.expect_err("refused");
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sigterm_ends_a_stream_once_all_that_was_taken_is_answered() {
    let world = World::empty();
    let program = Program::start(&world);
    let mut client = program.client();
    let alice = register(&mut client, "alice").await;
    let mut posts = Posts::open(&mut client).await;
    let (mut sent, mut acknowledged) = (0, BTreeSet::new());
    loop {
        if acknowledged.len() > 100 && sent < 100_000 {
            program.signal("TERM");
            sent = 100_000;
        }
        // As many as before without an answer, also once it has begun to stop.
        let more = (sent..sent + 20).map(|number| (number, post(&alice, &number.to_string())));
        posts.sends(more).await;
        sent += 20;
        let answer = posts.next().await;
        for outcome in answer.outcomes {
            assert!(matches!(outcome.outcome, Some(Outcome::Message(_))), "{outcome:?}");
            acknowledged.insert(outcome.number.to_string());
        }
        if answer.is_last {
            break;
        }
    }
    drop(posts);
    assert_eq!(program.exit_code(), Some(0));
    let program = Program::start(&world);
    let found: BTreeSet<_> = stored(&mut program.client(), &alice).await.into_iter().collect();
    assert_eq!(found, acknowledged, "what was not answered was never begun");
}
