//! Hop 4 of 10, for posts: one a call, or many over one stream that a gateway keeps open. From
//! proto/; next chat/messages.rs.
//!
//! Those of a stream run side by side into the group commit, and what follows one another stays
//! together. Answers that are ready together leave in one message, so that the busier a stream is,
//! the less each of its posts costs; nothing ever waits for company. If the connection goes, what
//! was under way is given up as a call would be.

use std::{sync::Arc, time::Instant};

use chat_core::{Chat, ChatError, Limits, Message, chat::RUN_MAX};
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered, Stream},
};
use switchboard_proto::v1::{self, post_outcome::Outcome};
use tonic::{Status, Streaming};
use tracing::Instrument;

use super::{UnderWay, parse, refused, spans, timing};
use crate::refusals::Refusals;

/// Runs of one stream that are under way before more are read: what a full lane of the group
/// commit takes.
const UNDER_WAY: usize = 2_048;
/// Runs that are answered in one message.
const TOGETHER: usize = 256;

/// One post.
pub(super) async fn post(
    chat: &dyn Chat,
    limits: &Limits,
    request: v1::PostMessageRequest,
) -> Result<v1::Message, Status> {
    let answer = post_run(chat, limits, vec![request]).await.pop();
    answer.unwrap_or_else(|| Err(Status::internal("a post without an answer")))
}

/// Posts that follow one another.
async fn post_run(
    chat: &dyn Chat,
    limits: &Limits,
    run: Vec<v1::PostMessageRequest>,
) -> Vec<Result<v1::Message, Status>> {
    let _under_way = UnderWay::begin();
    let count = run.len();
    let answers = ask(chat, limits, run).await;
    let answers = answers.unwrap_or_else(|refusal| vec![Err(refusal); count]);
    let worded = |answer: chat_core::Result<Message>| match answer {
        Ok(message) => Ok((&message).into()),
        Err(refusal) => Err(refused(&refusal)),
    };
    answers.into_iter().map(worded).collect()
}

async fn ask(
    chat: &dyn Chat,
    limits: &Limits,
    run: Vec<v1::PostMessageRequest>,
) -> chat_core::Result<Vec<chat_core::Result<Message>>> {
    let [first, rest @ ..] = &*run else { return Ok(Vec::new()) };
    let is_like_first = |post: &v1::PostMessageRequest| {
        (&post.caller, &post.conversation_id, &post.origin)
            == (&first.caller, &first.conversation_id, &first.origin)
    };
    if run.len() > RUN_MAX || !rest.iter().all(is_like_first) {
        return Err(ChatError::invalid_payload(format!(
            "posts that follow one another are at most {RUN_MAX}, of one caller and origin, in \
             one conversation"
        )));
    }
    let caller = parse::caller(chat, first.caller.clone()).await?;
    let origin = first.origin.map(Into::into);
    let messages = run.into_iter().map(|request| parse::new_message(request, limits));
    let (messages, refusals) = Refusals::part(messages);
    Ok(refusals.among(chat.post_run(&caller, messages, origin).await))
}

/// The answers to a stream of posts. It ends once the caller has no more of them or `ends` is over,
/// and all that was taken is answered: it says so by `is_last`.
pub(super) fn answers(
    incoming: Streaming<v1::PostMessagesRequest>,
    chat: Arc<dyn Chat>,
    limits: Limits,
    ends: BoxFuture<'static, ()>,
) -> impl Stream<Item = Result<v1::PostMessagesResponse, Status>> {
    let under_way = FuturesUnordered::new();
    let posts = Posts { incoming: Some(incoming), under_way, chat, limits, ends };
    stream::unfold(Some(posts), async |posts| {
        let mut posts = posts?;
        let outcomes = posts.next_outcomes().await;
        let is_last = outcomes.is_empty();
        let answer = v1::PostMessagesResponse { outcomes, is_last };
        Some((Ok(answer), (!is_last).then_some(posts)))
    })
}

struct Posts {
    /// None once no more are taken.
    incoming: Option<Streaming<v1::PostMessagesRequest>>,
    under_way: FuturesUnordered<BoxFuture<'static, Vec<v1::PostOutcome>>>,
    chat: Arc<dyn Chat>,
    limits: Limits,
    /// Shutdown begins, or the caller's token is taken away.
    ends: BoxFuture<'static, ()>,
}

impl Posts {
    /// Those that are decided by now, one at least; none once all are answered and none will come.
    async fn next_outcomes(&mut self) -> Vec<v1::PostOutcome> {
        loop {
            let mut decided = (&mut self.under_way).ready_chunks(TOGETHER);
            let Some(incoming) = &mut self.incoming else {
                return decided.next().await.unwrap_or_default().concat();
            };
            let has_room = decided.get_ref().len() < UNDER_WAY;
            let is_busy = !decided.get_ref().is_empty();
            tokio::select! {
                biased;
                Some(outcomes) = decided.next(), if is_busy => return outcomes.concat(),
                () = &mut self.ends => self.incoming = None,
                batch = incoming.message(), if has_room => match batch {
                    Ok(Some(batch)) => runs(batch.posts).for_each(|run| self.begin(run)),
                    // It has no more; or the way to it broke, and nobody hears the answers.
                    Ok(None) | Err(_) => self.incoming = None,
                },
            }
        }
    }

    fn begin(&self, run: Vec<v1::NumberedPost>) {
        let (chat, limits) = (Arc::clone(&self.chat), self.limits);
        let (numbers, run): (Vec<_>, Vec<_>) =
            run.into_iter().map(|post| (post.number, post.post.unwrap_or_default())).unzip();
        let span = spans::of_run(&run);
        let outcomes = async move {
            let began = Instant::now();
            let answers = post_run(&*chat, &limits, run).await;
            timing::of_run().record(began.elapsed());
            let outcome = |(number, answer)| {
                let outcome = match answer {
                    Ok(message) => Outcome::Message(message),
                    Err(status) => Outcome::Refusal(Status::into(status)),
                };
                v1::PostOutcome { number, outcome: Some(outcome) }
            };
            numbers.into_iter().zip(answers).map(outcome).collect()
        };
        self.under_way.push(outcomes.instrument(span).boxed());
    }
}

/// Parts posts into those that follow one another.
fn runs(posts: Vec<v1::NumberedPost>) -> impl Iterator<Item = Vec<v1::NumberedPost>> {
    let mut posts = posts.into_iter().peekable();
    std::iter::from_fn(move || {
        let mut run = vec![posts.next()?];
        while let Some(next) = posts.next_if(|post| post.follows) {
            run.push(next);
        }
        Some(run)
    })
}
