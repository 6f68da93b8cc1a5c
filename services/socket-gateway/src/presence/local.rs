//! The sockets of this gateway in each room: only a user's first and last matter outside.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chat_core::{Caller, ConversationId, SocketKey, Username};

/// Somebody in a room.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Member {
    /// Which room.
    pub conversation: ConversationId,
    /// Who, among users and guests: `u` and the id, or `g` and the lower-case name.
    pub key: String,
    /// The name that others see.
    pub name: Username,
}

impl Member {
    pub(super) fn new(conversation: ConversationId, who: &Caller) -> Self {
        let key = match who {
            Caller::User(user) => format!("u{}", user.id),
            Caller::Guest(name) => format!("g{}", name.key()),
        };
        Self { conversation, key, name: who.name().clone() }
    }

    /// As listed in Redis. Neither part has a space.
    pub(super) fn encode(&self) -> String {
        format!("{} {} {}", self.conversation, self.key, self.name)
    }

    pub(super) fn decode(raw: &str) -> Option<Self> {
        let mut parts = raw.splitn(3, ' ');
        Some(Self {
            conversation: parts.next()?.parse().ok()?,
            key: parts.next()?.to_owned(),
            name: Username::parse(parts.next()?).ok()?,
        })
    }
}

/// A first or a last socket.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Enter(Member, SocketKey),
    Leave(Member),
}

type Members = HashMap<(ConversationId, String), (Member, HashSet<SocketKey>)>;

/// Sockets by member.
#[derive(Default)]
pub(super) struct Local(Mutex<Members>);

impl Local {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is it the user's first socket in the room here?
    pub(super) fn enter(&self, member: &Member, socket: SocketKey) -> bool {
        let mut members = self.lock();
        let key = (member.conversation, member.key.clone());
        let (_, sockets) = members.entry(key).or_insert_with(|| (member.clone(), HashSet::new()));
        sockets.insert(socket) && sockets.len() == 1
    }

    /// Was it the user's last socket in the room here?
    pub(super) fn leave(&self, member: &Member, socket: SocketKey) -> bool {
        let mut members = self.lock();
        let key = (member.conversation, member.key.clone());
        let Some((_, sockets)) = members.get_mut(&key) else { return false };
        let was_last = sockets.remove(&socket) && sockets.is_empty();
        if was_last {
            members.remove(&key);
        }
        was_last
    }

    /// Everybody here, each with one of their sockets.
    pub(super) fn members(&self) -> Vec<(Member, SocketKey)> {
        let members = self.lock();
        let with_socket = |(member, sockets): &(Member, HashSet<SocketKey>)| {
            sockets.iter().next().map(|socket| (member.clone(), *socket))
        };
        members.values().filter_map(with_socket).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Member {
        let name = Username::parse(name).expect("a name");
        Member::new(ConversationId::LOBBY, &Caller::Guest(name))
    }

    #[test]
    fn only_the_first_and_the_last_socket_of_a_user_count() {
        let (local, alice) = (Local::default(), member("alice"));
        let [one, two] = [1, 2].map(|number| SocketKey { gateway: 1, number });
        assert!(local.enter(&alice, one));
        assert!(!local.enter(&alice, two));
        assert!(!local.enter(&alice, one));
        assert!(!local.leave(&alice, one));
        assert!(!local.leave(&alice, one));
        assert!(local.leave(&alice, two));
        assert!(local.members().is_empty());
    }

    #[test]
    fn members_survive_the_trip_through_redis() {
        let alice = member("Alice.B");
        assert_eq!(Member::decode(&alice.encode()), Some(alice));
        assert_eq!(Member::decode("lobby"), None);
    }
}
