//! What seldom or never changes once it is stored need not be asked for every time.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How many entries are kept. At the bound all are forgotten: simple, and rare.
const MOST: usize = 20_000;

/// A bounded memory of facts.
#[derive(Debug)]
pub(super) struct Known<K, V> {
    facts: Mutex<HashMap<K, (V, Instant)>>,
    lasts: Duration,
}

impl<K: Eq + Hash, V: Clone> Known<K, V> {
    /// A memory of facts that are immutable in the database.
    pub(super) fn for_good() -> Self {
        Self::lasting(Duration::MAX)
    }

    /// A memory of facts each of which is believed for so long.
    pub(super) fn lasting(lasts: Duration) -> Self {
        Self { facts: Mutex::default(), lasts }
    }

    /// The fact, if it was learnt lately enough.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let (value, learnt) = facts.get(key)?;
        (learnt.elapsed() < self.lasts).then(|| value.clone())
    }

    /// The fact, however long ago it was learnt.
    pub(super) fn recall(&self, key: &K) -> Option<V> {
        let facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        facts.get(key).map(|(value, _)| value.clone())
    }

    /// Remembers a fact.
    pub(super) fn learn(&self, key: K, value: V) {
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if facts.len() >= MOST {
            facts.clear();
        }
        facts.insert(key, (value, Instant::now()));
    }

    /// Forgets what is not so any more.
    pub(super) fn forget(&self, key: &K) {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let known = Known::for_good();
        for key in 0..=MOST {
            known.learn(key, ());
        }
        assert!(known.get(&0).is_none() && known.get(&MOST).is_some());
    }

    #[test]
    fn what_is_too_old_or_forgotten_is_not_believed() {
        let old = Known::lasting(Duration::ZERO);
        old.learn(1, ());
        assert!(old.get(&1).is_none() && old.recall(&1).is_some());
        let known = Known::for_good();
        known.learn(1, ());
        known.forget(&1);
        assert!(known.get(&1).is_none());
    }
}
