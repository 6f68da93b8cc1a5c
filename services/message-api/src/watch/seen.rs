//! Which ids of a log have been seen.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// An id that is still missing so long after a higher one was there belongs to nothing. A
/// transaction that has taken it ends long before: each try is given up after 3.5 s, and no
/// statement waits or runs for longer than 8 s.
pub(super) const MISSING: Duration = Duration::from_secs(60);

/// What has been seen of a log: everything up to `top`, but for the gaps.
#[derive(Debug)]
pub(super) struct Seen {
    top: u64,
    /// In the order of their ids, and so of when they were noticed.
    gaps: VecDeque<Gap>,
}

#[derive(Debug)]
struct Gap {
    ids: RangeInclusive<u64>,
    noticed: Instant,
}

impl Seen {
    /// Everything up to this id.
    pub(super) const fn up_to(top: u64) -> Self {
        Self { top, gaps: VecDeque::new() }
    }

    /// The highest id that was seen.
    pub(super) const fn top(&self) -> u64 {
        self.top
    }

    /// Everything up to here has been seen, or belongs to nothing.
    pub(super) fn settled(&self) -> u64 {
        self.gaps.front().map_or(self.top, |gap| gap.ids.start() - 1)
    }

    /// One above the top. What lies in between may still come.
    pub(super) fn rise(&mut self, id: u64, now: Instant) {
        if id > self.top + 1 {
            self.gaps.push_back(Gap { ids: self.top + 1..=id - 1, noticed: now });
        }
        self.top = self.top.max(id);
    }

    /// One that was missing.
    pub(super) fn fill(&mut self, id: u64) {
        let Some(at) = self.gaps.iter().position(|gap| gap.ids.contains(&id)) else { return };
        let Some(Gap { ids, noticed }) = self.gaps.remove(at) else { return };
        for rest in [id + 1..=*ids.end(), *ids.start()..=id - 1] {
            if !rest.is_empty() {
                self.gaps.insert(at, Gap { ids: rest, noticed });
            }
        }
    }

    /// Gives up what has been missing for too long.
    pub(super) fn give_up(&mut self, now: Instant) {
        while self.gaps.front().is_some_and(|gap| now.duration_since(gap.noticed) >= MISSING) {
            self.gaps.pop_front();
        }
    }

    /// What is missing.
    pub(super) fn missing(&self) -> Vec<RangeInclusive<u64>> {
        self.gaps.iter().map(|gap| gap.ids.clone()).collect()
    }

    /// In how many pieces.
    pub(super) fn gaps(&self) -> usize {
        self.gaps.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_holds_the_settled_place_until_it_comes_or_is_given_up() {
        let began = Instant::now();
        let mut seen = Seen::up_to(10);
        for id in [11, 15, 17] {
            seen.rise(id, began);
        }
        assert_eq!((seen.top(), seen.settled(), seen.gaps()), (17, 11, 2));
        seen.fill(13);
        assert_eq!(seen.missing(), [12..=12, 14..=14, 16..=16]);
        seen.fill(12);
        assert_eq!(seen.settled(), 13);
        seen.fill(99);
        seen.rise(20, began + MISSING);
        seen.give_up(began + MISSING);
        assert_eq!((seen.settled(), seen.missing()), (17, vec![18..=19]));
        seen.fill(19);
        seen.fill(18);
        assert_eq!((seen.settled(), seen.gaps()), (20, 0));
    }
}
