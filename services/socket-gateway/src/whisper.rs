//! Publishing what is fleeting: typing, joining, leaving. May be lost, never waits.
//!
//! Probes go by the same connection, past the queue: they measure the way through Redis, not how
//! much there is to say.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chat_core::{Event, Fleeting, Topic};
use prost::Message as _;
use redis::{
    Cmd, Pipeline, RedisFuture, RedisResult, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
};
use switchboard_proto::v1;
use telemetry::context;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{MissedTickBehavior, interval, timeout},
};

use crate::probe::{self, Probe};

/// Whispers that may wait; more are dropped.
const QUEUE: usize = 8_192;

/// Whispers in one round trip.
const BATCH: usize = 256;

/// How long Redis may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// A connection that comes back by itself, never gives up, and can be made anew when it is open
/// and deaf. Clones share it.
#[derive(Clone)]
pub struct Line {
    redis: redis::Client,
    now: Arc<Mutex<ConnectionManager>>,
}

impl Line {
    /// Connects when first used.
    pub fn new(redis: redis::Client) -> RedisResult<Self> {
        let now = Arc::new(Mutex::new(connect(&redis)?));
        Ok(Self { redis, now })
    }

    /// From now on by a new connection. What waits for an answer on the old one waits on.
    pub fn renew(&self) {
        match connect(&self.redis) {
            Ok(new) => *self.now.lock().unwrap_or_else(PoisonError::into_inner) = new,
            Err(cause) => tracing::warn!(%cause, "no new connection to Redis"),
        }
    }

    fn now(&self) -> ConnectionManager {
        self.now.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn connect(redis: &redis::Client) -> RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(usize::MAX)
        .set_max_delay(Duration::from_secs(1))
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(ANSWER));
    ConnectionManager::new_lazy_with_config(redis.clone(), config)
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        let mut now = self.now();
        Box::pin(async move { now.req_packed_command(command).await })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let mut now = self.now();
        Box::pin(async move { now.req_packed_commands(pipeline, offset, count).await })
    }

    fn get_db(&self) -> i64 {
        self.now().get_db()
    }
}

/// Where whispers go in.
#[derive(Clone)]
pub struct Whisperer(Sender<Whisper>);

/// What is told to whom, and in which trace.
type Whisper = (Topic, Fleeting, String);

impl Whisperer {
    /// Tells a topic something fleeting.
    pub fn whisper(&self, topic: Topic, event: Fleeting) {
        if self.0.try_send((topic, event, context::here())).is_err() {
            metrics::counter!("switchboard_whispers_dropped_total").increment(1);
        }
    }
}

/// What was whispered and is not yet published.
pub struct Whispers(Receiver<Whisper>);

/// The two ends of the queue.
#[must_use]
pub fn queue() -> (Whisperer, Whispers) {
    let (sender, receiver) = channel(QUEUE);
    (Whisperer(sender), Whispers(receiver))
}

impl Whispers {
    /// Publishes in order, and a probe now and then, until every [`Whisperer`] is gone. A round
    /// trip takes a second at most, so a stuck one costs a probe or two, not the proof.
    pub async fn publish(mut self, prefix: String, mut line: Line, probe: Arc<Probe>) {
        let mut batch = Vec::with_capacity(BATCH);
        let mut beat = interval(probe::EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut pipeline = redis::pipe();
            tokio::select! {
                biased;
                _ = beat.tick() => {
                    pipeline.publish(probe.channel(), &probe.payload()[..]).ignore();
                }
                count = self.0.recv_many(&mut batch, BATCH) => if count == 0 { return },
            }
            let whispers = batch.len();
            for (topic, event, traceparent) in batch.drain(..) {
                let event = v1::Event::from(&Event::Fleeting(event));
                let payload = v1::Event { traceparent, ..event }.encode_to_vec();
                pipeline.publish(format!("{prefix}:{topic}"), payload).ignore();
            }
            let sent = timeout(ANSWER, pipeline.exec_async(&mut line)).await;
            if !matches!(sent, Ok(Ok(()))) && whispers > 0 {
                metrics::counter!("switchboard_whispers_failed_total").increment(1);
            }
        }
    }
}
