//! Posts to replicas whose streams answer, refuse, break in every way, and come back.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    task::{Context, Poll},
};

use chat_core::{
    ChatError, Code,
    process::{ServiceToken, Shutdown},
};
use futures_util::{
    FutureExt, StreamExt,
    future::{BoxFuture, join_all},
    stream::BoxStream,
};
use switchboard_proto::{
    status::{from_error, to_error},
    v1::NumberedPost,
};
use tokio::{
    net::TcpListener,
    time::{Instant, timeout},
};
use tonic::{
    Request, Response,
    body::Body,
    server::{Grpc, NamedService, StreamingService},
    service::Routes,
};
use tonic_prost::ProstCodec;

use super::*;
use crate::chat_client::{
    ChatClient,
    tests::{ANYWHERE, client_of, nowhere, serve},
};

/// What a fake does with a stream of posts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Habit {
    /// Stores all.
    Stores,
    /// Refuses all.
    Refuses,
    /// Ends the stream once it has taken a post, without a word of it.
    Breaks,
    /// Ends the stream by an error once it has taken a post.
    Fails,
    /// Says that it takes nothing more, once a post is on its way.
    Stops,
    /// Answers all but those that say `lost`.
    Loses,
    /// Knows of no streams.
    IsOld,
    /// Knows the gateway not.
    IsStrict,
}

/// A replica. What it stores it says in the name of its first guest; a call of its own it answers
/// by `not_found`.
#[derive(Clone)]
struct Fake {
    name: &'static str,
    habit: Arc<Mutex<Habit>>,
    /// The posts of each message that came.
    came: Arc<Mutex<Vec<usize>>>,
    /// The texts of each run that came.
    runs: Arc<Mutex<Vec<Vec<String>>>>,
}

impl Fake {
    fn new(name: &'static str, habit: Habit) -> Self {
        Self {
            name,
            habit: Arc::new(Mutex::new(habit)),
            came: Arc::default(),
            runs: Arc::default(),
        }
    }

    fn becomes(&self, habit: Habit) {
        *self.habit.lock().expect("a habit") = habit;
    }

    fn runs(&self) -> MutexGuard<'_, Vec<Vec<String>>> {
        self.runs.lock().expect("runs")
    }

    /// How many posts came.
    fn came(&self) -> usize {
        self.came.lock().expect("counts").iter().sum()
    }

    async fn serves(&self, tasks: &Shutdown) -> SocketAddr {
        serve(Routes::new(self.clone()), ANYWHERE, tasks).await
    }

    fn outcome(&self, habit: Habit, numbered: v1::NumberedPost) -> Option<v1::PostOutcome> {
        let post = numbered.post.expect("a post");
        let outcome = match habit {
            Habit::Refuses => {
                Outcome::Refusal(from_error(&ChatError::new(Code::RateLimited, "slowly")).into())
            }
            Habit::Loses if post.text == "lost" => return None,
            _ => Outcome::Message(v1::Message {
                text: format!("{} stored {}", self.name, post.text),
                ..Default::default()
            }),
        };
        Some(v1::PostOutcome { number: numbered.number, outcome: Some(outcome) })
    }

    /// The answer to a message, and whether it is the last.
    fn answer(&self, batch: v1::PostMessagesRequest) -> (AnswerItem, bool) {
        self.came.lock().expect("counts").push(batch.posts.len());
        for NumberedPost { post, follows, .. } in &batch.posts {
            let (mut runs, text) = (self.runs(), post.as_ref().expect("a post").text.clone());
            match runs.last_mut() {
                Some(run) if *follows => run.push(text),
                _ => runs.push(vec![text]),
            }
        }
        let habit = *self.habit.lock().expect("a habit");
        let nothing = v1::PostMessagesResponse::default();
        match habit {
            Habit::Breaks => (Ok(nothing), true),
            Habit::Fails => (Err(Status::internal("what?")), true),
            Habit::Stops => (Ok(v1::PostMessagesResponse { is_last: true, ..nothing }), true),
            _ => {
                let posts = batch.posts.into_iter();
                let outcomes = posts.filter_map(|post| self.outcome(habit, post)).collect();
                (Ok(v1::PostMessagesResponse { outcomes, is_last: false }), false)
            }
        }
    }
}

type AnswerItem = Result<v1::PostMessagesResponse, Status>;

impl StreamingService<v1::PostMessagesRequest> for Fake {
    type Response = v1::PostMessagesResponse;
    type ResponseStream = BoxStream<'static, AnswerItem>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<v1::PostMessagesRequest>>) -> Self::Future {
        let fake = self.clone();
        let answers = stream::unfold(Some(request.into_inner()), move |posts| {
            let fake = fake.clone();
            async move {
                let mut posts = posts?;
                let (answer, is_last) = fake.answer(posts.message().await.ok()??);
                Some((answer, (!is_last).then_some(posts)))
            }
        });
        let habit = *self.habit.lock().expect("a habit");
        let answer = match habit {
            Habit::IsOld => Err(Status::unimplemented("what is PostMessages?")),
            Habit::IsStrict => Err(Status::unauthenticated("show the service token")),
            _ => Ok(Response::new(answers.boxed())),
        };
        async { answer }.boxed()
    }
}

impl NamedService for Fake {
    const NAME: &'static str = "switchboard.v1.ChatService";
}

impl tower::Service<http::Request<Body>> for Fake {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let fake = self.clone();
        async move {
            if request.uri().path().ends_with("/PostMessages") {
                return Ok(Grpc::new(ProstCodec::default()).streaming(fake, request).await);
            }
            Ok(from_error(&ChatError::new(Code::NotFound, fake.name)).into_http())
        }
        .boxed()
    }
}

fn post(text: &str, key: &str) -> v1::PostMessageRequest {
    v1::PostMessageRequest { text: text.into(), client_id: key.into(), ..Default::default() }
}

/// What became of a post: its text as stored, or the code of the refusal.
async fn posted(client: &ChatClient, post: v1::PostMessageRequest) -> String {
    posted_run(client, vec![post]).await.remove(0)
}

/// The same of a run.
async fn posted_run(client: &ChatClient, run: Vec<v1::PostMessageRequest>) -> Vec<String> {
    let answers = client.replicas.post(run).await.into_iter();
    answers.map(|a| a.map_or_else(|e| e.code().to_string(), |message| message.text)).collect()
}

/// Two replicas of which the first is asked first, and the client that knows both.
async fn pair(habit: Habit, tasks: &Shutdown) -> (Fake, Fake, ChatClient) {
    let (odd, well) = (Fake::new("odd", habit), Fake::new("well", Habit::Stores));
    let client = client_of(&[odd.serves(tasks).await, well.serves(tasks).await], tasks);
    (odd, well, client)
}

#[tokio::test]
async fn posts_that_are_ready_together_share_a_message() {
    let tasks = Shutdown::new();
    let fake = Fake::new("it", Habit::Stores);
    let client = client_of(&[fake.serves(&tasks).await], &tasks);
    let texts: Vec<_> = (0..1_000).map(|n| n.to_string()).collect();
    let answers = join_all(texts.iter().map(|text| posted(&client, post(text, "")))).await;
    for (text, answer) in texts.iter().zip(answers) {
        assert_eq!(answer, format!("it stored {text}"), "each has its own answer");
    }
    let messages = fake.came.lock().expect("counts").clone();
    assert!(messages.len() < 30 && messages.iter().all(|n| *n <= TOGETHER), "{messages:?}");
}

#[tokio::test]
async fn a_run_stays_together_among_others() {
    let tasks = Shutdown::new();
    let fake = Fake::new("it", Habit::Stores);
    let client = client_of(&[fake.serves(&tasks).await], &tasks);
    let texts = |n: usize| -> Vec<_> { (0..n % 32).map(|m| format!("{n}-{m}")).collect() };
    let run = |n| texts(n).iter().map(|text| post(text, "")).collect();
    let answers = join_all((1..100).map(|n| posted_run(&client, run(n)))).await;
    for (n, answers) in (1..100).zip(answers) {
        let expected: Vec<_> = texts(n).iter().map(|text| format!("it stored {text}")).collect();
        assert_eq!(answers, expected);
    }
    let sent: Vec<_> = (1..100).map(texts).filter(|run| !run.is_empty()).collect();
    assert_eq!(*fake.runs(), sent);
}

#[tokio::test]
async fn what_is_left_of_a_run_goes_elsewhere_in_its_order() {
    let tasks = Shutdown::new();
    let (odd, well, client) = pair(Habit::Breaks, &tasks).await;
    let run = vec![post("a", "k1"), post("b", ""), post("c", "k2"), post("d", "k3")];
    let answers = posted_run(&client, run).await;
    assert_eq!(answers, ["well stored a", "unavailable", "well stored c", "well stored d"]);
    assert_eq!(*odd.runs(), [["a", "b", "c", "d"]]);
    assert_eq!(*well.runs(), [["a", "c", "d"]]);
}

#[tokio::test]
async fn long_posts_share_a_message_only_as_far_as_it_is_taken() {
    let tasks = Shutdown::new();
    let fake = Fake::new("it", Habit::Stores);
    let client = client_of(&[fake.serves(&tasks).await], &tasks);
    let text = "x".repeat(200_000);
    let answers = join_all((0..20).map(|_| posted(&client, post(&text, "")))).await;
    assert!(answers.iter().all(|answer| answer.len() == text.len() + "it stored ".len()));
    assert!(fake.came.lock().expect("counts").iter().all(|n| *n <= 2));
}

#[tokio::test]
async fn a_refusal_is_that_of_a_call_of_its_own() {
    let tasks = Shutdown::new();
    let (odd, well) = (Fake::new("odd", Habit::Refuses), Fake::new("well", Habit::Refuses));
    let client = client_of(&[odd.serves(&tasks).await, well.serves(&tasks).await], &tasks);
    let refused = client.replicas.post(vec![post("hi", "key")]).await.remove(0);
    let refused = refused.expect_err("refused");
    assert_eq!(refused, to_error(&from_error(&ChatError::new(Code::RateLimited, "slowly"))));
    assert_eq!(odd.came() + well.came(), 1, "what was answered is not asked again");
}

#[tokio::test]
async fn what_was_handed_over_and_not_answered_goes_elsewhere_only_with_a_key() {
    for habit in [Habit::Breaks, Habit::Fails] {
        for (key, answer) in [("", "unavailable"), ("key", "well stored hi")] {
            let tasks = Shutdown::new();
            let (odd, well, client) = pair(habit, &tasks).await;
            assert_eq!(posted(&client, post("hi", key)).await, answer, "{habit:?}");
            assert_eq!((odd.came(), well.came()), (1, usize::from(!key.is_empty())));
        }
    }
}

#[tokio::test]
async fn what_a_stopping_replica_did_not_take_goes_elsewhere_at_once() {
    let tasks = Shutdown::new();
    let (odd, well, client) = pair(Habit::Stops, &tasks).await;
    let began = Instant::now();
    let answers = join_all((0..100).map(|_| posted(&client, post("hi", "")))).await;
    assert!(answers.iter().all(|answer| answer == "well stored hi"), "{answers:?}");
    assert!(odd.came() > 0 && well.came() == 100 && began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn what_was_not_handed_over_goes_elsewhere_whatever_it_is() {
    let tasks = Shutdown::new();
    let well = Fake::new("well", Habit::Stores).serves(&tasks).await;
    let client = client_of(&[nowhere().await, well], &tasks);
    for _ in 0..10 {
        assert_eq!(posted(&client, post("hi", "")).await, "well stored hi");
    }
}

#[tokio::test]
async fn a_silent_replica_keeps_no_post_that_it_was_not_handed() {
    let tasks = Shutdown::new();
    let silent = TcpListener::bind(ANYWHERE).await.expect("a port");
    let well = Fake::new("well", Habit::Stores).serves(&tasks).await;
    let client = client_of(&[silent.local_addr().expect("an address"), well], &tasks);
    let began = Instant::now();
    assert_eq!(posted(&client, post("hi", "")).await, "well stored hi");
    assert!(began.elapsed() < Duration::from_millis(3_500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_stream_is_made_again_after_it_was_lost() {
    let tasks = Shutdown::new();
    let fake = Fake::new("it", Habit::Stores);
    let client = client_of(&[fake.serves(&tasks).await], &tasks);
    for habit in [Habit::Breaks, Habit::Fails] {
        assert_eq!(posted(&client, post("hi", "")).await, "it stored hi");
        fake.becomes(habit);
        assert_eq!(posted(&client, post("hi", "")).await, "unavailable");
        fake.becomes(Habit::Stores);
    }
    assert_eq!(posted(&client, post("hi", "")).await, "it stored hi");
}

#[tokio::test]
async fn posts_that_nobody_waits_for_make_room() {
    let tasks = Shutdown::new();
    let fake = Fake::new("it", Habit::Loses);
    let client = client_of(&[fake.serves(&tasks).await], &tasks);
    let lost = (0..UNANSWERED)
        .map(|_| timeout(Duration::from_millis(300), posted(&client, post("lost", ""))));
    assert!(join_all(lost).await.iter().all(Result::is_err));
    assert_eq!(fake.came(), UNANSWERED, "they were handed over");
    assert_eq!(posted(&client, post("hi", "")).await, "it stored hi");
}

#[tokio::test]
async fn a_queue_takes_no_more_than_it_says() {
    let (state, channel) = (watch::Sender::new(State::Serving), nowhere().await);
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{channel}"));
    let token = Token::new(&ServiceToken::fixed("a service token")).expect("a token");
    let channel = channel.expect("a place").connect_lazy();
    let client = crate::chat_client::client(channel, token.clone());
    let (posts, _never_runs) = Posts::new(client, token, state.subscribe());
    let mut waiting: Vec<_> =
        (0..QUEUE).map(|_| Box::pin(posts.post(vec![post("hi", "")]))).collect();
    assert!(waiting.iter_mut().all(|post| post.now_or_never().is_none()));
    let refused = posts.post(vec![post("hi", ""), post("ho", "")]).await;
    assert_eq!(refused.len(), 2);
    assert!(refused.into_iter().all(|answer| answer.is_err_and(|e| e.fate == Fate::Full)));
}

#[tokio::test]
async fn what_does_not_fit_or_is_not_known_of_goes_by_a_call_of_its_own() {
    let tasks = Shutdown::new();
    let fake = Fake::new("it", Habit::Stores);
    let client = client_of(&[fake.serves(&tasks).await], &tasks);
    assert_eq!(posted(&client, post(&"x".repeat(TOGETHER_BYTES), "")).await, "not_found");
    fake.becomes(Habit::IsOld);
    let old = client_of(&[fake.serves(&tasks).await], &tasks);
    assert_eq!(posted(&old, post("hi", "")).await, "not_found");
    assert_eq!(fake.came(), 0);
}

#[tokio::test]
async fn without_the_right_token_posts_fail_and_are_not_repeated() {
    let tasks = Shutdown::new();
    let fake = Fake::new("it", Habit::IsStrict);
    let client = client_of(&[fake.serves(&tasks).await], &tasks);
    let began = Instant::now();
    assert_eq!(posted(&client, post("hi", "key")).await, "internal");
    assert!(began.elapsed() < Duration::from_secs(1));
}
