//! The Engine.IO sessions that the library keeps: each has a place among those of its address for
//! as long as the library knows it, on whatever connections it goes on, and is ended when it is in
//! no namespace for too long.
//!
//! A session begins with a request, which the library keeps until it forgets the session: so does a
//! [`Stay`] among that request's extensions.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use dialects::places::Place;
use tokio::time::{Instant, sleep};

use crate::{
    connections::{Connections, KillSwitch},
    sockets::ENTER_WITHIN,
};

/// How long one may be in no namespace. The library ends those that never enter one a little
/// earlier.
const OUTSIDE: Duration = ENTER_WITHIN.saturating_add(Duration::from_secs(1));

/// How often that is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// All sessions of the library.
pub(crate) struct Stays {
    connections: Arc<Connections>,
    here: Mutex<Here>,
}

#[derive(Default)]
struct Here {
    next: u64,
    all: HashMap<u64, Weak<Stay>>,
    by_sid: HashMap<String, Weak<Stay>>,
}

impl Stays {
    pub(crate) fn new(connections: &Arc<Connections>) -> Arc<Self> {
        Arc::new(Self { connections: Arc::clone(connections), here: Mutex::default() })
    }

    fn here(&self) -> MutexGuard<'_, Here> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session may begin: by polling, with a place of its own, or on a websocket, which has one.
    pub(crate) fn begin(self: &Arc<Self>, on: Begins) -> Arc<Stay> {
        let mut here = self.here();
        here.next += 1;
        let stay = Arc::new(Stay {
            stays: Arc::clone(self),
            number: here.next,
            on,
            sid: OnceLock::new(),
            is_carried: AtomicBool::new(false),
            inside: Mutex::new(Inside { count: 0, since: Instant::now(), is_ended: false }),
        });
        here.all.insert(stay.number, Arc::downgrade(&stay));
        stay
    }

    /// The session of this name.
    pub(crate) fn of(&self, sid: &str) -> Option<Arc<Stay>> {
        self.here().by_sid.get(sid).and_then(Weak::upgrade)
    }

    /// Ends those that are in no namespace for too long, for as long as the gateway runs.
    pub(crate) async fn watch(self: Arc<Self>) {
        loop {
            sleep(LOOK_EVERY).await;
            let all: Vec<_> = self.here().all.values().filter_map(Weak::upgrade).collect();
            let now = Instant::now();
            all.iter().filter(|stay| stay.is_overdue(now)).for_each(|stay| stay.end());
        }
    }
}

/// How a session begins.
pub(crate) enum Begins {
    /// By polling. It keeps its place.
    Polling(#[expect(dead_code, reason = "held, not read")] Place),
    /// As a websocket, on the connection of this switch.
    Websocket(KillSwitch),
}

/// A session of the library.
pub(crate) struct Stay {
    stays: Arc<Stays>,
    number: u64,
    on: Begins,
    sid: OnceLock<String>,
    /// Does a websocket share its place?
    is_carried: AtomicBool,
    inside: Mutex<Inside>,
}

struct Inside {
    /// Namespaces that it is in.
    count: usize,
    /// Since when that is so.
    since: Instant,
    is_ended: bool,
}

impl Stay {
    /// Tells the name that the library gave it.
    pub(crate) fn is_named(self: &Arc<Self>, sid: &str) {
        if self.sid.set(sid.to_owned()).is_ok() {
            self.stays.here().by_sid.insert(sid.to_owned(), Arc::downgrade(self));
        }
    }

    /// It goes over to a websocket, which shares its place; `None`: another one does already.
    pub(crate) fn carried(self: &Arc<Self>) -> Option<Carried> {
        (!self.is_carried.swap(true, Ordering::Relaxed)).then(|| Carried(Arc::clone(self)))
    }

    /// It is in one namespace more until the answer is dropped.
    pub(crate) fn enters(self: Arc<Self>) -> Entry {
        self.count(|count| count + 1);
        Entry(self)
    }

    fn count(&self, change: impl FnOnce(usize) -> usize) {
        let mut inside = self.inside();
        inside.count = change(inside.count);
        inside.since = Instant::now();
    }

    fn is_overdue(&self, now: Instant) -> bool {
        let inside = self.inside();
        inside.count == 0 && !inside.is_ended && now - inside.since > OUTSIDE
    }

    /// Its connection is cut, or its polls are refused, until the library gives it up.
    fn end(&self) {
        self.inside().is_ended = true;
        match (&self.on, self.sid.get()) {
            (Begins::Websocket(switch), _) => switch.kill(),
            (Begins::Polling(_), Some(sid)) => self.stays.connections.end(sid),
            (Begins::Polling(_), None) => {}
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        let mut here = self.stays.here();
        here.all.remove(&self.number);
        if let Some(sid) = self.sid.get() {
            here.by_sid.remove(sid);
        }
    }
}

/// A connection keeps the place of the session that it carries until this is dropped.
pub(crate) struct Carried(Arc<Stay>);

impl Drop for Carried {
    fn drop(&mut self) {
        self.0.is_carried.store(false, Ordering::Relaxed);
    }
}

/// A session is in a namespace until this is dropped.
pub(crate) struct Entry(Arc<Stay>);

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.count(|count| count.saturating_sub(1));
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use dialects::{address::Address, places::Places};

    use super::*;

    #[test]
    fn a_session_has_one_place_as_long_as_it_or_its_websocket_lives() {
        let connections = Connections::new(1, 1);
        let (stays, places) = (Stays::new(&connections), Places::new(1, "address"));
        let from: Address = IpAddr::from([203, 0, 113, 7]).into();
        let stay = stays.begin(Begins::Polling(places.enter(from).expect("a place")));
        stay.is_named("sid");
        let carried = stays.of("sid").expect("known").carried().expect("the first");
        assert!(stay.carried().is_none());
        drop(stay);
        assert!(places.enter(from).is_none());
        drop(carried);
        assert!(places.enter(from).is_some() && stays.of("sid").is_none());
        assert!(stays.here().all.is_empty() && stays.here().by_sid.is_empty());
    }

    #[test]
    fn who_is_in_no_namespace_for_too_long_is_overdue_once() {
        let connections = Connections::new(1, 1);
        let open = connections.open(None, None);
        let stay = Stays::new(&connections).begin(Begins::Websocket(open.switch().clone()));
        let later = || Instant::now() + OUTSIDE + Duration::from_secs(1);
        assert!(!stay.is_overdue(Instant::now()) && stay.is_overdue(later()));
        let (one, other) = (Arc::clone(&stay).enters(), Arc::clone(&stay).enters());
        drop(one);
        assert!(!stay.is_overdue(later()));
        drop(other);
        assert!(!stay.is_overdue(Instant::now()) && stay.is_overdue(later()));
        stay.end();
        assert!(open.switch().is_cut() && !stay.is_overdue(later()));
    }
}
