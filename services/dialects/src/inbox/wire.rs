//! The JSON of the inbox.

use chat_core::{
    Caller, ChatError, Limits, MessageId, Result, clock,
    inbox::{self, InboxRow},
    model::ConversationKind,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::payload::Fields;

/// One's inbox.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = inbox::Inbox)]
pub(super) struct Inbox<'a> {
    user: Me<'a>,
    /// The longest text that may be posted, in Unicode scalar values.
    text_max: usize,
    /// The lobby and rooms, newest activity first; the lobby is always among them.
    rooms: Vec<Room<'a>>,
    /// Newest activity first; those where nothing was ever said last.
    directs: Vec<Direct<'a>>,
}

/// Whose inbox it is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = inbox::Me)]
struct Me<'a> {
    id: u64,
    /// As first typed.
    username: &'a str,
}

/// The lobby or a room.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = inbox::Room)]
struct Room<'a> {
    id: String,
    title: &'a str,
    /// The row is true as of this change.
    seq: u64,
    /// What others said since it was last seen, at most 100; 0 where it never was.
    #[schema(maximum = 100)]
    unread: u64,
    /// Was it ever seen?
    seen: bool,
    last: Option<Last<'a>>,
}

/// A direct.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = inbox::Direct)]
struct Direct<'a> {
    id: String,
    /// The other one.
    user: &'a str,
    /// The row is true as of this change.
    seq: u64,
    /// What one has not read there.
    unread: u64,
    last: Option<Last<'a>>,
}

/// What was said last, and is there.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = inbox::Last)]
struct Last<'a> {
    id: u64,
    /// Who wrote it.
    user: &'a str,
    /// Its first 200 characters.
    #[schema(max_length = 200)]
    text: &'a str,
    /// ISO 8601, UTC, milliseconds.
    timestamp: String,
}

impl<'a> Inbox<'a> {
    /// The inbox of this user.
    pub(super) fn of(inbox: &'a inbox::Inbox, reader: &'a Caller, limits: &Limits) -> Result<Self> {
        let me = reader.user().ok_or_else(ChatError::unauthorised)?;
        Ok(Self {
            user: Me { id: me.id.0, username: me.name.as_str() },
            text_max: limits.text_max,
            rooms: inbox.rooms.iter().map(room).collect(),
            directs: inbox.directs.iter().filter_map(|row| direct(row, reader)).collect(),
        })
    }
}

fn room(row: &InboxRow) -> Room<'_> {
    let InboxRow { conversation, unread, seen, last } = row;
    Room {
        id: conversation.id.to_string(),
        title: &conversation.title,
        seq: conversation.head.0,
        unread: *unread,
        seen: *seen,
        last: last.as_ref().map(Last::from),
    }
}

fn direct<'a>(row: &'a InboxRow, reader: &Caller) -> Option<Direct<'a>> {
    let InboxRow { conversation, unread, last, .. } = row;
    let ConversationKind::Direct { peers } = &conversation.kind else { return None };
    let peer = peers.iter().find(|peer| Some(*peer) != reader.user())?;
    Some(Direct {
        id: conversation.id.to_string(),
        user: peer.name.as_str(),
        seq: conversation.head.0,
        unread: *unread,
        last: last.as_ref().map(Last::from),
    })
}

impl<'a> From<&'a inbox::LastMessage> for Last<'a> {
    fn from(last: &'a inbox::LastMessage) -> Self {
        Self {
            id: last.id.0,
            user: last.author.name().as_str(),
            text: &last.text,
            timestamp: clock::iso(last.created_at),
        }
    }
}

/// How far a room was seen.
#[derive(Debug, ToSchema)]
#[schema(as = inbox::Seen)]
pub(super) struct Seen {
    /// The newest message that was seen there; as a string it is taken too. Null: the conversation
    /// as it stands, for one where nothing was said yet.
    #[schema(value_type = Option<u64>)]
    pub(super) id: Option<MessageId>,
}

impl Seen {
    /// Reads the object's field.
    pub(super) fn parse(body: &Value) -> Result<Self> {
        let id = Fields::of(body)?.optional_message("id")?;
        if id.is_none() && body.get("id").is_none() {
            return Err(ChatError::invalid_payload("`id` is missing: the newest message seen"));
        }
        Ok(Self { id })
    }
}

/// `{"success": true}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = inbox::Success)]
pub(super) struct Success {
    success: bool,
}

impl Success {
    pub(super) fn new() -> Self {
        Self { success: true }
    }
}
