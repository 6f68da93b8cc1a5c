//! `updateUsers`: who is online, to every socket of this gateway that came with a session.
//!
//! One task a gateway tells all of them, some at a time, who was told longest ago first, and each
//! the list of that moment. The more there is to send, the longer the task waits before the next
//! ones: bursts of connects grow into one list, not into as many lists as there were connects, and
//! no list for all comes between two messages of a conversation.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chat_core::{Feed, Frame, Sink, SocketKey};
use futures_util::FutureExt;
use tokio::{
    sync::watch,
    time::{Instant, sleep_until},
};

use crate::socket::Client;

/// The shortest time between two lists to one socket.
const GAP: Duration = Duration::from_millis(250);

/// How long it takes to tell all of a change, however much there is to send.
const ROUND_MAX: Duration = Duration::from_secs(10);

/// Bytes of lists that a gateway sends in a second, all sockets together, once it is crowded.
const BYTES_PER_SECOND: f64 = 16.0 * 1024.0 * 1024.0;

/// Most names in a list.
const NAMES_MAX: usize = 5_000;

/// Sockets that are told at once; of short lists, as many as take so many bytes.
const AT_ONCE: usize = 64;
const BYTES_AT_ONCE: usize = 1024 * 1024;

/// The sockets of one gateway that hear who is online.
#[derive(Default)]
pub struct Board(Mutex<State>);

#[derive(Default)]
struct State {
    running: bool,
    listed: Option<Listed>,
    ears: HashMap<SocketKey, Ear>,
}

/// The list of one moment.
#[derive(Clone)]
struct Listed {
    at: Instant,
    /// The version of the roster when these names were first the list: who comes or goes beyond
    /// those that fit does not change it.
    edition: u64,
    frame: Frame,
}

impl Listed {
    fn of(feed: &dyn Feed, version: u64) -> Self {
        let users = feed.roster().first(NAMES_MAX);
        let names: Vec<_> = users.iter().map(|user| user.name.as_str()).collect();
        // Not fleeting: who misses the last list would believe an older one until the next change.
        let frame = Frame::new("updateUsers", &names);
        Self { at: Instant::now(), edition: version, frame }
    }

    /// The same edition as the former if nothing in it has changed.
    fn after(self, former: &Self) -> Self {
        if self.frame.body.get() == former.frame.body.get() {
            return Self { at: self.at, ..former.clone() };
        }
        self
    }

    fn bytes(&self) -> usize {
        self.frame.body.get().len()
    }
}

/// One socket, and which edition it was told when.
struct Ear {
    sink: Arc<dyn Sink>,
    edition: u64,
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
        let (sink, edition) = (Arc::clone(&client.sink), listed.edition);
        state.ears.insert(key, Ear { sink, edition, at: Instant::now() });
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
            let listed = self.newest(&*feed, &mut version);
            next = Instant::now() + self.tell_some(&listed);
        }
    }

    /// The list as of this moment, or of one shortly before.
    fn newest(&self, feed: &dyn Feed, version: &mut watch::Receiver<u64>) -> Listed {
        let mut state = self.state();
        match &state.listed {
            Some(listed) if listed.at.elapsed() < GAP => listed.clone(),
            former => {
                let listed = Listed::of(feed, *version.borrow_and_update());
                let listed = match former {
                    Some(former) => listed.after(former),
                    None => listed,
                };
                state.listed.insert(listed).clone()
            }
        }
    }

    /// Has everybody been told the newest list?
    fn nobody_waits(&self) -> bool {
        let state = self.state();
        let edition = state.listed.as_ref().map(|listed| listed.edition);
        state.ears.values().all(|ear| Some(ear.edition) == edition)
    }

    /// Tells some of those whose last list is another one, and not of this moment, and who have
    /// read it: slow readers need not read every list, but the last. Answers how long to wait.
    fn tell_some(&self, listed: &Listed) -> Duration {
        let mut state = self.state();
        let (now, all) = (Instant::now(), state.ears.len());
        let behind = |ear: &&mut Ear| ear.edition != listed.edition && now - ear.at >= GAP;
        let mut due: Vec<_> = state.ears.values_mut().filter(behind).collect();
        let at_once = AT_ONCE.max(BYTES_AT_ONCE / listed.bytes());
        let are_more = due.len() > at_once;
        if are_more {
            due.select_nth_unstable_by_key(at_once, |ear| ear.at);
            due.truncate(at_once);
        }
        let count = due.len();
        for ear in due {
            ear.at = now;
            if ear.sink.has_room().now_or_never().is_some() {
                ear.edition = listed.edition;
                ear.sink.deliver(&listed.frame);
            }
        }
        let pause = pause(listed.bytes(), count, all);
        if are_more { pause } else { pause.max(GAP) }
    }
}

/// How long to wait after so many lists of so many bytes, when there is one for each of `all`.
fn pause(bytes: usize, count: usize, all: usize) -> Duration {
    let seconds = (bytes * count) as f64 / BYTES_PER_SECOND;
    let share = count as f64 / all.max(1) as f64;
    Duration::from_secs_f64(seconds.min(ROUND_MAX.as_secs_f64() * share))
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
        assert_eq!(pause(0, 0, 0), Duration::ZERO);
        let list = 2_000 * 20;
        let storm = pause(list, 2_000, 2_000);
        assert!(storm > Duration::from_secs(4) && storm < ROUND_MAX, "{storm:?}");
        let part = pause(list, 64, 2_000) * (2_000 / 64);
        assert!(part < storm && part > storm * 9 / 10, "{part:?} of {storm:?}");
        assert_eq!(pause(60_000, 50_000, 50_000), ROUND_MAX);
        assert_eq!(pause(60_000, 500, 50_000), ROUND_MAX / 100);
    }
}
