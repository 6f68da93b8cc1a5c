//! Who is in the rooms that somebody here has entered. However many events are lost, repeated or
//! said again, each listener hears of each coming and going once.
//!
//! The cost of the comparison: each second the rooms in doubt, every five seconds all of them, 40
//! bytes of question and 15 of answer for each, a thousand in a call: 10,000 rooms take ten calls
//! and half a megabyte. Only where the digests differ are the members read, 50 bytes for each: a
//! room of 10,000 is half a megabyte, and differs only if somebody moved in that millisecond or
//! an event was lost.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use chat_core::{ConversationId, Event, Fleeting};
use rand::RngExt;
use tokio::time::{Instant, sleep};

use super::{
    GatewayFeed,
    book::{Book, Compared, Turn},
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

/// The books of the rooms that somebody here has entered, or is about to.
#[derive(Default)]
pub(super) struct Rosters {
    /// Each with how many need it.
    books: Mutex<HashMap<ConversationId, (Arc<Mutex<Book>>, usize)>>,
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
    fn book(&self, room: ConversationId) -> Option<Arc<Mutex<Book>>> {
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

    fn rooms(&self, only_doubtful: bool) -> Vec<Place> {
        let books = locked(&self.books);
        let wanted =
            books.iter().filter(|(_, (book, _))| !only_doubtful || locked(book).is_doubtful());
        wanted.map(|(room, _)| Place::Room(*room)).collect()
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
            (Event::Fleeting(Fleeting::Entered { name, origin, .. }), Some(book)) => {
                book.note(&name.key(), &name, true).map(|name| {
                    Event::Fleeting(Fleeting::Entered { conversation: room, name, origin })
                })
            }
            (Event::Fleeting(Fleeting::Left { name, .. }), Some(book)) => book
                .note(&name.key(), &name, false)
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
        let is_local = |field: &str| self.presence.is_here(Place::Room(room), field);
        let turns = match book.compare(listed, gone_counts, is_local) {
            Compared::Mended(turns) => turns,
            // Most were there before anybody here listened.
            Compared::Loaded(mut turns) => {
                let Some(since) = hub.listened_since() else { return };
                turns.retain(|turn| turn.came.is_some_and(|came| came >= since));
                turns
            }
        };
        count_mended("room", turns.len());
        for Turn { field, name, is_here, came } in turns {
            let event = Event::Fleeting(if is_here {
                // Their own socket knows.
                let origin = self.presence.socket(Place::Room(room), &field);
                Fleeting::Entered { conversation: room, name, origin }
            } else {
                Fleeting::Left { conversation: room, name }
            });
            match came {
                Some(came) => hub.tell_since(&event, came),
                None => hub.tell(&event),
            }
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
            let mut places = self.rosters.rooms(!all);
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
            let (listed, gone_counts) = census.members(places).await?;
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
