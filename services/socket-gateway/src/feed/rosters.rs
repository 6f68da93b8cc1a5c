//! Who is in the rooms that somebody here has entered. However many events are lost, repeated or
//! said again, each listener hears of each coming and going once.
//!
//! The cost of the comparison: each second the rooms in doubt, every five seconds all of them, 40
//! bytes of question and 15 of answer for each, a thousand in a call: 10,000 rooms take ten calls
//! and half a megabyte. Only where the digests differ are the members read, 50 bytes for each, and
//! 40 more for who came within the hour: a room of 10,000 is half a megabyte or nearly one, and
//! differs only if somebody moved in that millisecond or an event was lost.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use chat_core::{ConversationId, Event, Fleeting};
use rand::RngExt;
use tokio::time::sleep;

use super::{
    GatewayFeed,
    book::{Book, Compared, Entrance, Turn},
};
use crate::presence::{Census, Listed, Place};

/// How often rooms in doubt are compared. An event should not take as long to come.
const DOUBTS_EVERY: Duration = Duration::from_secs(1);

/// How often all are compared.
const ALL_EVERY: Duration = Duration::from_secs(5);

/// Digests in one call.
const BATCH: usize = 1_000;

/// Places whose members are read in one call.
const PLACES: usize = 16;

type Shared = Arc<Mutex<Book>>;

/// The books of the rooms that somebody here has entered, or is about to.
#[derive(Default)]
pub(super) struct Rosters {
    /// Each with how many need it.
    books: Mutex<HashMap<ConversationId, (Shared, usize)>>,
    /// Something may have been lost: all are compared at the next chance.
    trouble: AtomicBool,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts what events had not told.
pub(super) fn count_mended(kind: &'static str, turns: usize) {
    if turns > 0 {
        metrics::counter!("switchboard_presence_mended_total", "kind" => kind)
            .increment(turns as u64);
    }
}

impl Rosters {
    fn book(&self, room: ConversationId) -> Option<Shared> {
        locked(&self.books).get(&room).map(|(book, _)| Arc::clone(book))
    }

    /// One more needs the room's book.
    pub(super) fn open(&self, room: ConversationId) {
        locked(&self.books).entry(room).or_default().1 += 1;
    }

    /// One less does.
    pub(super) fn close(&self, room: ConversationId) {
        let mut books = locked(&self.books);
        if let Some((_, uses)) = books.get_mut(&room) {
            *uses -= 1;
            if *uses == 0 {
                books.remove(&room);
            }
        }
    }

    fn rooms(&self, only_doubtful: bool) -> Vec<ConversationId> {
        let books = locked(&self.books);
        let wanted =
            books.iter().filter(|(_, (book, _))| !only_doubtful || locked(book).is_doubtful());
        wanted.map(|(room, _)| *room).collect()
    }
}

impl GatewayFeed {
    /// Hands on something fleeting of a conversation, unless it is somebody's coming or going and
    /// no news.
    pub(super) fn hear_in_room(&self, room: ConversationId, event: Event) {
        let Some(hub) = self.hub(room) else { return };
        let book = self.rosters.book(room);
        // Told under the lock: a comparison must not come between.
        let mut book = book.as_ref().map(|book| locked(book));
        let news = match (event, &mut book) {
            (Event::Fleeting(Fleeting::Entered { name, origin, ago, .. }), Some(book)) => {
                let now = Instant::now();
                let came = now.checked_sub(ago).unwrap_or(now);
                let here_since = |field: &str| self.presence.here_since(Place::Room(room), field);
                let entrance = book.enters(&name.key(), &name, came, here_since);
                if let Some(Entrance { name, known, came }) = entrance {
                    let entered = Fleeting::Entered { conversation: room, name, origin, ago };
                    hub.tell_of(&Event::Fleeting(entered), known, came);
                }
                None
            }
            (Event::Fleeting(Fleeting::Left { name, .. }), Some(book)) => book
                .leaves(&name.key(), &name)
                .map(|name| Event::Fleeting(Fleeting::Left { conversation: room, name })),
            (Event::Fleeting(Fleeting::MayHaveLeft { name, .. }), book) => {
                book.iter_mut().for_each(|book| book.suspect(&name.key(), &name));
                None
            }
            (event, _) => Some(event),
        };
        if let Some(event) = news {
            hub.tell(&event);
        }
    }

    fn compare_room(&self, room: ConversationId, listed: Listed, gone_counts: bool) {
        let (Some(book), Some(hub)) = (self.rosters.book(room), self.hub(room)) else { return };
        let mut book = locked(&book);
        let here_since = |field: &str| self.presence.here_since(Place::Room(room), field);
        let turns = match book.compare(listed, gone_counts, here_since) {
            Compared::Mended(turns) => turns,
            // Most were there before anybody here listened.
            Compared::Loaded(mut turns) => {
                let Some(since) = hub.oldest_listens_since() else { return };
                turns.retain(|turn| turn.came.is_some_and(|came| came >= since));
                turns
            }
        };
        let mut mended = 0;
        for Turn { field, name, is_here, came, known } in turns {
            let event = Event::Fleeting(if is_here {
                // Their own socket knows.
                let origin = self.presence.socket(Place::Room(room), &field);
                Fleeting::Entered { conversation: room, name, origin, ago: Duration::ZERO }
            } else {
                Fleeting::Left { conversation: room, name }
            });
            let at = came.unwrap_or_else(Instant::now);
            mended += usize::from(hub.tell_of(&event, known, at));
        }
        count_mended("room", mended);
    }

    /// What was published since then may be lost. Who listens only since then may never have heard
    /// of somebody whom others know, since they left and came back meanwhile.
    pub(super) fn suspect_rosters(&self, deaf_since: Option<Instant>) {
        let newest = |room| self.hub(room).and_then(|hub| hub.newest_listens_since());
        for room in self.rosters.rooms(false) {
            if deaf_since.is_none_or(|deaf| newest(room).is_some_and(|newest| newest >= deaf)) {
                self.suspect_roster(room);
            }
        }
        self.compare_rosters_soon();
    }

    fn suspect_roster(&self, room: ConversationId) {
        if let Some(book) = self.rosters.book(room) {
            locked(&book).suspect_all();
        }
    }

    /// Something may have been lost: all rosters are compared at the next chance.
    pub fn compare_rosters_soon(&self) {
        self.rosters.trouble.store(true, Ordering::Relaxed);
    }

    /// Compares all rosters with Redis, for ever.
    pub async fn compare_rosters_now_and_then(self: Arc<Self>, mut census: Census) {
        let mut all_at = Instant::now();
        loop {
            let all =
                self.rosters.trouble.swap(false, Ordering::Relaxed) || all_at.elapsed() > ALL_EVERY;
            if all {
                all_at = Instant::now();
            }
            let rooms = self.rosters.rooms(!all).into_iter();
            let mut places: Vec<_> = rooms.map(Place::Room).collect();
            if all || self.crowds().online.is_doubtful() {
                places.push(Place::Online);
            }
            for batch in places.chunks(BATCH) {
                if self.compare_rosters(&mut census, batch).await.is_none() {
                    // Redis does not answer: whatever was lost, it was now.
                    self.compare_rosters_soon();
                    break;
                }
            }
            let pause = DOUBTS_EVERY.mul_f64(rand::rng().random_range(0.8..1.2));
            sleep(pause).await;
        }
    }

    async fn compare_rosters(&self, census: &mut Census, places: &[Place]) -> Option<()> {
        let digests = census.digests(places).await?;
        let differing: Vec<_> = places
            .iter()
            .zip(digests)
            .filter(|(place, digest)| !self.agrees(**place, *digest))
            .map(|(place, _)| *place)
            .collect();
        for places in differing.chunks(PLACES) {
            let Some((listed, gone_counts)) = census.members(places).await else {
                for place in differing {
                    if let Place::Room(room) = place {
                        self.suspect_roster(room);
                    }
                }
                return None;
            };
            for (place, listed) in places.iter().zip(listed) {
                match place {
                    Place::Room(room) => self.compare_room(*room, listed, gone_counts),
                    Place::Online => self.compare_online(listed, gone_counts),
                }
            }
        }
        Some(())
    }

    fn agrees(&self, place: Place, digest: u64) -> bool {
        match place {
            Place::Room(room) => {
                self.rosters.book(room).is_none_or(|book| locked(&book).agrees(digest))
            }
            Place::Online => self.crowds().online.agrees(digest),
        }
    }
}
