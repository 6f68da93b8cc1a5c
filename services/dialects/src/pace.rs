//! How often something may happen: so many times in a window, the unused ones kept up to that many.

use std::time::{Duration, Instant};

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    most: f64,
    refill: f64,
    left: f64,
    at: Instant,
}

impl Pace {
    /// At most `times` in each `window`.
    #[must_use]
    pub fn new(times: u32, window: Duration) -> Self {
        let most = f64::from(times);
        Self { most, refill: most / window.as_secs_f64(), left: most, at: Instant::now() }
    }

    /// May it happen now? If so, it counts.
    pub fn allows(&mut self) -> bool {
        self.allows_at(Instant::now())
    }

    fn allows_at(&mut self, now: Instant) -> bool {
        let gained = now.duration_since(self.at).as_secs_f64() * self.refill;
        self.left = (self.left + gained).min(self.most);
        self.at = now;
        let may = self.left >= 1.0;
        if may {
            self.left -= 1.0;
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lets_through_so_many_in_each_window() {
        let mut pace = Pace::new(2, Duration::from_secs(1));
        let start = pace.at;
        let mut burst = |second| {
            let now = start + Duration::from_secs(second);
            (0..10).filter(|_| pace.allows_at(now)).count()
        };
        assert_eq!([burst(0), burst(1), burst(61)], [2, 2, 2]);
    }
}
