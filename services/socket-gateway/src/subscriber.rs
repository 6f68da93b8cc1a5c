//! Hop 8 of 10: what is published in Redis comes in. From message-api's `publisher.rs` and other
//! gateways' `whisper.rs`; next `feed`.
//!
//! One connection hears all topics that sockets here follow, and our own [`Probe`]s. When it is
//! lost, or no probe has come for too long, it is made again with backoff; every wanted topic is
//! subscribed to again, and the feed makes good what was published meanwhile.

#[cfg(test)]
mod guard;
mod origin;
mod wanted;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use chat_core::{
    Event, Topic,
    process::{Backoff, Shutdown},
};
use futures_util::StreamExt;
use prost::Message as _;
use redis::aio::{PubSub, PubSubSink, PubSubStream};
use switchboard_proto::v1;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use self::{origin::Origin, wanted::Wanted};
use crate::{
    probe::{Probe, SILENCE},
    whisper::Line,
};

/// How long Redis may take to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// How long readiness waits after a return for what was missed. A message-api that is away longer
/// does not keep the replica red: it hears again, and what is missing comes when it can be had.
const PATIENCE: Duration = Duration::from_secs(10);

/// Who hears what comes in.
#[async_trait]
pub trait Hearer: Send + Sync + 'static {
    /// An event of a topic. Must not block.
    fn hear(&self, topic: Topic, event: Event);

    /// There is a connection again, and every wanted topic is confirmed. What was published after
    /// `deaf_since` may be missing (`None`: this is the first connection). Returns once that has
    /// been made good, which goes on when the answer is not awaited.
    async fn back(&self, deaf_since: Option<Instant>);
}

/// Why a connection came to its end.
enum Loss {
    Stopping,
    Silence,
    Failure(String),
}

/// The topics wanted here, and the connection that follows them.
pub struct Subscriber {
    prefix: String,
    probe: Arc<Probe>,
    wanted: Wanted,
    /// Is there a connection that follows all that is wanted?
    connected: AtomicBool,
    /// Did it prove itself, and has been made good what was missed before?
    sound: AtomicBool,
}

impl Subscriber {
    /// Nothing is wanted yet.
    #[must_use]
    pub fn new(prefix: &str, probe: Arc<Probe>) -> Self {
        Self {
            prefix: format!("{prefix}:"),
            probe,
            wanted: Wanted::default(),
            connected: AtomicBool::new(false),
            sound: AtomicBool::new(false),
        }
    }

    /// One more interest in a topic.
    pub fn want(&self, topic: Topic) {
        self.wanted.add(topic);
    }

    /// One interest less.
    pub fn unwant(&self, topic: Topic) {
        self.wanted.remove(topic);
    }

    /// Waits until a wanted topic is confirmed, `patience` at most. Is it?
    pub async fn is_heard(&self, topic: Topic, patience: Duration) -> bool {
        self.wanted.is_confirmed(topic, patience).await
    }

    /// For how long no probe was heard.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.probe.silent_for()
    }

    /// Is there a connection, and were probes heard of late? Silence shows here even when every
    /// task is stuck.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.connected.load(Ordering::Relaxed) && self.silent_for() < SILENCE
    }

    /// Has a probe come by the present connection, and been made good what was missed before it
    /// (or waited for, for 10 s)?
    #[must_use]
    pub fn is_repaired(&self) -> bool {
        self.sound.load(Ordering::Relaxed)
    }

    /// Connects, and connects again, until shutdown. Silence renews the publishing line too: which
    /// of the two is deaf can't be told.
    pub async fn run(
        self: Arc<Self>,
        redis: redis::Client,
        line: Line,
        hearer: Arc<dyn Hearer>,
        shutdown: Shutdown,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut told = false;
        while !shutdown.is_begun() {
            match timeout(ANSWER, redis.get_async_pubsub()).await {
                Ok(Ok(connection)) => {
                    metrics::counter!("switchboard_bus_connections_total").increment(1);
                    let loss = self.live(connection, &*hearer, &shutdown).await;
                    self.connected.store(false, Ordering::Relaxed);
                    if self.sound.swap(false, Ordering::Relaxed) {
                        told = false;
                        backoff.reset();
                    }
                    self.wanted.forget_confirmed();
                    match loss {
                        Loss::Stopping => return,
                        Loss::Silence => {
                            metrics::counter!("switchboard_bus_silences_total").increment(1);
                            line.renew();
                            tell_once(&mut told, &"no probe came back");
                        }
                        Loss::Failure(cause) => tell_once(&mut told, &cause),
                    }
                }
                Ok(Err(cause)) => tell_once(&mut told, &cause),
                Err(_) => tell_once(&mut told, &"no answer"),
            }
            tokio::select! { () = backoff.wait() => {}, () = shutdown.begun() => {} }
        }
    }

    /// Lives with one connection until it fails, falls silent, or shutdown begins.
    async fn live(&self, connection: PubSub, hearer: &dyn Hearer, shutdown: &Shutdown) -> Loss {
        let deaf_since = self.probe.last_heard();
        let (sink, stream) = connection.split();
        let subscribed = Notify::new();
        tokio::select! {
            // What has come already is heard before silence is declared.
            biased;
            () = shutdown.begun() => Loss::Stopping,
            () = self.listen(stream, hearer) => Loss::Failure("Redis closed the connection".into()),
            cause = self.steer(sink, &subscribed) => Loss::Failure(cause),
            () = self.prove(&subscribed, deaf_since, hearer) => Loss::Stopping,
            () = self.probe.silence() => Loss::Silence,
        }
    }

    async fn listen(&self, mut stream: PubSubStream, hearer: &dyn Hearer) {
        while let Some(message) = stream.next().await {
            if message.get_channel_name() == self.probe.channel() {
                self.probe.hear(message.get_payload_bytes());
            } else {
                self.take(&message, hearer);
            }
            // The queue before us may hold much: let others run in between.
            tokio::task::consume_budget().await;
        }
    }

    fn take(&self, message: &redis::Msg, hearer: &dyn Hearer) {
        let channel = message.get_channel_name().strip_prefix(&self.prefix);
        let topic = channel.and_then(Topic::parse);
        let event = v1::Event::decode(message.get_payload_bytes())
            .map_err(|e| e.to_string())
            .and_then(|mut event| {
                let origin = Origin::take(&mut event);
                Event::try_from(event).map(|event| (origin, event)).map_err(|e| e.to_string())
            });
        match (topic, event) {
            (Some(topic), Ok((origin, event))) => {
                let span = origin.span(&topic);
                span.in_scope(|| hearer.hear(topic, event));
                origin.delivered();
            }
            (_, event) => {
                metrics::counter!("switchboard_bus_rubbish_total").increment(1);
                tracing::warn!(channel = message.get_channel_name(), error = ?event.err(), "not an event of ours");
            }
        }
    }

    /// Subscribes and unsubscribes as wanted. Probes come first: they tell how it goes.
    async fn steer(&self, mut sink: PubSubSink, subscribed: &Notify) -> String {
        let probes = timeout(ANSWER, sink.subscribe(self.probe.channel())).await;
        let mut outcome = settled(probes);
        while outcome.is_ok() {
            outcome = self.reconcile(&mut sink).await;
            if outcome.is_ok() {
                subscribed.notify_one();
                self.wanted.changed().await;
            }
        }
        outcome.err().unwrap_or_default()
    }

    /// Waits for the connection to prove itself, and for what was missed; then for ever.
    async fn prove(&self, subscribed: &Notify, deaf_since: Option<Instant>, hearer: &dyn Hearer) {
        subscribed.notified().await;
        self.connected.store(true, Ordering::Relaxed);
        let (_, made_good) =
            tokio::join!(self.probe.echo(), timeout(PATIENCE, hearer.back(deaf_since)));
        if made_good.is_err() {
            tracing::warn!("hearing Redis; what was missed can't be had yet");
        } else {
            tracing::info!("hearing Redis");
        }
        self.sound.store(true, Ordering::Relaxed);
        std::future::pending().await
    }

    async fn reconcile(&self, sink: &mut PubSubSink) -> Result<(), String> {
        loop {
            let (missing, surplus) = self.wanted.differences();
            if missing.is_empty() && surplus.is_empty() {
                return Ok(());
            }
            if !missing.is_empty() {
                settled(timeout(ANSWER, sink.subscribe(self.channels(&missing))).await)?;
                self.wanted.confirm(missing);
            }
            if !surplus.is_empty() {
                settled(timeout(ANSWER, sink.unsubscribe(self.channels(&surplus))).await)?;
            }
        }
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
        tracing::warn!(%cause, "can't hear Redis, trying again");
    }
}
