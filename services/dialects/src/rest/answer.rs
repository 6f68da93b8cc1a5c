//! Answers: status and headers come from the refusal's code, the body from the dialect.

use std::time::Duration;

use axum::{
    Json,
    http::{
        HeaderValue, StatusCode,
        header::{HeaderName, RETRY_AFTER as RETRY_AFTER_HEADER},
    },
    response::{IntoResponse, Response},
};
use chat_core::{ChatError, Code};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// How long a client should wait before it tries again, where nobody knows better.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// A refusal: the table's HTTP status, the dialect's body.
pub(crate) fn refusal(code: Code, body: impl Serialize) -> Response {
    let status = StatusCode::from_u16(code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(body)).into_response();
    if code.is_transient() {
        retry_after(&mut response, RETRY_AFTER);
    }
    if status == StatusCode::UNAUTHORIZED {
        header(&mut response, "www-authenticate", "Bearer realm=\"switchboard\"");
    }
    response
}

/// The same for a refusal that may know when it is worth trying again.
pub(crate) fn refusal_of(error: &ChatError, body: impl Serialize) -> Response {
    let mut response = refusal(error.code(), body);
    if let Some(after) = error.retry_after() {
        retry_after(&mut response, after);
    }
    response
}

/// Says when it is worth trying again; the header has whole seconds.
pub fn retry_after(response: &mut Response, after: Duration) {
    let seconds = after.as_secs() + u64::from(after.subsec_nanos() > 0);
    response.headers_mut().insert(RETRY_AFTER_HEADER, seconds.max(1).into());
}

/// Sets a header of ours.
pub(crate) fn header(response: &mut Response, name: &'static str, value: &'static str) {
    let name = HeaderName::from_static(name);
    response.headers_mut().insert(name, HeaderValue::from_static(value));
}

/// The answer to a path that no dialect knows.
pub(crate) async fn unknown_route() -> Refusal {
    ChatError::new(Code::NotFound, "there is no such route").into()
}

/// A known path, a method that it does not take.
pub(crate) async fn wrong_method() -> Response {
    let error = "this route does not take that method".to_owned();
    let body = ErrorBody { error, code: "method_not_allowed" };
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}

/// A refusal on its way out: `{"error", "code"}`.
#[derive(Debug)]
pub(crate) struct Refusal(ChatError);

impl From<ChatError> for Refusal {
    fn from(error: ChatError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (error, code) = (self.0.message().to_owned(), self.0.code());
        refusal_of(&self.0, ErrorBody { error, code: code.as_str() })
    }
}

/// A sentence and a stable code: 004's refusals, the inbox's, and those of no dialect in particular.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ErrorBody {
    /// For people.
    pub(crate) error: String,
    /// For programs, stable.
    #[schema(value_type = String, example = "invalid_payload")]
    pub(crate) code: &'static str,
}

/// What every operation of a dialect may answer, `B` being its refusals' body.
#[derive(IntoResponses)]
#[expect(dead_code, reason = "it exists for the OpenAPI document")]
pub(crate) enum Anytime<B: ToSchema> {
    /// Too many requests; `Retry-After` says when it is worth trying again.
    #[response(status = 429)]
    RateLimited(B),
    /// Our fault; the cause is in our log.
    #[response(status = 500)]
    Internal(B),
    /// Something we need is down; `Retry-After` says when it is worth trying again.
    #[response(status = 503)]
    Unavailable(B),
}
