//! What never changes once it is stored need not be asked for twice.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
};

/// How many entries are kept. At the bound all are forgotten: simple, and rare.
const MOST: usize = 20_000;

/// A bounded memory of facts that are immutable in the database.
#[derive(Debug)]
pub(super) struct Known<K, V>(Mutex<HashMap<K, V>>);

impl<K, V> Default for Known<K, V> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash, V: Clone> Known<K, V> {
    /// The fact, if it is remembered.
    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(key).cloned()
    }

    /// Remembers a fact.
    pub(super) fn learn(&self, key: K, value: V) {
        let mut facts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if facts.len() >= MOST {
            facts.clear();
        }
        facts.insert(key, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded() {
        let known = Known::default();
        for key in 0..=MOST {
            known.learn(key, ());
        }
        assert!(known.get(&0).is_none() && known.get(&MOST).is_some());
    }
}
