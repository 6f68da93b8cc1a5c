//! One durable commit for many posts: whatever queued up during the last commit is the next batch.
//!
//! There is no timer. A lone post goes at once; under load batches grow by themselves. A
//! conversation always uses the same lane, so its posts are stored in the order in which they came.

use chat_core::{
    Change, ChangeKind, ChatError, ConversationId, Event, Message, SocketKey, process::Shutdown,
};
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::Instant,
};

pub use super::post::{Post, Stored};
use super::{
    Store,
    batch::{Answers, Batch},
    transaction::Kept,
};
use crate::publisher::{Publisher, topics};

/// Commits in flight at once: while one waits for the disk, the database works on the other. What a
/// commit costs by itself is that of ten posts, so that few large ones beat many small ones.
const LANES: usize = 2;
/// Posts that may wait in a lane; the next is refused.
const QUEUE: usize = 2_048;
/// Posts in one commit.
const BATCH: usize = 256;
/// Bytes of text in one commit: far below what a server takes in one packet.
const BATCH_BYTES: usize = 1 << 20;

/// The way into the lanes. They end once shutdown has begun (or the last clone of this is gone)
/// and all that had queued up is committed.
#[derive(Clone, Debug)]
pub struct GroupCommit {
    lanes: Vec<mpsc::Sender<Queued>>,
}

#[derive(Debug)]
struct Queued {
    post: Post,
    origin: Option<SocketKey>,
    answer: oneshot::Sender<Result<Stored, ChatError>>,
}

impl GroupCommit {
    /// Starts the lanes.
    #[must_use]
    pub fn start(store: &Store, publisher: &Publisher, tasks: &Shutdown) -> Self {
        let lane = |_| {
            let (sender, queue) = mpsc::channel(QUEUE);
            let (store, publisher, stop) = (store.clone(), publisher.clone(), tasks.clone());
            let lane = Lane { store, publisher, stop, kept: Kept::default() };
            tasks.spawn(lane.run(queue));
            sender
        };
        Self { lanes: (0..LANES).map(lane).collect() }
    }

    /// Stores a post. When this returns `Ok`, it is durable. Fails with `unavailable`: at once
    /// when too many are waiting, later when it is not known whether it was stored.
    pub async fn post(&self, post: Post, origin: Option<SocketKey>) -> Result<Stored, ChatError> {
        let (answer, answered) = oneshot::channel();
        let lane = &self.lanes[lane_of(post.conversation)];
        lane.try_send(Queued { post, origin, answer }).map_err(|refused| match refused {
            TrySendError::Full(_) => {
                metrics::counter!("switchboard_posts_refused_total").increment(1);
                ChatError::unavailable("group commit", "too many posts wait")
            }
            TrySendError::Closed(_) => ChatError::unavailable("group commit", "shutting down"),
        })?;
        answered.await.unwrap_or_else(|e| Err(ChatError::unavailable("group commit", e)))
    }
}

fn lane_of(conversation: ConversationId) -> usize {
    usize::try_from(conversation.raw() % LANES as u64).unwrap_or_default()
}

struct Lane {
    store: Store,
    publisher: Publisher,
    stop: Shutdown,
    kept: Kept,
}

impl Lane {
    async fn run(mut self, mut queue: mpsc::Receiver<Queued>) {
        let mut taken = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                count = queue.recv_many(&mut taken, BATCH) => if count == 0 { return },
                () = self.stop.begun(), if !queue.is_closed() => queue.close(),
            }
            // Nobody waits for these any more: they were told to try again.
            taken.retain(|queued| !queued.answer.is_closed());
            while !taken.is_empty() {
                let rest = taken.split_off(fitting(&taken));
                self.commit(std::mem::replace(&mut taken, rest)).await;
            }
        }
    }

    async fn commit(&mut self, queued: Vec<Queued>) {
        let began = Instant::now();
        let (posts, waiting): (Vec<_>, Vec<_>) =
            queued.into_iter().map(|q| (q.post, (q.origin, q.answer))).unzip();
        let answers = self.store.commit_posts(&mut self.kept, &posts).await;
        metrics::histogram!("switchboard_commit_seconds").record(began.elapsed());
        let count = u32::try_from(posts.len()).unwrap_or(u32::MAX);
        metrics::histogram!("switchboard_commit_posts").record(count);
        for ((post, (origin, waiter)), answer) in posts.iter().zip(waiting).zip(answers) {
            if let Ok(Stored { message, is_new: true }) = &answer {
                self.tell(post, message, origin);
            }
            // A waiter that has gone away needs no answer.
            let _ = waiter.send(answer);
        }
    }

    fn tell(&self, post: &Post, message: &Message, origin: Option<SocketKey>) {
        metrics::counter!("switchboard_posts_total").increment(1);
        let change = Change {
            conversation: message.conversation,
            seq: message.seq,
            origin,
            kind: ChangeKind::Posted(Box::new(message.clone())),
        };
        self.publisher.publish(topics(message.conversation, post.peers), Event::Change(change));
    }
}

/// How many of the first fit in one commit: at least one.
fn fitting(queued: &[Queued]) -> usize {
    let mut bytes = 0;
    let fits = queued.iter().take_while(|queued| {
        bytes += queued.post.text.len();
        bytes <= BATCH_BYTES
    });
    fits.count().max(1)
}

impl Store {
    /// Commits posts together. If that fails for a reason that lies in the posts, each is tried
    /// alone, so that one that can't be stored fails alone.
    pub(super) async fn commit_posts(&self, kept: &mut Kept, posts: &[Post]) -> Answers {
        match self.transact_on(kept, &Batch(posts)).await {
            Ok(answers) => answers,
            Err(error) if posts.len() > 1 && !error.is_passing() => {
                tracing::warn!(%error, posts = posts.len(), "batch failed, trying one by one");
                self.commit_each(kept, posts).await
            }
            Err(error) => {
                let refusal = ChatError::from(error);
                vec![Err(refusal); posts.len()]
            }
        }
    }

    async fn commit_each(&self, kept: &mut Kept, posts: &[Post]) -> Answers {
        let mut answers = Vec::with_capacity(posts.len());
        for post in posts {
            let alone = self.transact_on(kept, &Batch(std::slice::from_ref(post))).await;
            answers.push(match alone.map(|mut answer| answer.pop()) {
                Ok(Some(answer)) => answer,
                Ok(None) => Err(ChatError::internal("group commit", "no answer for a post")),
                Err(error) => Err(error.into()),
            });
        }
        answers
    }
}
