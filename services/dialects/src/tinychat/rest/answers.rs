//! What 000's REST routes answer: everything stands in `body`, refusals say no more than its
//! document does.

use axum::{
    Json,
    extract::Request,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chat_core::{ChatError, Code, Message};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{rest::answer, tinychat::wire::Stored};

/// `{"body": …}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = tinychat::Answer)]
pub(super) struct Answer<T> {
    body: T,
}

impl Answer<&'static str> {
    pub(super) fn sentence(sentence: Sentence) -> Self {
        Self { body: sentence.as_str() }
    }
}

impl<'a> Answer<Listed<'a>> {
    pub(super) fn listed(messages: &'a [Message], last_seen: i64) -> Self {
        Self { body: Listed { messages: messages.iter().map(Stored::from).collect(), last_seen } }
    }
}

/// The lobby's messages.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = tinychat::Listed)]
pub(super) struct Listed<'a> {
    /// Oldest first.
    messages: Vec<Stored<'a>>,
    /// How far one had read, in milliseconds since 1970: for a session's user the time of the
    /// newest message that was there the last time; for others that of the newest now, or 0.
    last_seen: i64,
}

/// What a client submits. Keys count in any letter case, and `{"messageObject": {…}}` may stand
/// around them.
#[derive(ToSchema)]
#[schema(as = tinychat::Submitted)]
#[expect(dead_code, reason = "it exists for the OpenAPI document")]
pub(super) struct Submitted {
    /// Who; needed without a session, and with one it must be the session's user.
    author: Option<String>,
    /// What.
    #[schema(min_length = 1)]
    content: String,
}

/// The sentences that 000's document fixes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Sentence {
    Received,
    NotSent,
    NotRetrieved,
}

impl Sentence {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Received => "Message Received",
            Self::NotSent => "Error sending message",
            Self::NotRetrieved => "Error retrieving messages",
        }
    }
}

/// A GET that failed.
pub(super) fn not_retrieved(error: &ChatError) -> Response {
    answer::refusal_of(error, Answer::sentence(Sentence::NotRetrieved))
}

/// A POST that failed. 000 knows bad input and trouble of ours, nothing else.
pub(super) fn not_sent(error: &ChatError) -> Response {
    let code = match error.code() {
        code @ (Code::Internal | Code::Unavailable) => code,
        Code::RateLimited => Code::Unavailable,
        _ => Code::InvalidPayload,
    };
    let mut response = answer::refusal(code, Answer::sentence(Sentence::NotSent));
    if let Some(after) = error.retry_after() {
        answer::retry_after(&mut response, after);
    }
    response
}

/// A PATCH that failed.
pub(super) fn not_done(error: &ChatError) -> Response {
    answer::refusal_of(error, Answer::sentence(Sentence::NotSent))
}

/// A request that is not looked at: a page of another origin makes it, or there were too many.
pub(super) fn turned_away(request: &Request, error: &ChatError) -> Response {
    if request.method().is_safe() { not_retrieved(error) } else { not_done(error) }
}

/// A known path, a method that it does not take.
pub(super) async fn wrong_method() -> Response {
    (StatusCode::METHOD_NOT_ALLOWED, Json(Answer { body: "method not allowed" })).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_post_fails_by_400_500_or_503_and_nothing_else() {
        let status = |code| not_sent(&ChatError::new(code, "a reason")).status().as_u16();
        for code in Code::ALL {
            assert!([400, 500, 503].contains(&status(*code)), "{code}");
        }
        assert_eq!(status(Code::IdentityMismatch), 400);
        assert_eq!(status(Code::Unavailable), 503);
    }
}
