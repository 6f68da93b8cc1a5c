//! What somebody needs to draw the list of their conversations.

use time::OffsetDateTime;

use crate::{
    ids::MessageId,
    model::{Author, Conversation},
};

/// Most rooms, and most directs, of an inbox.
pub const ROWS_MAX: u32 = 200;

/// Where counting the unread of a room ends: so many, or more.
pub const UNREAD_MAX: u64 = 100;

/// The longest text of a row's last message, in Unicode scalar values.
pub const PREVIEW_MAX: usize = 200;

/// Somebody's inbox: all of it as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inbox {
    /// The lobby and the rooms, newest activity first.
    pub rooms: Vec<InboxRow>,
    /// The user's directs, newest activity first; those where nothing was ever said last.
    pub directs: Vec<InboxRow>,
}

/// A conversation, for its reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InboxRow {
    /// As it stands. The row is true as of its head: follow the feed after that and there is neither
    /// gap nor repeat.
    pub conversation: Conversation,
    /// Of a room: what others said after the newest message that the reader has seen, at most
    /// [`UNREAD_MAX`]; 0 where they have seen none. Of a direct: what they have not read.
    pub unread: u64,
    /// Of a room: has the reader ever seen it?
    pub seen: bool,
    /// The newest message that is there.
    pub last: Option<LastMessage>,
}

/// The newest message of a conversation, as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastMessage {
    /// Which.
    pub id: MessageId,
    /// Who wrote it.
    pub author: Author,
    /// The beginning of its text: at most [`PREVIEW_MAX`] of its characters.
    pub text: String,
    /// When it was stored.
    pub created_at: OffsetDateTime,
}
