//! What happened of late, from counts that only grow.

use std::{
    collections::{BTreeMap, VecDeque},
    time::{Duration, Instant},
};

use crate::{
    Figures,
    counts::{Counts, whole},
};

/// The counts of the last seconds, oldest first.
#[derive(Default)]
pub(crate) struct Window(VecDeque<(Instant, Counts)>);

impl Window {
    /// Takes the newest counts; answers what came since the oldest that are not older than `span`.
    pub(crate) fn take(&mut self, at: Instant, counts: Counts, span: Duration) -> Figures {
        let is_old = |(then, _): &(Instant, _)| at.duration_since(*then) > span;
        while self.0.len() > 1 && self.0.front().is_some_and(is_old) {
            self.0.pop_front();
        }
        let figures = match self.0.front() {
            Some((then, before)) => since(before, &counts, at.duration_since(*then)),
            None => since(&counts, &counts, span),
        };
        self.0.push_back((at, counts));
        figures
    }
}

fn since(before: &Counts, now: &Counts, passed: Duration) -> Figures {
    let seconds = passed.as_secs_f64().max(0.001);
    // Two decimals say enough.
    let rate = |of: fn(&Counts) -> f64| {
        let rate = (of(now) - of(before)).max(0.0) / seconds;
        (rate * 100.0).round() / 100.0
    };
    let sockets = now.sockets.iter().map(|(protocol, count)| (protocol.clone(), whole(*count)));
    Figures {
        connections: whole(now.connections),
        sockets: sockets.filter(|(_, count)| *count > 0).collect::<BTreeMap<_, _>>(),
        posts: rate(|counts| counts.posts),
        deliveries: rate(|counts| counts.deliveries),
        repairs: rate(|counts| counts.repairs),
        requests: rate(|counts| counts.requests),
        cpu: rate(|counts| counts.cpu),
        memory: whole(now.memory),
        ack: now.ack.since(&before.ack),
        delivery: now.delivery.since(&before.delivery),
        commit: now.commit.since(&before.commit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_of_the_last_seconds_only() {
        let (mut window, began) = (Window::default(), Instant::now());
        let span = Duration::from_secs(5);
        let mut at = |second: u64, posts: f64| {
            let counts = Counts { posts, ..Counts::default() };
            window.take(began + Duration::from_secs(second), counts, span).posts
        };
        assert_eq!(at(0, 1_000.0), 0.0, "what came before is of no time");
        assert_eq!(at(1, 1_010.0), 10.0);
        assert_eq!(at(2, 1_010.0), 5.0);
        assert_eq!(at(7, 1_010.0), 0.0);
        assert_eq!(at(60, 1_530.0), 9.81, "one that was asleep tells of all that time");
        assert_eq!(at(61, 1_530.0), 0.0);
    }
}
