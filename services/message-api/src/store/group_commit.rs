//! One durable commit for many posts: whatever queued up during the last commit is the next batch.
//!
//! There is no timer. A lone post goes at once; under load batches grow by themselves, the more so
//! where a core is busy: there a lane lets those go first who bring it more. A conversation always
//! uses the same lane, so its posts are stored in the order in which they came. A run of posts of one
//! conversation is never parted.

use std::time::Duration;

use chat_core::{
    Change, ChangeKind, ChatError, ConversationId, Event, Message, SocketKey, child_span,
    kept_span,
    process::{Shutdown, yield_core},
};
use telemetry::context;
use tokio::{
    sync::{
        mpsc::{self, error::TrySendError},
        oneshot,
    },
    time::Instant,
};
use tracing::{Instrument, Span};

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
/// Runs that may wait in a lane; the next is refused.
const QUEUE: usize = 2_048;
/// Posts in one commit, give or take a run.
const BATCH: usize = 256;
/// Bytes of text in one commit: far below what a server takes in one packet.
const BATCH_BYTES: usize = 1 << 20;

/// How often in a row a busy lane yields its core without a new post, before it commits.
const YIELDS: usize = 8;
/// For how long it does so at most.
const YIELDING: Duration = Duration::from_millis(10);

/// The way into the lanes. They end once shutdown has begun (or the last clone of this is gone)
/// and all that had queued up is committed.
#[derive(Clone, Debug)]
pub struct GroupCommit {
    lanes: Vec<mpsc::Sender<Queued>>,
}

#[derive(Debug)]
struct Queued {
    run: Vec<Post>,
    origin: Option<SocketKey>,
    answers: oneshot::Sender<Answers>,
    /// From here until it is stored.
    span: Span,
}

impl GroupCommit {
    /// Starts the lanes.
    #[must_use]
    pub fn start(store: &Store, publisher: &Publisher, tasks: &Shutdown) -> Self {
        let lane = |number| {
            let (sender, queue) = mpsc::channel(QUEUE);
            let (store, publisher, stop) = (store.clone(), publisher.clone(), tasks.clone());
            let waiting = waiting_in(number);
            let kept = Kept::default();
            let lane = Lane { store, publisher, stop, kept, is_busy: false, waiting };
            tasks.spawn(lane.run(queue));
            sender
        };
        Self { lanes: (0..LANES).map(lane).collect() }
    }

    /// Stores posts of one conversation, in this order, and answers each of them. What is answered
    /// by `Ok` is durable. Fails with `unavailable`: at once when too many are waiting, later when
    /// it is not known what was stored.
    pub async fn post(
        &self,
        run: Vec<Post>,
        origin: Option<SocketKey>,
    ) -> Result<Vec<Result<Stored, ChatError>>, ChatError> {
        let Some(first) = run.first() else { return Ok(Vec::new()) };
        let lane = &self.lanes[lane_of(first.conversation)];
        let (answers, answered) = oneshot::channel();
        let span = child_span!("store", switchboard.posts = run.len());
        lane.try_send(Queued { run, origin, answers, span }).map_err(|refused| match refused {
            TrySendError::Full(Queued { run, .. }) => {
                let count = run.len() as u64;
                metrics::counter!("switchboard_posts_refused_total").increment(count);
                ChatError::unavailable("group commit", "too many posts wait")
            }
            TrySendError::Closed(_) => ChatError::unavailable("group commit", "shutting down"),
        })?;
        answered.await.map_err(|e| ChatError::unavailable("group commit", e))
    }
}

fn waiting_in(lane: usize) -> metrics::Gauge {
    metrics::gauge!("switchboard_runs_waiting", "lane" => lane.to_string())
}

fn lane_of(conversation: ConversationId) -> usize {
    usize::try_from(conversation.raw() % LANES as u64).unwrap_or_default()
}

struct Lane {
    store: Store,
    publisher: Publisher,
    stop: Shutdown,
    kept: Kept,
    /// Had the last commit more than one run?
    is_busy: bool,
    /// How much waits for the next commit.
    waiting: metrics::Gauge,
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
            self.gather(&mut queue, &mut taken).await;
            self.waiting.set(u32::try_from(queue.len()).unwrap_or(u32::MAX));
            // Nobody waits for these any more: they were told to try again.
            taken.retain(|queued| !queued.answers.is_closed());
            while !taken.is_empty() {
                let rest = taken.split_off(fitting(&taken));
                self.commit(std::mem::replace(&mut taken, rest)).await;
            }
        }
    }

    /// Takes what comes while others have the core. What a commit costs by itself is best shared by
    /// many, and on a busy core those who bring them get no time while small ones follow each other.
    async fn gather(&mut self, queue: &mut mpsc::Receiver<Queued>, taken: &mut Vec<Queued>) {
        let until = Instant::now() + YIELDING;
        let most = if self.is_busy { YIELDS } else { 1 };
        let mut left = most;
        while left > 0 && taken.len() < BATCH && Instant::now() < until {
            yield_core().await;
            let before = taken.len();
            while taken.len() < BATCH
                && let Ok(queued) = queue.try_recv()
            {
                taken.push(queued);
            }
            left = if taken.len() > before { most } else { left - 1 };
        }
        self.is_busy = taken.len() > 1;
    }

    async fn commit(&mut self, queued: Vec<Queued>) {
        let began = Instant::now();
        let mut posts = Vec::with_capacity(queued.len());
        let mut waiting = Vec::with_capacity(queued.len());
        let span = span_of(&queued);
        for Queued { run, origin, answers, span } in queued {
            waiting.push((run.len(), origin, answers, span));
            posts.extend(run);
        }
        let stored = self.store.commit_posts(&mut self.kept, &posts).instrument(span.clone()).await;
        drop(span);
        let mut answers = stored.into_iter();
        metrics::histogram!("switchboard_commit_seconds").record(began.elapsed());
        let count = u32::try_from(posts.len()).unwrap_or(u32::MAX);
        metrics::histogram!("switchboard_commit_posts").record(count);
        let mut posts = posts.iter();
        for (length, origin, waiter, span) in waiting {
            let _in_span = span.enter();
            let answers: Answers = answers.by_ref().take(length).collect();
            for (post, answer) in posts.by_ref().take(length).zip(&answers) {
                if let Ok(Stored { message, is_new: true }) = answer {
                    self.tell(post, message, origin);
                }
            }
            // A waiter that has gone away needs no answer.
            let _ = waiter.send(answers);
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

/// The span of a commit: a trace of its own, linked with those of the posts that it stores.
fn span_of(queued: &[Queued]) -> Span {
    let mut kept =
        queued.iter().map(|queued| &queued.span).filter(|span| !span.is_none()).peekable();
    if kept.peek().is_none() {
        return Span::none();
    }
    let posts = queued.iter().map(|queued| queued.run.len()).sum::<usize>();
    let commit = kept_span!(
        parent: None, "commit", otel.kind = "client", db.system.name = "mysql",
        switchboard.posts = posts
    );
    kept.for_each(|span| context::link(span, &commit));
    commit
}

/// How many of the first runs fit in one commit: at least one.
fn fitting(queued: &[Queued]) -> usize {
    let (mut posts, mut bytes) = (0, 0);
    let fits = queued.iter().take_while(|queued| {
        posts += queued.run.len();
        bytes += queued.run.iter().map(|post| post.text.len()).sum::<usize>();
        posts <= BATCH && bytes <= BATCH_BYTES
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

    /// What fails for a reason that passes is the last that is tried: none may overtake it.
    async fn commit_each(&self, kept: &mut Kept, posts: &[Post]) -> Answers {
        let mut answers: Answers = Vec::with_capacity(posts.len());
        for post in posts {
            let alone = self.transact_on(kept, &Batch(std::slice::from_ref(post))).await;
            match alone.map(|mut answer| answer.pop()) {
                Ok(Some(answer)) => answers.push(answer),
                Ok(None) => {
                    answers.push(Err(ChatError::internal("group commit", "no answer for a post")));
                }
                Err(error) if error.is_passing() => {
                    answers.resize(posts.len(), Err(error.into()));
                    break;
                }
                Err(error) => answers.push(Err(error.into())),
            }
        }
        answers
    }
}
