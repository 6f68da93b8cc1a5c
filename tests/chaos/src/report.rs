//! The table of sums, one line for each seed.

use std::{fmt, iter::Sum, ops::Add};

use crate::{
    audit::{Evidence, Finding, Kind},
    books::What,
};

/// The sums of one seed, or of several.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sums {
    faults: usize,
    sent: usize,
    acknowledged: usize,
    stored: usize,
    delivered: usize,
    repaired: u64,
    reconnects: usize,
    lost: usize,
    doubled: usize,
    disordered: usize,
    ghosts: usize,
    unhealthy: usize,
    stuck: usize,
    bad_ends: usize,
}

impl Sums {
    /// The names of the columns.
    pub const HEAD: &str = "  seed faults   sent  acked stored delivered repaired reconnects  lost \
                            doubled disordered ghosts unhealthy stuck bad-ends";

    /// From everything that there is.
    #[must_use]
    pub fn of(evidence: &Evidence<'_>, findings: &[Finding]) -> Self {
        let found = |kind| findings.iter().filter(|finding| finding.kind == kind).count();
        let diaries = || evidence.diaries.values();
        let sends = || diaries().flat_map(|diary| &diary.sends);
        let heard = diaries().flat_map(|diary| &diary.heard);
        Self {
            faults: evidence.ledger.done().len(),
            sent: sends().count(),
            acknowledged: sends().filter(|sent| sent.acked.is_some()).count(),
            stored: evidence.stored.posts.len(),
            delivered: heard.filter(|receipt| receipt.what == What::Posted).count(),
            repaired: evidence.health.repairs(),
            reconnects: diaries().map(|diary| diary.connections.len().saturating_sub(1)).sum(),
            lost: found(Kind::Lost),
            doubled: found(Kind::Doubled),
            disordered: found(Kind::Disordered),
            ghosts: found(Kind::Ghost),
            unhealthy: found(Kind::Unhealthy),
            stuck: found(Kind::Stuck),
            bad_ends: found(Kind::BadEnd),
        }
    }

    /// Is nothing wrong?
    #[must_use]
    pub const fn balance(&self) -> bool {
        self.lost + self.doubled + self.disordered + self.ghosts == 0
            && self.unhealthy + self.stuck + self.bad_ends == 0
    }

    /// One line of the table.
    #[must_use]
    pub fn line(&self, seed: &str) -> String {
        format!("{seed:>6} {self}")
    }
}

impl fmt::Display for Sums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:6} {:6} {:6} {:6} ", self.faults, self.sent, self.acknowledged, self.stored)?;
        write!(f, "{:9} {:8} {:10} ", self.delivered, self.repaired, self.reconnects)?;
        write!(f, "{:5} {:7} {:10} ", self.lost, self.doubled, self.disordered)?;
        write!(f, "{:6} {:9} {:5} {:8}", self.ghosts, self.unhealthy, self.stuck, self.bad_ends)
    }
}

impl Add for Sums {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            faults: self.faults + other.faults,
            sent: self.sent + other.sent,
            acknowledged: self.acknowledged + other.acknowledged,
            stored: self.stored + other.stored,
            delivered: self.delivered + other.delivered,
            repaired: self.repaired + other.repaired,
            reconnects: self.reconnects + other.reconnects,
            lost: self.lost + other.lost,
            doubled: self.doubled + other.doubled,
            disordered: self.disordered + other.disordered,
            ghosts: self.ghosts + other.ghosts,
            unhealthy: self.unhealthy + other.unhealthy,
            stuck: self.stuck + other.stuck,
            bad_ends: self.bad_ends + other.bad_ends,
        }
    }
}

impl Sum for Sums {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}
