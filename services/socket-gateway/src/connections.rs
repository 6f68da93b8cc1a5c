//! The open connections, each with a kill switch.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

/// Connections cut in one step of a drain.
const BATCH: usize = 100;

/// Cuts one connection, from wherever it is held.
#[derive(Clone, Debug, Default)]
pub struct KillSwitch(CancellationToken);

impl KillSwitch {
    /// Cuts the connection at once.
    pub fn kill(&self) {
        self.0.cancel();
    }

    /// Waits until it is cut.
    pub fn killed(&self) -> WaitForCancellationFutureOwned {
        self.0.clone().cancelled_owned()
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
}

impl Connections {
    /// Room for so many.
    #[must_use]
    pub fn new(most: usize) -> Arc<Self> {
        let room = Arc::new(Semaphore::new(most));
        Arc::new(Self { open: Mutex::default(), next: AtomicU64::new(1), room })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for room, then counts one more connection until the answer is dropped.
    pub async fn open(self: &Arc<Self>) -> OpenConnection {
        let permit = Arc::clone(&self.room).acquire_owned().await.ok();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let switch = KillSwitch::default();
        self.lock().all.insert(number, switch.clone());
        metrics::gauge!("switchboard_connections").increment(1);
        OpenConnection { connections: Arc::clone(self), number, switch, _permit: permit }
    }

    /// An Engine.IO session goes on over this connection.
    pub fn upgraded(&self, sid: &str, switch: &KillSwitch) {
        self.lock().upgraded.insert(sid.to_owned(), switch.clone());
    }

    /// The websocket of a session that began with polling, if it has one.
    #[must_use]
    pub fn of_upgraded(&self, sid: &str) -> Option<KillSwitch> {
        self.lock().upgraded.get(sid).cloned()
    }

    /// The session is over.
    pub fn forget(&self, sid: &str) {
        self.lock().upgraded.remove(sid);
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
    _permit: Option<OwnedSemaphorePermit>,
}

impl OpenConnection {
    /// Its switch.
    #[must_use]
    pub const fn switch(&self) -> &KillSwitch {
        &self.switch
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.connections.lock().all.remove(&self.number);
        metrics::gauge!("switchboard_connections").decrement(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_connection_counts_until_it_is_dropped_and_makes_room_for_another() {
        let connections = Connections::new(1);
        let first = connections.open().await;
        assert_eq!(connections.count(), 1);
        let waiting = tokio::time::timeout(Duration::from_millis(20), connections.open()).await;
        assert!(waiting.is_err());
        drop(first);
        assert_eq!(connections.open().await.connections.count(), 1);
    }
}
