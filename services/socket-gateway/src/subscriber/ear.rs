//! One lane's topics wanted here, and the connection that follows them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_core::{
    Event, Topic,
    process::{Backoff, Shutdown},
};
use prost::Message as _;
use redis_link::{EarSink, EarStream, Lane, Line, Redis};
use switchboard_proto::v1;
use tokio::{
    sync::Notify,
    time::{Instant, timeout},
};

use super::{Hearer, origin::Origin, wanted::Wanted};
use crate::probe::{Probe, SILENCE};

/// How long readiness waits after a return for what was missed. A message-api that is away longer
/// does not keep the replica red: it hears again, and what is missing comes when it can be had.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why a connection came to its end.
enum Loss {
    Stopping,
    Silence,
    Failure(String),
}

/// Follows what is wanted of one lane.
pub(super) struct Ear {
    lane: Lane,
    probe: Arc<Probe>,
    pub(super) wanted: Wanted,
    /// Is there a connection that follows all that is wanted?
    connected: AtomicBool,
    /// Did it prove itself, and has been made good what was missed before?
    sound: AtomicBool,
}

impl Ear {
    /// Nothing is wanted yet.
    pub(super) fn new(lane: Lane, probe: Arc<Probe>) -> Self {
        Self {
            lane,
            probe,
            wanted: Wanted::default(),
            connected: AtomicBool::new(false),
            sound: AtomicBool::new(false),
        }
    }

    /// Which lane.
    pub(super) const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// For how long no probe was heard.
    pub(super) fn silent_for(&self) -> Duration {
        self.probe.silent_for()
    }

    /// Is there a connection, and were probes heard of late? Silence shows here even when every
    /// task is stuck.
    pub(super) fn hears(&self) -> bool {
        self.connected.load(Ordering::Relaxed) && self.silent_for() < SILENCE
    }

    /// Has a probe come by the present connection, and been made good what was missed before it
    /// (or waited for, for 10 s)?
    pub(super) fn is_repaired(&self) -> bool {
        self.sound.load(Ordering::Relaxed)
    }

    /// Connects, and connects again, until shutdown. Silence renews the publishing line too: which
    /// of the two is deaf can't be told.
    pub(super) async fn run(
        self: Arc<Self>,
        redis: Redis,
        line: Line,
        hearer: Arc<dyn Hearer>,
        shutdown: Shutdown,
    ) {
        let mut backoff = Backoff::new(Duration::from_millis(50), Duration::from_secs(1));
        let mut told = false;
        while !shutdown.is_begun() {
            match redis.hear(&self.lane).await {
                Ok(ear) => {
                    metrics::counter!("switchboard_bus_connections_total").increment(1);
                    let loss = self.live(ear, &*hearer, &shutdown).await;
                    self.connected.store(false, Ordering::Relaxed);
                    if self.sound.swap(false, Ordering::Relaxed) {
                        told = false;
                        backoff.reset();
                    }
                    self.wanted.forget_confirmed();
                    redis.lost_ear();
                    match loss {
                        Loss::Stopping => return,
                        Loss::Silence => {
                            metrics::counter!("switchboard_bus_silences_total").increment(1);
                            line.renew();
                            self.tell_once(&mut told, &"no probe came back");
                        }
                        Loss::Failure(cause) => self.tell_once(&mut told, &cause),
                    }
                }
                Err(cause) => self.tell_once(&mut told, &cause),
            }
            tokio::select! { () = backoff.wait() => {}, () = shutdown.begun() => {} }
        }
    }

    /// One line for an outage, not one for each try.
    fn tell_once(&self, told: &mut bool, cause: &dyn std::fmt::Display) {
        if !std::mem::replace(told, true) {
            tracing::warn!(lane = self.lane.stem(), %cause, "can't hear Redis, trying again");
        }
    }

    /// Lives with one connection until it fails, falls silent, or shutdown begins.
    async fn live(
        &self,
        (sink, stream): (EarSink, EarStream),
        hearer: &dyn Hearer,
        shutdown: &Shutdown,
    ) -> Loss {
        let deaf_since = self.probe.last_heard();
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

    async fn listen(&self, mut stream: EarStream, hearer: &dyn Hearer) {
        while let Some(message) = stream.next(self.probe.channel()).await {
            if message.get_channel_name() == self.probe.channel() {
                self.probe.hear(message.get_payload_bytes());
            } else {
                self.take(&message, hearer);
            }
            // The queue before us may hold much: let others run in between.
            tokio::task::consume_budget().await;
        }
    }

    pub(super) fn take(&self, message: &redis::Msg, hearer: &dyn Hearer) {
        let topic = self.lane.topic(message.get_channel_name());
        let event = v1::Event::decode(message.get_payload_bytes())
            .map_err(|e| e.to_string())
            .and_then(|mut event| {
                let origin = Origin::take(&mut event);
                Event::try_from(event).map(|event| (origin, event)).map_err(|e| e.to_string())
            });
        match (topic, event) {
            (Some(topic), Ok((origin, event))) => {
                if origin.is_kept() {
                    origin.span(&topic).in_scope(|| hearer.hear(topic, event));
                } else {
                    hearer.hear(topic, event);
                }
                origin.delivered();
            }
            (_, event) => {
                metrics::counter!("switchboard_bus_rubbish_total").increment(1);
                tracing::warn!(channel = message.get_channel_name(), error = ?event.err(), "not an event of ours");
            }
        }
    }

    /// Subscribes and unsubscribes as wanted. Probes come first: they tell how it goes.
    async fn steer(&self, mut sink: EarSink, subscribed: &Notify) -> String {
        let probes = vec![self.probe.channel().to_owned()];
        let mut outcome = sink.subscribe(probes).await;
        while outcome.is_ok() {
            outcome = self.reconcile(&mut sink).await;
            if outcome.is_ok() {
                subscribed.notify_one();
                self.wanted.changed().await;
            }
        }
        outcome.err().map(|cause| cause.to_string()).unwrap_or_default()
    }

    /// Waits for the connection to prove itself, and for what was missed; then for ever.
    async fn prove(&self, subscribed: &Notify, deaf_since: Option<Instant>, hearer: &dyn Hearer) {
        subscribed.notified().await;
        self.connected.store(true, Ordering::Relaxed);
        let (_, made_good) =
            tokio::join!(self.probe.echo(), timeout(PATIENCE, hearer.back(deaf_since)));
        if made_good.is_err() {
            tracing::warn!(
                lane = self.lane.stem(),
                "hearing Redis; what was missed can't be had yet"
            );
        } else {
            tracing::info!(lane = self.lane.stem(), "hearing Redis");
        }
        self.sound.store(true, Ordering::Relaxed);
        std::future::pending().await
    }

    async fn reconcile(&self, sink: &mut EarSink) -> redis::RedisResult<()> {
        loop {
            let (missing, surplus) = self.wanted.differences();
            if missing.is_empty() && surplus.is_empty() {
                return Ok(());
            }
            if !missing.is_empty() {
                sink.subscribe(self.channels(&missing)).await?;
                self.wanted.confirm(missing);
            }
            if !surplus.is_empty() {
                sink.unsubscribe(self.channels(&surplus)).await?;
            }
        }
    }

    fn channels<'a>(&self, topics: impl IntoIterator<Item = &'a Topic>) -> Vec<String> {
        topics.into_iter().map(|topic| self.lane.channel(*topic)).collect()
    }
}
