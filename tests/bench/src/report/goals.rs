//! The goals: which figures are compared, and how far that should go.

use super::table::{Table, number, spread};
use crate::{
    figures::{Results, Spread},
    targets::Kind::{self, Bare, Node, Switchboard, Traced},
};

/// A figure of a target in a workload.
type Figure = (&'static str, Kind, &'static str);

/// How two figures become the one that has a goal.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Compare {
    /// The first, divided by the second.
    Ratio,
    /// The first, less the second.
    Difference,
    /// The first alone.
    Alone,
    /// The first alone, in the worst of all rounds.
    Worst,
}

/// Which side of the goal is good.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Good {
    More,
    Less,
}

/// What was reached.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Goal,
    Floor,
    Below,
    NotMeasured,
}

impl Verdict {
    const fn text(self) -> &'static str {
        match self {
            Self::Goal => "goal",
            Self::Floor => "floor only",
            Self::Below => "neither",
            Self::NotMeasured => "not measured",
        }
    }
}

struct Goal {
    name: &'static str,
    figures: (Figure, Figure),
    compare: Compare,
    good: Good,
    floor: f64,
    goal: f64,
    /// What was compared, in one sentence.
    compared: &'static str,
}

const fn goal(
    name: &'static str,
    figures: (Figure, Figure),
    (compare, good): (Compare, Good),
    (floor, goal): (f64, f64),
    compared: &'static str,
) -> Goal {
    Goal { name, figures, compare, good, floor, goal, compared }
}

use Compare::{Alone, Difference, Ratio, Worst};
use Good::{Less, More};

const fn both(workload: &'static str, figure: &'static str) -> (Figure, Figure) {
    ((workload, Switchboard, figure), (workload, Node, figure))
}

const fn cost(workload: &'static str, peer: Kind) -> (Figure, Figure) {
    ((workload, peer, "front_us"), (workload, Switchboard, "front_us"))
}

const fn ours(workload: &'static str, figure: &'static str) -> (Figure, Figure) {
    ((workload, Switchboard, figure), (workload, Switchboard, figure))
}

const GOALS: &[Goal] = &[
    goal(
        "rooms of 100, nothing shareable: Node's CPU per delivery ÷ ours",
        cost("rooms-100", Node),
        (Ratio, More),
        (1.25, 1.9),
        "Both gateways' CPU per delivery of a durable `chat message` (stored, then published) \
         against both Node processes' CPU per delivery of one that is only relayed by the Redis \
         adapter; what message-api, Redis and MariaDB use is in `stack_us`.",
    ),
    goal(
        "the bare limit's CPU per delivery ÷ ours",
        cost("rooms-100", Bare),
        (Ratio, More),
        (0.55, 0.85),
        "One bare epoll process without Redis, parsing or storage against both gateways.",
    ),
    goal(
        "the same relayed, not stored: Node's CPU per delivery ÷ ours",
        cost("relay", Node),
        (Ratio, More),
        (1.25, 1.9),
        "000's `send:message` to 100 clients, one in flight, nothing stored on either side.",
    ),
    goal(
        "hot rooms (8 in flight): deliveries per core ÷ Node's",
        both("hot", "per_front_core_s"),
        (Ratio, More),
        (5.0, 7.0),
        "Deliveries for each second of CPU of the gateways (durable messages) and of the Node \
         processes (relayed only).",
    ),
    goal(
        "rooms of 2, without persistence: Node's CPU per delivery ÷ ours",
        cost("pairs", Node),
        (Ratio, More),
        (1.3, 2.0),
        "`typing` at the same fixed rate, through Redis on both sides, stored on neither.",
    ),
    goal(
        "p99 at 80 k deliveries/s: ours ÷ Node's",
        both("latency-080k", "p99_ms"),
        (Ratio, Less),
        (0.5, 0.25),
        "From the time at which a message was meant to be sent; ours are durable, with message-api \
         and MariaDB on the same core; Node's are relayed only.",
    ),
    goal(
        "the same, stored on both sides: p99, ours ÷ Node's",
        both("stored-080k", "p99_ms"),
        (Ratio, Less),
        (0.5, 0.25),
        "As above, but Node inserts each message before it emits it.",
    ),
    goal(
        "the same, relayed on both sides: p99, ours ÷ Node's",
        both("relayed-080k", "p99_ms"),
        (Ratio, Less),
        (0.5, 0.25),
        "000's `send:message` to 100 clients, who take turns; stored on neither side.",
    ),
    goal(
        "durable acknowledged sends/s ÷ Node's",
        both("durable", "per_s"),
        (Ratio, More),
        (4.0, 8.0),
        "The same number of posters, one message each under way; each whole stack on one core, the \
         same MariaDB.",
    ),
    goal(
        "1 % of traces kept: the gateways' CPU per delivery ÷ without traces",
        (("rooms-100", Traced, "front_us"), ("rooms-100", Switchboard, "front_us")),
        (Ratio, Less),
        (1.05, 1.02),
        "The same stack twice, side by side; one keeps 1 % of its traces and sends them to a sink \
         on this machine.",
    ),
    goal(
        "1 % of traces kept: durable sends/s ÷ without traces",
        (("durable", Traced, "per_s"), ("durable", Switchboard, "per_s")),
        (Ratio, More),
        (0.95, 0.98),
        "As above; the whole stack on one core, the sink on the generator's.",
    ),
    goal(
        "what durability adds to a lone post's p50 (ms)",
        (("lone-post", Switchboard, "p50_ms"), ("lone-relay", Switchboard, "p50_ms")),
        (Difference, Less),
        (1.0, 0.5),
        "`chat message` (stored first) against 000's relay, from one gateway to a socket at the \
         other, 40 a second.",
    ),
    goal(
        "CPU of a gateway per message of a room that it does not follow (µs)",
        ours("foreign", "other_us"),
        (Alone, Less),
        (0.5, 0.05),
        "The second gateway's CPU while messages flow at the first, less what it uses in silence; \
         below 0.05 µs is noise.",
    ),
    goal(
        "memory per idle connection ÷ Node's",
        both("idle", "kib_each"),
        (Ratio, Less),
        (1.4, 0.5),
        "Growth of resident memory, guests in the default namespace.",
    ),
    goal(
        "connects per second ÷ Node's",
        both("connects", "per_s"),
        (Ratio, More),
        (2.5, 5.0),
        "By websocket until the default namespace is open, as guests, 64 at a time.",
    ),
    goal(
        "messages finally received under jitter (%)",
        ours("jitter", "received_percent"),
        (Worst, More),
        (100.0, 100.0),
        "Our clients rejoin with `since`; Node's rejoin, since its Redis adapter recovers nothing.",
    ),
    goal(
        "messages finally received after an avalanche (%)",
        ours("avalanche", "received_percent"),
        (Worst, More),
        (100.0, 100.0),
        "All clients but the posters drop at once and are back within half a second if let in.",
    ),
    goal(
        "history page at half depth ÷ newest page",
        (("history", Switchboard, "deep_p50_ms"), ("history", Switchboard, "newest_p50_ms")),
        (Ratio, Less),
        (1.5, 1.1),
        "p50 of pages of 50 by REST: the newest, and random ones around the middle.",
    ),
];

impl Goal {
    fn value(&self, results: &Results) -> Option<(Spread, Spread, f64)> {
        let figure = |(workload, kind, name): Figure| results.get(workload, kind, name);
        let (first, second) = (figure(self.figures.0)?, figure(self.figures.1)?);
        let value = match self.compare {
            Ratio => first.median / second.median,
            Difference => first.median - second.median,
            Alone => first.median,
            Worst => first.least,
        };
        Some((first, second, value))
    }

    fn verdict(&self, results: &Results) -> Verdict {
        let Some((_, _, value)) = self.value(results) else { return Verdict::NotMeasured };
        let reaches = |mark: f64| match self.good {
            More => value >= mark,
            Less => value <= mark,
        };
        match (reaches(self.goal), reaches(self.floor)) {
            (true, _) => Verdict::Goal,
            (false, true) => Verdict::Floor,
            (false, false) => Verdict::Below,
        }
    }
}

/// Is this target's part in a workload compared by a goal?
pub(crate) fn has_goal(workload: &str, kind: Kind) -> bool {
    let is_it = |figure: Figure| (figure.0, figure.1) == (workload, kind);
    GOALS.iter().any(|goal| is_it(goal.figures.0) || is_it(goal.figures.1))
}

/// Goals down; ours, theirs, what was reached across.
pub(super) fn table(results: &Results) -> String {
    let head = ["", "first", "second", "measured", "floor", "goal", "reached"];
    let mut table = Table::new(head.map(str::to_owned).to_vec());
    for goal in GOALS {
        let side = |(_, kind, _): Figure, of: Spread| format!("{} {}", kind.name(), spread(&of));
        let mut row = vec![goal.name.to_owned()];
        let measured = match goal.value(results) {
            Some((first, second, value)) => {
                row.push(side(goal.figures.0, first));
                row.push(match goal.compare {
                    Alone | Worst => String::new(),
                    Ratio | Difference => side(goal.figures.1, second),
                });
                number(value)
            }
            None => {
                row.extend([String::new(), String::new()]);
                "–".to_owned()
            }
        };
        let verdict = goal.verdict(results).text().to_owned();
        row.extend([measured, number(goal.floor), number(goal.goal), verdict]);
        table.row(row);
    }
    table.to_string()
}

/// What was reached, in a few sentences.
pub(super) fn summary(results: &Results) -> String {
    let with = |verdict| -> Vec<_> {
        GOALS.iter().filter(|goal| goal.verdict(results) == verdict).map(|goal| goal.name).collect()
    };
    let mut text = format!("{} of {} goals are reached", with(Verdict::Goal).len(), GOALS.len());
    match with(Verdict::NotMeasured).len() {
        0 => text.push('.'),
        some => text += &format!("; {some} were not measured."),
    }
    for (verdict, words) in
        [(Verdict::Floor, "Only the floor is reached:"), (Verdict::Below, "Below the floor:")]
    {
        let names = with(verdict);
        if !names.is_empty() {
            text += &format!(" {words} {}.", names.join("; "));
        }
    }
    text
}

/// What was compared, a sentence for each goal.
pub(super) fn sentences(results: &Results) -> String {
    let measured = GOALS.iter().filter(|goal| goal.value(results).is_some());
    measured.map(|goal| format!("- **{}**: {}\n", goal.name, goal.compared)).collect()
}
