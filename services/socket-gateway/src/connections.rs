//! The open connections, each with a kill switch.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use dialects::places::Place;

use crate::{
    backlog::Backlog,
    outbound::{Flushers, Outbound},
    visitors::Visit,
};

/// Connections told to go in one step of a drain.
const BATCH: usize = 100;

/// How long who connects may wait for its turn. Less than a client's own patience: it is cut, and
/// comes back by itself.
const TURN: Duration = Duration::from_secs(10);

/// How long an ended session is remembered: a little longer than the Engine.IO library keeps one
/// whose client says nothing, its ping's interval and timeout.
const REMEMBERED: Duration = Duration::from_secs(60);

#[derive(Default)]
struct Switch {
    cut: CancellationToken,
    go: CancellationToken,
    /// Does it carry a websocket, whose owner minds `go`?
    is_websocket: AtomicBool,
    backlog: Arc<Backlog>,
    /// The way out, once the connection is served.
    outbound: OnceLock<Arc<Outbound>>,
    /// The Engine.IO session that came over to this connection.
    carries: Mutex<Option<String>>,
    /// Its place among those of the same address, where it carries a websocket.
    visit: Mutex<Option<Visit>>,
}

/// Cuts one connection, from wherever it is held.
#[derive(Clone, Default)]
pub struct KillSwitch(Arc<Switch>);

impl KillSwitch {
    /// Cuts the connection at once.
    pub fn kill(&self) {
        self.0.cut.cancel();
    }

    /// Has it been cut?
    pub(crate) fn is_cut(&self) -> bool {
        self.0.cut.is_cancelled()
    }

    /// The connection's way out.
    pub(crate) fn outbound(&self) -> Option<&Arc<Outbound>> {
        self.0.outbound.get()
    }

    /// Tells it to go. The owner of a websocket finishes what has come in; what is under way on
    /// others is cut, their clients try it again elsewhere.
    fn send_away(&self) {
        self.0.go.cancel();
        if !self.0.is_websocket.load(Ordering::Relaxed) {
            self.kill();
        }
    }

    /// Is cancelled when it is told to go.
    #[must_use]
    pub fn told_to_go(&self) -> CancellationToken {
        self.0.go.clone()
    }

    /// From now on it carries a websocket.
    pub fn carries_a_websocket(&self) {
        self.0.is_websocket.store(true, Ordering::Relaxed);
    }

    /// Keeps a place for as long as the connection is open, or until it is let go.
    pub(crate) fn keep(&self, visit: Visit) {
        self.visit().replace(visit);
    }

    /// Lets go of the place that it keeps.
    pub(crate) fn let_go(&self) {
        self.visit().take();
    }

    fn visit(&self) -> MutexGuard<'_, Option<Visit>> {
        self.0.visit.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The bytes that wait to be written to it, where it carries a websocket of Socket.IO.
    #[must_use]
    pub fn backlog(&self) -> &Backlog {
        &self.0.backlog
    }
}

#[derive(Default)]
struct Open {
    all: HashMap<u64, KillSwitch>,
    /// The websocket of an Engine.IO session that began with polling.
    upgraded: HashMap<String, KillSwitch>,
    /// What waits for the next poll of an Engine.IO session, while anybody counts.
    polled: HashMap<String, Weak<Backlog>>,
    /// Those that we have ended.
    over: Sids,
}

/// Engine.IO sessions, for as long as anybody may ask for them.
#[derive(Default)]
pub(crate) struct Sids {
    sids: HashSet<String>,
    oldest_first: VecDeque<(Instant, String)>,
}

impl Sids {
    pub(crate) fn contains(&self, sid: &str) -> bool {
        self.sids.contains(sid)
    }

    pub(crate) fn put(&mut self, sid: String, now: Instant) {
        while let Some((_, old)) = self.oldest_first.pop_front_if(|(at, _)| now - *at > REMEMBERED)
        {
            self.sids.remove(&old);
        }
        if self.sids.insert(sid.clone()) {
            self.oldest_first.push_back((now, sid));
        }
    }
}

/// All open connections of this gateway.
pub struct Connections {
    open: Mutex<Open>,
    next: AtomicU64,
    most: usize,
    room: Arc<Semaphore>,
    places: Arc<Semaphore>,
    turns: Semaphore,
}

impl Connections {
    /// Room for so many, of which so many may come in at the same time.
    #[must_use]
    pub fn new(most: usize, handshakes: usize) -> Arc<Self> {
        let (room, places) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(most)));
        let turns = Semaphore::new(handshakes);
        metrics::gauge!("switchboard_connections").set(0);
        Arc::new(Self {
            open: Mutex::default(),
            next: AtomicU64::new(1),
            most,
            room,
            places,
            turns,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for one more connection.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// Is there little room left? Who was answered then goes, so that others get in.
    pub(crate) fn is_scarce(&self) -> bool {
        self.room.available_permits() < self.most.div_ceil(10)
    }

    /// Counts one more connection until the answer is dropped; `place` is its place among those of
    /// who is at its other end.
    pub(crate) fn open(
        self: &Arc<Self>,
        room: Option<OwnedSemaphorePermit>,
        place: Option<Place>,
    ) -> OpenConnection {
        let number = self.number();
        let switch = KillSwitch::default();
        self.lock().all.insert(number, switch.clone());
        metrics::gauge!("switchboard_connections").increment(1);
        OpenConnection { connections: Arc::clone(self), number, switch, _room: room, _place: place }
    }

    /// A place for one more Socket.IO socket, if there is one: one connection may carry many
    /// sessions by polling.
    #[must_use]
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// Waits for the turn of one who connects: how it is checked costs other services' time, and
    /// after a crash elsewhere thousands come at once. `None`: it took too long, cut it.
    pub async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let turn = timeout(TURN, self.turns.acquire()).await.ok().and_then(Result::ok);
        if turn.is_none() {
            metrics::counter!("switchboard_handshakes_put_off_total").increment(1);
        }
        turn
    }

    /// The count of what waits for the next poll of an Engine.IO session.
    #[must_use]
    pub fn polled(&self, sid: &str) -> Arc<Backlog> {
        let mut open = self.lock();
        if let Some(known) = open.polled.get(sid).and_then(Weak::upgrade) {
            return known;
        }
        let backlog = Arc::<Backlog>::default();
        open.polled.insert(sid.to_owned(), Arc::downgrade(&backlog));
        backlog
    }

    /// Is a socket of this session in a namespace?
    pub(crate) fn is_polled(&self, sid: &str) -> bool {
        self.lock().polled.contains_key(sid)
    }

    /// A poll of this session was answered, with all that waited.
    pub fn answered(&self, sid: &str) {
        if let Some(backlog) = self.lock().polled.get(sid).and_then(Weak::upgrade) {
            backlog.clear();
        }
    }

    /// Ends an Engine.IO session that began with polling. Its requests are refused from now on,
    /// those under way too, and its websocket is cut, if it has one by now: that makes official
    /// clients come back with a new session.
    pub fn end(&self, sid: &str) {
        let mut open = self.lock();
        open.over.put(sid.to_owned(), Instant::now());
        if let Some(switch) = open.upgraded.get(sid) {
            switch.kill();
        }
    }

    /// Has this session been ended?
    #[must_use]
    pub fn is_over(&self, sid: &str) -> bool {
        self.lock().over.contains(sid)
    }

    /// Nobody counts any more what waits for this session's polls.
    pub fn forget_polled(&self, sid: &str) {
        let mut open = self.lock();
        if open.polled.get(sid).is_some_and(|backlog| backlog.strong_count() == 0) {
            open.polled.remove(sid);
        }
    }

    /// An Engine.IO session goes on over the connection of this switch, until that is gone.
    pub fn upgraded(&self, sid: &str, switch: &KillSwitch) {
        let mut open = self.lock();
        open.upgraded.insert(sid.to_owned(), switch.clone());
        if open.over.contains(sid) {
            switch.kill();
        }
        drop(open);
        switch.0.carries.lock().unwrap_or_else(PoisonError::into_inner).replace(sid.to_owned());
    }

    /// The websocket of a session that began with polling, if it has one.
    #[must_use]
    pub fn of_upgraded(&self, sid: &str) -> Option<KillSwitch> {
        self.lock().upgraded.get(sid).cloned()
    }

    /// A number that no connection of this process has.
    pub(crate) fn number(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Bytes that wait for all websockets of Socket.IO together.
    #[must_use]
    pub fn waiting_bytes(&self) -> usize {
        self.lock().all.values().map(|switch| switch.backlog().bytes()).sum()
    }

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().all.len()
    }

    /// Tells all of them to go, in batches spread over `time`, so that those who come back
    /// elsewhere do not come all at once.
    pub async fn drain(&self, time: Duration) {
        let switches: Vec<_> = self.lock().all.values().cloned().collect();
        let steps = switches.len().div_ceil(BATCH).max(1);
        let pause = time / u32::try_from(steps).unwrap_or(u32::MAX);
        for batch in switches.chunks(BATCH) {
            batch.iter().for_each(KillSwitch::send_away);
            sleep(pause.min(Duration::from_millis(200))).await;
        }
    }

    /// Cuts those that are left.
    pub fn cut(&self) {
        self.lock().all.values().for_each(KillSwitch::kill);
    }
}

/// One open connection.
pub struct OpenConnection {
    connections: Arc<Connections>,
    number: u64,
    switch: KillSwitch,
    _room: Option<OwnedSemaphorePermit>,
    _place: Option<Place>,
}

impl OpenConnection {
    /// Makes its way out over `stream`.
    pub(crate) fn way_out(
        &self,
        stream: TcpStream,
        flushers: &Flushers,
        patience: Duration,
    ) -> Arc<Outbound> {
        let Switch { cut, backlog, outbound, .. } = &*self.switch.0;
        let make = || {
            let (cut, backlog) = (cut.clone(), Arc::clone(backlog));
            Outbound::new(stream, self.number, flushers.clone(), cut, backlog, patience)
        };
        Arc::clone(outbound.get_or_init(make))
    }

    /// Its switch.
    #[must_use]
    pub const fn switch(&self) -> &KillSwitch {
        &self.switch
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let carried = self.switch.0.carries.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.switch.let_go();
        self.switch.backlog().clear();
        let mut open = self.connections.lock();
        open.all.remove(&self.number);
        if let Some(sid) = carried {
            open.upgraded.remove(&sid);
        }
        drop(open);
        metrics::gauge!("switchboard_connections").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_counts_until_it_is_dropped_and_makes_room_for_another() {
        let connections = Connections::new(1, 1);
        let first = connections.open(connections.room().await, None);
        assert_eq!(connections.count(), 1);
        let waiting = tokio::time::timeout(Duration::from_millis(20), connections.room()).await;
        assert!(waiting.is_err());
        drop(first);
        let second = connections.open(connections.room().await, None);
        assert_eq!(second.connections.count(), 1);
    }

    #[tokio::test]
    async fn a_session_is_forgotten_with_the_connection_that_carries_it() {
        let connections = Connections::new(1, 1);
        let open = connections.open(None, None);
        connections.upgraded("sid", open.switch());
        assert!(connections.of_upgraded("sid").is_some());
        drop(open);
        assert!(connections.of_upgraded("sid").is_none());
    }

    #[tokio::test]
    async fn who_carries_a_websocket_is_told_and_others_are_cut() {
        let connections = Connections::new(2, 1);
        let (plain, websocket) = (connections.open(None, None), connections.open(None, None));
        websocket.switch().carries_a_websocket();
        connections.drain(Duration::ZERO).await;
        assert!(plain.switch().0.cut.is_cancelled());
        assert!(websocket.switch().told_to_go().is_cancelled());
        assert!(!websocket.switch().0.cut.is_cancelled());
        connections.cut();
        assert!(websocket.switch().0.cut.is_cancelled());
    }

    #[tokio::test]
    async fn so_many_come_in_at_the_same_time() {
        let connections = Connections::new(2, 1);
        let first = connections.turn().await;
        assert!(first.is_some());
        let waiting = timeout(Duration::from_millis(20), connections.turn()).await;
        assert!(waiting.is_err());
        drop(first);
        assert!(connections.turn().await.is_some());
    }

    #[tokio::test]
    async fn a_session_that_was_ended_gets_no_websocket_either() {
        let connections = Connections::new(2, 1);
        let (before, after) = (connections.open(None, None), connections.open(None, None));
        connections.upgraded("one", before.switch());
        assert!(!connections.is_over("one"));
        connections.end("one");
        connections.end("two");
        connections.upgraded("two", after.switch());
        assert!(connections.is_over("one") && connections.is_over("two"));
        assert!(before.switch().0.cut.is_cancelled() && after.switch().0.cut.is_cancelled());
    }

    #[test]
    fn ended_sessions_are_forgotten_in_time() {
        let (mut over, now) = (Sids::default(), Instant::now());
        over.put("old".to_owned(), now);
        over.put("new".to_owned(), now + REMEMBERED);
        assert!(over.sids.contains("old"));
        over.put("newer".to_owned(), now + REMEMBERED + Duration::from_secs(1));
        assert_eq!((over.sids.len(), over.oldest_first.len()), (2, 2));
        assert!(!over.sids.contains("old"));
    }

    #[test]
    fn a_poll_takes_all_that_waited_for_its_session() {
        let connections = Connections::new(1, 1);
        let backlog = connections.polled("sid");
        assert!(backlog.put(10, 100) && connections.polled("sid").bytes() == 10);
        connections.answered("sid");
        assert_eq!(backlog.bytes(), 0);
        drop(backlog);
        connections.forget_polled("sid");
        assert!(connections.lock().polled.is_empty());
    }
}
