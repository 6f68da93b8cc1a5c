//! One followed conversation: its listeners, and the order in which they hear its changes.
//!
//! Pub/sub may lose, repeat and reorder; a hub does not. It knows the newest change that it has
//! handed on. The next one goes straight through; an earlier one is a repetition and dropped; a
//! later one waits, and what is missing is asked for.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chat_core::{Change, ConversationId, Event, Listener, Seq};

use super::crowd::{Entry, Rendered};

/// Recent changes kept for those who join a moment late.
const RECENT: usize = 64;

/// Changes that may wait for a missing one. What comes beyond is dropped and asked for later.
const WAITING: usize = 1_024;

/// A conversation that somebody here follows.
pub(super) struct Hub {
    /// Which.
    pub(super) conversation: ConversationId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The newest change handed on; `None` until the first listener says where to begin.
    delivered: Option<Seq>,
    /// The newest change known to exist.
    head: Seq,
    waiting: BTreeMap<Seq, Change>,
    recent: VecDeque<(Seq, Event)>,
    listeners: Vec<Entry>,
    repairing: bool,
}

/// What became of a change or a listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// All is well.
    Done,
    /// Changes after this one are missing.
    Missing(Seq),
}

impl Hub {
    /// Nobody follows it yet.
    #[must_use]
    pub(super) fn new(conversation: ConversationId) -> Self {
        Self { conversation, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a listener that knows everything up to `heard`. [`Outcome::Missing`]: it was not
    /// added, since it lacks changes that are kept here no longer; come back with them.
    pub(super) fn join(&self, number: u64, listener: Listener, heard: Seq) -> Outcome {
        let mut state = self.state();
        let delivered = *state.delivered.get_or_insert(heard);
        state.head = state.head.max(heard);
        if heard < delivered {
            let oldest = state.recent.front().map_or(delivered, |(seq, _)| *seq);
            if oldest > heard.next() {
                return Outcome::Missing(heard);
            }
            for (seq, event) in &state.recent {
                if *seq > heard {
                    Rendered::new(event).tell(&listener);
                }
            }
        }
        state.listeners.push(Entry { number, listener, heard: heard.max(delivered) });
        Outcome::Done
    }

    /// The newest change handed on, once there is a listener.
    pub(super) fn delivered(&self) -> Option<Seq> {
        self.state().delivered
    }

    /// Removes a listener.
    pub(super) fn leave(&self, number: u64) {
        let mut state = self.state();
        if let Some(at) = state.listeners.iter().position(|entry| entry.number == number) {
            state.listeners.swap_remove(at);
        }
    }

    /// Takes a change, from the bus or from a repair.
    pub(super) fn offer(&self, change: Change) -> Outcome {
        #[cfg(feature = "sabotage")]
        self.is_sabotaged(&change);
        let mut state = self.state();
        let Some(delivered) = state.delivered else { return Outcome::Done };
        state.head = state.head.max(change.seq);
        if change.seq == delivered.next() {
            state.hand_on(change);
            state.hand_on_waiting();
        } else if change.seq > delivered && state.waiting.len() < WAITING {
            state.waiting.insert(change.seq, change);
        }
        state.outcome()
    }

    /// `repair`: a hole is taken for none. `order`: what is not the next one is told at once.
    #[cfg(feature = "sabotage")]
    fn is_sabotaged(&self, change: &Change) {
        let Some(delivered) = self.delivered() else { return };
        if crate::sabotage::is("repair") {
            self.state().delivered = Some(delivered.max(Seq(change.seq.0 - 1)));
        }
        if crate::sabotage::is("order") && change.seq != delivered.next() {
            self.tell(&Event::Change(change.clone()));
        }
    }

    /// Hands on something fleeting.
    pub(super) fn tell(&self, event: &Event) {
        let mut rendered = Rendered::new(event);
        for entry in &self.state().listeners {
            rendered.tell(&entry.listener);
        }
    }

    /// Learns how far the conversation has come.
    pub(super) fn learn_head(&self, head: Seq) -> Outcome {
        let mut state = self.state();
        state.head = state.head.max(head);
        state.outcome()
    }

    /// Begins a repair, unless one is under way or nothing is missing (or may be, if `doubtful`).
    /// Answers where to begin.
    pub(super) fn begin_repair(&self, doubtful: bool) -> Option<Seq> {
        let mut state = self.state();
        let delivered = state.delivered?;
        if state.repairing || (!doubtful && state.outcome() == Outcome::Done) {
            return None;
        }
        state.repairing = true;
        Some(delivered)
    }

    /// Ends a repair.
    pub(super) fn end_repair(&self) {
        self.state().repairing = false;
    }

    /// What is missing now.
    pub(super) fn outcome(&self) -> Outcome {
        self.state().outcome()
    }
}

impl State {
    fn outcome(&self) -> Outcome {
        match self.delivered {
            Some(delivered) if delivered < self.head => Outcome::Missing(delivered),
            _ => Outcome::Done,
        }
    }

    /// Nothing is awaited here: a sink takes a frame at once or is closed.
    fn hand_on(&mut self, change: Change) {
        let seq = change.seq;
        let event = Event::Change(change);
        let mut rendered = Rendered::new(&event);
        for entry in self.listeners.iter_mut().filter(|entry| entry.heard < seq) {
            rendered.tell(&entry.listener);
            entry.heard = seq;
        }
        self.delivered = Some(seq);
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((seq, event));
    }

    fn hand_on_waiting(&mut self) {
        while let Some(first) = self.waiting.first_entry() {
            match (*first.key(), self.delivered.map(Seq::next)) {
                (seq, Some(next)) if seq == next => {
                    let change = first.remove();
                    self.hand_on(change);
                }
                (seq, Some(next)) if seq < next => drop(first.remove()),
                _ => break,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::feed::testing::{self, Ear, listener};

    fn change(seq: u64) -> Change {
        testing::change(ConversationId::LOBBY, seq)
    }

    fn hub_with_ear(heard: u64) -> (Hub, Arc<Ear>) {
        let (hub, ear) = (Hub::new(ConversationId::LOBBY), Arc::new(Ear::default()));
        assert_eq!(hub.join(1, listener(&ear), Seq(heard)), Outcome::Done);
        (hub, ear)
    }

    #[test]
    fn changes_are_heard_in_order_and_once_whatever_the_bus_does() {
        let (hub, ear) = hub_with_ear(2);
        for seq in [3, 3, 5, 6, 2, 5] {
            hub.offer(change(seq));
        }
        assert_eq!(ear.heard(), [3]);
        assert_eq!(hub.outcome(), Outcome::Missing(Seq(3)));
        assert_eq!(hub.offer(change(4)), Outcome::Done);
        assert_eq!(ear.heard(), [3, 4, 5, 6]);
    }

    #[test]
    fn one_who_joins_late_hears_what_it_missed_and_nothing_twice() {
        let (hub, _) = hub_with_ear(0);
        for seq in 1..=10 {
            hub.offer(change(seq));
        }
        let late = Arc::new(Ear::default());
        assert_eq!(hub.join(2, listener(&late), Seq(7)), Outcome::Done);
        hub.offer(change(11));
        assert_eq!(late.heard(), [8, 9, 10, 11]);
    }

    #[test]
    fn one_who_joins_ahead_of_the_bus_hears_only_what_it_does_not_know() {
        let (hub, first) = hub_with_ear(0);
        let ahead = Arc::new(Ear::default());
        assert_eq!(hub.join(2, listener(&ahead), Seq(2)), Outcome::Done);
        assert_eq!(hub.outcome(), Outcome::Missing(Seq(0)));
        for seq in 1..=3 {
            hub.offer(change(seq));
        }
        assert_eq!((first.heard(), ahead.heard()), (vec![1, 2, 3], vec![3]));
    }

    #[test]
    fn one_who_missed_more_than_is_kept_must_fetch_it() {
        let (hub, _) = hub_with_ear(0);
        let many = RECENT as u64 + 10;
        for seq in 1..=many {
            hub.offer(change(seq));
        }
        let late = Arc::new(Ear::default());
        assert_eq!(hub.join(2, listener(&late), Seq(5)), Outcome::Missing(Seq(5)));
        assert_eq!(hub.join(2, listener(&late), Seq(10)), Outcome::Done);
        assert_eq!(late.heard().len() as u64, many - 10);
    }

    #[test]
    fn a_flood_behind_a_hole_is_bounded_and_comes_back_by_repair() {
        let (hub, ear) = hub_with_ear(0);
        let last = 2 + 2 * WAITING as u64;
        for seq in 2..=last {
            hub.offer(change(seq));
        }
        let missing = hub.begin_repair(false).expect("something is missing");
        for seq in missing.0 + 1..=last {
            hub.offer(change(seq));
        }
        hub.end_repair();
        assert_eq!(hub.outcome(), Outcome::Done);
        assert_eq!(ear.heard(), (1..=last).collect::<Vec<_>>());
    }
}
