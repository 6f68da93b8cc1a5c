//! Which ids of a log have been seen.

use std::{
    collections::VecDeque,
    ops::RangeInclusive,
    time::{Duration, Instant},
};

/// A gap that is so old is asked about for the last time: is its entry still under way, or does the
/// id belong to nothing? Far longer than lies between the taking of an id and the row that bears it.
pub(super) const MISSING: Duration = Duration::from_secs(60);

/// What has been seen of a log: everything up to `top`, but for the gaps.
#[derive(Debug)]
pub(super) struct Seen {
    top: u64,
    /// In the order of their ids, and so of when they were noticed.
    gaps: VecDeque<Gap>,
    /// Which of them is looked at next.
    next: usize,
}

#[derive(Debug)]
struct Gap {
    ids: RangeInclusive<u64>,
    noticed: Instant,
}

impl Seen {
    /// Everything up to this id.
    pub(super) const fn up_to(top: u64) -> Self {
        Self { top, gaps: VecDeque::new(), next: 0 }
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

    /// Was this one missing? From now on it is not.
    pub(super) fn fill(&mut self, id: u64) -> bool {
        let at = self.gaps.partition_point(|gap| *gap.ids.end() < id);
        if self.gaps.get(at).is_none_or(|gap| !gap.ids.contains(&id)) {
            return false;
        }
        let Some(Gap { ids, noticed }) = self.gaps.remove(at) else { return false };
        for rest in [id + 1..=*ids.end(), *ids.start()..=id - 1] {
            if !rest.is_empty() {
                self.gaps.insert(at, Gap { ids: rest, noticed });
            }
        }
        true
    }

    /// Gaps that have been missing for too long, some of them.
    pub(super) fn overdue(&self, now: Instant, most: usize) -> Vec<RangeInclusive<u64>> {
        let old = self.gaps.iter().filter(|gap| now.duration_since(gap.noticed) >= MISSING);
        old.take(most).map(|gap| gap.ids.clone()).collect()
    }

    /// These gaps have been decided: what was not there by now belongs to nothing.
    pub(super) fn close(&mut self, decided: &[RangeInclusive<u64>]) {
        let is_decided = |gap: &Gap| {
            let at = decided.partition_point(|ids| ids.end() < gap.ids.start());
            decided.get(at).is_some_and(|ids| ids.contains(gap.ids.start()))
        };
        self.gaps.retain(|gap| !is_decided(gap));
    }

    /// Where to look for what is missing: at so many gaps, by turns.
    pub(super) fn missing(&mut self, most: usize) -> Vec<RangeInclusive<u64>> {
        let (count, most) = (self.gaps.len(), most.min(self.gaps.len()));
        let from = if self.next < count { self.next } else { 0 };
        self.next = from + most;
        let turn = self.gaps.iter().cycle().skip(from).take(most);
        let mut turn: Vec<_> = turn.map(|gap| gap.ids.clone()).collect();
        turn.sort_unstable_by_key(|ids| *ids.start());
        turn
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
        assert!(seen.fill(13));
        assert_eq!(seen.missing(3), [12..=12, 14..=14, 16..=16]);
        assert_eq!(
            (seen.missing(2), seen.missing(2)),
            (vec![12..=12, 14..=14], vec![12..=12, 16..=16])
        );
        assert!(seen.fill(12));
        assert_eq!(seen.settled(), 13);
        assert!(!seen.fill(15) && !seen.fill(12) && !seen.fill(99));
        seen.rise(20, began + MISSING);
        let late = began + MISSING;
        assert_eq!(seen.overdue(began, 9), []);
        assert_eq!(
            (seen.overdue(late, 1), seen.overdue(late, 9)),
            (vec![14..=14], vec![14..=14, 16..=16])
        );
        // Nobody has looked at them yet, so they still count.
        assert_eq!(seen.settled(), 13);
        seen.close(&[14..=14, 16..=16]);
        assert_eq!((seen.settled(), seen.missing(9)), (17, vec![18..=19]));
        assert!(seen.fill(19) && seen.fill(18));
        assert_eq!((seen.settled(), seen.gaps()), (20, 0));
    }
}
