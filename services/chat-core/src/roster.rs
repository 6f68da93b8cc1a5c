//! Who is online, on any replica, as one gateway knows it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock, RwLockReadGuard},
};

use tokio::sync::watch;

use crate::{ids::UserId, model::User};

#[derive(Debug, Default)]
struct Users {
    by_id: HashMap<UserId, User>,
    /// Sorted without regard to case.
    by_name: BTreeMap<String, User>,
}

/// The users with a socket open anywhere, in any protocol.
#[derive(Debug)]
pub struct Roster {
    users: RwLock<Users>,
    version: watch::Sender<u64>,
}

impl Default for Roster {
    fn default() -> Self {
        Self { users: RwLock::default(), version: watch::Sender::new(0) }
    }
}

impl Roster {
    fn read(&self) -> RwLockReadGuard<'_, Users> {
        self.users.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Is this user online?
    #[must_use]
    pub fn is_online(&self, user: UserId) -> bool {
        self.read().by_id.contains_key(&user)
    }

    /// The first of those online, sorted by name without regard to case; so many at most.
    #[must_use]
    pub fn first(&self, most: usize) -> Vec<User> {
        self.read().by_name.values().take(most).cloned().collect()
    }

    /// How many are online.
    #[must_use]
    pub fn len(&self) -> usize {
        self.read().by_id.len()
    }

    /// Is nobody online?
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Changes whenever somebody comes or goes.
    #[must_use]
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    /// Notes that a user is online, or is not. Is that news?
    pub fn note(&self, user: &User, online: bool) -> bool {
        let mut users = self.users.write().unwrap_or_else(PoisonError::into_inner);
        let was_online = users.by_id.contains_key(&user.id);
        if was_online == online {
            return false;
        }
        if online {
            users.by_id.insert(user.id, user.clone());
            users.by_name.insert(user.name.key(), user.clone());
        } else {
            users.by_id.remove(&user.id);
            users.by_name.remove(&user.name.key());
        }
        drop(users);
        self.version.send_modify(|version| *version += 1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::Username;

    #[test]
    fn each_user_is_there_once_and_sorted() {
        let user = |id, name| User { id: UserId(id), name: Username::parse(name).expect("a name") };
        let (roster, [bob, alice]) = (Roster::default(), [user(1, "bob"), user(2, "Alice")]);
        let version = roster.version();
        assert!(roster.note(&bob, true) && roster.note(&alice, true) && !roster.note(&bob, true));
        assert_eq!(roster.first(9), [alice.clone(), bob.clone()]);
        assert_eq!(roster.first(1), std::slice::from_ref(&alice));
        assert!(roster.note(&bob, false) && !roster.note(&bob, false));
        assert!(!roster.is_online(bob.id) && roster.is_online(alice.id));
        assert!(version.has_changed().expect("the roster is there"));
    }
}
