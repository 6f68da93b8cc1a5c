//! What the clients write down: every connection, every send, every receipt, and whom they
//! believe to be there. Times count from the beginning of the seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// What has happened to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum What {
    /// It is new.
    Posted,
    /// Its text has changed.
    Edited,
    /// It is gone.
    Deleted,
    /// Its recipient has read it.
    Read,
}

/// On which way a client learnt of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Pushed.
    Live,
    /// Pushed as history, on joining.
    Replayed,
    /// Asked for.
    Fetched,
}

/// Something heard.
#[derive(Clone, Debug)]
pub struct Receipt {
    /// When it was written down; it came a moment before.
    pub at: Duration,
    /// Which of the client's connections, from 1.
    pub connection: usize,
    /// What came between two joins of a room has one number.
    pub segment: usize,
    /// On which way.
    pub how: How,
    /// What happened.
    pub what: What,
    /// To which message.
    pub id: u64,
    /// The message's place, where the protocol tells it.
    pub seq: Option<u64>,
    /// The message's text, where the protocol tells it.
    pub text: Option<String>,
}

/// An acknowledgement.
#[derive(Clone, Copy, Debug)]
pub struct Acked {
    /// When.
    pub at: Duration,
    /// The message's id.
    pub id: u64,
    /// Its place, where the protocol tells it.
    pub seq: Option<u64>,
}

/// Something sent, however often.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The idempotency key, if it has one.
    pub key: Option<String>,
    /// No two are alike.
    pub text: String,
    /// The first attempt.
    pub at: Duration,
    /// How often it was sent.
    pub attempts: u32,
    /// The acknowledgement, once there is one.
    pub acked: Option<Acked>,
    /// Given up: it had no key, so trying again would not be harmless.
    pub given_up: bool,
    /// The last refusal, or what else went wrong.
    pub trouble: String,
}

/// A connection of one client.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Which gateway, from 1.
    pub gateway: usize,
    /// When it was open.
    pub opened: Duration,
    /// When all that its client asked for at once, like joining its rooms, was answered.
    pub settled: Option<Duration>,
    /// When it ended, and why.
    pub closed: Option<(Duration, String)>,
    /// Whom it has seen come (true) or go (false) last.
    pub seen: BTreeMap<Seen, bool>,
}

/// Whom an observer saw where: `None` is "online at all".
pub type Seen = (Option<u64>, String);

/// Everything of one client.
#[derive(Clone, Debug, Default)]
pub struct Diary {
    /// Its connections, oldest first.
    pub connections: Vec<Connection>,
    /// What it sent.
    pub sends: Vec<Sent>,
    /// What it heard.
    pub heard: Vec<Receipt>,
    /// The last list of those online, where the protocol has one.
    pub roster: Option<BTreeSet<String>>,
    /// Is it connected and caught up?
    pub settled: bool,
    /// Has it left for good?
    pub gone: bool,
}

/// All diaries of one seed.
#[derive(Debug)]
pub struct Books {
    began: Instant,
    diaries: Mutex<BTreeMap<String, Diary>>,
}

impl Books {
    /// Empty ones; time begins.
    #[must_use]
    pub fn open() -> Arc<Self> {
        Arc::new(Self { began: Instant::now(), diaries: Mutex::default() })
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Changes one client's diary.
    pub fn write<T>(&self, client: &str, note: impl FnOnce(&mut Diary) -> T) -> T {
        let mut diaries = self.diaries();
        note(diaries.entry(client.to_owned()).or_default())
    }

    /// All of them as they are now.
    #[must_use]
    pub fn read(&self) -> BTreeMap<String, Diary> {
        self.diaries().clone()
    }

    fn diaries(&self) -> MutexGuard<'_, BTreeMap<String, Diary>> {
        self.diaries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
