//! Whom a user may write to: the list in `storeUsername`. Everybody's part of it is the same for
//! all, so that thousands who come back at once share a few reads.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use chat_core::{Caller, Chat, ConversationKind, User, UserId, chat::DIRECTS_MAX};
use tokio::sync::Mutex;

use crate::socket::Client;

/// Most users in `storeUsername`.
const USERS_MAX: usize = 1_000;

/// One read at a time; who comes during one shares the next. So nobody gets what was read before
/// it asked.
#[derive(Default)]
pub(super) struct Everybody {
    /// Reads that have begun.
    begun: AtomicU64,
    /// The last, and what it brought.
    last: Mutex<Read>,
}

#[derive(Default)]
struct Read {
    number: u64,
    /// `None`: it failed, for all who waited for it.
    users: Option<Arc<[User]>>,
}

impl Everybody {
    /// Those online first, then those talked with, then the others; as many as fit.
    pub(super) async fn known_to(&self, client: &Client, user: &User) -> Vec<User> {
        let (chat, caller) = (&*client.ports.chat, Caller::User(user.clone()));
        let mut users = Few::default();
        users.extend(client.ports.feed.roster().first(USERS_MAX));
        if users.has_room() {
            match chat.directs(&caller, DIRECTS_MAX).await {
                Ok(directs) => {
                    users.extend(directs.into_iter().flat_map(|direct| match direct.kind {
                        ConversationKind::Direct { peers } => peers.to_vec(),
                        _ => Vec::new(),
                    }))
                }
                Err(error) => tracing::debug!(%error, "a user list without those talked with"),
            }
        }
        if users.has_room()
            && let Some(everybody) = self.read(chat).await
        {
            users.extend(everybody.iter().cloned());
        }
        users.list
    }

    async fn read(&self, chat: &dyn Chat) -> Option<Arc<[User]>> {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut last = self.last.lock().await;
        if last.number <= begun {
            let number = self.begun.fetch_add(1, Ordering::SeqCst) + 1;
            let page = chat.users(None, u32::try_from(USERS_MAX).unwrap_or(u32::MAX)).await;
            let page = page.inspect_err(|error| {
                tracing::debug!(%error, "a user list of those online alone");
            });
            *last = Read { number, users: page.ok().map(|page| page.users.into()) };
        }
        last.users.clone()
    }
}

/// Users, each once, in the order in which they came, so many at most.
#[derive(Default)]
struct Few {
    list: Vec<User>,
    known: HashSet<UserId>,
}

impl Few {
    fn has_room(&self) -> bool {
        self.list.len() < USERS_MAX
    }

    fn extend(&mut self, users: impl IntoIterator<Item = User>) {
        for user in users {
            if self.has_room() && self.known.insert(user.id) {
                self.list.push(user);
            }
        }
    }
}
