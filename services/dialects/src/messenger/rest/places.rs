//! Places for files that come in, each of which is held in memory: so many at once, fairly shared.
//! While all are taken, whoever holds more than their share gives way to those who hold less, so that
//! a few who send slowly can't keep everybody else out.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chat_core::{ChatError, Code, Result, UserId};
use tokio::{sync::Notify, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::address::Address;

/// How long an upload waits for a place.
const WAIT: Duration = Duration::from_secs(5);

/// Who holds so many more than somebody who comes gives one of them up.
const MORE: usize = 2;

/// All places.
pub(super) struct Places {
    most: usize,
    held: Mutex<Vec<Held>>,
    freed: Notify,
}

/// Whose a place is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub user: UserId,
    pub from: Address,
}

struct Held {
    owner: Owner,
    gives_way: CancellationToken,
}

/// A place, until it is dropped.
pub(super) struct Place<'a> {
    places: &'a Places,
    gives_way: CancellationToken,
}

impl Places {
    /// So many.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, held: Mutex::new(Vec::new()), freed: Notify::const_new() }
    }

    /// Waits for a place.
    pub(super) async fn take(&self, owner: Owner) -> Result<Place<'_>> {
        let taking = async {
            loop {
                let freed = self.freed.notified();
                match self.try_take(owner) {
                    Some(place) => return place,
                    None => freed.await,
                }
            }
        };
        timeout(WAIT, taking).await.map_err(|_| full())
    }

    fn held(&self) -> MutexGuard<'_, Vec<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn try_take(&self, owner: Owner) -> Option<Place<'_>> {
        let mut held = self.held();
        if held.len() == self.most {
            make_way(&held, owner);
            return None;
        }
        let gives_way = CancellationToken::new();
        held.push(Held { owner, gives_way: gives_way.clone() });
        Some(Place { places: self, gives_way })
    }
}

/// Tells the oldest place of whoever holds most to give way, if that is more than a fair share:
/// more than this user's, or more than this address's.
fn make_way(held: &[Held], owner: Owner) {
    let staying = || held.iter().filter(|held| !held.gives_way.is_cancelled());
    let of_user = |user| staying().filter(|held| held.owner.user == user).count();
    let of_address = |from| staying().filter(|held| held.owner.from == from).count();
    let (mine, ours) = (of_user(owner.user), of_address(owner.from));
    // The first of equals: they stand in the order in which they came.
    let by_user = staying().rev().max_by_key(|held| of_user(held.owner.user));
    let by_address = staying().rev().max_by_key(|held| of_address(held.owner.from));
    let by_user = by_user.filter(|held| of_user(held.owner.user) >= mine + MORE);
    let by_address = by_address.filter(|held| of_address(held.owner.from) >= ours + MORE);
    if let Some(held) = by_user.or(by_address) {
        held.gives_way.cancel();
    }
}

fn full() -> ChatError {
    ChatError::new(Code::Unavailable, "too many uploads at once, try again")
}

impl Place<'_> {
    /// Lets something be done in this place, unless it has to give way.
    pub(super) async fn unless_others_need_it<T>(
        &self,
        work: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        tokio::select! {
            () = self.gives_way.cancelled() => Err(full()),
            done = work => done,
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        // Each has a token of its own, which only its place and its entry know.
        self.gives_way.cancel();
        let mut held = self.places.held();
        let mine = held.iter().position(|held| held.gives_way == self.gives_way);
        mine.map(|at| held.remove(at));
        drop(held);
        self.places.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    fn owner(user: u64, from: u8) -> Owner {
        let from = Address::of([192, 0, 2, from].into(), &HeaderMap::new(), 0);
        Owner { user: UserId(user), from }
    }

    /// Takes them all, and gives each up as soon as it is told to.
    async fn hog(places: &Places, owners: impl Iterator<Item = Owner>) {
        let all = owners.map(async |owner| {
            let place = places.take(owner).await.expect("a place");
            let forever = std::future::pending::<Result<()>>();
            place.unless_others_need_it(forever).await.expect_err("told to go");
        });
        futures_util::future::join_all(all).await;
        std::future::pending().await
    }

    async fn comes(owners: impl Iterator<Item = Owner>, owner: Owner) -> bool {
        let places = Places::new(4);
        tokio::select! {
            biased;
            () = hog(&places, owners) => false,
            place = places.take(owner) => place.is_ok(),
        }
    }

    #[tokio::test]
    async fn who_holds_more_gives_way() {
        let two_users = (0..4).map(|n| owner(n % 2, 1));
        assert!(comes(two_users, owner(9, 1)).await, "from the same address");
        let one_address = (0..4).map(|n| owner(n, 1));
        assert!(comes(one_address, owner(9, 2)).await, "many accounts");
    }

    #[tokio::test]
    async fn who_holds_as_much_as_others_waits() {
        let places = Places::new(2);
        let first = places.take(owner(1, 1)).await.expect("a place");
        let second = places.take(owner(2, 2)).await.expect("a place");
        assert!(places.try_take(owner(3, 3)).is_none());
        let stays = |place: &Place<'_>| !place.gives_way.is_cancelled();
        assert!(stays(&first) && stays(&second));
        drop(first);
        let third = places.take(owner(3, 3)).await.expect("it came free");
        assert!(stays(&second) && stays(&third));
    }
}
