//! Closing the sockets of sessions that ended, wherever they ended.
//!
//! The notice comes over the bus within milliseconds. Should it be lost, or should a session
//! simply expire, the periodic comparison with message-api finds it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use chat_core::{Chat, CloseReason, Follow, SessionId, Sink};
use rand::RngExt;
use tokio::{sync::Notify, time::sleep};

use crate::remembered::Remembered;

/// How often all sessions here are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// Sessions in one comparison.
const BATCH: usize = 1_000;

/// Sessions that ended lately and are remembered, for sockets whose handshake is under way.
const REMEMBERED: usize = 1_024;

type Sinks = HashMap<u64, Arc<dyn Sink>>;

#[derive(Default)]
struct Sockets {
    by_session: HashMap<SessionId, Sinks>,
    ended: Remembered<SessionId, REMEMBERED>,
}

/// The sockets of this gateway by session.
#[derive(Default)]
pub struct Sessions {
    sockets: Mutex<Sockets>,
    next: AtomicU64,
    compare: Notify,
}

impl Sessions {
    fn sockets(&self) -> MutexGuard<'_, Sockets> {
        self.sockets.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ties a socket to its session until the answer is dropped.
    pub fn bind(self: &Arc<Self>, session: &SessionId, sink: Arc<dyn Sink>) -> Follow {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let mut sockets = self.sockets();
        if sockets.ended.contains(session) {
            sink.close(CloseReason::SessionEnded);
        }
        sockets.by_session.entry(session.clone()).or_default().insert(number, sink);
        drop(sockets);
        let (sessions, session) = (Arc::clone(self), session.clone());
        Follow::new(move || {
            let mut sockets = sessions.sockets();
            if let Some(sinks) = sockets.by_session.get_mut(&session) {
                sinks.remove(&number);
                if sinks.is_empty() {
                    sockets.by_session.remove(&session);
                }
            }
        })
    }

    /// Closes the sockets of a session.
    pub fn end(&self, session: &SessionId) {
        let mut sockets = self.sockets();
        let ended = sockets.by_session.remove(session).unwrap_or_default();
        sockets.ended.remember(session.clone());
        drop(sockets);
        for sink in ended.values() {
            sink.close(CloseReason::SessionEnded);
        }
    }

    /// Compares soon: notices may have been lost.
    pub fn compare_soon(&self) {
        self.compare.notify_one();
    }

    /// Compares with message-api now and then, for ever.
    pub async fn run(self: Arc<Self>, chat: Arc<dyn Chat>) {
        loop {
            let pause = COMPARE_EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
            tokio::select! { () = sleep(pause) => {}, () = self.compare.notified() => {} }
            let here: Vec<_> = self.sockets().by_session.keys().cloned().collect();
            for batch in here.chunks(BATCH) {
                // If message-api can't tell, nobody is closed: the next round will.
                let Ok(alive) = chat.live_sessions(batch.to_vec()).await else { break };
                for session in batch.iter().filter(|session| !alive.contains(session)) {
                    self.end(session);
                }
            }
        }
    }
}
