//! Notices: what belongs to no conversation, and so has no `seq`. Each is told once, however often
//! the bus repeats it.
//!
//! What the bus loses is made good where that is cheap. Ended sessions: [`sessions`](crate::sessions)
//! asks which are alive. New rooms: after the bus was away, the list of rooms is read, newest
//! activity first, which is never before a room was made. New and deleted accounts are not: they
//! stand in no order of time, clients read the list of users afresh whenever they connect, and all
//! that a client misses is one line of a list. A room whose notice message-api could not publish
//! while the gateways heard all else is in every list of rooms, and told by no event.

use std::{sync::PoisonError, time::Duration};

use chat_core::{
    Conversation, ConversationKind, Event, Notice, Result, Topic, chat::DIRECTS_MAX, clock,
};
use tokio::time::Instant;

use super::{GatewayFeed, repair::counted};
use crate::remembered::Remembered;

/// Notices remembered, to know them again.
const REMEMBERED: usize = 4_096;

/// Rooms that one look takes in: more were never active during one silence, or so it is hoped.
const ROOMS: u32 = DIRECTS_MAX;

/// How far the clocks of message-api and gateway may be apart.
const SKEW: Duration = Duration::from_secs(5);

/// A notice, for comparing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Key {
    Created(u64),
    Registered(u64),
    Deleted(u64),
}

/// The newest notices told.
pub(super) type Told = Remembered<Key, REMEMBERED>;

impl GatewayFeed {
    /// Has nobody been told yet?
    pub(super) fn is_news(&self, notice: &Notice) -> bool {
        let key = match notice {
            Notice::RoomCreated(room) => Key::Created(room.id.raw()),
            Notice::UserRegistered(user) => Key::Registered(user.id.0),
            Notice::UserDeleted(user) => Key::Deleted(user.id.0),
            // Ending twice does no harm.
            Notice::SessionEnded(_) => return true,
        };
        self.told.lock().unwrap_or_else(PoisonError::into_inner).remember(key)
    }

    /// Tells of rooms that were made while nothing was heard.
    pub(super) async fn tell_missed_rooms(&self, deaf_since: Instant) -> Result<()> {
        let since = clock::now() - deaf_since.elapsed() - SKEW;
        let page = counted("rooms", self.chat.rooms(None, ROOMS).await)?;
        let is_new = |room: &Conversation| {
            matches!(room.kind, ConversationKind::Room) && room.created_at >= since
        };
        let mut rooms: Vec<_> = page.conversations.into_iter().filter(is_new).collect();
        rooms.sort_by_key(|room| room.created_at);
        for room in rooms {
            let notice = Notice::RoomCreated(Box::new(room));
            if self.is_news(&notice) {
                metrics::counter!("switchboard_notices_repaired_total").increment(1);
                self.tell_crowd(Topic::Everyone, &Event::Notice(notice));
            }
        }
        Ok(())
    }
}
