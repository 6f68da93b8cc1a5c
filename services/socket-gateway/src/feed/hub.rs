//! One followed conversation: its listeners, and the order in which they hear its changes.
//!
//! Pub/sub may lose, repeat and reorder; a hub does not. It knows the newest change that it has
//! handed on. The next one goes straight through; an earlier one is a repetition and dropped; a
//! later one waits, and what is missing is asked for.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use chat_core::{Change, ConversationId, Event, Listener, Seq};
use tokio::sync::Notify;

use super::crowd::{Entry, Rendered};

/// Recent changes kept for those who join a moment late, and how many bytes of them.
const RECENT: usize = 64;
const RECENT_BYTES: usize = 256 * 1024;

/// Changes that may wait for a missing one, and how many bytes of them. What comes beyond is
/// dropped and asked for later.
const WAITING: usize = 1_024;
const WAITING_BYTES: usize = 1024 * 1024;

/// A conversation that somebody here follows.
pub(super) struct Hub {
    /// Which.
    pub(super) conversation: ConversationId,
    state: Mutex<State>,
    /// A repair has ended.
    settled: Notify,
}

#[derive(Default)]
struct State {
    /// The newest change handed on; `None` until the first listener says where to begin.
    delivered: Option<Seq>,
    /// The newest change known to exist.
    head: Seq,
    waiting: BTreeMap<Seq, Change>,
    waiting_bytes: usize,
    recent: VecDeque<(Seq, Event)>,
    recent_bytes: usize,
    listeners: Vec<Entry>,
    repairing: bool,
    /// Nobody can follow it by this hub any more.
    is_retired: bool,
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
        Self { conversation, state: Mutex::default(), settled: Notify::new() }
    }

    /// Nobody follows it yet; who does hears what comes after `begin`.
    #[must_use]
    pub(super) fn starting_at(conversation: ConversationId, begin: Seq) -> Self {
        let hub = Self::new(conversation);
        hub.state().delivered = Some(begin);
        hub
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
            let oldest = state.recent.front().map_or(delivered.next(), |(seq, _)| *seq);
            if oldest > heard.next() {
                return Outcome::Missing(heard);
            }
            for (seq, event) in &state.recent {
                if *seq > heard {
                    Rendered::new(event).tell(&listener);
                }
            }
        }
        let (heard, since) = (heard.max(delivered), Instant::now());
        state.listeners.push(Entry { number, listener, heard, since });
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
        } else if change.seq > delivered {
            state.keep_waiting(change);
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

    /// Hands something fleeting that happened at `at` on to those who listened by then, but not to
    /// those who did so by `known`. Were there any?
    pub(super) fn tell_of(&self, event: &Event, known: Option<Instant>, at: Instant) -> bool {
        let mut rendered = Rendered::new(event);
        let mut any = false;
        for entry in &self.state().listeners {
            if entry.since <= at && known.is_none_or(|known| entry.since > known) {
                rendered.tell(&entry.listener);
                any = true;
            }
        }
        any
    }

    /// Since when the newest of those who listen does.
    pub(super) fn newest_listens_since(&self) -> Option<Instant> {
        self.state().listeners.iter().map(|entry| entry.since).max()
    }

    /// Since when the oldest of them does.
    pub(super) fn oldest_listens_since(&self) -> Option<Instant> {
        self.state().listeners.iter().map(|entry| entry.since).min()
    }

    /// Learns how far the conversation has come.
    pub(super) fn learn_head(&self, head: Seq) -> Outcome {
        let mut state = self.state();
        state.head = state.head.max(head);
        state.outcome()
    }

    /// Takes charge of a repair. `None`: nothing is missing, or somebody else is in charge.
    pub(super) fn claim(self: &Arc<Self>) -> Option<Claim> {
        let mut state = self.state();
        if state.repairing || state.outcome() == Outcome::Done {
            return None;
        }
        state.repairing = true;
        Some(Claim { hub: Arc::clone(self), is_held: true })
    }

    /// Waits until no repair is under way.
    pub(super) async fn repaired(&self) {
        loop {
            let settled = self.settled.notified();
            if !self.state().repairing {
                return;
            }
            settled.await;
        }
    }

    /// Nobody will follow it by this hub again: what is missing need not be asked for.
    pub(super) fn retire(&self) {
        self.state().is_retired = true;
    }

    /// What is missing now.
    pub(super) fn outcome(&self) -> Outcome {
        self.state().outcome()
    }
}

/// The charge of a hub's repair: one at a time. Dropping it, at any await, gives it up.
pub(super) struct Claim {
    pub(super) hub: Arc<Hub>,
    is_held: bool,
}

impl Claim {
    /// After which change to ask. `None`: nothing is missing any more, and the charge is given up
    /// in the same moment, so that the next hole finds somebody to fill it.
    pub(super) fn missing_after(&mut self) -> Option<Seq> {
        let mut state = self.hub.state();
        match state.outcome() {
            Outcome::Missing(after) if self.is_held && !state.is_retired => Some(after),
            _ => {
                state.repairing &= !self.is_held;
                self.is_held = false;
                drop(state);
                self.hub.settled.notify_waiters();
                None
            }
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if self.is_held {
            self.hub.state().repairing = false;
            self.hub.settled.notify_waiters();
        }
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
        drop(rendered);
        self.keep_recent(seq, event);
    }

    fn keep_recent(&mut self, seq: Seq, event: Event) {
        self.recent_bytes += event.weight();
        self.recent.push_back((seq, event));
        while self.recent.len() > RECENT || self.recent_bytes > RECENT_BYTES {
            let Some((_, oldest)) = self.recent.pop_front() else { break };
            self.recent_bytes -= oldest.weight();
        }
    }

    fn keep_waiting(&mut self, change: Change) {
        let more = change.weight();
        let fits = self.waiting.len() < WAITING && self.waiting_bytes + more <= WAITING_BYTES;
        if fits && !self.waiting.contains_key(&change.seq) {
            self.waiting_bytes += more;
            self.waiting.insert(change.seq, change);
        }
    }

    fn hand_on_waiting(&mut self) {
        while let Some(delivered) = self.delivered
            && self.waiting.first_key_value().is_some_and(|(seq, _)| *seq <= delivered.next())
            && let Some((seq, change)) = self.waiting.pop_first()
        {
            self.waiting_bytes -= change.weight();
            if seq == delivered.next() {
                self.hand_on(change);
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
    fn what_happened_is_told_to_who_listened_then_and_did_not_know() {
        let (hub, first) = hub_with_ear(0);
        let since_first = hub.newest_listens_since().expect("somebody listens");
        let second = Arc::new(Ear::default());
        assert_eq!(hub.join(2, listener(&second), Seq(0)), Outcome::Done);
        let since_second = hub.newest_listens_since().expect("two do");
        assert_eq!(hub.oldest_listens_since(), Some(since_first));
        let event = |seq| Event::Change(change(seq));
        assert!(hub.tell_of(&event(1), None, since_first));
        assert!(hub.tell_of(&event(2), None, since_second));
        assert!(hub.tell_of(&event(3), Some(since_first), since_second));
        assert!(!hub.tell_of(&event(4), Some(since_second), Instant::now()));
        assert_eq!((first.heard(), second.heard()), (vec![1, 2], vec![2, 3]));
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
        let hub = Arc::new(hub);
        let mut claim = hub.claim().expect("something is missing");
        assert!(hub.claim().is_none(), "one at a time");
        for seq in claim.missing_after().expect("still").0 + 1..=last {
            hub.offer(change(seq));
        }
        assert_eq!(claim.missing_after(), None);
        assert_eq!(hub.outcome(), Outcome::Done);
        assert_eq!(ear.heard(), (1..=last).collect::<Vec<_>>());
    }

    #[test]
    fn long_texts_behind_a_hole_are_bounded_by_their_bytes() {
        let (hub, ear) = hub_with_ear(0);
        for seq in 2..=100 {
            hub.offer(testing::post(ConversationId::LOBBY, seq, 64 * 1024));
        }
        let waiting = hub.state().waiting.len();
        let bytes = hub.state().waiting_bytes;
        assert!(waiting < 17 && bytes <= WAITING_BYTES, "{waiting} changes, {bytes} bytes");
        for seq in 1..=100 {
            hub.offer(testing::post(ConversationId::LOBBY, seq, 64 * 1024));
        }
        assert_eq!(ear.heard(), (1..=100).collect::<Vec<_>>());
        let state = hub.state();
        assert_eq!((state.waiting.len(), state.waiting_bytes), (0, 0));
        assert!(!state.recent.is_empty() && state.recent_bytes <= RECENT_BYTES);
    }

    #[test]
    fn one_who_joins_just_behind_a_first_follower_misses_nothing() {
        let (hub, _) = hub_with_ear(10);
        let late = Arc::new(Ear::default());
        assert_eq!(hub.join(2, listener(&late), Seq(9)), Outcome::Missing(Seq(9)));
        assert_eq!(hub.join(2, listener(&late), Seq(10)), Outcome::Done);
    }

    #[tokio::test]
    async fn a_repair_that_is_given_up_half_way_can_begin_again() {
        let (hub, ear) = hub_with_ear(0);
        let hub = Arc::new(hub);
        hub.offer(change(3));
        let mut claim = hub.claim().expect("something is missing");
        assert_eq!(claim.missing_after(), Some(Seq(0)));
        drop(claim);
        hub.repaired().await;
        let mut claim = hub.claim().expect("it still is");
        hub.offer(change(1));
        assert_eq!(claim.missing_after(), Some(Seq(1)), "where it stands now");
        hub.offer(change(2));
        assert_eq!(claim.missing_after(), None);
        hub.offer(change(5));
        let next = hub.claim().expect("the next hole");
        drop(claim);
        assert!(hub.claim().is_none(), "an old charge does not end a new one");
        drop(next);
        assert_eq!(ear.heard(), [1, 2, 3]);
    }

    #[test]
    fn nobody_asks_for_a_hub_that_nobody_follows_any_more() {
        let (hub, _) = hub_with_ear(0);
        let hub = Arc::new(hub);
        hub.offer(change(3));
        let mut claim = hub.claim().expect("something is missing");
        hub.leave(1);
        hub.retire();
        assert_eq!(claim.missing_after(), None);
    }
}
