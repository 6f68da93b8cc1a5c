//! Calls to one replica of message-api wait for their turn here, not there.
//!
//! When thousands come back at once, all join at once. message-api gives up what takes longer than
//! a few seconds; what waits here in order has its time begin when it is let through. Two queues,
//! each in the order of arrival: joins may take but a part of all turns, so that who is half way
//! into a conversation, repairs and those who are being let in go on beside them. Posts don't wait:
//! their stream has bounds of its own (posts.rs).

#[cfg(test)]
mod tests;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    sync::{AcquireError, Semaphore, SemaphorePermit, watch},
    task::futures::TaskLocalFuture,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;

use super::replica::State;
use crate::counted::Counted;

/// Longest wait of one ask for its turns.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest wait at a replica that says it is not ready, where there is no better one: what is let
/// through is likely to fail there, and slowly.
const GLANCE: Duration = Duration::from_secs(2);
/// Calls that may wait for one replica.
const QUEUE: usize = 16_384;

tokio::task_local! {
    /// Is cancelled when the socket is gone for which a task works.
    static GONE: CancellationToken;
}

/// A socket's own task. What it asks in order to join leaves the queue when the socket is gone.
pub(crate) fn for_socket<T: Future>(
    gone: CancellationToken,
    task: T,
) -> TaskLocalFuture<CancellationToken, T> {
    GONE.scope(gone, task)
}

/// Where a call waits.
#[derive(Clone, Debug)]
pub(super) enum Lane {
    /// With those who join, until the socket is gone.
    Joins(CancellationToken),
    /// With everything else: its number is bounded elsewhere, or it is soon done.
    Others,
}

impl Lane {
    /// The lane of a call that begins a join. Who is only being let in has no socket yet: those
    /// are few at a time (`HANDSHAKES_MAX`), and everybody else waits for them.
    pub(super) fn of_join() -> Self {
        GONE.try_with(Clone::clone).map_or(Self::Others, Self::Joins)
    }

    async fn left(&self) {
        match self {
            Self::Joins(gone) => gone.cancelled().await,
            Self::Others => std::future::pending().await,
        }
    }
}

/// Why there is no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoTurn {
    /// Something else is known of the replica by now: look again for the best one.
    Changed,
    /// It took too long, or too many wait already, or nobody waits for it any more.
    Refused(&'static str),
}

/// The turns of one replica.
#[derive(Debug)]
pub(super) struct Turns {
    all: Semaphore,
    joins: Semaphore,
    waiting: AtomicUsize,
    queue: usize,
}

/// A call may go, until this is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    _join: Option<SemaphorePermit<'a>>,
    _any: SemaphorePermit<'a>,
}

impl Turns {
    /// So many at a time.
    pub(super) fn new(most: usize) -> Self {
        Self::with_queue(most, QUEUE)
    }

    fn with_queue(most: usize, queue: usize) -> Self {
        let joins = (most - most / 4).max(1);
        let (all, joins) = (Semaphore::new(most), Semaphore::new(joins));
        Self { all, joins, waiting: AtomicUsize::new(0), queue }
    }

    /// How many wait.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Waits for a turn, but not longer than until then, nor once the replica's state has changed.
    pub(super) async fn take(
        &self,
        lane: &Lane,
        until: Instant,
        mut state: watch::Receiver<State>,
    ) -> Result<Turn<'_>, NoTurn> {
        if let Some(turn) = self.at_once(lane) {
            return Ok(turn);
        }
        if self.waiting() >= self.queue {
            return Err(refused("too many calls wait"));
        }
        let _waits = Waits::begin(&self.waiting);
        let before = *state.borrow_and_update();
        let until = match before {
            State::Serving => until,
            _ => until.min(Instant::now() + GLANCE),
        };
        tokio::select! {
            biased;
            turn = self.in_order(lane) => turn.map_err(|_| refused("it is stopping")),
            _ = state.wait_for(|now| *now != before) => Err(NoTurn::Changed),
            () = lane.left() => Err(refused("nobody waits any more")),
            () = sleep_until(until) => Err(refused("its turn did not come")),
        }
    }

    /// Nobody is passed by: what comes free belongs to the first in the queue.
    fn at_once(&self, lane: &Lane) -> Option<Turn<'_>> {
        let join = match lane {
            Lane::Joins(_) => Some(self.joins.try_acquire().ok()?),
            Lane::Others => None,
        };
        Some(Turn { _join: join, _any: self.all.try_acquire().ok()? })
    }

    async fn in_order(&self, lane: &Lane) -> Result<Turn<'_>, AcquireError> {
        let join = match lane {
            Lane::Joins(_) => Some(self.joins.acquire().await?),
            Lane::Others => None,
        };
        Ok(Turn { _join: join, _any: self.all.acquire().await? })
    }
}

fn refused(why: &'static str) -> NoTurn {
    metrics::counter!("switchboard_calls_refused_total").increment(1);
    NoTurn::Refused(why)
}

/// One more who waits, until it is dropped.
struct Waits<'a> {
    _count: Counted<'a>,
}

impl<'a> Waits<'a> {
    fn begin(waiting: &'a AtomicUsize) -> Self {
        metrics::counter!("switchboard_calls_waited_total").increment(1);
        metrics::gauge!("switchboard_calls_waiting").increment(1);
        Self { _count: Counted::begin(waiting) }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        metrics::gauge!("switchboard_calls_waiting").decrement(1);
    }
}

/// The time that an ask has taken. It stands still while the ask waits for its turn.
#[derive(Debug)]
pub(super) struct Clock {
    /// Later than it was, by all waits.
    began: Instant,
    waited: Duration,
}

impl Clock {
    pub(super) fn start() -> Self {
        Self { began: Instant::now(), waited: Duration::ZERO }
    }

    pub(super) const fn began(&self) -> Instant {
        self.began
    }

    /// Takes a turn while the clock stands still.
    pub(super) async fn turn<'a>(
        &mut self,
        turns: &'a Turns,
        lane: &Lane,
        state: watch::Receiver<State>,
    ) -> Result<Turn<'a>, NoTurn> {
        let stopped = Instant::now();
        let turn = turns.take(lane, stopped + (PATIENCE - self.waited), state).await;
        let waited = stopped.elapsed();
        self.began += waited;
        self.waited = PATIENCE.min(self.waited + waited);
        turn
    }
}
