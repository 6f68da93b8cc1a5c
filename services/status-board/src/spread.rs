//! How often something took how long: a histogram's buckets, which can be added up over replicas.

use serde::{Deserialize, Serialize};

/// For each bound, in seconds, how many took at most that long, and longer than the bound before;
/// the last count, beyond all bounds, has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spread {
    bounds: Vec<f64>,
    counts: Vec<u64>,
}

impl Spread {
    /// From what a histogram shows: bounds in their order, the last one infinite, each with how many
    /// were at most so large.
    pub(crate) fn of_cumulative(buckets: impl IntoIterator<Item = (f64, u64)>) -> Self {
        let (mut spread, mut below) = (Self::default(), 0);
        for (bound, at_most) in buckets {
            if bound.is_finite() {
                spread.bounds.push(bound);
            }
            spread.counts.push(at_most.saturating_sub(below));
            below = at_most;
        }
        spread
    }

    /// What came after an earlier one of the same histogram.
    #[must_use]
    pub(crate) fn since(&self, earlier: &Self) -> Self {
        let before = earlier.counts.iter().chain(std::iter::repeat(&0));
        let counts = self.counts.iter().zip(before).map(|(now, then)| now.saturating_sub(*then));
        Self { bounds: self.bounds.clone(), counts: counts.collect() }
    }

    /// Takes another replica's in. Where that has other bounds, its counts go to the next larger
    /// one here.
    pub fn add(&mut self, other: &Self) {
        if self.counts.is_empty() {
            self.clone_from(other);
            return;
        }
        self.counts.resize(self.bounds.len() + 1, 0);
        let bounds = other.bounds.iter().copied().chain([f64::INFINITY]);
        for (bound, count) in bounds.zip(&other.counts) {
            let place = self.bounds.partition_point(|own| *own < bound);
            self.counts[place] = self.counts[place].saturating_add(*count);
        }
    }

    /// How many.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// In how many seconds this share of them, 0 to 1, was done: estimated, as evenly spread within
    /// a bucket. Beyond the last bound it is that bound. None: nothing happened.
    #[expect(clippy::cast_precision_loss, reason = "an estimate")]
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = share * self.count() as f64;
        let (mut passed, mut lower) = (0.0, 0.0);
        for (bound, count) in self.bounds.iter().zip(&self.counts) {
            let count = *count as f64;
            if count > 0.0 && passed + count >= rank {
                return Some(lower + (bound - lower) * (rank - passed) / count);
            }
            passed += count;
            lower = *bound;
        }
        self.bounds.last().copied().filter(|_| self.count() > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFINITE: f64 = f64::INFINITY;

    fn spread(at_most: [u64; 3]) -> Spread {
        Spread::of_cumulative([0.001, 0.01, INFINITE].into_iter().zip(at_most))
    }

    #[test]
    fn quantiles_lie_within_their_buckets() {
        assert_eq!(Spread::default().quantile(0.5), None);
        assert_eq!(spread([0, 0, 0]).quantile(0.5), None);
        assert_eq!(spread([10, 10, 10]).quantile(0.5), Some(0.000_5));
        let late = spread([90, 100, 100]);
        assert_eq!(late.count(), 100);
        let p99 = late.quantile(0.99).expect("some");
        assert!((0.008..0.01).contains(&p99), "{p99}");
        assert_eq!(spread([0, 0, 5]).quantile(0.5), Some(0.01), "the last bound that is known");
    }

    #[test]
    fn only_what_came_since_counts() {
        let since = spread([7, 9, 9]).since(&spread([4, 6, 6]));
        assert_eq!(since.counts, [3, 0, 0]);
        assert_eq!(spread([1, 2, 3]).since(&Spread::default()).counts, [1, 1, 1]);
        // A process that began anew.
        assert_eq!(spread([1, 2, 3]).since(&spread([9, 9, 9])).count(), 2);
    }

    #[test]
    fn replicas_are_added_up_even_with_other_bounds() {
        let mut sum = Spread::default();
        sum.add(&spread([1, 2, 3]));
        sum.add(&spread([1, 1, 1]));
        assert_eq!(sum.counts, [2, 1, 1]);
        sum.add(&Spread::of_cumulative([(0.002, 5), (0.01, 6), (99.0, 8), (INFINITE, 9)]));
        assert_eq!(sum.counts, [2, 1 + 6, 1 + 3]);
        // What makes no sense breaks nothing.
        sum.add(&Spread { bounds: vec![f64::NAN], counts: vec![1, 2, 3] });
        Spread { bounds: vec![1.0, 2.0], counts: vec![u64::MAX] }.add(&sum);
    }
}
