//! All workloads: which targets they run on, whether they are in the quick bench.

use super::{Run, churn, connects, foreign, idle, posts, presence, rooms};
use crate::targets::Kind::{self, Bare, Eiows, Node, Socketioxide, Switchboard, Traced};

/// Deliveries a second at which latency is measured.
pub(crate) const LATENCY_RATES: [u64; 6] = [10_000, 20_000, 40_000, 80_000, 120_000, 160_000];

/// Something that is done to several targets.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    /// In a sentence, for the report.
    pub(crate) about: &'static str,
    pub(crate) targets: &'static [Kind],
    pub(crate) is_quick: bool,
    pub(crate) run: Run,
}

const ALL: &[Kind] = &[Switchboard, Node, Eiows, Socketioxide, Bare];
const ADAPTERS: &[Kind] = &[Switchboard, Node, Eiows, Socketioxide];
const OURS: &[Kind] = &[Switchboard];
const DURABLE: &[Kind] = &[Switchboard, Node, Eiows];
/// Those in which what traces cost is measured too.
const ALL_AND_TRACED: &[Kind] = &[Switchboard, Traced, Node, Eiows, Socketioxide, Bare];
const DURABLE_AND_TRACED: &[Kind] = &[Switchboard, Traced, Node, Eiows];

macro_rules! workload {
    ($name:literal, $about:literal, $targets:expr, $is_quick:literal, $run:expr) => {
        Workload { name: $name, about: $about, targets: $targets, is_quick: $is_quick, run: $run }
    };
}

/// Memory first, while the processes are fresh.
const WORKLOADS: &[Workload] = &[
    workload!("idle", "10,000 idle connections", ADAPTERS, true, idle::idle),
    workload!("connects", "guests connect, 64 at a time", ADAPTERS, true, connects::connects),
    workload!("joins", "connected clients join rooms of 100", ADAPTERS, false, connects::joins),
    workload!("rooms-10", "rooms of 10, one in flight each", ALL, false, rooms::of_10),
    workload!("rooms-100", "rooms of 100, one in flight each", ALL_AND_TRACED, true, rooms::of_100),
    workload!("rooms-1000", "rooms of 1,000, one in flight each", ALL, false, rooms::of_1000),
    workload!("hot", "rooms of 100, 8 in flight each", ALL, true, rooms::hot),
    workload!(
        "pairs",
        "1,000 rooms of 2, `typing` relayed at a fixed rate",
        ALL,
        true,
        rooms::pairs
    ),
    workload!("relay", "100 clients, one relayed in flight", ADAPTERS, true, rooms::relay),
    workload!("relay-hot", "100 clients, 8 relayed in flight", ADAPTERS, false, rooms::relay_hot),
    workload!(
        "durable",
        "512 posters, acknowledged once stored",
        DURABLE_AND_TRACED,
        true,
        posts::durable
    ),
    workload!("direct", "256 pairs write to each other", DURABLE, false, posts::direct),
    workload!("lone-post", "40 a second on an idle system", DURABLE, true, rooms::lone_post),
    workload!("lone-relay", "the same, relayed", ADAPTERS, true, rooms::lone_relay),
    workload!("foreign", "messages of rooms elsewhere", ADAPTERS, true, foreign::foreign),
    workload!("latency-010k", "10,000 deliveries a second", ALL, false, |s| rooms::at_rate(
        s,
        LATENCY_RATES[0]
    )),
    workload!("latency-020k", "20,000 deliveries a second", ALL, true, |s| rooms::at_rate(
        s,
        LATENCY_RATES[1]
    )),
    workload!("latency-040k", "40,000 deliveries a second", ALL, false, |s| rooms::at_rate(
        s,
        LATENCY_RATES[2]
    )),
    workload!("latency-080k", "80,000 deliveries a second", ALL, true, |s| rooms::at_rate(
        s,
        LATENCY_RATES[3]
    )),
    workload!("latency-120k", "120,000 deliveries a second", ALL, false, |s| rooms::at_rate(
        s,
        LATENCY_RATES[4]
    )),
    workload!("latency-160k", "160,000 deliveries a second", ALL, false, |s| rooms::at_rate(
        s,
        LATENCY_RATES[5]
    )),
    workload!("stored-080k", "the same at 80,000 a second, stored by all", DURABLE, false, |s| {
        rooms::stored_at_rate(s, LATENCY_RATES[3])
    }),
    workload!(
        "relayed-080k",
        "80,000 a second to 100 clients, relayed by all",
        ADAPTERS,
        false,
        |s| { rooms::relayed_at_rate(s, LATENCY_RATES[3]) }
    ),
    workload!("jitter", "clients drop every 2 s and come back", DURABLE, true, churn::jitter),
    workload!(
        "avalanche",
        "5,000 clients drop and come back at once",
        DURABLE,
        true,
        churn::avalanche
    ),
    workload!(
        "presence-1k",
        "1,000 hear who is online; 40 a second come, then go",
        OURS,
        false,
        presence::of_1000
    ),
    workload!(
        "presence-10k",
        "10,000 hear who is online; 40 a second come, then go",
        OURS,
        false,
        presence::of_10000
    ),
];

/// In the order in which they run.
pub(crate) fn all() -> &'static [Workload] {
    WORKLOADS
}
