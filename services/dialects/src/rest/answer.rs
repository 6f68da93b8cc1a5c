//! Answers: status and headers come from the refusal's code, the body from the dialect.

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header::HeaderName},
    response::{IntoResponse, Response},
};
use chat_core::{ChatError, Code};
use serde::Serialize;
use utoipa::{IntoResponses, ToSchema};

/// How long a client should wait before it tries again, in seconds.
const RETRY_AFTER: &str = "1";

/// A refusal: the table's HTTP status, the dialect's body.
pub(crate) fn refusal(code: Code, body: impl Serialize) -> Response {
    let status = StatusCode::from_u16(code.http()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(body)).into_response();
    if code.is_transient() {
        header(&mut response, "retry-after", RETRY_AFTER);
    }
    if status == StatusCode::UNAUTHORIZED {
        header(&mut response, "www-authenticate", "Bearer realm=\"switchboard\"");
    }
    response
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
        refusal(code, ErrorBody { error, code: code.as_str() })
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
