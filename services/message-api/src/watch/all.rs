//! Watching all conversations: by the ids of the two logs, told by seq.

use std::{
    collections::{HashMap, VecDeque},
    ops::RangeInclusive,
    time::Instant,
};

use chat_core::{Change, ConversationId, Result, Seq};

use super::{
    PAGE,
    cursor::{Cursor, refused},
    seen::Seen,
};
use crate::store::{Ids, Log, Sighting, Store};

/// Entries of a log that are looked at together.
const ENTRIES: u32 = 1_000;
/// So many ids below the newest may still come when a stream begins with now: more than are given
/// out while the slowest of transactions lasts.
const IN_FLIGHT: u64 = 65_536;
/// Gaps of a log that are looked at together.
const GAPS: usize = 200;
/// Old gaps that are decided together: as many as one page of entries can make where each id but
/// one of a few is some other server's.
const DECIDED: usize = 1_000;
/// With so many gaps no new entries are read until some are filled or decided.
const GAPS_MAX: usize = 200_000;
/// Conversations whose places are remembered. At the bound all are forgotten, and found again.
const PLACES: usize = 50_000;

#[derive(Debug)]
pub(super) struct All {
    messages: Seen,
    changes: Seen,
    /// How far each conversation was told.
    places: HashMap<ConversationId, Seq>,
    /// What has been sighted and not been told yet: up to where.
    sighted: VecDeque<(ConversationId, Seq)>,
    /// Below these ids all has been told.
    told: Ids,
}

impl All {
    pub(super) async fn begin(
        store: &Store,
        cursor: Option<Cursor>,
        from_now: bool,
    ) -> Result<Self> {
        let newest = store.newest_ids().await?;
        let told = match cursor {
            Some(Cursor::All(ids)) => ids,
            Some(Cursor::Some(_)) => return Err(refused("this cursor is of other conversations")),
            None if from_now => newest,
            None => Ids::default(),
        };
        if told.messages > newest.messages || told.changes > newest.changes {
            return Err(refused("this cursor is ahead of the database"));
        }
        let (mut messages, mut changes) = (Seen::up_to(told.messages), Seen::up_to(told.changes));
        if from_now {
            messages = with_gaps(store, Log::Messages, newest.messages).await?;
            changes = with_gaps(store, Log::Changes, newest.changes).await?;
        }
        let told = Ids { messages: messages.settled(), changes: changes.settled() };
        Ok(Self { messages, changes, places: HashMap::new(), sighted: VecDeque::new(), told })
    }

    pub(super) const fn cursor(&self) -> Cursor {
        Cursor::All(self.told)
    }

    /// May something come that has a lower id than what came before?
    pub(super) fn has_gaps(&self) -> bool {
        self.messages.gaps() + self.changes.gaps() > 0
    }

    /// The next changes, if there are any.
    pub(super) async fn read(&mut self, store: &Store) -> Result<Vec<Change>> {
        let mut page = Vec::new();
        loop {
            if self.sighted.is_empty() {
                self.settle();
                // What was found is told before more is looked for: with a cursor behind it.
                if !page.is_empty() {
                    return Ok(page);
                }
                if !self.sight(store).await? {
                    self.settle();
                    return Ok(page);
                }
            }
            while let Some((id, until)) = self.sighted.front().copied() {
                let left = PAGE.saturating_sub(page.len() as u64);
                if left == 0 {
                    return Ok(page);
                }
                let from = self.place(store, id, until).await?;
                let to = until.min(Seq(from.0 + left)).max(from);
                page.extend(store.changes_between(id, from, to).await?);
                self.remember(id, to);
                if to >= until {
                    self.sighted.pop_front();
                }
            }
        }
    }

    /// All that was sighted has been told.
    fn settle(&mut self) {
        self.told = Ids { messages: self.messages.settled(), changes: self.changes.settled() };
    }

    /// Looks for entries that were not there before. Were there any?
    async fn sight(&mut self, store: &Store) -> Result<bool> {
        let mut found = Vec::new();
        for (log, seen) in [(Log::Messages, &mut self.messages), (Log::Changes, &mut self.changes)]
        {
            // New ones first: whoever stored one of them had seen those of its conversation that
            // filled gaps.
            let new = match seen.gaps() {
                0..GAPS_MAX => store.entries_after(log, seen.top(), ENTRIES).await?,
                _ => Vec::new(),
            };
            let mut filled = store.entries_in(log, &seen.missing(GAPS)).await?;
            let (decided, last) = decide(store, log, seen.overdue(Instant::now(), DECIDED)).await?;
            filled.extend(last);
            filled.retain(|entry| seen.fill(entry.id));
            seen.close(&decided);
            let now = Instant::now();
            new.iter().for_each(|entry| seen.rise(entry.id, now));
            found.extend(filled);
            found.extend(new);
        }
        let is_any = !found.is_empty();
        self.sighted = farthest(found).into();
        Ok(is_any)
    }

    /// How far a conversation was told.
    async fn place(&self, store: &Store, id: ConversationId, until: Seq) -> Result<Seq> {
        match self.places.get(&id) {
            Some(place) => Ok(*place),
            None => Ok(store.place_of(id, until, self.told).await?),
        }
    }

    fn remember(&mut self, id: ConversationId, place: Seq) {
        if self.places.len() >= PLACES && !self.places.contains_key(&id) {
            self.places.clear();
        }
        self.places.insert(id, place);
    }
}

/// Old gaps in which nothing is under way any more, and the entries that they have after all. Where
/// something is, halves are asked about, down to single gaps.
async fn decide(
    store: &Store,
    log: Log,
    overdue: Vec<RangeInclusive<u64>>,
) -> Result<(Vec<RangeInclusive<u64>>, Vec<Sighting>)> {
    let (mut decided, mut entries) = (Vec::new(), Vec::new());
    let mut parts = vec![&*overdue];
    while let Some(part) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        match store.entries_decided(log, part).await? {
            Some(found) => {
                decided.extend_from_slice(part);
                entries.extend(found);
            }
            None if part.len() > 1 => {
                let (former, latter) = part.split_at(part.len() / 2);
                // The lower ones are taken first: what is decided stays in order.
                parts.extend([latter, former]);
            }
            None => {}
        }
    }
    Ok((decided, entries))
}

/// A log that was read up to its newest entry, but for what may still come.
async fn with_gaps(store: &Store, log: Log, newest: u64) -> Result<Seen> {
    let lowest = newest.saturating_sub(IN_FLIGHT);
    let mut seen = Seen::up_to(lowest);
    let now = Instant::now();
    let limit = u32::try_from(newest - lowest).unwrap_or(u32::MAX);
    for entry in store.entries_after(log, lowest, limit).await? {
        // An entry that came meanwhile is one to tell.
        if entry.id <= newest {
            seen.rise(entry.id, now);
        }
    }
    Ok(seen)
}

/// Each conversation once, in the order in which they were sighted, with the highest seq.
fn farthest(found: Vec<Sighting>) -> Vec<(ConversationId, Seq)> {
    let mut places = HashMap::new();
    let mut all: Vec<(ConversationId, Seq)> = Vec::new();
    for Sighting { conversation, seq, .. } in found {
        let place = *places.entry(conversation).or_insert(all.len());
        match all.get_mut(place) {
            Some((_, until)) => *until = seq.max(*until),
            None => all.push((conversation, seq)),
        }
    }
    all
}
