//! Measured figures: of one run by name, and of all runs by workload, target and name.

use std::collections::BTreeMap;

use hdrhistogram::Histogram;

use crate::targets::Kind;

/// What one run of a workload measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Figures(pub(crate) Vec<(&'static str, f64)>);

impl Figures {
    pub(crate) fn put(&mut self, name: &'static str, value: f64) {
        self.0.push((name, value));
    }

    /// Milliseconds at three quantiles, of a histogram in nanoseconds.
    pub(crate) fn put_latency(&mut self, histogram: &Histogram<u64>) {
        let at = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e6;
        self.put("p50_ms", at(0.5));
        self.put("p90_ms", at(0.9));
        self.put("p99_ms", at(0.99));
        self.put("p999_ms", at(0.999));
    }
}

/// A histogram of nanoseconds up to a minute, three digits.
pub(crate) fn histogram() -> Histogram<u64> {
    let histogram = Histogram::new_with_bounds(1_000, 60_000_000_000, 3);
    histogram.unwrap_or_else(|error| unreachable!("fixed bounds: {error}"))
}

/// Median, least and most.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) least: f64,
    pub(crate) most: f64,
}

/// What all runs measured.
#[derive(Debug, Default)]
pub(crate) struct Results(BTreeMap<(String, Kind, &'static str), Vec<f64>>);

impl Results {
    pub(crate) fn add(&mut self, workload: &str, kind: Kind, figures: Figures) {
        for (name, value) in figures.0 {
            self.0.entry((workload.to_owned(), kind, name)).or_default().push(value);
        }
    }

    pub(crate) fn get(&self, workload: &str, kind: Kind, name: &'static str) -> Option<Spread> {
        let mut all = self.0.get(&(workload.to_owned(), kind, name))?.clone();
        all.sort_by(f64::total_cmp);
        let median = (all[(all.len() - 1) / 2] + all[all.len() / 2]) / 2.0;
        Some(Spread { median, least: all[0], most: all[all.len() - 1] })
    }

    /// Every workload with figures, in the order of their names.
    pub(crate) fn workloads(&self) -> Vec<&str> {
        let mut names: Vec<_> = self.0.keys().map(|(workload, ..)| workload.as_str()).collect();
        names.dedup();
        names
    }

    /// The targets that a workload ran on, and the names of its figures.
    pub(crate) fn of(&self, workload: &str) -> Vec<(Kind, &'static str, Spread)> {
        let keys = self.0.keys().filter(|(name, ..)| name == workload);
        let row = |(_, kind, name): &(String, Kind, &'static str)| {
            Some((*kind, *name, self.get(workload, *kind, name)?))
        };
        keys.filter_map(row).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_of_runs_lies_between_the_middle_two() {
        let mut results = Results::default();
        for value in [4.0, 1.0, 3.0, 100.0] {
            results.add("fan-out", Kind::Node, Figures(vec![("per_s", value)]));
        }
        let spread = results.get("fan-out", Kind::Node, "per_s");
        assert_eq!(spread, Some(Spread { median: 3.5, least: 1.0, most: 100.0 }));
    }
}
