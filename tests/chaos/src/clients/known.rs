//! How far a client that catches up by itself knows its conversation.

/// What a client knows of its conversation.
#[derive(Debug, Default)]
pub(super) struct Known {
    newest: u64,
    /// Up to here nothing is missing.
    whole: u64,
    /// Has the last catching up come to its end? What came live while one was cut short says
    /// nothing of what came before.
    is_whole: bool,
}

impl Known {
    /// A catching up begins. Answers up to where nothing is missing.
    pub(super) const fn begins(&mut self) -> u64 {
        self.is_whole = false;
        self.whole
    }

    /// A message came.
    pub(super) fn hears(&mut self, id: u64) {
        self.newest = self.newest.max(id);
        if self.is_whole {
            self.whole = self.newest;
        }
    }

    /// The catching up has come to its end.
    pub(super) const fn ends(&mut self) {
        (self.whole, self.is_whole) = (self.newest, true);
    }
}
