//! Who writes: each flusher goes through the connections that have become dirty, and writes to
//! each of them all that waits. A connection always has the same flusher, so its bytes keep their
//! order; the flushers run side by side.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
};

use chat_core::process::{Shutdown, yield_core};
use tokio::sync::Notify;

use super::Outbound;

/// Connections written to before others may run.
const TURN: usize = 16;

#[derive(Default)]
struct Flusher {
    dirty: Mutex<Vec<Arc<Outbound>>>,
    news: Notify,
}

/// All flushers of this process.
#[derive(Clone)]
pub(crate) struct Flushers {
    all: Arc<[Flusher]>,
    tasks: Shutdown,
}

impl Flushers {
    /// Starts so many, until `tasks` stop.
    pub(crate) fn start(count: usize, tasks: &Shutdown) -> Self {
        let all: Arc<[Flusher]> = (0..count.max(1)).map(|_| Flusher::default()).collect();
        for number in 0..all.len() {
            let all = Arc::clone(&all);
            tasks.spawn_until_stopped(async move { all[number].run().await });
        }
        Self { all, tasks: tasks.clone() }
    }

    /// Something waits to be written.
    pub(super) fn tell(&self, outbound: &Arc<Outbound>) {
        let flusher = &self.all[outbound.number as usize % self.all.len()];
        let mut dirty = flusher.dirty.lock().unwrap_or_else(PoisonError::into_inner);
        dirty.push(Arc::clone(outbound));
        let is_first = dirty.len() == 1;
        drop(dirty);
        if is_first {
            flusher.news.notify_one();
        }
    }

    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.spawn_until_stopped(task);
    }
}

impl Flusher {
    async fn run(&self) {
        let mut turn = Vec::new();
        loop {
            std::mem::swap(
                &mut turn,
                &mut self.dirty.lock().unwrap_or_else(PoisonError::into_inner),
            );
            if turn.is_empty() {
                self.news.notified().await;
                // Whoever made the first one dirty may be about to make more.
                tokio::task::yield_now().await;
                continue;
            }
            for some in turn.chunks(TURN) {
                some.iter().for_each(Outbound::flush);
                // On a busy core, others bring more meanwhile that goes out in the same writes.
                // On an idle one it costs one call for all these writes.
                yield_core().await;
            }
            turn.clear();
        }
    }
}
