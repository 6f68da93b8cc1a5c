//! Publishing what is fleeting: typing, joining, leaving. May be lost, never waits.
//!
//! Probes go by the same connection, past the queue: they measure the way through Redis, not how
//! much there is to say.

use std::{sync::Arc, time::Duration};

use chat_core::{Event, Fleeting, Topic};
use prost::Message as _;
use redis_link::{Line, Redis};
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

/// Where whispers go in.
#[derive(Clone)]
pub struct Whisperer {
    redis: Redis,
    /// One for each lane, by number.
    queues: Arc<[Sender<Whisper>]>,
}

/// What is told to whom, and in which trace.
type Whisper = (Topic, Fleeting, String);

impl Whisperer {
    /// Tells a topic something fleeting.
    pub fn whisper(&self, topic: Topic, event: Fleeting) {
        let queue = &self.queues[self.redis.lane_of(topic).number()];
        if queue.try_send((topic, event, context::here())).is_err() {
            metrics::counter!("switchboard_whispers_dropped_total").increment(1);
        }
    }
}

/// What was whispered in one lane and is not yet published.
pub struct Whispers(Receiver<Whisper>);

/// The two ends of the queues; the latter for each lane, by number.
#[must_use]
pub fn queues(redis: &Redis) -> (Whisperer, Vec<Whispers>) {
    let (senders, receivers): (Vec<_>, _) = redis
        .lanes()
        .iter()
        .map(|_| channel(QUEUE))
        .map(|(sender, receiver)| (sender, Whispers(receiver)))
        .unzip();
    (Whisperer { redis: redis.clone(), queues: senders.into() }, receivers)
}

impl Whispers {
    /// Publishes in order, and a probe now and then, until every [`Whisperer`] is gone. A round
    /// trip takes a second at most, so a stuck one costs a probe or two, not the proof.
    pub async fn publish(mut self, mut line: Line, probe: Arc<Probe>) {
        let lane = line.lane().clone();
        let mut batch = Vec::with_capacity(BATCH);
        let mut beat = interval(probe::EVERY);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut pipeline = redis::pipe();
            tokio::select! {
                biased;
                _ = beat.tick() => {
                    lane.publish(&mut pipeline, probe.channel(), &probe.payload());
                }
                count = self.0.recv_many(&mut batch, BATCH) => if count == 0 { return },
            }
            let whispers = batch.len();
            for (topic, event, traceparent) in batch.drain(..) {
                let event = v1::Event::from(&Event::Fleeting(event));
                let payload = v1::Event { traceparent, ..event }.encode_to_vec();
                lane.publish(&mut pipeline, &lane.channel(topic), &payload);
            }
            let sent = timeout(ANSWER, pipeline.exec_async(&mut line)).await;
            if !matches!(sent, Ok(Ok(()))) && whispers > 0 {
                metrics::counter!("switchboard_whispers_failed_total").increment(1);
            }
        }
    }
}
