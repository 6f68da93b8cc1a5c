//! What each has used of what he may, by whose it is. A purse is kept until it is full again: who
//! goes and comes back finds the one that he left.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chat_core::UserId;

use crate::{address::Address, allowance::Class, pace::Rate};

/// Purses that are kept before anybody looks which of them are full again.
const FEW: usize = 1_024;

/// Whose purse it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// Of a user, wherever he comes from.
    User(UserId),
    /// Of all who come from there without a session: guests, and who shows what is worth nothing.
    Address(Address),
}

impl Owner {
    /// The user's, if it is one.
    #[must_use]
    pub fn of(user: Option<UserId>, from: Address) -> Self {
        user.map_or(Self::Address(from), Self::User)
    }
}

/// By class, the moment at which everything is free again.
#[derive(Debug)]
pub(crate) struct Used(Mutex<[Instant; 3]>);

impl Used {
    pub(crate) fn nothing() -> Self {
        Self(Mutex::new([Instant::now(); 3]))
    }

    /// Takes one of a class. The error is how long it takes until there is one.
    pub(crate) fn take(&self, class: Class, rate: Rate, now: Instant) -> Result<(), Duration> {
        rate.take(&mut self.moments()[class as usize], now)
    }

    /// Takes one of a class, if `also` can be had too.
    pub(crate) fn take_with(
        &self,
        class: Class,
        rate: Rate,
        now: Instant,
        also: impl FnOnce() -> Result<(), Duration>,
    ) -> Result<(), Duration> {
        let mut moments = self.moments();
        let mut after = moments[class as usize];
        rate.take(&mut after, now)?;
        also()?;
        moments[class as usize] = after;
        Ok(())
    }

    fn is_nothing(&self, now: Instant) -> bool {
        self.moments().iter().all(|free_at| *free_at <= now)
    }

    fn moments(&self) -> MutexGuard<'_, [Instant; 3]> {
        lock(&self.0)
    }
}

/// Everybody's purses.
#[derive(Debug, Default)]
pub(crate) struct Purses(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    purses: HashMap<Owner, Purse>,
    /// With so many, those that are full again go.
    many: usize,
}

#[derive(Debug)]
struct Purse {
    sockets: u32,
    used: Arc<Used>,
}

impl Purses {
    /// The purse of somebody who asks once.
    pub(crate) fn of(&self, owner: Owner) -> Arc<Used> {
        Arc::clone(&lock(&self.0).purse(owner).used)
    }

    /// The purse of somebody who has one more socket; the error is how many there are, if they are
    /// too many. It is to be [left](Self::leave).
    pub(crate) fn enter(&self, owner: Owner, most: u32) -> Result<Arc<Used>, u32> {
        let mut kept = lock(&self.0);
        let purse = kept.purse(owner);
        if purse.sockets >= most {
            return Err(purse.sockets);
        }
        purse.sockets += 1;
        Ok(Arc::clone(&purse.used))
    }

    /// A socket is gone.
    pub(crate) fn leave(&self, owner: Owner) {
        let mut kept = lock(&self.0);
        if let Some(purse) = kept.purses.get_mut(&owner) {
            purse.sockets -= 1;
            if purse.is_full(Instant::now()) {
                kept.purses.remove(&owner);
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn count(&self) -> usize {
        lock(&self.0).purses.len()
    }
}

impl Kept {
    fn purse(&mut self, owner: Owner) -> &mut Purse {
        if self.purses.len() >= self.many.max(FEW) {
            let now = Instant::now();
            self.purses.retain(|_, purse| !purse.is_full(now));
            self.many = 2 * self.purses.len();
        }
        let new = || Purse { sockets: 0, used: Arc::new(Used::nothing()) };
        self.purses.entry(owner).or_insert_with(new)
    }
}

impl Purse {
    /// Is it as good as a new one?
    fn is_full(&self, now: Instant) -> bool {
        self.sockets == 0 && self.used.is_nothing(now)
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    #[test]
    fn a_used_purse_is_kept_and_full_ones_go() {
        let (purses, rate) = (Purses::default(), Rate::new(2, HOUR));
        let take =
            |n| purses.of(Owner::User(UserId(n))).take(Class::Messages, rate, Instant::now());
        assert!(take(1).is_ok() && take(1).is_ok() && take(1).is_err());
        for n in 2..10 * FEW as u64 {
            purses.of(Owner::User(UserId(n)));
            assert!(purses.count() <= FEW);
        }
        assert!(take(1).is_err(), "it is still there");
    }

    #[test]
    fn what_is_in_use_is_never_forgotten_however_many_there_are() {
        let (purses, all) = (Purses::default(), 3 * FEW as u64);
        for n in 0..all {
            assert!(purses.enter(Owner::User(UserId(n)), 1).is_ok());
        }
        for n in 0..all {
            assert_eq!(purses.enter(Owner::User(UserId(n)), 1).err(), Some(1));
            purses.leave(Owner::User(UserId(n)));
        }
        assert_eq!(purses.count(), 0);
    }
}
