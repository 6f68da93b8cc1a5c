//! All directs of one user, as one stream for each of their sockets here.
//!
//! Redis has one topic for a user, not one for each of their directs: most directs sleep. The
//! first change of one wakes it: from then on it has a [`Hub`] like any followed conversation,
//! which begins where the direct stood when the user connected. A look at all directs now and
//! then finds what the topic lost.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chat_core::{
    Caller, Change, Conversation, ConversationId, Listener, Seq, User, chat::DIRECTS_MAX,
};

use super::hub::{Hub, Outcome};

/// A user's directs, and their sockets here.
pub(super) struct Inbox {
    pub(super) user: User,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Where each direct stood when it was last looked at; directs that sleep have only this.
    seen: HashMap<ConversationId, Seq>,
    /// From the first look on, a direct that was not there before has begun since.
    was_looked_at: bool,
    /// Are these all? If not, where others begin is not known.
    is_complete: bool,
    awake: HashMap<ConversationId, Arc<Hub>>,
    listeners: HashMap<u64, Listener>,
}

impl Inbox {
    pub(super) fn new(user: &User) -> Self {
        Self { user: user.clone(), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who asks for this user's directs.
    pub(super) fn caller(&self) -> Caller {
        Caller::User(self.user.clone())
    }

    /// Takes a change of one of the directs. Answers its hub if something is missing.
    pub(super) fn offer(&self, change: Change) -> Option<Arc<Hub>> {
        let hub = self.state().wake(change.conversation, change.seq);
        (hub.offer(change) != Outcome::Done).then_some(hub)
    }

    /// Looks at how far all the directs have come. Answers the hubs where something is missing.
    pub(super) fn look(&self, directs: &[Conversation]) -> Vec<Arc<Hub>> {
        let mut state = self.state();
        let is_first = !std::mem::replace(&mut state.was_looked_at, true);
        state.is_complete |= directs.len() < DIRECTS_MAX as usize;
        let mut behind = Vec::new();
        for direct in directs {
            let seen = state.seen.get(&direct.id).copied();
            if let Some(hub) = state.awake.get(&direct.id) {
                if hub.learn_head(direct.head) != Outcome::Done {
                    behind.push(Arc::clone(hub));
                }
            } else if is_first || seen == Some(direct.head) {
                state.seen.insert(direct.id, direct.head);
            } else {
                let hub = state.wake(direct.id, direct.head.next());
                if hub.learn_head(direct.head) != Outcome::Done {
                    behind.push(hub);
                }
            }
        }
        behind
    }

    /// Adds a socket, which hears what comes from now on.
    pub(super) fn join(&self, number: u64, listener: Listener) {
        let mut state = self.state();
        for hub in state.awake.values() {
            let now = hub.delivered().unwrap_or(Seq::START);
            hub.join(number, listener.clone(), now);
        }
        state.listeners.insert(number, listener);
    }

    /// Removes a socket.
    pub(super) fn leave(&self, number: u64) {
        let mut state = self.state();
        state.listeners.remove(&number);
        for hub in state.awake.values() {
            hub.leave(number);
        }
    }

    /// Nobody uses it any more.
    pub(super) fn retire(&self) {
        self.state().awake.values().for_each(|hub| hub.retire());
    }

    /// The directs that are awake.
    pub(super) fn awake(&self) -> Vec<Arc<Hub>> {
        self.state().awake.values().cloned().collect()
    }
}

impl State {
    /// The hub of a direct of which `next` has just come or is still to come.
    fn wake(&mut self, direct: ConversationId, next: Seq) -> Arc<Hub> {
        if let Some(hub) = self.awake.get(&direct) {
            return Arc::clone(hub);
        }
        let begin = match self.seen.remove(&direct) {
            Some(seen) => seen,
            // It has begun since: all of it is news.
            None if self.is_complete => Seq::START,
            None => Seq(next.0.saturating_sub(1)),
        };
        let hub = Arc::new(Hub::starting_at(direct, begin));
        for (number, listener) in &self.listeners {
            hub.join(*number, listener.clone(), begin);
        }
        self.awake.insert(direct, Arc::clone(&hub));
        hub
    }
}

#[cfg(test)]
mod tests {
    use chat_core::{ConversationKind, UserId, Username, clock};

    use super::*;
    use crate::feed::testing::{self, Ear, listener};

    fn joined(inbox: &Inbox, number: u64) -> Arc<Ear> {
        let ear = Arc::new(Ear::default());
        inbox.join(number, listener(&ear));
        ear
    }

    fn user(id: u64) -> User {
        User { id: UserId(id), name: Username::parse(&format!("user{id}")).unwrap() }
    }

    fn direct(raw: u64, head: u64) -> Conversation {
        Conversation {
            id: ConversationId::from_raw(raw),
            kind: ConversationKind::Direct { peers: Box::new([user(1), user(2)]) },
            title: String::new(),
            created_by: None,
            created_at: clock::now(),
            head: Seq(head),
            message_count: head,
        }
    }

    fn change(raw: u64, seq: u64) -> Change {
        testing::change(ConversationId::from_raw(raw), seq)
    }

    #[test]
    fn a_direct_begins_where_it_stood_and_a_new_one_at_its_first_change() {
        let inbox = Inbox::new(&user(1));
        assert!(inbox.look(&[direct(7, 5)]).is_empty());
        let ear = joined(&inbox, 1);
        assert!(inbox.offer(change(7, 6)).is_none());
        assert!(inbox.offer(change(8, 1)).is_none());
        assert!(inbox.offer(change(8, 3)).is_some(), "2 is missing");
        assert!(inbox.offer(change(7, 6)).is_none());
        assert!(inbox.offer(change(8, 2)).is_none());
        assert_eq!(ear.heard(), [6, 1, 2, 3]);
    }

    #[test]
    fn a_look_finds_what_the_topic_lost() {
        let inbox = Inbox::new(&user(1));
        inbox.look(&[direct(7, 5)]);
        let ear = joined(&inbox, 1);
        let behind = inbox.look(&[direct(7, 6), direct(8, 1)]);
        assert_eq!(behind.len(), 2);
        assert_eq!(behind[0].outcome(), Outcome::Missing(Seq(5)));
        assert_eq!(behind[1].outcome(), Outcome::Missing(Seq::START));
        behind[0].offer(change(7, 6));
        behind[1].offer(change(8, 1));
        assert_eq!(ear.heard(), [6, 1]);
        assert!(inbox.look(&[direct(7, 6), direct(8, 1)]).is_empty());
    }

    #[test]
    fn the_first_direct_of_all_may_begin_while_the_topic_is_lost() {
        let inbox = Inbox::new(&user(1));
        inbox.look(&[]);
        let ear = joined(&inbox, 1);
        let behind = inbox.look(&[direct(7, 1)]);
        assert_eq!(behind.len(), 1);
        behind[0].offer(change(7, 1));
        assert_eq!(ear.heard(), [1]);
    }

    #[test]
    fn what_comes_before_the_first_socket_is_not_told_to_it_as_news() {
        let inbox = Inbox::new(&user(1));
        inbox.look(&[direct(7, 5)]);
        assert!(inbox.offer(change(7, 6)).is_none());
        let ear = joined(&inbox, 1);
        assert!(inbox.offer(change(7, 7)).is_none(), "nothing is missing");
        assert_eq!(ear.heard(), [7]);
    }

    #[test]
    fn a_second_socket_hears_only_what_comes_after_it() {
        let inbox = Inbox::new(&user(1));
        inbox.look(&[]);
        let first = joined(&inbox, 1);
        inbox.offer(change(7, 1));
        let second = joined(&inbox, 2);
        inbox.offer(change(7, 2));
        inbox.leave(1);
        inbox.offer(change(7, 3));
        assert_eq!((first.heard(), second.heard()), (vec![1, 2], vec![2, 3]));
    }
}
