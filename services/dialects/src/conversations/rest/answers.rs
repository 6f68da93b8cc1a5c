//! What 001's REST routes take and answer, beyond what its live frames share (`wire.rs`).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chat_core::{
    ChatError, Code, Conversation, Limits, Message, Password, Result, Title, Username,
    model::ConversationPage,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    conversations::wire::{
        ConversationRow, MessageRow, conversation_url, message_url, status_word,
    },
    payload::Fields,
    rest::answer,
};

/// `{"username", "password"?}`.
#[derive(Debug, ToSchema)]
#[schema(as = conversations::Newcomer)]
pub(super) struct Newcomer {
    /// ASCII letters, digits, `_ . -`, 2 to 32 of them; unique without regard to case.
    #[schema(value_type = String, example = "bob")]
    pub(super) username: Username,
    /// With it the account can be logged in to again.
    #[schema(value_type = Option<String>, format = Password, max_length = 128)]
    pub(super) password: Option<Password>,
}

impl Newcomer {
    /// Reads the object's fields.
    pub(super) fn parse(body: &Value, limits: &Limits) -> Result<Self> {
        let fields = Fields::of(body)?;
        let password = fields.optional_text("password")?;
        Ok(Self {
            username: Username::parse(fields.text("username")?)?,
            password: password.map(|raw| Password::parse(raw, limits)).transpose()?,
        })
    }
}

/// `{"title"}`.
#[derive(Debug, ToSchema)]
#[schema(as = conversations::Topic)]
pub(super) struct Topic {
    /// Unique without regard to case.
    #[schema(value_type = String, min_length = 1, max_length = 80)]
    pub(super) title: Title,
}

impl Topic {
    /// Reads the object's fields.
    pub(super) fn parse(body: &Value) -> Result<Self> {
        Ok(Self { title: Title::parse(Fields::of(body)?.text("title")?)? })
    }
}

/// `{"status": "success"}` and nothing else.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = conversations::Success)]
pub(super) struct Success {
    #[schema(value_type = String, example = "success")]
    status: &'static str,
}

impl Success {
    pub(super) fn new() -> Self {
        Self { status: "success" }
    }
}

/// The answer to a new conversation.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = conversations::Created)]
pub(super) struct Created {
    #[schema(value_type = String, example = "success")]
    status: &'static str,
    /// Where to read and post, root-relative.
    url: String,
    /// Its id.
    id: String,
    /// Messages in it.
    msgcount: u64,
}

impl From<&Conversation> for Created {
    fn from(room: &Conversation) -> Self {
        Self {
            status: "success",
            url: conversation_url(room.id),
            id: room.id.to_string(),
            msgcount: room.message_count,
        }
    }
}

/// The answer to a new message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = conversations::Posted)]
pub(super) struct Posted {
    #[schema(value_type = String, example = "success")]
    status: &'static str,
    /// Where it is, root-relative.
    url: String,
}

impl From<&Message> for Posted {
    fn from(message: &Message) -> Self {
        Self { status: "success", url: message_url(message.conversation, message.id) }
    }
}

/// A page of conversations.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = conversations::Listed)]
pub(super) struct Listed {
    /// Newest activity first.
    conversations: Vec<ConversationRow>,
    /// Pass it as `after` for the next page; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

impl From<ConversationPage> for Listed {
    fn from(page: ConversationPage) -> Self {
        let conversations = page.conversations.iter().map(ConversationRow::from).collect();
        Self { conversations, next: page.next }
    }
}

/// A conversation's newest messages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = conversations::History)]
pub(super) struct History<'a> {
    /// Oldest first.
    messages: Vec<MessageRow<'a>>,
}

impl<'a> From<&'a [Message]> for History<'a> {
    fn from(messages: &'a [Message]) -> Self {
        Self { messages: messages.iter().map(MessageRow::from).collect() }
    }
}

/// A refusal in 001's words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = conversations::Refusal)]
pub(super) struct RefusalBody {
    /// What published clients look at.
    #[schema(value_type = String, example = "unauthorised")]
    status: &'static str,
    /// What was wrong, where the status does not say all.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

impl RefusalBody {
    pub(super) fn of(error: &ChatError) -> Self {
        let status = status_word(error.code());
        let says_all = matches!(
            status,
            "unauthorised" | "not found" | "username taken" | "title taken" | "invalid username"
        );
        Self { status, error: (!says_all).then(|| error.message().to_owned()) }
    }
}

/// A refusal on its way out.
#[derive(Debug)]
pub(super) struct Refusal(ChatError);

impl From<ChatError> for Refusal {
    fn from(error: ChatError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        answer::refusal_of(&self.0, RefusalBody::of(&self.0))
    }
}

/// A known path, a method that it does not take.
pub(super) async fn wrong_method() -> Response {
    let body = RefusalBody { status: "method not allowed", error: None };
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}

/// A path below 001's that leads nowhere.
pub(super) async fn unknown_route() -> Refusal {
    ChatError::new(Code::NotFound, "there is no such route").into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn refusals_have_exactly_the_documented_fields() {
        let body = |code| {
            let error = ChatError::new(code, "a reason");
            serde_json::to_value(RefusalBody::of(&error)).expect("serialises")
        };
        assert_eq!(body(Code::InvalidToken), json!({"status": "unauthorised"}));
        assert_eq!(body(Code::Forbidden), json!({"status": "unauthorised"}));
        assert_eq!(body(Code::NotFound), json!({"status": "not found"}));
        assert_eq!(body(Code::UsernameTaken), json!({"status": "username taken"}));
        assert_eq!(body(Code::NameTaken), json!({"status": "title taken"}));
        assert_eq!(body(Code::InvalidUsername), json!({"status": "invalid username"}));
        assert_eq!(body(Code::Empty), json!({"status": "bad request", "error": "a reason"}));
        assert_eq!(body(Code::Unavailable), json!({"status": "unavailable", "error": "a reason"}));
    }
}
