//! Listeners, and events rendered once for each protocol among them.

use chat_core::{Event, Frame, Listener, Seq};

/// One listener, and what it has heard.
pub(super) struct Entry {
    /// Its number in this feed.
    pub(super) number: u64,
    /// The socket.
    pub(super) listener: Listener,
    /// The newest change that it knows of.
    pub(super) heard: Seq,
}

/// An event, and its frames so far.
pub(super) struct Rendered<'a> {
    event: &'a Event,
    frames: Vec<(&'static str, Option<Frame>)>,
}

impl<'a> Rendered<'a> {
    /// Nothing is rendered until somebody needs it.
    #[must_use]
    pub(super) const fn new(event: &'a Event) -> Self {
        Self { event, frames: Vec::new() }
    }

    /// Hands the event to a listener in its protocol's words, unless it is the one that caused it
    /// and must not hear it.
    pub(super) fn tell(&mut self, listener: &Listener) {
        if self.event.silent_for() == Some(listener.key) {
            return;
        }
        let protocol = listener.render.protocol();
        let known = self.frames.iter().position(|(name, _)| *name == protocol);
        let at = known.unwrap_or_else(|| {
            self.frames.push((protocol, listener.render.render(self.event)));
            self.frames.len() - 1
        });
        if let Some(frame) = &self.frames[at].1 {
            listener.sink.deliver(frame);
        }
    }
}
