//! How much a socket, and a user by all sockets here, may ask for, and how much by REST. Everything is
//! counted by class: what a message costs is not what a question costs. The guests of an address share
//! what a user has.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chat_core::{ChatError, Result};
use tokio::time::sleep;

use crate::{
    pace::Rate,
    purse::{Purses, Used},
};

pub use crate::purse::Owner;

/// A rate in events a second is kept over so long: whoever was quiet may say so much at once.
const WINDOW: Duration = Duration::from_secs(10);

/// A user, or the guests of an address, may send so many times what one socket may.
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

/// Everybody's allowance at this replica.
#[derive(Debug)]
pub struct Allowances {
    /// By class, for a socket and for its owner.
    rates: [Option<(Rate, Rate)>; 3],
    sockets: u32,
    purses: Purses,
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
        Arc::new(Self { rates, sockets: allowed.sockets, purses: Purses::default() })
    }

    /// One more socket of this owner, which counts as a query. Fails with `rate_limited` if a user
    /// has too many sockets, or if sockets were opened too often.
    pub fn socket(self: &Arc<Self>, owner: Owner) -> Result<Allowance> {
        let most = match owner {
            Owner::User(_) if self.sockets > 0 => self.sockets,
            // Their connections are counted by address.
            _ => u32::MAX,
        };
        let shared = self.purses.enter(owner, most).map_err(|sockets| {
            count("user");
            let rule =
                format!("you have {sockets} sockets open here already, close one of them first");
            ChatError::too_many_at_once(rule)
        })?;
        let allowance = Allowance { all: Arc::clone(self), own: Used::nothing(), owner, shared };
        if let Some((_, rate)) = self.rates[Class::Queries as usize] {
            let taken = allowance.shared.take(Class::Queries, rate, Instant::now());
            taken.map_err(refused(Class::Queries, "too many sockets opened, slow down"))?;
        }
        Ok(allowance)
    }

    /// One request of this owner, by no socket: as much as one socket may. Fails with
    /// `rate_limited`, which knows when there is room for the next.
    pub(crate) fn take(&self, owner: Owner, class: Class) -> Result<()> {
        let Some((rate, _)) = self.rates[class as usize] else { return Ok(()) };
        let taken = self.purses.of(owner).take(class, rate, Instant::now());
        taken.map_err(refused(class, "too many requests, slow down"))
    }

    /// Is there a limit to this class?
    pub(crate) const fn limits(&self, class: Class) -> bool {
        self.rates[class as usize].is_some()
    }
}

/// What one socket may still ask for, for as long as it lives.
#[derive(Debug)]
pub struct Allowance {
    all: Arc<Allowances>,
    own: Used,
    owner: Owner,
    shared: Arc<Used>,
}

impl Allowance {
    /// Takes one event that came at this time, or fails with `rate_limited`, which knows when there
    /// is room for the next.
    pub fn take(&self, event: &str, came: Instant) -> Result<()> {
        self.take_of(Class::of(event), came)
    }

    fn take_of(&self, class: Class, now: Instant) -> Result<()> {
        let Some((own, shared)) = self.all.rates[class as usize] else { return Ok(()) };
        let taken = self.own.take_with(class, own, now, || self.shared.take(class, shared, now));
        taken.map_err(refused(class, "too many events, slow down"))
    }

    /// Takes a query, as soon as there is one: for what goes on by itself.
    pub(crate) async fn query_in_time(&self) {
        while let Err(refusal) = self.take_of(Class::Queries, Instant::now()) {
            sleep(refusal.retry_after().unwrap_or(WINDOW)).await;
        }
    }
}

impl Drop for Allowance {
    fn drop(&mut self) {
        self.all.purses.leave(self.owner);
    }
}

fn refused(class: Class, rule: &'static str) -> impl FnOnce(Duration) -> ChatError {
    move |wait| {
        count(class.name());
        ChatError::rate_limited(rule, wait)
    }
}

fn count(what: &'static str) {
    metrics::counter!("switchboard_limited_total", "what" => what).increment(1);
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use chat_core::{Code, UserId};

    use super::*;

    const ALLOWED: Allowed = Allowed { messages: 1, fleeting: 2, queries: 0, sockets: 5 };

    fn user(id: u64) -> Owner {
        Owner::User(UserId(id))
    }

    fn guest(last: u8) -> Owner {
        Owner::Address(IpAddr::from(Ipv4Addr::new(203, 0, 113, last)).into())
    }

    /// How many of a hundred of these events are taken.
    fn taken(allowance: &Allowance, event: &str, now: Instant) -> usize {
        (0..100).filter(|_| allowance.take(event, now).is_ok()).count()
    }

    #[test]
    fn a_socket_has_so_many_events_of_each_class() {
        let socket = Allowances::new(ALLOWED).socket(guest(1)).expect("a place");
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
        let mine = || all.socket(user(1)).expect("a place");
        let sockets = [mine(), mine(), mine(), mine(), mine()];
        let other = all.socket(user(2)).expect("a place");
        let now = Instant::now();
        let each = sockets.each_ref().map(|socket| taken(socket, "chatMessage", now));
        assert_eq!(each, [10, 10, 10, 10, 0]);
        assert_eq!(taken(&other, "chatMessage", now), 10);
    }

    #[test]
    fn a_user_has_so_many_sockets_and_a_closed_one_makes_room() {
        let all = Allowances::new(ALLOWED);
        let mut sockets: Vec<_> = (0..5).map(|_| all.socket(user(1))).collect();
        let refused = all.socket(user(1)).expect_err("one too many");
        assert_eq!(refused.code(), Code::RateLimited);
        assert!(all.socket(user(2)).is_ok() && all.socket(guest(1)).is_ok());
        drop(sockets.pop());
        assert!(all.socket(user(1)).is_ok());
        drop(sockets);
        assert_eq!(all.purses.count(), 0);
    }

    #[test]
    fn who_goes_and_comes_back_finds_the_purse_that_he_left() {
        let all = Allowances::new(ALLOWED);
        for owner in [user(1), guest(1)] {
            // Later than any purse is made.
            let now = Instant::now() + Duration::from_secs(1);
            let each =
                [0; 6].map(|_| taken(&all.socket(owner).expect("a place"), "chatMessage", now));
            assert_eq!(each, [10, 10, 10, 10, 0, 0], "{owner:?}");
        }
        let socket = all.socket(guest(2)).expect("a place");
        assert_eq!(taken(&socket, "chatMessage", Instant::now()), 10, "somebody else");
    }

    #[test]
    fn coming_in_is_a_query() {
        let all = Allowances::new(Allowed { queries: 1, ..ALLOWED });
        let entered = (0..100).filter(|_| all.socket(guest(1)).is_ok()).count();
        assert_eq!(entered, 40);
        let refused = all.socket(guest(1)).expect_err("it came in too often");
        assert!(refused.retry_after().is_some_and(|wait| wait <= Duration::from_secs(1)));
        assert!(all.socket(guest(2)).is_ok() && all.socket(user(1)).is_ok());
    }

    #[test]
    fn requests_have_what_one_socket_has() {
        let all = Allowances::new(ALLOWED);
        let taken = |owner| (0..100).filter(|_| all.take(owner, Class::Messages).is_ok()).count();
        assert_eq!([taken(user(1)), taken(user(1)), taken(guest(1))], [10, 0, 10]);
        let refused = all.take(user(1), Class::Messages).expect_err("none is left");
        assert!(refused.retry_after().is_some());
    }
}
