//! Everything durable, for services that watch: at least once, in order within each conversation,
//! from wherever they left, at any replica. From grpc/watch.rs.
//!
//! Only the database is believed, and only it remembers: a watcher here is a few numbers and at most
//! one page of changes. One task for all of them looks ten times a second whether the newest ids
//! have changed, and only while anybody watches. So Redis has no part in it, and posting does
//! nothing for watchers.
//!
//! **Chosen conversations** (`chosen`): their heads against the seqs that were told. Seqs have no
//! holes, and a head is raised in the transaction that stores, so that nothing can be missed. The
//! cursor is those seqs.
//!
//! **All conversations** (`all`): new entries of the two logs (store/logs.rs) by their ids tell which
//! conversations have something new, and up to which seq. What is told is read by seq, without
//! holes, from the seq told last; so the order within a conversation holds whatever the
//! order of ids, and a change that became visible late is told with the first that follows it.
//! What remains is a change that becomes visible late and is followed by none. Ids are given out
//! before the commit, so its id is lower than others seen before: a gap. Gaps are looked at again
//! until they are filled. One that is a minute old (`seen`) is asked about in a way that meets rows
//! which are not committed yet: only where there are none the id belongs to nothing (its
//! transaction was rolled back). The cursor is the id in each log below which there is no such gap.
//! Who goes on from it therefore hears again what had a higher id than the oldest gap, and misses
//! nothing. On Galera rows that another node is still committing are not met; there the minute
//! alone decides.
//!
//! Where a conversation has to be read from, when the stream meets it first, follows from the cursor
//! alone: within a conversation ids rise with the seqs, in each log, so that everything up to the
//! last seq whose ids are not above the cursor's was told before.

mod all;
mod chosen;
mod cursor;
mod seen;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chat_core::{Change, ChatError, ConversationId, Result, process::Shutdown};
use tokio::{
    sync::{Notify, Semaphore, watch},
    time::{Instant, sleep, timeout},
};

use self::{all::All, chosen::Chosen, cursor::Cursor};
use crate::store::{Ids, Store};

/// How often it is looked whether there is anything new.
const LOOK: Duration = Duration::from_millis(100);
/// How long the database may take for one step.
const PATIENCE: Duration = Duration::from_secs(10);
/// After so long without changes a watcher is told where it is.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// Watchers that read at the same time: others need the database too.
const READERS: usize = 4;
/// Most conversations that can be chosen.
pub const CHOSEN_MAX: usize = 100;
/// Changes that are read and told together, give or take a conversation's.
const PAGE: u64 = 100;

/// Where a watcher begins.
#[derive(Clone, Debug)]
pub enum Since {
    /// With what comes.
    Now,
    /// With the first change of each conversation.
    Beginning,
    /// Where another stream was left.
    Cursor(String),
}

/// Some changes, and the cursor with which to go on after them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// None: only where the watcher is.
    pub changes: Vec<Change>,
    /// Opaque.
    pub cursor: String,
}

/// All watchers of this replica. Clones share them.
#[derive(Clone, Debug)]
pub struct Watches {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    store: Store,
    /// How many each service has, and may have.
    counts: Mutex<HashMap<Arc<str>, u32>>,
    most: u32,
    newest: watch::Sender<Ids>,
    begun: Notify,
    readers: Semaphore,
}

impl Watches {
    /// Nobody watches yet. A service may have so many streams.
    #[must_use]
    pub fn start(store: Store, most: u32, tasks: &Shutdown) -> Self {
        let shared = Arc::new(Shared {
            store,
            counts: Mutex::default(),
            most,
            newest: watch::Sender::default(),
            begun: Notify::new(),
            readers: Semaphore::new(READERS),
        });
        tasks.spawn_until_stopped(look(Arc::clone(&shared)));
        Self { shared }
    }

    /// Begins to watch these conversations, or all if there are none. Fails with `rate_limited`,
    /// `invalid_payload`, `not_found`.
    pub async fn watch(
        &self,
        service: Arc<str>,
        chosen: BTreeSet<ConversationId>,
        since: Since,
    ) -> Result<Watcher> {
        let place = Place::take(&self.shared, service)?;
        let store = &self.shared.store;
        let newest = self.shared.newest.subscribe();
        self.shared.begun.notify_one();
        let cursor = match &since {
            Since::Cursor(raw) => Some(Cursor::parse(raw)?),
            Since::Now | Since::Beginning => None,
        };
        let from_now = matches!(since, Since::Now);
        let reader = bounded(async {
            Ok(if chosen.is_empty() {
                Reader::All(All::begin(store, cursor, from_now).await?)
            } else {
                Reader::Chosen(Chosen::begin(store, chosen, cursor, from_now).await?)
            })
        })
        .await?;
        Ok(Watcher { reader, newest, place, has_begun: false })
    }
}

/// Looks for new ids while anybody watches.
async fn look(shared: Arc<Shared>) {
    loop {
        while shared.newest.receiver_count() == 0 {
            shared.begun.notified().await;
        }
        sleep(LOOK).await;
        // If it fails, the next look will tell.
        if let Ok(Ok(ids)) = timeout(PATIENCE, shared.store.newest_ids()).await {
            shared.newest.send_if_modified(|known| std::mem::replace(known, ids) != ids);
        }
    }
}

/// A database that says nothing ends a stream, so that its watcher tries another replica.
async fn bounded<T>(step: impl Future<Output = Result<T>>) -> Result<T> {
    let done = timeout(PATIENCE, step).await;
    done.unwrap_or_else(|_| Err(ChatError::unavailable("watching", "the database is too slow")))
}

/// One of a service's streams.
#[derive(Debug)]
struct Place {
    shared: Arc<Shared>,
    service: Arc<str>,
}

impl Place {
    fn take(shared: &Arc<Shared>, service: Arc<str>) -> Result<Self> {
        let mut counts = shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(Arc::clone(&service)).or_default();
        if *count >= shared.most {
            let sentence = format!("{} streams are open to this replica already", shared.most);
            return Err(ChatError::too_many_at_once(sentence));
        }
        *count += 1;
        metrics::gauge!("switchboard_watches", "service" => service.to_string()).set(*count);
        Ok(Self { shared: Arc::clone(shared), service })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let left = counts.get(&self.service).map_or(0, |count| count.saturating_sub(1));
        metrics::gauge!("switchboard_watches", "service" => self.service.to_string()).set(left);
        match left {
            0 => counts.remove(&self.service),
            _ => counts.insert(Arc::clone(&self.service), left),
        };
    }
}

#[derive(Debug)]
enum Reader {
    All(All),
    Chosen(Chosen),
}

/// One stream. It reads when it is asked to, and so never more than is taken from it.
#[derive(Debug)]
pub struct Watcher {
    reader: Reader,
    newest: watch::Receiver<Ids>,
    place: Place,
    has_begun: bool,
}

impl Watcher {
    /// What comes next; waits for it, and tells now and then where it is. Fails with `unavailable`.
    pub async fn next(&mut self) -> Result<Told> {
        if !std::mem::replace(&mut self.has_begun, true) {
            return Ok(self.told(Vec::new()));
        }
        let heartbeat = Instant::now() + HEARTBEAT;
        loop {
            // What comes while it reads rings again.
            self.newest.borrow_and_update();
            let changes = self.read().await?;
            if !changes.is_empty() {
                metrics::counter!("switchboard_watched_changes_total")
                    .increment(changes.len() as u64);
                return Ok(self.told(changes));
            }
            let has_gaps = matches!(&self.reader, Reader::All(all) if all.has_gaps());
            tokio::select! {
                _ = self.newest.changed() => {}
                () = sleep(LOOK * 2), if has_gaps => {}
                () = tokio::time::sleep_until(heartbeat) => return Ok(self.told(Vec::new())),
            }
            if Instant::now() >= heartbeat {
                return Ok(self.told(Vec::new()));
            }
        }
    }

    async fn read(&mut self) -> Result<Vec<Change>> {
        let Shared { store, readers, .. } = &*self.place.shared;
        let reader = &mut self.reader;
        bounded(async {
            let _turn = readers.acquire().await.map_err(|e| ChatError::internal("watching", e))?;
            match reader {
                Reader::All(all) => all.read(store).await,
                Reader::Chosen(chosen) => chosen.read(store).await,
            }
        })
        .await
    }

    fn told(&self, changes: Vec<Change>) -> Told {
        let cursor = match &self.reader {
            Reader::All(all) => all.cursor(),
            Reader::Chosen(chosen) => chosen.cursor(),
        };
        Told { changes, cursor: cursor.write() }
    }
}
