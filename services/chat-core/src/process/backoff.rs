//! Waiting longer after each failure, with jitter, so that replicas do not knock in step.

use std::time::Duration;

use rand::RngExt;

/// Delays that double from `first` to `most`, each drawn from its upper half.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    failures: u32,
}

impl Backoff {
    /// Starts at `first`, never waits longer than `most`.
    #[must_use]
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, failures: 0 }
    }

    /// Call it after a success.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after one more failure.
    pub fn next_delay(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(16));
        self.failures += 1;
        doubled.min(self.most).mul_f64(rand::rng().random_range(0.5..1.0))
    }

    /// Waits so long.
    pub async fn wait(&mut self) {
        tokio::time::sleep(self.next_delay()).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_grow_up_to_the_bound_and_start_over_after_a_success() {
        let (first, most) = (Duration::from_millis(10), Duration::from_millis(100));
        let mut backoff = Backoff::new(first, most);
        let delays: Vec<_> = (0..40).map(|_| backoff.next_delay()).collect();
        assert!(delays[0] < first && delays[39] >= most / 2 && delays[39] <= most);
        backoff.reset();
        assert!(backoff.next_delay() < first);
    }
}
