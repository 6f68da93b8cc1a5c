//! What a request is told that never reaches a protocol, in the words of none.

use std::time::Duration;

use axum::{
    Json,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use chat_core::Code;
use serde_json::json;

/// When it is worth trying again where much comes and goes.
pub(crate) const SOON: Duration = Duration::from_secs(1);

/// A refusal that says when to come again.
pub(crate) fn refused(code: Code, sentence: &str, after: Duration) -> Response {
    let status = StatusCode::from_u16(code.http()).unwrap_or(StatusCode::SERVICE_UNAVAILABLE);
    let after = HeaderValue::from(after.as_secs().max(1));
    let body = json!({"error": sentence, "code": code.as_str()});
    (status, [(header::RETRY_AFTER, after)], Json(body)).into_response()
}
