//! Hop 8 of 10: what is published in Redis comes in. From message-api's `publisher.rs` and other
//! gateways' `whisper.rs`; next `feed`.
//!
//! One connection for each lane (one server has one lane) hears all its topics that sockets here
//! follow, and our own [`Probe`]s. When it is lost, or no probe has come for too long, it is made
//! again with backoff, to whoever holds the lane by then; every wanted topic is subscribed to
//! again, and the feed makes good what was published meanwhile. All lanes must hear for the
//! gateway to be ready, so a cluster of which one master is silent shows.

mod ear;
#[cfg(test)]
mod guard;
#[cfg(test)]
mod hostile;
mod origin;
mod wanted;

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{Event, Topic, process::Shutdown};
use redis_link::{Line, Redis};
use tokio::time::Instant;

use self::ear::Ear;
use crate::probe::Probe;

/// Who hears what comes in.
#[async_trait]
pub trait Hearer: Send + Sync + 'static {
    /// An event of a topic. Must not block.
    fn hear(&self, topic: Topic, event: Event);

    /// A lane has a connection again, and every wanted topic is confirmed. What was published
    /// after `deaf_since` may be missing (`None`: this is the first connection). Returns once that
    /// has been made good, which goes on when the answer is not awaited.
    async fn back(&self, deaf_since: Option<Instant>);
}

/// The topics wanted here, and what follows them.
pub struct Subscriber {
    redis: Redis,
    /// One for each lane, by number.
    ears: Vec<Arc<Ear>>,
}

impl Subscriber {
    /// Nothing is wanted yet. One probe for each lane.
    #[must_use]
    pub fn new(redis: &Redis, probes: &[Arc<Probe>]) -> Self {
        let pairs = redis.lanes().iter().zip(probes);
        let ear =
            |(lane, probe): (&_, &_)| Arc::new(Ear::new(Clone::clone(lane), Arc::clone(probe)));
        Self { redis: redis.clone(), ears: pairs.map(ear).collect() }
    }

    fn ears_of(&self, topic: Topic) -> impl Iterator<Item = &Arc<Ear>> {
        self.redis.lanes_heard(topic).map(|lane| &self.ears[lane.number()])
    }

    /// One more interest in a topic.
    pub fn want(&self, topic: Topic) {
        self.ears_of(topic).for_each(|ear| ear.wanted.add(topic));
    }

    /// One interest less.
    pub fn unwant(&self, topic: Topic) {
        self.ears_of(topic).for_each(|ear| ear.wanted.remove(topic));
    }

    /// Waits until a wanted topic is confirmed, `patience` at most. Is it?
    pub async fn is_heard(&self, topic: Topic, patience: Duration) -> bool {
        let deadline = Instant::now() + patience;
        let mut is_heard = true;
        for ear in self.ears_of(topic) {
            is_heard &= ear.wanted.is_confirmed(topic, deadline).await;
        }
        is_heard
    }

    /// For how long no probe was heard: that of the lane that is silent longest.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.ears.iter().map(|ear| ear.silent_for()).max().unwrap_or_default()
    }

    /// Is there a connection for each lane, and were probes heard of late? Silence shows here even
    /// when every task is stuck.
    #[must_use]
    pub fn hears(&self) -> bool {
        self.ears.iter().all(|ear| ear.hears())
    }

    /// Where Redis is not heard: the servers that hold those lanes, as far as is known.
    #[must_use]
    pub fn silent_servers(&self) -> Vec<String> {
        let silent = self.ears.iter().filter(|ear| !ear.hears());
        let mut servers: Vec<_> = silent.map(|ear| self.redis.whereabouts(ear.lane())).collect();
        servers.sort();
        servers.dedup();
        servers
    }

    /// Has a probe come by the present connection of each lane, and been made good what was missed
    /// before it (or waited for, for 10 s)?
    #[must_use]
    pub fn is_repaired(&self) -> bool {
        self.ears.iter().all(|ear| ear.is_repaired())
    }

    /// Connects, and connects again, until shutdown. Silence renews the lane's publishing line
    /// too: which of the two is deaf can't be told.
    pub fn start(&self, lines: &[Line], hearer: &Arc<dyn Hearer>, shutdown: &Shutdown) {
        for (ear, line) in self.ears.iter().zip(lines) {
            shutdown.spawn(Arc::clone(ear).run(
                self.redis.clone(),
                line.clone(),
                Arc::clone(hearer),
                shutdown.clone(),
            ));
        }
    }
}
