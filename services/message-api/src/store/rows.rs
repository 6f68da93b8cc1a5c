//! What rows look like, and how they become the model's words.

use chat_core::{
    Author, ChatError, ClientId, Conversation, ConversationId, ConversationKind, Message,
    MessageId, Seq, User, UserId, Username, Via,
};
use time::OffsetDateTime;

use super::Result;

/// A row of `messages`.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct MessageRow {
    pub(super) conversation_id: u64,
    pub(super) seq: u64,
    pub(super) id: u64,
    pub(super) author_id: Option<u64>,
    pub(super) author_name: String,
    pub(super) text: String,
    pub(super) media: Option<String>,
    pub(super) created_at: OffsetDateTime,
    pub(super) edited_at: Option<OffsetDateTime>,
    pub(super) deleted_at: Option<OffsetDateTime>,
    pub(super) read_at: Option<OffsetDateTime>,
    pub(super) client_id: Option<String>,
    pub(super) via: u8,
}

/// `SELECT` of a [`MessageRow`] from `messages m`, and what follows it.
macro_rules! select_messages {
    ($rest:literal) => {
        concat!(
            "SELECT m.conversation_id, m.seq, m.id, m.author_id, m.author_name, m.text, m.media, ",
            "m.created_at, m.edited_at, m.deleted_at, m.read_at, m.client_id, m.via FROM messages m ",
            $rest
        )
    };
}
pub(super) use select_messages;

impl MessageRow {
    /// The message, deleted or not.
    pub(super) fn into_message(self) -> Result<Message> {
        let name = stored_name(&self.author_name)?;
        let author = match self.author_id {
            Some(id) => Author::User(User { id: UserId(id), name }),
            None => Author::Guest(name),
        };
        Ok(Message {
            id: MessageId(self.id),
            conversation: ConversationId::from_raw(self.conversation_id),
            seq: Seq(self.seq),
            author,
            text: self.text,
            media: self.media.as_deref().map(media_from).transpose()?.unwrap_or_default(),
            created_at: self.created_at,
            edited_at: self.edited_at,
            is_read: self.read_at.is_some(),
            client_id: self.client_id.and_then(|raw| ClientId::parse(&raw).ok()),
            via: via_from(self.via),
        })
    }

    /// The message, unless it has been deleted.
    pub(super) fn into_living(self) -> Result<Option<Message>> {
        if self.deleted_at.is_some() { Ok(None) } else { self.into_message().map(Some) }
    }
}

/// `messages.via`.
pub(super) const fn via_column(via: Via) -> u8 {
    match via {
        Via::Service => 0,
        Via::Tinychat => 1,
        Via::Conversations => 2,
        Via::OneToOne => 3,
        Via::Messenger => 4,
        Via::Chatto => 5,
    }
}

/// A newer replica may have stored what this one does not know.
const fn via_from(column: u8) -> Via {
    match column {
        1 => Via::Tinychat,
        2 => Via::Conversations,
        3 => Via::OneToOne,
        4 => Via::Messenger,
        5 => Via::Chatto,
        _ => Via::Service,
    }
}

fn media_from(json: &str) -> Result<Vec<String>> {
    Ok(serde_json::from_str(json)
        .map_err(|e| ChatError::internal("a stored list of media is not JSON", e))?)
}

/// The column for a list of media: a JSON array, or NULL for none.
pub(super) fn media_column(media: &[String]) -> Option<String> {
    (!media.is_empty()).then(|| serde_json::Value::from(media.to_vec()).to_string())
}

/// A name that was checked before it was stored.
pub(super) fn stored_name(raw: &str) -> Result<Username> {
    Ok(Username::parse(raw).map_err(|e| ChatError::internal("a stored name is invalid", e))?)
}

/// `conversations.kind`.
pub(super) mod kind {
    pub(in crate::store) const LOBBY: u8 = 0;
    pub(in crate::store) const ROOM: u8 = 1;
    pub(in crate::store) const DIRECT: u8 = 2;
}

/// A row of `conversations`, with the two users of a direct.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct ConversationRow {
    pub(super) id: u64,
    kind: u8,
    title: String,
    created_by: Option<String>,
    created_at: OffsetDateTime,
    pub(super) head: u64,
    message_count: u64,
    pub(super) last_activity_at: OffsetDateTime,
    #[sqlx(default)]
    low_id: Option<u64>,
    #[sqlx(default)]
    low_name: Option<String>,
    #[sqlx(default)]
    high_id: Option<u64>,
    #[sqlx(default)]
    high_name: Option<String>,
}

/// `SELECT` of a [`ConversationRow`] without the two of a direct, and what follows it.
macro_rules! select_rooms {
    ($rest:literal) => {
        concat!(
            "SELECT c.id, c.kind, c.title, c.created_by, c.created_at, c.head, c.message_count, ",
            "c.last_activity_at FROM conversations c ",
            $rest
        )
    };
}
pub(super) use select_rooms;

/// `SELECT` of a [`ConversationRow`], of more if need be, and what follows it.
macro_rules! select_conversations {
    ($rest:literal) => {
        select_conversations!("", $rest)
    };
    ($more:literal, $rest:literal) => {
        concat!(
            "SELECT c.id, c.kind, c.title, c.created_by, c.created_at, c.head, c.message_count, ",
            "c.last_activity_at, low.id AS low_id, low.name AS low_name, ",
            "high.id AS high_id, high.name AS high_name",
            $more,
            " FROM conversations c ",
            "LEFT JOIN directs d ON d.conversation_id = c.id ",
            "LEFT JOIN users low ON low.id = d.low_user ",
            "LEFT JOIN users high ON high.id = d.high_user ",
            $rest
        )
    };
}
pub(super) use select_conversations;

impl ConversationRow {
    pub(super) fn into_conversation(self) -> Result<Conversation> {
        let kind = match self.kind {
            kind::LOBBY => ConversationKind::Lobby,
            kind::ROOM => ConversationKind::Room,
            _ => ConversationKind::Direct {
                peers: Box::new([
                    peer(self.low_id, self.low_name)?,
                    peer(self.high_id, self.high_name)?,
                ]),
            },
        };
        Ok(Conversation {
            id: ConversationId::from_raw(self.id),
            kind,
            title: self.title,
            created_by: self.created_by.as_deref().map(stored_name).transpose()?,
            created_at: self.created_at,
            head: Seq(self.head),
            message_count: self.message_count,
        })
    }
}

fn peer(id: Option<u64>, name: Option<String>) -> Result<User> {
    let (Some(id), Some(name)) = (id, name) else {
        return Err(ChatError::internal("a direct lacks one of its two", "no such row").into());
    };
    Ok(User { id: UserId(id), name: stored_name(&name)? })
}
