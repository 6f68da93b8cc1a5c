//! Which fault hits what, when and how long: drawn from the seed alone.

use std::{collections::BTreeMap, fmt, time::Duration};

use clap::ValueEnum;
use local_stack::{Link, Weather};
use rand::{RngExt, SeedableRng, rngs::StdRng};

/// A program that can be hurt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// A socket-gateway, from 1.
    Gateway(usize),
    /// A message-api, from 1.
    Api(usize),
    /// The private Redis.
    Redis,
    /// The private MariaDB.
    Database,
}

/// The kinds of faults, for `--faults`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// SIGKILL, started again
    Kill,
    /// SIGTERM, started again
    Term,
    /// SIGSTOP, SIGCONT
    Pause,
    /// Redis or MariaDB killed and started again
    Restart,
    /// Redis emptied
    Flush,
    /// A link resets all connections
    Cut,
    /// A link says nothing
    Silent,
    /// A link is slow
    Slow,
}

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deed {
    /// SIGKILL; started again after the time.
    Kill(Target),
    /// SIGTERM, must end with 0; started again after the time.
    Term(Target),
    /// SIGSTOP; SIGCONT after the time.
    Pause(Target),
    /// FLUSHALL.
    Flush,
    /// Weather on one link for the time.
    Link(Link, Weather),
}

impl Deed {
    /// The program that it is done to; none for a link or for what Redis holds.
    #[must_use]
    pub const fn target(self) -> Option<Target> {
        match self {
            Self::Kill(target) | Self::Term(target) | Self::Pause(target) => Some(target),
            Self::Flush | Self::Link(..) => None,
        }
    }
}

/// A fault with its time.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// From the beginning of the storm.
    pub at: Duration,
    /// How long.
    pub lasts: Duration,
    /// What.
    pub deed: Deed,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, lasts) = (self.at.as_secs_f32(), self.lasts.as_secs_f32());
        write!(f, "{at:5.1} s  {:?} for {lasts:.1} s", self.deed)
    }
}

/// Draws the faults of `seconds`; only of those kinds, if any are named.
#[must_use]
pub fn draw(seed: u64, seconds: u64, kinds: &[Kind]) -> Vec<Fault> {
    let mut rng = StdRng::seed_from_u64(seed);
    let kinds = if kinds.is_empty() { Kind::value_variants() } else { kinds };
    let mut busy = BTreeMap::new();
    let mut faults = Vec::new();
    let mut at = 1.0;
    while at < seconds as f64 - 1.0 {
        let at_once = if rng.random_bool(0.25) { 2 } else { 1 };
        for _ in 0..at_once {
            let kind = kinds[rng.random_range(0..kinds.len())];
            let (deed, lasts) = deed(&mut rng, kind);
            let key = format!("{:?}", subject(deed));
            if busy.get(&key).is_some_and(|until| *until > at) {
                continue; // One thing after the other on each target.
            }
            busy.insert(key, at + lasts + 1.0);
            let (at, lasts) = (Duration::from_secs_f64(at), Duration::from_secs_f64(lasts));
            faults.push(Fault { at, lasts, deed });
        }
        at += rng.random_range(1.0..4.0);
    }
    faults
}

/// What a deed is done to.
fn subject(deed: Deed) -> (Option<Target>, Option<Link>) {
    match deed {
        Deed::Kill(target) | Deed::Term(target) | Deed::Pause(target) => (Some(target), None),
        Deed::Flush => (Some(Target::Redis), None),
        Deed::Link(link, _) => (None, Some(link)),
    }
}

fn deed(rng: &mut StdRng, kind: Kind) -> (Deed, f64) {
    const SERVICES: [Target; 4] =
        [Target::Gateway(1), Target::Gateway(2), Target::Api(1), Target::Api(2)];
    let service = SERVICES[rng.random_range(0..4)];
    let server = if rng.random_bool(0.5) { Target::Redis } else { Target::Database };
    let link = link(rng);
    let short = rng.random_range(0.2..4.0);
    let long = rng.random_range(1.0..12.0);
    match kind {
        Kind::Kill => (Deed::Kill(service), short),
        Kind::Term => (Deed::Term(service), short),
        Kind::Restart => (Deed::Kill(server), short),
        Kind::Pause if rng.random_bool(0.75) => (Deed::Pause(service), long),
        Kind::Pause => (Deed::Pause(server), long),
        Kind::Flush => (Deed::Flush, 0.0),
        Kind::Cut => (Deed::Link(link, Weather::Cut), long),
        Kind::Silent => (Deed::Link(link, Weather::Silent), long),
        Kind::Slow => {
            let by = Duration::from_millis(rng.random_range(20..400));
            (Deed::Link(link, Weather::Slow(by)), long)
        }
    }
}

fn link(rng: &mut StdRng) -> Link {
    let n = rng.random_range(1..=2);
    match rng.random_range(0..4) {
        0 => Link::GatewayToRedis(n),
        1 => Link::GatewayToApi(n, n),
        2 => Link::ApiToRedis(n),
        _ => Link::ApiToDatabase(n),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_always_draws_the_same_and_another_one_something_else() {
        let lines = |seed| draw(seed, 45, &[]).iter().map(Fault::to_string).collect::<Vec<_>>();
        assert_eq!(lines(7), lines(7));
        assert_ne!(lines(7), lines(8));
        assert!(lines(7).len() > 8);
    }
}
