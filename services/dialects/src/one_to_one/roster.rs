//! `updateUsers`: who is online, to every socket of this gateway that came with a session.
//!
//! One task a gateway tells all of them. A change is rendered once. The more there is to send, the
//! longer the task waits between two rounds: bursts of connects grow into one list, not into as
//! many lists as there were connects.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chat_core::{Feed, Frame, Sink, SocketKey};
use futures_util::FutureExt;
use tokio::{
    task::yield_now,
    time::{Instant, sleep_until},
};

use crate::socket::Client;

/// The shortest time between two lists to one socket.
const GAP: Duration = Duration::from_millis(250);

/// The longest time between two rounds, however much there is to send.
const GAP_MAX: Duration = Duration::from_secs(10);

/// Bytes of lists that a gateway sends in a second, all sockets together, once it is crowded.
const BYTES_PER_SECOND: usize = 16 * 1024 * 1024;

/// Most names in a list.
const NAMES_MAX: usize = 5_000;

/// Sockets that are told before other tasks get their turn.
const AT_ONCE: usize = 64;

/// The sockets of one gateway that hear who is online.
#[derive(Default)]
pub struct Board(Mutex<State>);

#[derive(Default)]
struct State {
    running: bool,
    listed: Option<Listed>,
    ears: HashMap<SocketKey, Ear>,
}

/// The list as of one version of the roster.
#[derive(Clone)]
struct Listed {
    version: u64,
    frame: Frame,
}

impl Listed {
    fn of(feed: &dyn Feed, version: u64) -> Self {
        let users = feed.roster().users();
        let names: Vec<_> = users.iter().take(NAMES_MAX).map(|user| user.name.as_str()).collect();
        // Not fleeting: who misses the last list would believe an older one until the next change.
        Self { version, frame: Frame::new("updateUsers", &names) }
    }
}

/// One socket, and what it was last told.
struct Ear {
    sink: Arc<dyn Sink>,
    version: u64,
    at: Instant,
}

impl Board {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells a socket who is online, now and at every change, until the answer is dropped. In a
    /// crowd the first list may be some moments old; the next one is then on its way.
    pub fn enter(self: &Arc<Self>, client: &Client) -> Seat {
        let (feed, key) = (&client.ports.feed, client.key);
        let mut state = self.state();
        let listed = state.listed.get_or_insert_with(|| {
            let version = *feed.roster().version().borrow();
            Listed::of(&**feed, version)
        });
        client.sink.deliver(&listed.frame);
        let (sink, version) = (Arc::clone(&client.sink), listed.version);
        state.ears.insert(key, Ear { sink, version, at: Instant::now() });
        if !state.running {
            state.running = true;
            let round = Arc::clone(self).go_round(Arc::clone(feed));
            client.ports.tasks.spawn_until_stopped(round);
        }
        drop(state);
        Seat { board: Arc::clone(self), key }
    }

    /// Tells everybody of every change, at a bearable pace.
    async fn go_round(self: Arc<Self>, feed: Arc<dyn Feed>) {
        let mut version = feed.roster().version();
        // What changed since the first socket got its list has not been told.
        version.mark_changed();
        let mut next = Instant::now();
        loop {
            if self.nobody_waits() && version.changed().await.is_err() {
                return;
            }
            sleep_until(next).await;
            let listed = self.newest(&*feed, *version.borrow_and_update());
            let told = self.tell(&listed).await;
            next = Instant::now() + pause(listed.frame.body.get().len() * told);
        }
    }

    /// The list as of this version, rendered once.
    fn newest(&self, feed: &dyn Feed, version: u64) -> Listed {
        let mut state = self.state();
        match &state.listed {
            Some(listed) if listed.version == version => listed.clone(),
            _ => state.listed.insert(Listed::of(feed, version)).clone(),
        }
    }

    /// Has everybody been told the newest list?
    fn nobody_waits(&self) -> bool {
        let state = self.state();
        let version = state.listed.as_ref().map(|listed| listed.version);
        state.ears.values().all(|ear| Some(ear.version) == version)
    }

    /// Tells those whose last list is another one, and not of this moment, and who have read it:
    /// slow readers need not read every list, but the last. Answers how many.
    async fn tell(&self, listed: &Listed) -> usize {
        let due: Vec<_> = {
            let mut state = self.state();
            let now = Instant::now();
            let behind = state
                .ears
                .values_mut()
                .filter(|ear| ear.version != listed.version && now - ear.at >= GAP)
                .filter(|ear| ear.sink.has_room().now_or_never().is_some());
            behind
                .map(|ear| {
                    (ear.version, ear.at) = (listed.version, now);
                    Arc::clone(&ear.sink)
                })
                .collect()
        };
        for some in due.chunks(AT_ONCE) {
            for sink in some {
                sink.deliver(&listed.frame);
            }
            yield_now().await;
        }
        due.len()
    }
}

/// How long a round of so many bytes lasts.
fn pause(bytes: usize) -> Duration {
    let millis = bytes.saturating_mul(1_000) / BYTES_PER_SECOND;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).clamp(GAP, GAP_MAX)
}

/// A socket's place on the board.
pub struct Seat {
    board: Arc<Board>,
    key: SocketKey,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.board.state().ears.remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_grows_with_what_there_is_to_send_within_bounds() {
        assert_eq!(pause(0), GAP);
        assert_eq!(pause(20 * 10), GAP);
        let storm = pause(2_000 * 20 * 2_000);
        assert!(storm > Duration::from_secs(4) && storm < GAP_MAX, "{storm:?}");
        assert_eq!(pause(usize::MAX), GAP_MAX);
    }
}
