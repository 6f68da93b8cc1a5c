//! Listeners, and events rendered once for each protocol among them.

use std::{
    collections::HashMap,
    sync::{LazyLock, PoisonError, RwLock},
    time::Instant,
};

use chat_core::{Event, Frame, Listener, Seq};
use metrics::Counter;

/// One listener, and what it has heard.
pub(super) struct Entry {
    /// Its number in this feed.
    pub(super) number: u64,
    /// The socket.
    pub(super) listener: Listener,
    /// The newest change that it knows of.
    pub(super) heard: Seq,
    /// Since when it listens.
    pub(super) since: Instant,
}

/// The frames of one wording of one protocol, and how many sockets they went to.
type Wording = (&'static str, u8, Vec<Frame>, u64);

/// An event, and its frames so far.
pub(super) struct Rendered<'a> {
    event: &'a Event,
    wordings: Vec<Wording>,
}

impl<'a> Rendered<'a> {
    /// Nothing is rendered until somebody needs it.
    #[must_use]
    pub(super) const fn new(event: &'a Event) -> Self {
        Self { event, wordings: Vec::new() }
    }

    /// Hands the event to a listener in its protocol's words, if it is to be told.
    pub(super) fn tell(&mut self, listener: &Listener) {
        let Some(wording) = listener.render.wording(self.event, listener) else { return };
        let protocol = listener.render.protocol();
        let known = self.wordings.iter().position(|(p, w, ..)| *p == protocol && *w == wording);
        let at = known.unwrap_or_else(|| {
            let frames = listener.render.render(self.event, wording);
            self.wordings.push((protocol, wording, frames, 0));
            self.wordings.len() - 1
        });
        let (_, _, frames, told) = &mut self.wordings[at];
        *told += 1;
        for frame in frames {
            listener.sink.deliver(frame);
        }
    }
}

/// Counts at the end, once for all sockets that a frame went to.
impl Drop for Rendered<'_> {
    fn drop(&mut self) {
        for (protocol, _, frames, told) in &self.wordings {
            for frame in frames {
                counted(protocol, frame.name, *told);
            }
        }
    }
}

/// The counters, by protocol and event: found once.
type Counters = HashMap<(&'static str, &'static str), Counter>;

fn counted(protocol: &'static str, event: &'static str, sockets: u64) {
    static COUNTERS: LazyLock<RwLock<Counters>> = LazyLock::new(RwLock::default);
    // 001's frames have no names.
    let event = if event.is_empty() { "message" } else { event };
    let known = COUNTERS.read().unwrap_or_else(PoisonError::into_inner);
    if let Some(counter) = known.get(&(protocol, event)) {
        return counter.increment(sockets);
    }
    drop(known);
    let labels = [("protocol", protocol), ("event", event)];
    let counter = metrics::counter!("switchboard_events_out_total", &labels);
    counter.increment(sockets);
    let mut all = COUNTERS.write().unwrap_or_else(PoisonError::into_inner);
    all.insert((protocol, event), counter);
}
