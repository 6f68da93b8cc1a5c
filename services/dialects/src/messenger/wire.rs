//! The JSON that 003's clients get. What they send is read in `asks.rs`.

use chat_core::{ChatError, ConversationId, Message, MessageId, Result, Username, clock};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A chat before it is known whom it is for: a message tells its author and its conversation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    conversation: u64,
    id: u64,
    sender: String,
    message: String,
    has_read: bool,
    media: Vec<String>,
    created_at: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    edited_at: Option<String>,
}

impl From<&Message> for Line {
    fn from(message: &Message) -> Self {
        Self {
            conversation: message.conversation.raw(),
            id: message.id.0,
            sender: message.author.name().as_str().to_owned(),
            message: message.text.clone(),
            has_read: message.is_read,
            media: message.media.clone(),
            created_at: clock::iso(message.created_at),
            edited_at: message.edited_at.map(clock::iso),
        }
    }
}

impl Line {
    /// The direct in which it was said.
    #[must_use]
    pub const fn conversation(&self) -> ConversationId {
        ConversationId::from_raw(self.conversation)
    }

    /// Which chat.
    #[must_use]
    pub const fn id(&self) -> MessageId {
        MessageId(self.id)
    }

    /// Who wrote it.
    #[must_use]
    pub fn sender(&self) -> &str {
        &self.sender
    }

    /// The chat, between its author and one of these two: the other one gets it.
    #[must_use]
    pub fn between<'a>(&'a self, me: &'a Username, peer: &'a Username) -> Chat<'a> {
        let recipient = if self.sender == me.as_str() { peer } else { me }.as_str();
        Chat {
            id: self.id,
            sender: &self.sender,
            recipient,
            message: &self.message,
            has_read: self.has_read,
            media: &self.media,
            sender_username: &self.sender,
            recipient_username: recipient,
            media_ids: &self.media,
            created_at: &self.created_at,
            edited_at: self.edited_at.as_deref(),
        }
    }
}

/// A chat: the document's fields, and those that its published client reads.
#[derive(Clone, Debug, Serialize)]
pub struct Chat<'a> {
    id: u64,
    sender: &'a str,
    recipient: &'a str,
    message: &'a str,
    has_read: bool,
    media: &'a [String],
    #[serde(rename = "senderUsername")]
    sender_username: &'a str,
    #[serde(rename = "recipientUsername")]
    recipient_username: &'a str,
    #[serde(rename = "mediaIds")]
    media_ids: &'a [String],
    /// ISO 8601, UTC, milliseconds.
    created_at: &'a str,
    /// The same, of the last edit; absent while it never was edited.
    #[serde(skip_serializing_if = "Option::is_none")]
    edited_at: Option<&'a str>,
}

/// `{chat}`.
#[derive(Clone, Debug, Serialize)]
pub struct OneChat<'a> {
    /// The chat.
    pub chat: Chat<'a>,
}

/// `{chats}`.
#[derive(Clone, Debug, Serialize)]
pub struct Chats<'a> {
    /// Newest first.
    pub chats: Vec<Chat<'a>>,
}

/// A user, in `fetch-users`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserRow<'a> {
    /// As first typed.
    pub username: &'a str,
    /// Is any socket of theirs open, anywhere, in any protocol?
    pub is_online: bool,
}

/// `{users, next?}`.
#[derive(Clone, Debug, Serialize)]
pub struct Users<'a> {
    /// Sorted by name.
    pub users: Vec<UserRow<'a>>,
    /// The following page's `after`; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<&'a str>,
}

/// `{unreadChatsCount}`, pushed with the `user` who wrote them.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UnreadCount<'a> {
    /// Who wrote them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
    /// How many.
    pub unread_chats_count: u64,
}

/// `{user}`.
#[derive(Clone, Debug, Serialize)]
pub struct ByUser<'a> {
    /// Who.
    pub user: &'a str,
}

/// `{id}`, with the reader's name in `read-chat`.
#[derive(Clone, Debug, Serialize)]
pub struct OfChat<'a> {
    /// Which chat.
    pub id: u64,
    /// Who has read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<&'a str>,
}

/// `{}`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Nothing {}

/// What is acknowledged.
pub fn ack(body: &impl Serialize) -> Result<Value> {
    serde_json::to_value(body).map_err(|cause| ChatError::internal("an acknowledgement", cause))
}
