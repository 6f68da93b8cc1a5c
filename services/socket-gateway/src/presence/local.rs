//! The sockets of this gateway in each place: only a user's first and last matter outside.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use chat_core::{Caller, ConversationId, SocketKey, User, Username};

/// The place of everybody online; no conversation's id looks like it.
pub(super) const ONLINE: &str = "online";

/// Somebody somewhere.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Member {
    /// In a room.
    InRoom(ConversationId, Caller),
    /// Connected at all.
    Online(User),
}

impl Member {
    /// Where: a room's id, or [`ONLINE`].
    pub(super) fn place(&self) -> String {
        match self {
            Self::InRoom(conversation, _) => conversation.to_string(),
            Self::Online(_) => ONLINE.to_owned(),
        }
    }

    /// Who, among users and guests: `u<id>/<name>` or `g/<name>`. No part has a space.
    pub(super) fn key(&self) -> String {
        match self {
            Self::InRoom(_, Caller::User(user)) | Self::Online(user) => {
                format!("u{}/{}", user.id, user.name)
            }
            Self::InRoom(_, Caller::Guest(name)) => format!("g/{}", name.key()),
        }
    }

    /// As listed in Redis: the place, the key, the name that others see.
    pub(super) fn encode(&self) -> String {
        let (Self::InRoom(_, Caller::User(User { name, .. }) | Caller::Guest(name))
        | Self::Online(User { name, .. })) = self;
        format!("{} {} {name}", self.place(), self.key())
    }

    pub(super) fn decode(raw: &str) -> Option<Self> {
        let mut parts = raw.splitn(3, ' ');
        let (place, key, name) = (parts.next()?, parts.next()?, parts.next()?);
        let user = user_of_key(key);
        if place == ONLINE {
            return user.map(Self::Online);
        }
        let who = match user {
            Some(user) => Caller::User(user),
            None => Caller::Guest(Username::parse(name).ok()?),
        };
        Some(Self::InRoom(place.parse().ok()?, who))
    }
}

/// The user that a key stands for; `None` for a guest's.
pub(super) fn user_of_key(key: &str) -> Option<User> {
    let (id, name) = key.strip_prefix('u')?.split_once('/')?;
    Some(User { id: id.parse().ok()?, name: Username::parse(name).ok()? })
}

/// A first or a last socket.
#[derive(Clone, Debug)]
pub(super) enum Move {
    Enter(Member, SocketKey),
    Leave(Member),
}

type Members = HashMap<(String, String), (Member, HashSet<SocketKey>)>;

/// Sockets by member.
#[derive(Default)]
pub(super) struct Local(Mutex<Members>);

impl Local {
    fn lock(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a socket. Runs `first` if it is the user's first there on this gateway: under the
    /// lock, so that what moves is told in the order in which it moved.
    pub(super) fn enter(&self, member: &Member, socket: SocketKey, first: impl FnOnce()) {
        let mut members = self.lock();
        let key = (member.place(), member.key());
        let (_, sockets) = members.entry(key).or_insert_with(|| (member.clone(), HashSet::new()));
        if sockets.insert(socket) && sockets.len() == 1 {
            first();
        }
    }

    /// Removes a socket. Runs `last`, under the lock, if it was the user's last there on this
    /// gateway.
    pub(super) fn leave(&self, member: &Member, socket: SocketKey, last: impl FnOnce()) {
        let mut members = self.lock();
        let key = (member.place(), member.key());
        let Some((_, sockets)) = members.get_mut(&key) else { return };
        if sockets.remove(&socket) && sockets.is_empty() {
            members.remove(&key);
            last();
        }
    }

    /// Runs `gone`, under the lock, if the user has no socket there on this gateway.
    pub(super) fn if_gone(&self, member: &Member, gone: impl FnOnce()) {
        let members = self.lock();
        if !members.contains_key(&(member.place(), member.key())) {
            gone();
        }
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
    use std::cell::Cell;

    use super::*;

    fn member(name: &str) -> Member {
        let name = Username::parse(name).expect("a name");
        Member::InRoom(ConversationId::LOBBY, Caller::Guest(name))
    }

    #[test]
    fn only_the_first_and_the_last_socket_of_a_user_count() {
        let (local, alice) = (Local::default(), member("alice"));
        let [one, two] = [1, 2].map(|number| SocketKey { gateway: 1, number });
        let (firsts, lasts) = (Cell::new(0), Cell::new(0));
        let enter = |socket| local.enter(&alice, socket, || firsts.set(firsts.get() + 1));
        let leave = |socket| local.leave(&alice, socket, || lasts.set(lasts.get() + 1));
        [one, two, one].into_iter().for_each(enter);
        [one, one].into_iter().for_each(leave);
        assert_eq!((firsts.get(), lasts.get()), (1, 0));
        leave(two);
        assert_eq!((firsts.get(), lasts.get()), (1, 1));
        assert!(local.members().is_empty());
    }

    #[test]
    fn members_survive_the_trip_through_redis() {
        let user = User { id: chat_core::UserId(7), name: Username::parse("bob").expect("a name") };
        for member in [member("Alice.B"), Member::Online(user)] {
            assert_eq!(Member::decode(&member.encode()), Some(member));
        }
        assert_eq!(Member::decode("lobby"), None);
    }
}
