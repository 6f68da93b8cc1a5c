//! What 002's account routes answer, and what they do not take.

use axum::{
    Json,
    extract::FromRequestParts,
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
};
use chat_core::{ChatError, Login, Username};
use secrecy::ExposeSecret;
use serde::Serialize;
use utoipa::ToSchema;

use crate::rest::answer;

/// The answer to a register or login.
#[derive(Serialize, ToSchema)]
#[schema(as = one_to_one::Entered)]
pub(super) struct Entered {
    #[schema(value_type = String, example = "success")]
    status: &'static str,
    /// The name as first typed.
    #[schema(value_type = String)]
    username: Username,
    /// A JWT: ends with its session.
    token: String,
}

impl From<&Login> for Entered {
    fn from(login: &Login) -> Self {
        Self {
            status: "success",
            username: login.session.user.name.clone(),
            token: login.token.expose_secret().to_owned(),
        }
    }
}

/// `{"status": "success"}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = one_to_one::Success)]
pub(super) struct Success {
    #[schema(value_type = String, example = "success")]
    status: &'static str,
}

impl Success {
    pub(super) fn new() -> Self {
        Self { status: "success" }
    }
}

/// A refusal in 002's words.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = one_to_one::Refusal)]
pub(super) struct RefusalBody {
    /// The stable code, in words.
    #[schema(example = "username taken")]
    status: String,
    /// What was wrong.
    error: String,
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
        let status = self.0.code().as_str().replace('_', " ");
        answer::refusal(self.0.code(), RefusalBody { status, error: self.0.message().to_owned() })
    }
}

/// A known path, a method that it does not take.
pub(super) async fn wrong_method() -> Response {
    refuse(
        StatusCode::METHOD_NOT_ALLOWED,
        "method not allowed",
        "this route does not take that method",
    )
}

fn refuse(http: StatusCode, status: &str, error: &str) -> Response {
    let body = RefusalBody { status: status.to_owned(), error: error.to_owned() };
    (http, Json(body)).into_response()
}

/// Turns form posts away; everything else is read as JSON.
pub(super) struct JsonOnly;

impl<S: Send + Sync> FromRequestParts<S> for JsonOnly {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let given = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        match given.map(is_form) {
            Some(true) => Err(refuse(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported media type",
                "forms are not taken here, send a JSON object: {\"username\", \"password\"}",
            )),
            _ => Ok(Self),
        }
    }
}

fn is_form(content_type: &str) -> bool {
    let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(kind.as_str(), "application/x-www-form-urlencoded" | "multipart/form-data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_forms_are_turned_away() {
        for form in
            ["application/x-www-form-urlencoded; charset=utf-8", "Multipart/Form-Data; boundary=x"]
        {
            assert!(is_form(form), "{form}");
        }
        for other in ["application/json", "text/plain", "", "application/x-www-form-urlencoded2"] {
            assert!(!is_form(other), "{other}");
        }
    }
}
