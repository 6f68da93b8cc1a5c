//! Hop 8 of 10: what is published in Redis comes in. From message-api's `publisher.rs` and other
//! gateways' `whisper.rs`; next `feed`.
//!
//! One connection hears all topics that sockets here follow. It survives restarts of Redis: a
//! lost connection is made again with backoff, every wanted topic is subscribed to again, and the
//! feed is told, since what was published meanwhile was not heard.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_core::{
    Event, Topic,
    process::{Backoff, Shutdown},
};
use futures_util::StreamExt;
use prost::Message as _;
use redis::aio::{PubSubSink, PubSubStream};
use switchboard_proto::v1;
use tokio::{
    sync::Notify,
    time::{Instant, interval, timeout, timeout_at},
};

/// How long Redis may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// How often a silent connection is tried, and wanted topics are compared with confirmed ones.
const CHECK_EVERY: Duration = Duration::from_secs(2);

/// Topics in one SUBSCRIBE.
const BATCH: usize = 500;

/// Who hears what comes in. Must not block.
pub trait Hearer: Send + Sync + 'static {
    /// An event of a topic.
    fn hear(&self, topic: Topic, event: Event);

    /// The connection was lost and is back: what was published meanwhile is missing.
    fn back(&self);
}

#[derive(Default)]
struct Topics {
    /// How often each is wanted.
    wanted: HashMap<Topic, usize>,
    /// What Redis has confirmed on the present connection.
    confirmed: HashSet<Topic>,
}

/// The topics wanted here, and the connection that follows them.
pub struct Subscriber {
    prefix: String,
    topics: Mutex<Topics>,
    changed: Notify,
    confirmed: Notify,
    connected: AtomicBool,
}

impl Subscriber {
    /// Nothing is wanted yet.
    #[must_use]
    pub fn new(prefix: &str) -> Self {
        Self {
            prefix: format!("{prefix}:"),
            topics: Mutex::default(),
            changed: Notify::new(),
            confirmed: Notify::new(),
            connected: AtomicBool::new(false),
        }
    }

    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more interest in a topic.
    pub fn want(&self, topic: Topic) {
        let mut topics = self.topics();
        let count = topics.wanted.entry(topic).or_default();
        *count += 1;
        if *count == 1 {
            self.changed.notify_one();
        }
    }

    /// One interest less.
    pub fn unwant(&self, topic: Topic) {
        let mut topics = self.topics();
        if let Some(count) = topics.wanted.get_mut(&topic) {
            *count -= 1;
            if *count == 0 {
                topics.wanted.remove(&topic);
                self.changed.notify_one();
            }
        }
    }

    /// Waits until a wanted topic is confirmed, `patience` at most. Is it?
    pub async fn is_heard(&self, topic: Topic, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        loop {
            let confirmed = self.confirmed.notified();
            if self.topics().confirmed.contains(&topic) {
                return true;
            }
            if timeout_at(deadline, confirmed).await.is_err() {
                return false;
            }
        }
    }

    /// Is there a connection to Redis?
    #[must_use]
    pub fn is_connected(&self) -> bool {
        self.connected.load(Ordering::Relaxed)
    }

    /// Connects, and connects again, until shutdown.
    pub async fn run(
        self: Arc<Self>,
        redis: redis::Client,
        hearer: Arc<dyn Hearer>,
        shutdown: Shutdown,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut told = false;
        while !shutdown.is_begun() {
            match timeout(ANSWER, redis.get_async_pubsub()).await {
                Ok(Ok(connection)) => {
                    tracing::info!("hearing Redis");
                    (told, backoff) =
                        (false, Backoff::new(Duration::from_millis(50), Duration::from_secs(1)));
                    let (sink, stream) = connection.split();
                    self.live(sink, stream, &*hearer, &shutdown).await;
                    self.connected.store(false, Ordering::Relaxed);
                    self.topics().confirmed.clear();
                }
                Ok(Err(cause)) => tell_once(&mut told, &cause),
                Err(_) => tell_once(&mut told, &"no answer"),
            }
            tokio::select! { () = backoff.wait() => {}, () = shutdown.begun() => {} }
        }
    }

    /// Lives with one connection until it fails or shutdown begins.
    async fn live(
        &self,
        sink: PubSubSink,
        stream: PubSubStream,
        hearer: &dyn Hearer,
        shutdown: &Shutdown,
    ) {
        tokio::select! {
            () = self.listen(stream, hearer) => tracing::warn!("Redis closed the connection"),
            cause = self.steer(sink, hearer) => tracing::warn!(%cause, "lost Redis"),
            () = shutdown.begun() => {}
        }
    }

    async fn listen(&self, mut stream: PubSubStream, hearer: &dyn Hearer) {
        while let Some(message) = stream.next().await {
            let channel = message.get_channel_name().strip_prefix(&self.prefix);
            let topic = channel.and_then(Topic::parse);
            let event = v1::Event::decode(message.get_payload_bytes())
                .map_err(|e| e.to_string())
                .and_then(|event| Event::try_from(event).map_err(|e| e.to_string()));
            match (topic, event) {
                (Some(topic), Ok(event)) => hearer.hear(topic, event),
                (_, event) => {
                    metrics::counter!("switchboard_bus_rubbish_total").increment(1);
                    tracing::warn!(channel = message.get_channel_name(), error = ?event.err(), "not an event of ours");
                }
            }
            // The queue before us may hold much: let others run in between.
            tokio::task::consume_budget().await;
        }
    }

    /// Subscribes and unsubscribes as wanted, and makes sure that Redis still answers.
    async fn steer(&self, mut sink: PubSubSink, hearer: &dyn Hearer) -> String {
        let mut check = interval(CHECK_EVERY);
        let mut is_first = true;
        loop {
            tokio::select! {
                () = self.changed.notified() => {}
                _ = check.tick() => match timeout(ANSWER, sink.ping::<redis::Value>()).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(cause)) => return cause.to_string(),
                    Err(_) => return "no answer to PING".to_owned(),
                },
            }
            if let Err(cause) = self.reconcile(&mut sink).await {
                return cause;
            }
            if is_first {
                is_first = false;
                self.connected.store(true, Ordering::Relaxed);
                hearer.back();
            }
        }
    }

    async fn reconcile(&self, sink: &mut PubSubSink) -> Result<(), String> {
        loop {
            let (missing, surplus) = self.differences();
            if missing.is_empty() && surplus.is_empty() {
                return Ok(());
            }
            if !missing.is_empty() {
                let subscribed = timeout(ANSWER, sink.subscribe(self.channels(&missing))).await;
                settled(subscribed)?;
                self.topics().confirmed.extend(missing);
                self.confirmed.notify_waiters();
            }
            if !surplus.is_empty() {
                let unsubscribed = timeout(ANSWER, sink.unsubscribe(self.channels(&surplus))).await;
                settled(unsubscribed)?;
            }
        }
    }

    /// What to subscribe to, and what to unsubscribe from. The latter counts as unheard from now
    /// on: who wants it again in the meantime waits for a new confirmation.
    fn differences(&self) -> (Vec<Topic>, Vec<Topic>) {
        let mut topics = self.topics();
        let Topics { wanted, confirmed } = &mut *topics;
        let missing = wanted.keys().filter(|topic| !confirmed.contains(*topic)).take(BATCH);
        let missing = missing.copied().collect();
        let surplus = confirmed.iter().filter(|topic| !wanted.contains_key(*topic)).take(BATCH);
        let surplus: Vec<_> = surplus.copied().collect();
        for topic in &surplus {
            confirmed.remove(topic);
        }
        (missing, surplus)
    }

    fn channels<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) -> Vec<String> {
        topics.into_iter().map(|topic| format!("{}{topic}", self.prefix)).collect()
    }
}

fn settled(
    answer: Result<redis::RedisResult<()>, tokio::time::error::Elapsed>,
) -> Result<(), String> {
    match answer {
        Ok(Ok(())) => Ok(()),
        Ok(Err(cause)) => Err(cause.to_string()),
        Err(_) => Err("no answer".to_owned()),
    }
}

/// One line for an outage, not one for each try.
fn tell_once(told: &mut bool, cause: &dyn std::fmt::Display) {
    if !std::mem::replace(told, true) {
        tracing::warn!(%cause, "can't reach Redis, trying again");
    }
}
