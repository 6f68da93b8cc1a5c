//! Which topics are wanted here, and which of them Redis has confirmed.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chat_core::Topic;
use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

/// Topics in one SUBSCRIBE.
const BATCH: usize = 500;

#[derive(Default)]
struct Topics {
    /// How often each is wanted.
    wanted: HashMap<Topic, usize>,
    /// What Redis has confirmed on the present connection.
    confirmed: HashSet<Topic>,
}

/// The topics that sockets here follow.
#[derive(Default)]
pub(super) struct Wanted {
    topics: Mutex<Topics>,
    changed: Notify,
    confirmed: Notify,
}

impl Wanted {
    fn topics(&self) -> MutexGuard<'_, Topics> {
        self.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, topic: Topic) {
        let mut topics = self.topics();
        let count = topics.wanted.entry(topic).or_default();
        *count += 1;
        if *count == 1 {
            self.changed.notify_one();
        }
    }

    pub(super) fn remove(&self, topic: Topic) {
        let mut topics = self.topics();
        if let Some(count) = topics.wanted.get_mut(&topic) {
            *count -= 1;
            if *count == 0 {
                topics.wanted.remove(&topic);
                self.changed.notify_one();
            }
        }
    }

    /// Waits until there is something to subscribe to, or to unsubscribe from.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Redis follows these now.
    pub(super) fn confirm(&self, topics: Vec<Topic>) {
        self.topics().confirmed.extend(topics);
        self.confirmed.notify_waiters();
    }

    /// The connection is gone.
    pub(super) fn forget_confirmed(&self) {
        self.topics().confirmed.clear();
    }

    /// Waits until a topic is confirmed, until the deadline at most. Is it?
    pub(super) async fn is_confirmed(&self, topic: Topic, deadline: Instant) -> bool {
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

    /// What to subscribe to, and what to unsubscribe from. The latter counts as unheard from now
    /// on: who wants it again in the meantime waits for a new confirmation.
    pub(super) fn differences(&self) -> (Vec<Topic>, Vec<Topic>) {
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
}
