//! The sockets of this gateway in each place, and what Redis has been told of them.
//!
//! Redis is told states, not steps: a member whose state differs from what was told waits in a
//! queue, once, however often it came and went. So the queue is bounded by the members, also
//! while Redis is slow or away, and after any doubt all can be told again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chat_core::SocketKey;
use tokio::{sync::Notify, time::sleep};

use super::member::{Member, Place};

/// How often a stop looks whether the last socket is gone.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A member of whom Redis must hear.
#[derive(Debug)]
pub(super) struct Move {
    pub(super) member: Member,
    /// The first socket there; `None`: there is none any more.
    pub(super) origin: Option<SocketKey>,
    /// How long ago Redis heard of it, if it has forgotten that; else nothing.
    pub(super) ago: Duration,
}

#[derive(Debug)]
struct Entry {
    member: Member,
    /// In the order in which they came.
    sockets: Vec<SocketKey>,
    /// Since when it is here, if it is.
    since: Instant,
    /// How often the last socket went.
    absence: u64,
    /// Counts as here though the last socket is gone: it may be back in a moment.
    held: bool,
    /// Redis was told that it is here.
    told: bool,
    /// Since when others have known that it is here, whatever Redis forgets.
    known: Option<Instant>,
    /// In the queue.
    waits: bool,
}

impl Entry {
    fn absent(member: Member) -> Self {
        Self {
            member,
            sockets: Vec::new(),
            since: Instant::now(),
            absence: 0,
            held: false,
            told: false,
            known: None,
            waits: false,
        }
    }

    const fn is_here(&self) -> bool {
        !self.sockets.is_empty() || self.held
    }
}

#[derive(Default)]
struct State {
    places: HashMap<Place, HashMap<String, Entry>>,
    waiting: VecDeque<(Place, String)>,
}

/// Members and their sockets.
#[derive(Default)]
pub(super) struct Local {
    state: Mutex<State>,
    changed: Notify,
}

impl Local {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a socket.
    pub(super) fn enter(&self, member: Member, socket: SocketKey) {
        let mut state = self.state();
        let (place, field) = (member.place(), member.field());
        let entries = state.places.entry(place).or_default();
        let entry = entries.entry(field.clone()).or_insert_with(|| Entry::absent(member));
        if !entry.is_here() {
            entry.since = Instant::now();
        }
        if !entry.sockets.contains(&socket) {
            entry.sockets.push(socket);
        }
        entry.held = false;
        state.settle(place, field);
        drop(state);
        self.changed.notify_one();
    }

    /// Removes a socket. If it was the last and is to be held, the member counts as here until
    /// [`Local::let_go`] of the number answered, or until a socket comes back.
    pub(super) fn leave(&self, member: &Member, socket: SocketKey, hold: bool) -> Option<u64> {
        let mut state = self.state();
        let (place, field) = (member.place(), member.field());
        let entry = state.places.get_mut(&place)?.get_mut(&field)?;
        let at = entry.sockets.iter().position(|known| *known == socket)?;
        entry.sockets.remove(at);
        if !entry.sockets.is_empty() {
            return None;
        }
        entry.absence += 1;
        entry.held = hold;
        let absence = entry.absence;
        if hold {
            return Some(absence);
        }
        state.settle(place, field);
        drop(state);
        self.changed.notify_one();
        None
    }

    /// Ends the holding of a member that has not been back since.
    pub(super) fn let_go(&self, member: &Member, absence: u64) {
        let mut state = self.state();
        let (place, field) = (member.place(), member.field());
        let entry = state.places.get_mut(&place).and_then(|entries| entries.get_mut(&field));
        let Some(entry) = entry else { return };
        if entry.held && entry.absence == absence {
            entry.held = false;
            state.settle(place, field);
            drop(state);
            self.changed.notify_one();
        }
    }

    /// Waits until somebody waits.
    pub(super) async fn changed(&self) {
        while self.state().waiting.is_empty() {
            self.changed.notified().await;
        }
    }

    /// Takes some of those that wait, oldest first. They count as told: who can't tell them must
    /// [`Local::reconcile`].
    pub(super) fn take(&self, most: usize) -> Vec<Move> {
        let mut state = self.state();
        let mut moves = Vec::new();
        while moves.len() < most
            && let Some((place, field)) = state.waiting.pop_front()
        {
            let entry = state.places.get_mut(&place).and_then(|entries| entries.get_mut(&field));
            let Some(entry) = entry else { continue };
            entry.waits = false;
            if entry.is_here() != entry.told {
                entry.told = entry.is_here();
                // Who is held has no socket, and is in no room.
                let first = || entry.sockets.first().copied().unwrap_or(NO_SOCKET);
                let origin = entry.told.then(first);
                let ago = entry.known.map(|known| known.elapsed()).unwrap_or_default();
                entry.known = entry.told.then(|| entry.known.unwrap_or_else(Instant::now));
                moves.push(Move { member: entry.member.clone(), origin, ago });
            }
            state.settle(place, field);
        }
        moves
    }

    /// Others count nobody as here any more of whom they knew.
    pub(super) fn lapse(&self) {
        let mut state = self.state();
        let entries = state.places.values_mut().flat_map(HashMap::values_mut);
        entries.for_each(|entry| entry.known = None);
    }

    /// Learns whom Redis lists here, and queues all that is otherwise. Answers how many. Whom it
    /// should list and does not has left for the others, unless Redis `is_emptied`.
    pub(super) fn reconcile(&self, listed: Vec<Member>, is_emptied: bool) -> usize {
        let mut state = self.state();
        state.places.values_mut().flat_map(HashMap::values_mut).for_each(|entry| {
            entry.told = false;
        });
        for member in listed {
            let entries = state.places.entry(member.place()).or_default();
            let entry =
                entries.entry(member.field()).or_insert_with(|| Entry::absent(member.clone()));
            // By the name, in the letter case, that is listed: it will be taken off the list by it.
            (entry.member, entry.told) = (member, true);
            entry.known.get_or_insert_with(Instant::now);
        }
        if !is_emptied {
            let entries = state.places.values_mut().flat_map(HashMap::values_mut);
            entries.filter(|entry| !entry.told).for_each(|entry| entry.known = None);
        }
        let all = state
            .places
            .iter()
            .flat_map(|(place, entries)| entries.keys().map(|field| (*place, field.clone())));
        for (place, field) in all.collect::<Vec<_>>() {
            state.settle(place, field);
        }
        let waiting = state.waiting.len();
        drop(state);
        self.changed.notify_one();
        waiting
    }

    /// One of the member's sockets there.
    pub(super) fn socket(&self, place: Place, field: &str) -> Option<SocketKey> {
        self.state().places.get(&place)?.get(field)?.sockets.first().copied()
    }

    /// Since when is the member of this field here?
    pub(super) fn here_since(&self, place: Place, field: &str) -> Option<Instant> {
        let state = self.state();
        let entry = state.places.get(&place)?.get(field)?;
        entry.is_here().then_some(entry.since)
    }

    /// Has anybody a socket anywhere here?
    pub(super) fn has_sockets(&self) -> bool {
        let state = self.state();
        state.places.values().flat_map(HashMap::values).any(|entry| !entry.sockets.is_empty())
    }

    /// Waits until nobody has.
    pub(super) async fn emptied(&self) {
        while self.has_sockets() {
            sleep(LOOK_EVERY).await;
        }
    }

    /// How many are in rooms, how many are online, how many of all wait.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let state = self.state();
        let online = state.places.get(&Place::Online).map_or(0, HashMap::len);
        let all: usize = state.places.values().map(HashMap::len).sum();
        (all - online, online, state.waiting.len())
    }
}

/// No socket of any gateway.
pub(super) const NO_SOCKET: SocketKey = SocketKey { gateway: 0, number: 0 };

impl State {
    /// Queues a member if Redis must hear of it, and forgets it if nobody needs it any more.
    fn settle(&mut self, place: Place, field: String) {
        let Some(entries) = self.places.get_mut(&place) else { return };
        let Some(entry) = entries.get_mut(&field) else { return };
        if entry.waits {
            return;
        }
        if entry.is_here() != entry.told {
            entry.waits = true;
            self.waiting.push_back((place, field));
        } else if !entry.told {
            entries.remove(&field);
            if entries.is_empty() {
                self.places.remove(&place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chat_core::{ConversationId, Username};

    use super::*;

    fn member(name: &str) -> Member {
        Member::InRoom(ConversationId::LOBBY, Username::parse(name).expect("a name"))
    }

    fn socket(number: u64) -> SocketKey {
        SocketKey { gateway: 1, number }
    }

    fn moves(local: &Local) -> Vec<(String, bool)> {
        let taken = local.take(100).into_iter();
        taken.map(|moved| (moved.member.field(), moved.origin.is_some())).collect()
    }

    #[test]
    fn only_the_first_and_the_last_socket_of_a_user_count() {
        let local = Local::default();
        for number in [1, 2, 1] {
            local.enter(member("alice"), socket(number));
        }
        assert_eq!(moves(&local), [("alice".to_owned(), true)]);
        for number in [1, 1] {
            local.leave(&member("Alice"), socket(number), false);
        }
        assert_eq!(moves(&local), []);
        local.leave(&member("alice"), socket(2), false);
        assert_eq!(moves(&local), [("alice".to_owned(), false)]);
        assert_eq!(local.counts(), (0, 0, 0));
    }

    #[test]
    fn what_waits_is_bounded_by_the_members_however_often_they_move() {
        let local = Local::default();
        for number in 0..1_000 {
            local.enter(member("alice"), socket(number));
            local.leave(&member("alice"), socket(number), false);
        }
        assert_eq!(local.counts().2, 1);
        assert_eq!(moves(&local), []);
        assert_eq!(local.counts(), (0, 0, 0));
    }

    #[test]
    fn who_comes_back_while_held_was_never_gone() {
        let local = Local::default();
        local.enter(member("alice"), socket(1));
        moves(&local);
        let first = local.leave(&member("alice"), socket(1), true).expect("held");
        local.enter(member("alice"), socket(2));
        let second = local.leave(&member("alice"), socket(2), true).expect("held");
        local.let_go(&member("alice"), first);
        assert_eq!(moves(&local), []);
        local.let_go(&member("alice"), second);
        assert_eq!(moves(&local), [("alice".to_owned(), false)]);
    }

    #[tokio::test]
    async fn who_is_held_has_no_socket_that_a_stop_would_wait_for() {
        let local = Local::default();
        assert!(!local.has_sockets());
        local.enter(member("alice"), socket(1));
        local.enter(member("bob"), socket(2));
        local.leave(&member("bob"), socket(2), true);
        assert!(local.has_sockets());
        local.leave(&member("alice"), socket(1), true);
        assert!(!local.has_sockets());
        local.emptied().await;
    }

    #[test]
    fn after_a_doubt_all_that_differs_is_told_again() {
        let local = Local::default();
        local.enter(member("alice"), socket(1));
        local.enter(member("bob"), socket(2));
        moves(&local);
        local.reconcile(vec![member("Bob"), member("carol")], false);
        let mut told = moves(&local);
        told.sort();
        assert_eq!(told, [("alice".to_owned(), true), ("carol".to_owned(), false)]);
        local.leave(&member("bob"), socket(2), false);
        assert_eq!(local.take(1)[0].member.name().as_str(), "Bob", "as Redis lists him");
    }

    #[test]
    fn what_redis_forgot_is_told_with_its_age_unless_others_have_counted_it_as_gone() {
        let local = Local::default();
        local.enter(member("alice"), socket(1));
        let told = |what: &str| {
            let moves = local.take(100);
            assert_eq!(moves.len(), 1, "{what}");
            moves[0].ago
        };
        assert_eq!(told("at first"), Duration::ZERO);
        local.reconcile(Vec::new(), true);
        let ago = told("after Redis was emptied");
        assert!(ago > Duration::ZERO);
        local.reconcile(Vec::new(), true);
        assert!(told("after it was emptied again") > ago);
        local.reconcile(Vec::new(), false);
        assert_eq!(told("after the others took her off the list"), Duration::ZERO);
        local.lapse();
        local.reconcile(Vec::new(), true);
        assert_eq!(told("after a lapse"), Duration::ZERO);
        local.leave(&member("alice"), socket(1), false);
        local.take(100);
        local.enter(member("alice"), socket(2));
        assert_eq!(told("as she comes back"), Duration::ZERO);
    }
}
