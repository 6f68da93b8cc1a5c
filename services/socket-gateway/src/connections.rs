//! The open connections, each with a kill switch.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    net::TcpStream,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use crate::outbound::{Flushers, Outbound};

/// Connections cut in one step of a drain.
const BATCH: usize = 100;

#[derive(Default)]
struct Switch {
    cut: CancellationToken,
    /// The way out, once the connection is served.
    outbound: OnceLock<Arc<Outbound>>,
    /// The Engine.IO session that came over to this connection.
    carries: Mutex<Option<String>>,
}

/// Cuts one connection, from wherever it is held.
#[derive(Clone, Default)]
pub struct KillSwitch(Arc<Switch>);

impl KillSwitch {
    /// Cuts the connection at once.
    pub fn kill(&self) {
        self.0.cut.cancel();
    }

    /// The connection's way out.
    pub(crate) fn outbound(&self) -> Option<&Arc<Outbound>> {
        self.0.outbound.get()
    }
}

#[derive(Default)]
struct Open {
    all: HashMap<u64, KillSwitch>,
    /// The websocket of an Engine.IO session that began with polling.
    upgraded: HashMap<String, KillSwitch>,
}

/// All open connections of this gateway.
pub struct Connections {
    open: Mutex<Open>,
    next: AtomicU64,
    room: Arc<Semaphore>,
    places: Arc<Semaphore>,
}

impl Connections {
    /// Room for so many.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let (room, places) = (Arc::new(Semaphore::new(most)), Arc::new(Semaphore::new(most)));
        Arc::new(Self { open: Mutex::default(), next: AtomicU64::new(1), room, places })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until there is room for one more connection.
    pub async fn room(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.room).acquire_owned().await.ok()
    }

    /// Counts one more connection until the answer is dropped.
    pub fn open(self: &Arc<Self>, room: Option<OwnedSemaphorePermit>) -> OpenConnection {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let switch = KillSwitch::default();
        self.lock().all.insert(number, switch.clone());
        metrics::gauge!("switchboard_connections").increment(1);
        OpenConnection { connections: Arc::clone(self), number, switch, _room: room }
    }

    /// A place for one more Socket.IO socket, if there is one: one connection may carry many
    /// sessions by polling.
    #[must_use]
    pub fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).try_acquire_owned().ok()
    }

    /// An Engine.IO session goes on over the connection of this switch, until that is gone.
    pub fn upgraded(&self, sid: &str, switch: &KillSwitch) {
        self.lock().upgraded.insert(sid.to_owned(), switch.clone());
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

    /// How many are open.
    #[must_use]
    pub fn count(&self) -> usize {
        self.lock().all.len()
    }

    /// Cuts all of them in batches spread over `time`, so that those who come back elsewhere do
    /// not come all at once.
    pub async fn drain(&self, time: Duration) {
        let switches: Vec<_> = self.lock().all.values().cloned().collect();
        let steps = switches.len().div_ceil(BATCH).max(1);
        let pause = time / u32::try_from(steps).unwrap_or(u32::MAX);
        for batch in switches.chunks(BATCH) {
            batch.iter().for_each(KillSwitch::kill);
            sleep(pause.min(Duration::from_millis(200))).await;
        }
    }
}

/// One open connection.
pub struct OpenConnection {
    connections: Arc<Connections>,
    number: u64,
    switch: KillSwitch,
    _room: Option<OwnedSemaphorePermit>,
}

impl OpenConnection {
    /// Makes its way out over `stream`.
    pub(crate) fn way_out(
        &self,
        stream: TcpStream,
        flushers: &Flushers,
        patience: Duration,
    ) -> Arc<Outbound> {
        let cut = self.switch.0.cut.clone();
        let make = || Outbound::new(stream, self.number, flushers.clone(), cut, patience);
        Arc::clone(self.switch.0.outbound.get_or_init(make))
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
        let connections = Connections::new(1);
        let first = connections.open(connections.room().await);
        assert_eq!(connections.count(), 1);
        let waiting = tokio::time::timeout(Duration::from_millis(20), connections.room()).await;
        assert!(waiting.is_err());
        drop(first);
        let second = connections.open(connections.room().await);
        assert_eq!(second.connections.count(), 1);
    }

    #[tokio::test]
    async fn a_session_is_forgotten_with_the_connection_that_carries_it() {
        let connections = Connections::new(1);
        let open = connections.open(None);
        connections.upgraded("sid", open.switch());
        assert!(connections.of_upgraded("sid").is_some());
        drop(open);
        assert!(connections.of_upgraded("sid").is_none());
    }
}
