//! What one replica counts for itself: all while Redis is away, and what Redis is never asked about.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use dialects::pace::Rate;

/// Most keys that are kept. When there are more, those that are free again go first, then any:
/// nobody is locked out since there are many, and memory is bounded.
const MOST: usize = 20_000;

/// By key, the moment at which everything is free again.
#[derive(Debug, Default)]
pub(crate) struct Local(Mutex<HashMap<String, Instant>>);

impl Local {
    /// Takes one. The error is how long to wait.
    pub(crate) fn take(&self, key: &str, rate: Rate) -> Result<(), Duration> {
        let (mut used, now) = (self.used(), Instant::now());
        if let Some(free_at) = used.get_mut(key) {
            return rate.take(free_at, now);
        }
        if used.len() >= MOST {
            used.retain(|_, free_at| *free_at > now);
        }
        if used.len() >= MOST {
            let half: Vec<_> = used.keys().take(MOST / 2).cloned().collect();
            for key in &half {
                used.remove(key);
            }
        }
        let mut free_at = now;
        let taken = rate.take(&mut free_at, now);
        used.insert(key.to_owned(), free_at);
        taken
    }

    /// Gives one back that was taken.
    pub(super) fn give_back(&self, key: &str, rate: Option<Rate>) {
        let mut used = self.used();
        if let (Some(free_at), Some(rate)) = (used.get_mut(key), rate)
            && let Some(earlier) = free_at.checked_sub(rate.interval())
        {
            *free_at = earlier;
        }
    }

    fn used(&self) -> MutexGuard<'_, HashMap<String, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: Duration = Duration::from_secs(60);

    #[test]
    fn each_key_has_its_share_and_what_is_given_back_can_be_taken_again() {
        let (local, rate) = (Local::default(), Rate::new(2, RATE));
        let taken = |key| (0..5).filter(|_| local.take(key, rate).is_ok()).count();
        assert_eq!([taken("a"), taken("b"), taken("a")], [2, 2, 0]);
        local.give_back("a", Some(rate));
        local.give_back("never seen", Some(rate));
        assert_eq!(taken("a"), 1);
    }

    #[test]
    fn it_keeps_only_so_many_and_locks_nobody_out() {
        let (local, rate) = (Local::default(), Rate::new(1, RATE));
        for n in 0..3 * MOST {
            assert!(local.take(&n.to_string(), rate).is_ok());
        }
        assert!(local.used().len() <= MOST);
    }
}
