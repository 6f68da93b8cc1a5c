//! How often something may happen: so many times in a window, the unused ones kept up to that many.

use std::time::{Duration, Instant};

/// So many times at once, which come back one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How long it takes until one has come back.
    interval: Duration,
    /// How far ahead those that were taken may reach.
    spare: Duration,
}

impl Rate {
    /// So many times in each `window`; 0 counts as 1.
    #[must_use]
    pub fn new(times: u32, window: Duration) -> Self {
        let interval = window / times.max(1);
        Self { interval, spare: window - interval }
    }

    /// The time until one more is free.
    #[must_use]
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// How far ahead of now the moment may lie at which all are free again.
    #[must_use]
    pub const fn spare(&self) -> Duration {
        self.spare
    }

    /// Takes one; `free_at` is the moment at which all are free again. The error is how long it takes
    /// until there is one.
    pub fn take(&self, free_at: &mut Instant, now: Instant) -> Result<(), Duration> {
        let ahead = free_at.saturating_duration_since(now);
        if ahead > self.spare {
            return Err(ahead - self.spare);
        }
        *free_at = now + ahead + self.interval;
        Ok(())
    }
}

/// A rate, and what is used of it.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    rate: Rate,
    free_at: Instant,
}

impl Pace {
    /// At most `times` in each `window`.
    #[must_use]
    pub fn new(times: u32, window: Duration) -> Self {
        Self { rate: Rate::new(times, window), free_at: Instant::now() }
    }

    /// May it happen now? If so, it counts.
    pub fn allows(&mut self) -> bool {
        self.take().is_ok()
    }

    /// Takes one. The error is how long it takes until there is one.
    pub fn take(&mut self) -> Result<(), Duration> {
        self.rate.take(&mut self.free_at, Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lets_through_so_many_in_each_window() {
        let mut pace = Pace::new(2, Duration::from_secs(1));
        let start = pace.free_at;
        let mut burst = |second| {
            let now = start + Duration::from_secs(second);
            (0..10).filter(|_| pace.rate.take(&mut pace.free_at, now).is_ok()).count()
        };
        assert_eq!([burst(0), burst(1), burst(61)], [2, 2, 2]);
    }

    #[test]
    fn who_has_none_left_is_told_when_there_will_be_one() {
        let (rate, now) = (Rate::new(4, Duration::from_secs(2)), Instant::now());
        let mut free_at = now;
        let taken: Vec<_> = (0..5).map(|_| rate.take(&mut free_at, now)).collect();
        assert_eq!(taken[..4], [Ok(()); 4]);
        assert_eq!(taken[4], Err(Duration::from_millis(500)));
        assert_eq!(rate.take(&mut free_at, now + Duration::from_millis(500)), Ok(()));
        // A clock that seems to go back costs nothing.
        assert!(rate.take(&mut free_at, now).is_err());
    }
}
