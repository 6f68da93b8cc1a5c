//! The counts that are committed.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result};

const PATH: &str = "tests/guard/baseline.tsv";

/// How much dearer than before a function may become, in percent.
const TOLERANCE: u64 = 5;

/// What one run of a function costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Cost {
    /// The same with every compiler, on every machine.
    pub(crate) allocations: u64,
    /// Of all these together.
    pub(crate) bytes: u64,
    /// Where callgrind is installed. Comparable with the same compiler only.
    pub(crate) instructions: Option<u64>,
}

/// All functions by name, and which compiler made them.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Baseline {
    pub(crate) compiler: String,
    pub(crate) costs: BTreeMap<String, Cost>,
}

impl Baseline {
    pub(crate) fn read() -> Result<Self> {
        let text = fs::read_to_string(PATH).with_context(|| format!("can't read {PATH}"))?;
        Self::parse(&text).with_context(|| format!("{PATH} is not what `make guard-accept` writes"))
    }

    pub(crate) fn write(&self) -> Result<()> {
        fs::write(PATH, self.format()?).with_context(|| format!("can't write {PATH}"))
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines();
        let compiler = lines.next()?.to_owned();
        let costs = lines.skip(1).map(|line| {
            let mut columns = line.split('\t');
            let name = columns.next()?.to_owned();
            let mut number = || columns.next()?.parse().ok();
            let (allocations, bytes) = (number()?, number()?);
            Some((name, Cost { allocations, bytes, instructions: Some(number()?) }))
        });
        Some(Self { compiler, costs: costs.collect::<Option<_>>()? })
    }

    fn format(&self) -> Result<String> {
        let mut text = format!("{}\nfunction\tallocations\tbytes\tinstructions\n", self.compiler);
        for (name, cost) in &self.costs {
            let Cost { allocations, bytes, instructions } = cost;
            let instructions = instructions.context("a baseline needs valgrind: install it")?;
            text += &format!("{name}\t{allocations}\t{bytes}\t{instructions}\n");
        }
        Ok(text)
    }

    /// A sentence for each count that is higher than before, and for each function that only one
    /// of the two knows.
    pub(crate) fn dearer_than(&self, before: &Self) -> Vec<String> {
        let mut complaints: Vec<_> = before
            .costs
            .keys()
            .filter(|name| !self.costs.contains_key(*name))
            .map(|name| format!("`{name}` is in the baseline and is not counted any more."))
            .collect();
        for (name, now) in &self.costs {
            match before.costs.get(name) {
                Some(cost) => complaints.extend(self.dearer(name, now, cost, before)),
                None => complaints.push(format!("`{name}` is not in the baseline.")),
            }
        }
        complaints
    }

    fn dearer(&self, name: &str, now: &Cost, cost: &Cost, before: &Self) -> Vec<String> {
        let is_comparable = self.compiler == before.compiler;
        let instructions = now.instructions.zip(cost.instructions).filter(|_| is_comparable);
        let counts = [
            ("allocations", Some((now.allocations, cost.allocations))),
            ("bytes allocated", Some((now.bytes, cost.bytes))),
            ("instructions", instructions),
        ];
        let dearer = counts.into_iter().filter_map(|(what, counts)| {
            let (now, before) =
                counts.filter(|(now, before)| now * 100 > before * (100 + TOLERANCE))?;
            Some(format!("`{name}` got dearer: {now} {what}, the baseline says {before}."))
        });
        dearer.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(compiler: &str, allocations: u64, instructions: Option<u64>) -> Baseline {
        let cost = Cost { allocations, bytes: 100, instructions };
        Baseline { compiler: compiler.into(), costs: [("deliver".into(), cost)].into() }
    }

    #[test]
    fn what_was_written_is_read_again() {
        let baseline = counted("rustc 1", 7, Some(1_000));
        assert_eq!(Baseline::parse(&baseline.format().unwrap()), Some(baseline));
        assert!(counted("rustc 1", 7, None).format().is_err());
        assert_eq!(Baseline::parse("rustc 1\nheader\ndeliver\t7\n"), None);
    }

    #[test]
    fn what_is_dearer_by_more_than_the_tolerance_is_named_with_both_counts() {
        let before = counted("rustc 1", 100, Some(1_000));
        assert!(counted("rustc 1", 105, Some(1_050)).dearer_than(&before).is_empty());
        assert_eq!(
            counted("rustc 1", 106, Some(1_051)).dearer_than(&before),
            [
                "`deliver` got dearer: 106 allocations, the baseline says 100.",
                "`deliver` got dearer: 1051 instructions, the baseline says 1000.",
            ]
        );
    }

    #[test]
    fn a_function_that_never_allocated_must_not_begin() {
        let complaints = counted("rustc 1", 1, None).dearer_than(&counted("rustc 1", 0, None));
        assert_eq!(complaints.len(), 1);
    }

    #[test]
    fn instructions_of_another_compiler_are_not_compared() {
        let before = counted("rustc 1", 100, Some(1_000));
        assert!(counted("rustc 2", 100, Some(9_000)).dearer_than(&before).is_empty());
    }

    #[test]
    fn functions_that_only_one_side_knows_are_told() {
        let (none, one) = (Baseline::default(), counted("rustc 1", 1, None));
        assert_eq!(one.dearer_than(&none), ["`deliver` is not in the baseline."]);
        assert_eq!(none.dearer_than(&one).len(), 1);
    }
}
