//! Who types, and that it ends: by the typist's word, by itself after a while, or with the socket.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_core::{ConversationId, Feed, Fleeting, SocketKey, Topic, Username};
use tokio::{task::JoinHandle, time::sleep};

use crate::{pace::Pace, socket::Ports};

/// How long a typist may be silent before we say that they are done.
const SILENCE: Duration = Duration::from_secs(5);

/// Most of each of the two events from one socket in a second; more are not worth telling.
const PER_SECOND: u32 = 2;

/// One socket's typing.
pub(super) struct Typing {
    begins: Pace,
    ends: Pace,
    now: Option<Spell>,
}

impl Default for Typing {
    fn default() -> Self {
        let pace = Pace::new(PER_SECOND, Duration::from_secs(1));
        Self { begins: pace, ends: pace, now: None }
    }
}

impl Typing {
    /// They type.
    pub(super) fn begin(&mut self, ports: &Ports, typist: Typist) {
        if self.begins.allows() {
            let Typist { conversation, name, origin } = typist.clone();
            let typing = Fleeting::Typing { conversation, name, origin };
            ports.feed.whisper(Topic::Conversation(conversation), typing);
            self.now = Some(Spell::new(ports, typist));
        }
    }

    /// They say that they are done.
    pub(super) fn end(&mut self, ports: &Ports, typist: &Typist) {
        match self.now.take() {
            // What was told to begin is told to end, whatever the pace.
            Some(spell) if spell.end() => {}
            _ if self.ends.allows() => typist.is_done(&*ports.feed),
            _ => {}
        }
    }

    /// They are gone, or have turned to another channel.
    pub(super) fn leave(&mut self) {
        if let Some(spell) = self.now.take() {
            spell.end();
        }
    }
}

/// Who types where.
#[derive(Clone)]
pub(super) struct Typist {
    pub(super) conversation: ConversationId,
    pub(super) name: Username,
    pub(super) origin: SocketKey,
}

impl Typist {
    fn is_done(&self, feed: &dyn Feed) {
        let Self { conversation, name, origin } = self.clone();
        let done = Fleeting::StoppedTyping { conversation, name, origin };
        feed.whisper(Topic::Conversation(conversation), done);
    }
}

/// From a `typing` to its `doneTyping`. Dropped, it ends without a word: another one follows.
struct Spell {
    typist: Typist,
    feed: Arc<dyn Feed>,
    over: Arc<AtomicBool>,
    timer: JoinHandle<()>,
}

impl Spell {
    fn new(ports: &Ports, typist: Typist) -> Self {
        let (feed, over) = (Arc::clone(&ports.feed), Arc::new(AtomicBool::new(false)));
        let timer = ports.tasks.spawn({
            let (tasks, typist) = (ports.tasks.clone(), typist.clone());
            let (feed, over) = (Arc::clone(&feed), Arc::clone(&over));
            async move {
                tokio::select! { () = tasks.begun() => {}, () = sleep(SILENCE) => {} }
                if !over.swap(true, Ordering::Relaxed) {
                    typist.is_done(&*feed);
                }
            }
        });
        Self { typist, feed, over, timer }
    }

    /// Tells the end, unless time has told it already. Answers whether it did.
    fn end(&self) -> bool {
        let is_first = !self.over.swap(true, Ordering::Relaxed);
        if is_first {
            self.typist.is_done(&*self.feed);
        }
        is_first
    }
}

impl Drop for Spell {
    fn drop(&mut self) {
        self.timer.abort();
    }
}
