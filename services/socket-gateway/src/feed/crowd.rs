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

/// The frames of one wording of one protocol.
type Wording = (&'static str, u8, Vec<Frame>);

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
        let known = self.wordings.iter().position(|(p, w, _)| *p == protocol && *w == wording);
        let at = known.unwrap_or_else(|| {
            let frames = listener.render.render(self.event, wording);
            self.wordings.push((protocol, wording, frames));
            self.wordings.len() - 1
        });
        for frame in &self.wordings[at].2 {
            listener.sink.deliver(frame);
        }
    }
}
