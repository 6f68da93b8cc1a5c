//! Hop 7 of 10: publish on Redis what has become durable. From store/group_commit.rs (posts) and
//! chat/ (the rest); next socket-gateway's subscriber.rs.
//!
//! One task for each lane (one server has one lane), so that what was handed over first is
//! published first, and a master of a cluster that is away holds up only its own. It never holds
//! up whoever committed, and what it loses the gateways notice by a hole in `seq`, and ask for.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, SystemTime},
};

use chat_core::{ConversationId, Event, Topic, UserId, child_span, process::Shutdown};
use prost::Message as _;
use redis_link::{Line, Redis};
use switchboard_proto::v1;
use telemetry::context;
use tokio::sync::mpsc;
use tracing::Span;

/// Events that may wait in a lane, and about how many bytes of them in all; the next is dropped,
/// and counted.
const QUEUE: usize = 16_384;
const QUEUE_BYTES: usize = 64 * 1024 * 1024;
/// Events in one round trip.
const BATCH: usize = 256;
/// How long a round trip may take before its events are given up.
const TIMEOUT: Duration = Duration::from_secs(1);

/// How often a round trip is tried.
const ATTEMPTS: u32 = 3;

/// An event and where it goes.
#[derive(Clone, Debug)]
pub struct Publication {
    /// The topics.
    pub topics: Vec<Topic>,
    /// The event.
    pub event: Event,
    /// Lasts until it is out.
    pub span: Span,
}

/// The way to the publishing tasks. They end once shutdown has begun (or the last clone of this is
/// gone) and all is out.
#[derive(Clone, Debug)]
pub struct Publisher {
    /// None: a test takes the events.
    redis: Option<Redis>,
    /// One for each lane that events are published in, by number.
    queues: Arc<[mpsc::Sender<Publication>]>,
    waiting_bytes: Arc<AtomicUsize>,
}

impl Publisher {
    /// A publisher, and the end at which a test takes the events.
    #[must_use]
    pub fn new() -> (Self, mpsc::Receiver<Publication>) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self { redis: None, queues: [sender].into(), waiting_bytes: Arc::default() }, receiver)
    }

    /// A publisher whose tasks publish on the topics' channels.
    #[must_use]
    pub fn start(redis: &Redis, tasks: &Shutdown) -> Self {
        let waiting_bytes = Arc::<AtomicUsize>::default();
        // In a cluster the scripts of presence publish in its lane, the last, and nobody else.
        let unused = usize::from(redis.is_cluster());
        let lines = Line::steady(redis).into_iter().take(redis.lanes().len() - unused);
        let queues = lines.map(|line| {
            let (sender, queue) = mpsc::channel(QUEUE);
            let up = match redis.is_cluster() {
                true => {
                    let lane = line.lane().stem().to_owned();
                    metrics::gauge!("switchboard_publisher_up", "lane" => lane)
                }
                false => metrics::gauge!("switchboard_publisher_up"),
            };
            up.set(1);
            let (waiting_bytes, stop) = (Arc::clone(&waiting_bytes), tasks.clone());
            tasks.spawn(Task { line, up, is_down: false, waiting_bytes, stop }.run(queue));
            sender
        });
        Self { redis: Some(redis.clone()), queues: queues.collect(), waiting_bytes }
    }

    /// Hands an event over, without waiting. Its span is a child of the current one.
    pub fn publish(&self, topics: Vec<Topic>, event: Event) {
        let Some(redis) = self.redis.as_ref().filter(|redis| redis.is_cluster()) else {
            return self.hand_over(0, topics, event);
        };
        let mut lanes: BTreeMap<usize, Vec<Topic>> = BTreeMap::new();
        for topic in topics {
            lanes.entry(redis.lane_of(topic).number()).or_default().push(topic);
        }
        for (lane, topics) in lanes {
            self.hand_over(lane, topics, event.clone());
        }
    }

    fn hand_over(&self, lane: usize, topics: Vec<Topic>, event: Event) {
        let span = child_span!("publish", otel.kind = "producer", messaging.system = "redis");
        let more = weight(&event);
        let before = self.waiting_bytes.fetch_add(more, Ordering::Relaxed);
        let fits = before + more <= QUEUE_BYTES;
        if !fits || self.queues[lane].try_send(Publication { topics, event, span }).is_err() {
            self.waiting_bytes.fetch_sub(more, Ordering::Relaxed);
            lost(1);
        } else {
            WAITING.increment(1);
        }
    }
}

/// About how many bytes an event takes that waits.
fn weight(event: &Event) -> usize {
    size_of::<Vec<Topic>>() + event.weight()
}

/// Events that wait in all lanes. Found once: this is counted for each.
static WAITING: LazyLock<metrics::Gauge> =
    LazyLock::new(|| metrics::gauge!("switchboard_publications_waiting"));

/// Notes that so many events wait no more, and how many bytes are left.
#[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
fn gauge_out(events: usize, bytes: usize) {
    WAITING.decrement(events as f64);
    metrics::gauge!("switchboard_publications_waiting_bytes").set(bytes as f64);
}

/// Microseconds since 1970.
fn now_us() -> u64 {
    let since = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn lost(events: usize) {
    metrics::counter!("switchboard_publications_lost_total").increment(events as u64);
}

/// Where a change goes: to its conversation, and for a direct to both users too, who may not have
/// that conversation open.
#[must_use]
pub fn topics(conversation: ConversationId, peers: Option<[UserId; 2]>) -> Vec<Topic> {
    let users = peers.into_iter().flatten().map(Topic::User);
    std::iter::once(Topic::Conversation(conversation)).chain(users).collect()
}

struct Task {
    line: Line,
    up: metrics::Gauge,
    is_down: bool,
    waiting_bytes: Arc<AtomicUsize>,
    stop: Shutdown,
}

impl Task {
    async fn run(mut self, mut queue: mpsc::Receiver<Publication>) {
        let mut taken = Vec::with_capacity(BATCH);
        loop {
            tokio::select! {
                biased;
                count = queue.recv_many(&mut taken, BATCH) => if count == 0 { return },
                () = self.stop.begun(), if !queue.is_closed() => {
                    queue.close();
                    continue;
                }
            }
            let outcome = self.deliver(&taken).await;
            let bytes = taken.iter().map(|publication| weight(&publication.event)).sum();
            let waiting = self.waiting_bytes.fetch_sub(bytes, Ordering::Relaxed) - bytes;
            gauge_out(taken.len(), waiting);
            self.note(outcome, taken.len());
            taken.clear();
            if self.is_down && queue.is_closed() {
                // Shutting down without Redis: the gateways will ask.
                lost(queue.len());
                return;
            }
        }
    }

    /// A connection that broke unnoticed costs a try, not the events: notices come only once. An
    /// outage that is known already gets one try.
    async fn deliver(&mut self, publications: &[Publication]) -> Result<(), String> {
        for _ in 1..if self.is_down { 1 } else { ATTEMPTS } {
            match self.publish(publications).await {
                Ok(()) => return Ok(()),
                Err(cause) => tracing::debug!(cause, "publishing again"),
            }
        }
        self.publish(publications).await
    }

    async fn publish(&mut self, publications: &[Publication]) -> Result<(), String> {
        let mut pipe = redis::pipe();
        let (lane, published_us) = (self.line.lane(), now_us());
        for Publication { topics, event, span } in publications {
            let traceparent = context::of(span);
            let event = v1::Event { traceparent, published_us, ..v1::Event::from(event) };
            let payload = event.encode_to_vec();
            for topic in topics {
                lane.publish(&mut pipe, &lane.channel(*topic), &payload);
            }
        }
        match tokio::time::timeout(TIMEOUT, pipe.query_async::<()>(&mut self.line)).await {
            Ok(published) => published.map_err(|e| e.to_string()),
            Err(_) => Err("no answer in time".into()),
        }
    }

    /// Counts every loss, logs an outage once.
    fn note(&mut self, outcome: Result<(), String>, events: usize) {
        let was_down = std::mem::replace(&mut self.is_down, outcome.is_err());
        self.up.set(if self.is_down { 0 } else { 1 });
        match outcome {
            Ok(()) => {
                metrics::counter!("switchboard_publications_total").increment(events as u64);
                if was_down {
                    tracing::info!(
                        lane = self.line.lane().stem(),
                        "publishing on Redis works again"
                    );
                }
            }
            Err(cause) => {
                lost(events);
                if !was_down {
                    let lane = self.line.lane().stem();
                    tracing::warn!(lane, cause, "can't publish on Redis: live events come late");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chat_core::{
        Author, Change, ChangeKind, Message, MessageId, Notice, Seq, SessionId, Username, Via,
        clock,
    };

    use super::*;

    #[test]
    fn a_direct_goes_to_its_two_users_as_well() {
        let id = ConversationId::LOBBY;
        assert_eq!(topics(id, None), [Topic::Conversation(id)]);
        let direct = topics(id, Some([UserId(1), UserId(2)]));
        assert_eq!(
            direct,
            [Topic::Conversation(id), Topic::User(UserId(1)), Topic::User(UserId(2))]
        );
    }

    #[tokio::test]
    async fn a_full_queue_holds_nobody_up() {
        let (publisher, mut queue) = Publisher::new();
        let event = Event::Notice(Notice::SessionEnded(SessionId::of_secret("s")));
        for _ in 0..=QUEUE {
            publisher.publish(vec![Topic::Everyone], event.clone());
        }
        drop(publisher);
        let mut all = Vec::new();
        assert_eq!(queue.recv_many(&mut all, usize::MAX).await, QUEUE);
    }

    #[tokio::test]
    async fn long_texts_that_wait_are_bounded_by_their_bytes() {
        let (publisher, mut queue) = Publisher::new();
        let text = "x".repeat(QUEUE_BYTES / 10);
        for seq in 1..=20 {
            publisher.publish(vec![Topic::Relay], post(seq, text.clone()));
        }
        // What is small may still find its place.
        publisher.publish(vec![Topic::Relay], post(21, String::new()));
        drop(publisher);
        let mut all = Vec::new();
        assert_eq!(queue.recv_many(&mut all, usize::MAX).await, 10);
    }

    fn post(seq: u64, text: String) -> Event {
        let conversation = ConversationId::LOBBY;
        let message = Message {
            id: MessageId(seq),
            conversation,
            seq: Seq(seq),
            author: Author::Guest(Username::parse("alice").expect("a name")),
            text,
            media: Vec::new(),
            created_at: clock::now(),
            edited_at: None,
            is_read: false,
            client_id: None,
            via: Via::Chatto,
        };
        let kind = ChangeKind::Posted(Box::new(message));
        Event::Change(Change { conversation, seq: Seq(seq), origin: None, kind })
    }
}
