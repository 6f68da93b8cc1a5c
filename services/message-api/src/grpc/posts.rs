//! Hop 4 of 10, for posts: one a call, or many over one stream that a gateway keeps open. From
//! proto/; next chat/messages.rs.
//!
//! Those of a stream run side by side into the group commit. Answers that are ready together leave
//! in one message, so that the busier a stream is, the less each of its posts costs; nothing ever
//! waits for company. If the connection goes, what was under way is given up as a call would be.

use std::sync::Arc;

use chat_core::{Chat, Limits, process::Shutdown};
use futures_util::{
    FutureExt, StreamExt,
    future::BoxFuture,
    stream::{self, FuturesUnordered, Stream},
};
use switchboard_proto::v1::{self, post_outcome::Outcome};
use tonic::{Status, Streaming};

use super::{counted, parse};

/// Posts of one stream that are under way before more are read: what a full lane of the group
/// commit takes.
const UNDER_WAY: usize = 2_048;
/// Answers in one message.
const TOGETHER: usize = 256;

/// One post.
pub(super) async fn post(
    chat: &dyn Chat,
    limits: &Limits,
    request: v1::PostMessageRequest,
) -> Result<v1::Message, Status> {
    counted(async {
        let caller = parse::caller(request.caller.clone())?;
        let origin = request.origin.map(Into::into);
        let message = parse::new_message(request, limits)?;
        Ok((&chat.post(&caller, message, origin).await?).into())
    })
    .await
}

/// The answers to a stream of posts. It ends once the caller has no more of them or shutdown has
/// begun, and all that was taken is answered: it says so by `is_last`.
pub(super) fn answers(
    incoming: Streaming<v1::PostMessagesRequest>,
    chat: Arc<dyn Chat>,
    limits: Limits,
    stop: Shutdown,
) -> impl Stream<Item = Result<v1::PostMessagesResponse, Status>> {
    let under_way = FuturesUnordered::new();
    let posts = Posts { incoming: Some(incoming), under_way, chat, limits, stop };
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
    under_way: FuturesUnordered<BoxFuture<'static, v1::PostOutcome>>,
    chat: Arc<dyn Chat>,
    limits: Limits,
    stop: Shutdown,
}

impl Posts {
    /// Those that are decided by now, one at least; none once all are answered and none will come.
    async fn next_outcomes(&mut self) -> Vec<v1::PostOutcome> {
        loop {
            let mut decided = (&mut self.under_way).ready_chunks(TOGETHER);
            let Some(incoming) = &mut self.incoming else {
                return decided.next().await.unwrap_or_default();
            };
            let has_room = decided.get_ref().len() < UNDER_WAY;
            let is_busy = !decided.get_ref().is_empty();
            tokio::select! {
                biased;
                Some(outcomes) = decided.next(), if is_busy => return outcomes,
                () = self.stop.begun() => self.incoming = None,
                batch = incoming.message(), if has_room => match batch {
                    Ok(Some(batch)) => batch.posts.into_iter().for_each(|post| self.begin(post)),
                    // It has no more; or the way to it broke, and nobody hears the answers.
                    Ok(None) | Err(_) => self.incoming = None,
                },
            }
        }
    }

    fn begin(&self, numbered: v1::NumberedPost) {
        let (chat, limits) = (Arc::clone(&self.chat), self.limits);
        let outcome = async move {
            let request = numbered.post.unwrap_or_default();
            let outcome = match post(&*chat, &limits, request).await {
                Ok(message) => Outcome::Message(message),
                Err(status) => Outcome::Refusal(status.into()),
            };
            v1::PostOutcome { number: numbered.number, outcome: Some(outcome) }
        };
        self.under_way.push(outcome.boxed());
    }
}
