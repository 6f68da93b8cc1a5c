//! Publishing what is fleeting: typing, joining, leaving. May be lost, never waits.

use std::time::Duration;

use chat_core::{Event, Fleeting, Topic};
use prost::Message as _;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use switchboard_proto::v1;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::timeout,
};

/// Whispers that may wait; more are dropped.
const QUEUE: usize = 8_192;

/// Whispers in one round trip.
const BATCH: usize = 256;

/// How long Redis may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// A connection that comes back by itself. It never gives up.
pub fn connection(redis: redis::Client) -> redis::RedisResult<ConnectionManager> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(usize::MAX)
        .set_max_delay(Duration::from_secs(1))
        .set_connection_timeout(Some(Duration::from_secs(2)))
        .set_response_timeout(Some(ANSWER));
    ConnectionManager::new_lazy_with_config(redis, config)
}

/// Where whispers go in.
#[derive(Clone)]
pub struct Whisperer(Sender<(Topic, Fleeting)>);

impl Whisperer {
    /// Tells a topic something fleeting.
    pub fn whisper(&self, topic: Topic, event: Fleeting) {
        if self.0.try_send((topic, event)).is_err() {
            metrics::counter!("switchboard_whispers_dropped_total").increment(1);
        }
    }
}

/// What was whispered and is not yet published.
pub struct Whispers(Receiver<(Topic, Fleeting)>);

/// The two ends of the queue.
#[must_use]
pub fn queue() -> (Whisperer, Whispers) {
    let (sender, receiver) = channel(QUEUE);
    (Whisperer(sender), Whispers(receiver))
}

impl Whispers {
    /// Publishes in order, until every [`Whisperer`] is gone.
    pub async fn publish(mut self, prefix: String, mut redis: ConnectionManager) {
        let mut batch = Vec::with_capacity(BATCH);
        while self.0.recv_many(&mut batch, BATCH).await > 0 {
            let mut pipeline = redis::pipe();
            for (topic, event) in batch.drain(..) {
                let payload = v1::Event::from(&Event::Fleeting(event)).encode_to_vec();
                pipeline.publish(format!("{prefix}:{topic}"), payload).ignore();
            }
            let sent = timeout(ANSWER, pipeline.exec_async(&mut redis)).await;
            if !matches!(sent, Ok(Ok(()))) {
                metrics::counter!("switchboard_whispers_failed_total").increment(1);
            }
        }
    }
}
