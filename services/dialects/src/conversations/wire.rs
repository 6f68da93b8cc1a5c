//! The JSON of 001: rows of its REST answers, frames of its WebSocket.

use chat_core::{
    ChatError, ClientId, Code, Conversation, ConversationId, Limits, Message, MessageId,
    MessageText, Result, Username, clock,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::payload::{Fields, speaks_for};

/// The root-relative path of a conversation.
#[must_use]
pub fn conversation_url(id: ConversationId) -> String {
    format!("/api/conversations/{id}")
}

/// The root-relative path of a message.
#[must_use]
pub fn message_url(conversation: ConversationId, id: MessageId) -> String {
    format!("/api/conversations/{conversation}/{id}")
}

/// A conversation in the list.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConversationRow {
    /// Its id.
    pub id: String,
    /// Its title.
    pub title: String,
    /// Messages there now, deleted ones not counted.
    pub msgcount: u64,
    /// Where to read and post.
    pub url: String,
}

impl From<&Conversation> for ConversationRow {
    fn from(conversation: &Conversation) -> Self {
        Self {
            id: conversation.id.to_string(),
            title: conversation.title.clone(),
            msgcount: conversation.message_count,
            url: conversation_url(conversation.id),
        }
    }
}

/// A message, in REST answers and in live frames.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MessageRow<'a> {
    /// Its id.
    pub id: String,
    /// Who wrote it.
    pub user: &'a str,
    /// The text exactly.
    pub text: &'a str,
    /// ISO 8601, UTC, milliseconds.
    pub timestamp: String,
    /// Where it is.
    pub url: String,
    /// Its place in the conversation: what `?since=` takes.
    pub seq: u64,
    /// When it was last edited, ISO 8601; absent while it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edited: Option<String>,
}

impl<'a> From<&'a Message> for MessageRow<'a> {
    fn from(message: &'a Message) -> Self {
        Self {
            id: message.id.to_string(),
            user: message.author.name().as_str(),
            text: &message.text,
            timestamp: clock::iso(message.created_at),
            url: message_url(message.conversation, message.id),
            seq: message.seq.0,
            edited: message.edited_at.map(clock::iso),
        }
    }
}

/// A frame that the server sends on `/ws/conversations/{id}`.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame<'a> {
    /// Somebody posted.
    Message {
        /// What.
        message: MessageRow<'a>,
    },
    /// Somebody edited what they had posted.
    Edited {
        /// As it stands now.
        message: MessageRow<'a>,
    },
    /// Somebody deleted what they had posted.
    Deleted {
        /// Where it was.
        url: String,
    },
    /// The answer to this client's own frame: stored.
    Posted {
        /// Always `success`.
        status: &'static str,
        /// Where it is.
        url: String,
    },
    /// The answer to this client's own frame: refused.
    Error {
        /// In 001's words, as the REST answers have it.
        status: &'static str,
        /// What was wrong.
        error: &'a str,
        /// The stable code.
        code: &'static str,
        /// When there is room for more, in milliseconds, where that is known.
        #[serde(rename = "retryAfterMs", skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u32>,
    },
}

/// How 001 words a refusal in its `status` field.
#[must_use]
pub const fn status_word(code: Code) -> &'static str {
    match code {
        Code::Unauthorised
        | Code::InvalidToken
        | Code::InvalidCredentials
        | Code::IdentityMismatch
        | Code::Forbidden
        | Code::NotJoined => "unauthorised",
        Code::NotFound | Code::UnknownUser => "not found",
        Code::UsernameTaken => "username taken",
        Code::NameTaken => "title taken",
        Code::InvalidUsername => "invalid username",
        Code::RateLimited => "rate limited",
        Code::Unavailable => "unavailable",
        Code::Internal => "internal error",
        Code::InvalidPayload
        | Code::Empty
        | Code::TextTooLong
        | Code::InvalidPassword
        | Code::InvalidName
        | Code::InvalidClientId
        | Code::InvalidRecipient
        | Code::InvalidMedia
        | Code::UnsupportedMedia
        | Code::UnknownEvent
        | Code::PayloadTooLarge => "bad request",
    }
}

/// What a client sends to post: `{"text", "clientId"?}`.
#[derive(Clone, Debug, ToSchema)]
pub struct NewText {
    /// What.
    #[schema(value_type = String, min_length = 1)]
    pub text: MessageText,
    /// Makes a retry harmless.
    #[schema(rename = "clientId", value_type = Option<String>, min_length = 1, max_length = 64)]
    pub client_id: Option<ClientId>,
}

impl NewText {
    /// Reads the object's fields. Who is named in it as author must be `me`.
    pub fn parse(body: &Value, me: &Username, limits: &Limits) -> Result<Self, ChatError> {
        let fields = Fields::of(body)?;
        speaks_for(me, body, &["user", "author"])?;
        Ok(Self {
            text: MessageText::parse(fields.text("text")?, limits)?,
            client_id: fields.optional_text("clientId")?.map(ClientId::parse).transpose()?,
        })
    }
}
