//! Hop 2 of 10, for posts: all that go to one replica share one stream, which stays open and is
//! made again after it was lost. From chat_client/mod.rs; next proto/.
//!
//! What is ready together goes in one message: whatever came while the last one was on its way out.
//! There is no timer, so a lone post goes at once. A run of posts is never parted. What is known of a
//! post when its stream breaks depends on how far it came: one that was not handed over was surely
//! never begun.

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use chat_core::process::yield_core;
use futures_util::stream;
use prost::Message as _;
use switchboard_proto::{
    status::is_token_refused,
    v1::{self, post_outcome::Outcome},
};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot, watch,
    },
    time::{Duration, sleep},
};
use tonic::{Status, Streaming};

use super::{
    Client,
    fate::{self, Failed, Fate},
    replica::State,
    token::Token,
};

/// Runs that may wait for their turn; the next goes to another replica.
const QUEUE: usize = 2_048;
/// Posts that may be without an answer before more are handed over: what message-api takes.
const UNANSWERED: usize = 2_048;
/// Posts in one message, give or take a run.
const TOGETHER: usize = 256;
/// Bytes of posts after which a message is full; a run as long as that goes by calls of its own.
/// Twice as much is well below what message-api takes in one message.
const TOGETHER_BYTES: usize = 256 * 1024;
/// How often posts whose callers are gone make room, if all room is taken.
const SWEEP: Duration = Duration::from_millis(100);

/// What a post comes to.
pub(super) type Answer = Result<v1::Message, Failed>;

#[derive(Debug)]
struct Waiting {
    run: Vec<(v1::PostMessageRequest, oneshot::Sender<Answer>)>,
}

impl Waiting {
    /// Does nobody wait any more?
    fn is_given_up(&self) -> bool {
        self.run.iter().all(|(_, answer)| answer.is_closed())
    }
}

/// The way to the stream. Its task ends with it.
#[derive(Debug)]
pub(super) struct Posts(mpsc::Sender<Waiting>);

impl Posts {
    /// The way, and the task at its other end. Silence breaks the stream.
    pub(super) fn new(
        client: Client,
        token: Token,
        state: watch::Receiver<State>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, queue) = mpsc::channel(QUEUE);
        let unanswered = HashMap::new();
        let task = Task { client, token, state, queue, next: Vec::new(), unanswered };
        (Self(sender), task.run())
    }

    /// Do these fit into a message with others?
    pub(super) fn fit(run: &[v1::PostMessageRequest]) -> bool {
        run.iter().map(v1::PostMessageRequest::encoded_len).sum::<usize>() < TOGETHER_BYTES
    }

    /// Posts a run: an answer for each. Whoever stops waiting leaves nothing behind.
    pub(super) async fn post(&self, run: Vec<v1::PostMessageRequest>) -> Vec<Answer> {
        let count = run.len();
        let (mut waiting, mut answered) = (Vec::with_capacity(count), Vec::with_capacity(count));
        for post in run {
            let (sender, receiver) = oneshot::channel();
            waiting.push((post, sender));
            answered.push(receiver);
        }
        if let Err(refused) = self.0.try_send(Waiting { run: waiting }) {
            let failed = match refused {
                TrySendError::Full(_) => Failed::new(Fate::Full, "too many posts wait"),
                TrySendError::Closed(_) => Failed::new(Fate::NotSent, "stopping"),
            };
            return vec![Err(failed); count];
        }
        let mut answers = Vec::with_capacity(count);
        for answer in answered {
            let answer = answer.await;
            answers.push(answer.unwrap_or_else(|_| Err(Failed::new(Fate::Unknown, "stopping"))));
        }
        answers
    }
}

struct Task {
    client: Client,
    token: Token,
    state: watch::Receiver<State>,
    queue: mpsc::Receiver<Waiting>,
    /// Taken from the queue, not handed over yet.
    next: Vec<Waiting>,
    /// Handed over, by their numbers. The numbers of one stream never come again.
    unanswered: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Task {
    async fn run(mut self) {
        while self.queue.recv_many(&mut self.next, TOGETHER).await > 0 {
            let (unsent, unanswered) = match self.open().await {
                Ok((batches, answers)) => {
                    let lost = self.exchange(batches, answers).await;
                    (Failed { fate: Fate::NotSent, ..lost.clone() }, lost)
                }
                Err(failed) => (failed.clone(), failed),
            };
            while let Ok(waiting) = self.queue.try_recv() {
                self.next.push(waiting);
            }
            // A caller that has gone away needs no answer, here and below.
            let unsent_posts = self.next.drain(..).flat_map(|waiting| waiting.run);
            unsent_posts.for_each(|(_, w)| drop(w.send(Err(unsent.clone()))));
            self.unanswered.drain().for_each(|(_, w)| drop(w.send(Err(unanswered.clone()))));
        }
    }

    /// A stream on which nothing is under way yet. A failure tells of all posts that wait.
    async fn open(&mut self) -> Result<(Batches, Answers), Failed> {
        let shown = self.token.shown();
        match self.open_once().await {
            Err(failed)
                if is_token_refused(&failed.status) && self.token.is_refused(shown.as_ref()) =>
            {
                self.open_once().await
            }
            opened => opened,
        }
    }

    async fn open_once(&mut self) -> Result<(Batches, Answers), Failed> {
        let (batches, mut taken) = mpsc::channel(1);
        let requests = stream::poll_fn(move |context| taken.poll_recv(context));
        let opened = tokio::select! {
            biased;
            opened = self.client.post_messages(requests) => opened,
            () = silence(&mut self.state) => Err(Status::unavailable("it has gone silent")),
        };
        match opened {
            Ok(answers) => Ok((batches, answers.into_inner())),
            Err(status) => Err(match fate::of(&status) {
                fate @ (Fate::Answered | Fate::Unavailable) => Failed { fate, status },
                _ => Failed { fate: Fate::NotSent, status },
            }),
        }
    }

    /// Hands posts over and their answers out until the stream ends. Tells what is known of those
    /// that were handed over and not answered.
    async fn exchange(&mut self, batches: Batches, mut answers: Answers) -> Failed {
        let mut number = 0;
        loop {
            let is_full = self.unanswered.len() >= UNANSWERED;
            tokio::select! {
                biased;
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => {
                        answer.outcomes.into_iter().for_each(|outcome| self.answer(outcome));
                        if answer.is_last {
                            return Failed::new(Fate::NotSent, "it is stopping");
                        }
                    }
                    Ok(None) => return Failed::new(Fate::Unknown, "the stream of posts ended"),
                    Err(status) => return Failed { fate: Fate::Unknown, status: broken(&status) },
                },
                () = silence(&mut self.state) => {
                    return Failed::new(Fate::Unknown, "it has gone silent");
                }
                // It goes unless the one before is still on its way out.
                Ok(place) = batches.reserve(), if !self.next.is_empty() && !is_full => {
                    // Whoever is ready to post does so first, and shares the message.
                    yield_core().await;
                    let posts = self.batch(&mut number);
                    if !posts.is_empty() {
                        place.send(v1::PostMessagesRequest { posts });
                    }
                }
                Some(waiting) = self.queue.recv(), if self.next.is_empty() => {
                    self.next.push(waiting);
                }
                () = sleep(SWEEP), if is_full => {
                    self.unanswered.retain(|_, answer| !answer.is_closed());
                }
            }
        }
    }

    /// The next message: as many posts as fit of those that anybody still waits for.
    fn batch(&mut self, number: &mut u64) -> Vec<v1::NumberedPost> {
        let waiting = self.next.len() + self.queue.len();
        let (mut posts, mut bytes) = (Vec::with_capacity(waiting.min(TOGETHER)), 0);
        let mut taken = std::mem::take(&mut self.next).into_iter();
        while posts.len() < TOGETHER && bytes < TOGETHER_BYTES {
            let Some(waiting) = taken.next().or_else(|| self.queue.try_recv().ok()) else { break };
            if waiting.is_given_up() {
                continue;
            }
            for (place, (post, answer)) in waiting.run.into_iter().enumerate() {
                *number += 1;
                bytes += post.encoded_len();
                self.unanswered.insert(*number, answer);
                let follows = place > 0;
                posts.push(v1::NumberedPost { number: *number, post: Some(post), follows });
            }
        }
        self.next.extend(taken);
        posts
    }

    fn answer(&mut self, outcome: v1::PostOutcome) {
        let Some(waiter) = self.unanswered.remove(&outcome.number) else { return };
        let _ = waiter.send(match outcome.outcome {
            Some(Outcome::Message(message)) => Ok(message),
            Some(Outcome::Refusal(refusal)) => Err(Status::from(refusal).into()),
            None => Err(Status::internal("an outcome without a word").into()),
        });
    }
}

type Batches = mpsc::Sender<v1::PostMessagesRequest>;
type Answers = Streaming<v1::PostMessagesResponse>;

/// Until nothing comes back from the replica any more, or nobody asks it any more.
async fn silence(state: &mut watch::Receiver<State>) {
    let _ = state.wait_for(|state| *state == State::Silent).await;
}

/// However a stream broke, that says nothing of the posts on it.
fn broken(status: &Status) -> Status {
    Status::unavailable(format!("the stream of posts broke: {}", status.message()))
}
