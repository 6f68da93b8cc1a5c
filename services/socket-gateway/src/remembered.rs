//! The newest keys, to know them again.

use std::{
    collections::{HashSet, VecDeque},
    hash::Hash,
};

/// The newest `MOST` keys.
#[derive(Debug)]
pub(crate) struct Remembered<K, const MOST: usize> {
    order: VecDeque<K>,
    known: HashSet<K>,
}

impl<K, const MOST: usize> Default for Remembered<K, MOST> {
    fn default() -> Self {
        Self { order: VecDeque::new(), known: HashSet::new() }
    }
}

impl<K: Clone + Eq + Hash, const MOST: usize> Remembered<K, MOST> {
    /// Remembers a key. Was it new?
    pub(crate) fn remember(&mut self, key: K) -> bool {
        if !self.known.insert(key.clone()) {
            return false;
        }
        self.order.push_back(key);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// Is it remembered?
    pub(crate) fn contains(&self, key: &K) -> bool {
        self.known.contains(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_new_once_and_few_are_remembered() {
        const MOST: usize = 100;
        let mut told = Remembered::<_, MOST>::default();
        assert!(told.remember(("created", 1)) && told.remember(("registered", 1)));
        assert!(!told.remember(("created", 1)));
        for n in 0..2 * MOST {
            told.remember(("deleted", n));
        }
        assert_eq!((told.order.len(), told.known.len()), (MOST, MOST));
        assert!(!told.contains(&("created", 1)) && told.contains(&("deleted", MOST)));
    }
}
