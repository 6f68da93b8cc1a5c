//! Was a gateway green while it was provably deaf? Is anybody red when all is well?

use std::{collections::BTreeSet, time::Duration};

use local_stack::{Link, Weather};

use super::{Evidence, Finding, Kind};
use crate::{
    faults::Done,
    schedule::{Deed, Target},
};

/// Silence that a gateway may take for a pause, and what a loaded machine adds.
const NOTICED_WITHIN: Duration = Duration::from_secs(3 + 3);

pub(super) fn audit(evidence: &Evidence<'_>) -> Vec<Finding> {
    let done = evidence.ledger.done();
    let mut liars = BTreeSet::new();
    for (at, target) in evidence.health.green() {
        let Target::Gateway(n) = target else { continue };
        for (which, deed) in done.iter().enumerate().filter(|(_, done)| deafens(done.deed, n)) {
            let since = done.iter().filter(|other| halts(other.deed, target));
            // Halted in between, it had no time to notice.
            let since = since.filter(|other| other.from < at).map(|other| other.until);
            let since = since.chain([deed.from]).max().unwrap_or(deed.from);
            if at > since + NOTICED_WITHIN && at < deed.until {
                liars.insert((target, which));
            }
        }
    }
    let lie = |(target, which): (Target, usize)| {
        let Done { deed, from, until } = done[which];
        let (from, until) = (from.as_secs_f32(), until.as_secs_f32());
        let what = format!("{target:?} was green in {deed:?}, {from:.3} s to {until:.3} s");
        Finding::new(Kind::Unhealthy, what)
    };
    let red = evidence.health.red_now().into_iter();
    let red = red.map(|target| Finding::new(Kind::Unhealthy, format!("{target:?} is not ready")));
    liars.into_iter().map(lie).chain(red).collect()
}

/// Does the gateway surely hear nothing of Redis?
fn deafens(deed: Deed, gateway: usize) -> bool {
    match deed {
        Deed::Kill(Target::Redis) | Deed::Pause(Target::Redis) => true,
        Deed::Link(link, Weather::Cut | Weather::Silent) => link == Link::GatewayToRedis(gateway),
        _ => false,
    }
}

/// Does it not run meanwhile?
fn halts(deed: Deed, target: Target) -> bool {
    matches!(deed, Deed::Kill(at) | Deed::Term(at) | Deed::Pause(at) if at == target)
}
