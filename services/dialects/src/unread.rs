//! What has come in on a websocket and is no whole message yet.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use axum::extract::ws::Message;

/// What a control frame has beside its payload.
const CONTROL: usize = 6;

/// Counts it: who carries the bytes counts them in, who reads the messages counts them out. Clones
/// share it. Without a reader who counts, nothing is counted.
#[derive(Clone, Debug, Default)]
pub struct Unread(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    is_counted: AtomicBool,
    bytes: AtomicUsize,
}

impl Unread {
    /// From now on every message that is read is told by [`Self::took`].
    pub fn begin(&self) {
        self.0.is_counted.store(true, Ordering::Relaxed);
    }

    /// So many bytes have come.
    pub fn came(&self, bytes: usize) {
        if self.0.is_counted.load(Ordering::Relaxed) {
            self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
    }

    /// A message was read. Control frames may come within another message, which goes on.
    pub fn took(&self, message: &Message) {
        if let Message::Ping(data) | Message::Pong(data) = message {
            let less = |bytes: usize| Some(bytes.saturating_sub(data.len() + CONTROL));
            // It always changes something.
            let _ = self.0.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
            return;
        }
        self.0.bytes.store(0, Ordering::Relaxed);
    }

    /// How many bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.0.bytes.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_is_read_is_counted_out_and_a_pong_within_it_counts_for_itself() {
        let unread = Unread::default();
        unread.came(7);
        assert_eq!(unread.bytes(), 0, "nobody counts");
        unread.begin();
        unread.came(1_000 + 2 + CONTROL);
        unread.took(&Message::Pong("ab".into()));
        assert_eq!(unread.bytes(), 1_000);
        unread.came(5);
        unread.took(&Message::Text("whole".into()));
        assert_eq!(unread.bytes(), 0);
    }
}
