//! How much a socket, and a user by all sockets here, may ask for. Events are counted by class: what
//! a message costs is not what a question costs.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chat_core::{ChatError, Result, UserId};

use crate::pace::Rate;

/// A rate in events a second is kept over so long: whoever was quiet may say so much at once.
const WINDOW: Duration = Duration::from_secs(10);

/// A user may send so many times what one socket may.
const SOCKETS: u32 = 4;

/// What an event is, as far as its price goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It is told to others: posts, relays, edits, deletions, new rooms.
    Messages,
    /// It is told to others and kept by nobody.
    Fleeting,
    /// All else.
    Queries,
}

impl Class {
    /// The class of an event, by its name in whichever protocol has it.
    #[must_use]
    pub fn of(event: &str) -> Self {
        match event {
            "chat message" | "chatMessage" | "send-message" | "send:message" | "edit-chat"
            | "delete-chat" | "create room" => Self::Messages,
            "typing" | "doneTyping" => Self::Fleeting,
            _ => Self::Queries,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Fleeting => "fleeting",
            Self::Queries => "queries",
        }
    }
}

/// What the settings say.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowed {
    /// Messages a second by one socket; 0: any number. Likewise the others.
    pub messages: u32,
    /// Fleeting events.
    pub fleeting: u32,
    /// Other events.
    pub queries: u32,
    /// Sockets of one user here.
    pub sockets: u32,
}

/// By class, the moment at which everything is free again.
type Used = Mutex<[Instant; 3]>;

#[derive(Debug)]
struct Purse {
    sockets: u32,
    used: Arc<Used>,
}

/// Everybody's allowance at this gateway.
#[derive(Debug)]
pub struct Allowances {
    /// By class, for a socket and for a user.
    rates: [Option<(Rate, Rate)>; 3],
    sockets: u32,
    users: Mutex<HashMap<UserId, Purse>>,
}

impl Allowances {
    /// As the settings say.
    #[must_use]
    pub fn new(allowed: Allowed) -> Arc<Self> {
        let rates = [allowed.messages, allowed.fleeting, allowed.queries].map(|a_second| {
            let times = a_second.saturating_mul(WINDOW.as_secs() as u32);
            let rate = |times| Rate::new(times, WINDOW);
            (times > 0).then(|| (rate(times), rate(times.saturating_mul(SOCKETS))))
        });
        Arc::new(Self { rates, sockets: allowed.sockets, users: Mutex::default() })
    }

    /// One more socket, of this user or of a guest. Fails with `rate_limited` if the user has too
    /// many.
    pub fn socket(self: &Arc<Self>, user: Option<UserId>) -> Result<Allowance> {
        let shared = match user {
            None => None,
            Some(user) => Some((user, self.one_more_of(user)?)),
        };
        Ok(Allowance { all: Arc::clone(self), own: new(), shared })
    }

    fn one_more_of(&self, user: UserId) -> Result<Arc<Used>> {
        let mut users = lock(&self.users);
        let purse =
            users.entry(user).or_insert_with(|| Purse { sockets: 0, used: Arc::new(new()) });
        if self.sockets > 0 && purse.sockets >= self.sockets {
            count("user");
            let rule = format!(
                "you have {} sockets open here already, close one of them first",
                purse.sockets
            );
            return Err(ChatError::rate_limited(rule, WINDOW));
        }
        purse.sockets += 1;
        Ok(Arc::clone(&purse.used))
    }

    fn one_less_of(&self, user: UserId) {
        let mut users = lock(&self.users);
        if let Some(purse) = users.get_mut(&user) {
            purse.sockets -= 1;
            if purse.sockets == 0 {
                users.remove(&user);
            }
        }
    }
}

/// What one socket may still ask for, for as long as it lives.
#[derive(Debug)]
pub struct Allowance {
    all: Arc<Allowances>,
    own: Used,
    shared: Option<(UserId, Arc<Used>)>,
}

impl Allowance {
    /// Takes one event that came at this time, or fails with `rate_limited`, which knows when there
    /// is room for the next.
    pub fn take(&self, event: &str, came: Instant) -> Result<()> {
        let class = Class::of(event);
        let Some((own_rate, shared_rate)) = &self.all.rates[class as usize] else { return Ok(()) };
        let mut own = lock(&self.own);
        let mut after = own[class as usize];
        let mut taken = own_rate.take(&mut after, came);
        if let (Ok(()), Some((_, shared))) = (taken, &self.shared) {
            taken = shared_rate.take(&mut lock(shared)[class as usize], came);
        }
        if let Err(wait) = taken {
            count(class.name());
            return Err(ChatError::rate_limited("too many events, slow down", wait));
        }
        own[class as usize] = after;
        Ok(())
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        if let Some((user, _)) = self.shared {
            self.all.one_less_of(user);
        }
    }
}

fn new() -> Used {
    Mutex::new([Instant::now(); 3])
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn count(what: &'static str) {
    metrics::counter!("switchboard_limited_total", "what" => what).increment(1);
}

#[cfg(test)]
mod tests {
    use chat_core::Code;

    use super::*;

    const ALLOWED: Allowed = Allowed { messages: 1, fleeting: 2, queries: 0, sockets: 5 };

    /// How many of a hundred of these events are taken.
    fn taken(allowance: &Allowance, event: &str, now: Instant) -> usize {
        (0..100).filter(|_| allowance.take(event, now).is_ok()).count()
    }

    #[test]
    fn a_socket_has_so_many_events_of_each_class() {
        let socket = Allowances::new(ALLOWED).socket(None).expect("a place");
        let now = Instant::now();
        assert_eq!(taken(&socket, "chat message", now), 10);
        assert_eq!(taken(&socket, "send-message", now), 0);
        assert_eq!(taken(&socket, "typing", now), 20);
        assert_eq!(taken(&socket, "chatHistory", now), 100);
        let refused = socket.take("chat message", now).expect_err("none is left");
        assert_eq!(refused.code(), Code::RateLimited);
        let wait = refused.retry_after().expect("it knows when");
        assert!(wait <= Duration::from_secs(1), "{wait:?}");
        assert!(socket.take("chat message", now + wait).is_ok());
        assert!(socket.take("chat message", now + wait).is_err());
    }

    #[test]
    fn the_sockets_of_a_user_share_and_those_of_others_do_not() {
        let all = Allowances::new(ALLOWED);
        let mine = || all.socket(Some(UserId(1))).expect("a place");
        let sockets = [mine(), mine(), mine(), mine(), mine()];
        let other = all.socket(Some(UserId(2))).expect("a place");
        let now = Instant::now();
        let each = sockets.each_ref().map(|socket| taken(socket, "chatMessage", now));
        assert_eq!(each, [10, 10, 10, 10, 0]);
        assert_eq!(taken(&other, "chatMessage", now), 10);
    }

    #[test]
    fn a_user_has_so_many_sockets_and_a_closed_one_makes_room() {
        let all = Allowances::new(ALLOWED);
        let mut sockets: Vec<_> = (0..5).map(|_| all.socket(Some(UserId(1)))).collect();
        let refused = all.socket(Some(UserId(1))).expect_err("one too many");
        assert_eq!(refused.code(), Code::RateLimited);
        assert!(all.socket(Some(UserId(2))).is_ok() && all.socket(None).is_ok());
        drop(sockets.pop());
        assert!(all.socket(Some(UserId(1))).is_ok());
        drop(sockets);
        assert!(lock(&all.users).is_empty());
    }
}
