//! How many bytes wait for one client.
//!
//! Socket.IO's queue counts packets, and a packet may be long. So each frame is counted in with
//! its exact length on the wire before it goes into a queue, and the connection counts out what
//! was really written. What the library writes by itself (pings, greetings) is only counted out:
//! the count never falls below zero, so it is right again as soon as all has been written.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::counted::Counted;

/// The count of one connection, or of one session that polls.
#[derive(Debug, Default)]
pub struct Backlog {
    bytes: AtomicUsize,
    /// What frames longer than half of the most are not charged for, until they are written.
    excess: AtomicUsize,
    /// How many wait for `less`. To tell nobody costs as much as to tell one.
    waiters: AtomicUsize,
    less: Notify,
}

impl Backlog {
    /// Counts a frame in, unless more than `most` bytes would wait then. A frame is charged for
    /// half of `most` at the most: however long it is, a queue that moves has room for it, and for
    /// others behind it.
    #[must_use]
    pub fn put(&self, bytes: usize, most: usize) -> bool {
        if self.bytes() <= most / 2 {
            self.excess.store(0, Ordering::Relaxed);
        }
        let asked = bytes.min(most / 2);
        let excess = self.excess.load(Ordering::Relaxed);
        let more = |waiting: usize| {
            (waiting.saturating_sub(excess) + asked <= most).then_some(waiting + bytes)
        };
        let has_room = self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok();
        if has_room && bytes > asked {
            self.excess.fetch_add(bytes - asked, Ordering::Relaxed);
        }
        has_room
    }

    /// Counts out what was written, or what was not sent after all.
    pub fn written(&self, bytes: usize) {
        let rest = |waiting: usize| Some(waiting.saturating_sub(bytes));
        let _ = self.bytes.fetch_update(Ordering::SeqCst, Ordering::Relaxed, rest);
        self.tell();
    }

    /// Everything was written, or never will be.
    pub fn clear(&self) {
        self.bytes.store(0, Ordering::SeqCst);
        self.tell();
    }

    /// Whoever is not seen here looks at `bytes` only later.
    fn tell(&self) {
        if self.waiters.load(Ordering::SeqCst) > 0 {
            self.less.notify_waiters();
        }
    }

    /// How many bytes wait.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits until no more than so many bytes wait, or the connection has ended.
    pub async fn falls_to(&self, bytes: usize) {
        if self.bytes() <= bytes {
            return;
        }
        let _waiter = Counted::begin(&self.waiters);
        loop {
            // Listening begins before looking, so that nothing slips in between.
            let mut less = std::pin::pin!(self.less.notified());
            less.as_mut().enable();
            if self.bytes.load(Ordering::SeqCst) <= bytes {
                return;
            }
            less.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_would_be_too_much_is_refused_and_not_counted() {
        let backlog = Backlog::default();
        assert!(backlog.put(40, 100) && backlog.put(40, 100));
        assert!(!backlog.put(40, 100));
        assert_eq!(backlog.bytes(), 80);
        backlog.written(40);
        assert!(backlog.put(40, 100));
    }

    #[test]
    fn one_long_frame_passes_where_half_is_free() {
        let backlog = Backlog::default();
        assert!(backlog.put(10, 100) && backlog.put(1_000, 100));
        // Its acknowledgement goes behind it, another such frame does not.
        assert!(backlog.put(40, 100));
        assert!(!backlog.put(1_000, 100));
        assert_eq!(backlog.bytes(), 1_050);
        backlog.written(1_050);
        assert!(backlog.put(50, 100) && backlog.put(1, 100) && !backlog.put(1_000, 100));
    }

    #[test]
    fn what_was_never_counted_in_leaves_no_debt() {
        let backlog = Backlog::default();
        backlog.written(7);
        assert!(backlog.put(10, 100));
        assert_eq!(backlog.bytes(), 10);
    }

    #[tokio::test]
    async fn who_waits_for_room_is_woken_when_there_is() {
        let backlog = Backlog::default();
        assert!(backlog.put(80, 100));
        let waiting = tokio::time::timeout(Duration::from_secs(5), backlog.falls_to(50));
        let (outcome, ()) = tokio::join!(waiting, async { backlog.written(30) });
        assert!(outcome.is_ok());
    }
}
