//! Who asks, and where: 001's credentials and paths, refused in 001's words.

use axum::{
    extract::{FromRequestParts, Path},
    http::request::Parts,
};
use chat_core::{Caller, Chat, ChatError, Code, ConversationId, Message, MessageId, Result};

use super::answers::Refusal;
use crate::rest::{RestState, credentials};

/// A registered user, by the documented cookie or by a token.
pub(super) struct Member(pub(super) Caller);

impl FromRequestParts<RestState> for Member {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, Refusal> {
        Ok(Self(credentials::member(&*state.chat, &parts.headers).await?))
    }
}

/// `…/{id}`.
pub(super) struct InConversation(pub(super) ConversationId);

impl FromRequestParts<RestState> for InConversation {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, Refusal> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let Path(id) = path.map_err(|_| nothing_there())?;
        Ok(Self(id.parse()?))
    }
}

/// `…/{id}/{messageid}`.
pub(super) struct AtMessage {
    conversation: ConversationId,
    message: MessageId,
}

impl FromRequestParts<RestState> for AtMessage {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, state: &RestState) -> Result<Self, Refusal> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((conversation, message)) = path.map_err(|_| nothing_there())?;
        Ok(Self { conversation: conversation.parse()?, message: message.parse()? })
    }
}

impl AtMessage {
    /// The message, if it is in the conversation that the path names.
    pub(super) async fn find(&self, chat: &dyn Chat, caller: &Caller) -> Result<Message> {
        let message = chat.message(caller, self.message).await?;
        if message.conversation == self.conversation { Ok(message) } else { Err(nothing_there()) }
    }
}

/// A path that is no UTF-8 names nothing.
fn nothing_there() -> ChatError {
    ChatError::new(Code::NotFound, "there is no such message")
}
