//! What 004's REST routes take and answer, beyond what its events share (`wire.rs`).

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chat_core::{ChatError, Login, Result, Username};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    payload::Fields,
    rest::answer::{self, ErrorBody},
};

/// The answer to a register or login.
#[derive(Serialize, ToSchema)]
#[schema(as = chatto::Token)]
pub(super) struct Token {
    /// A JWT: ends with its session.
    token: String,
    /// The name as first typed.
    #[schema(value_type = String)]
    username: Username,
}

impl From<&Login> for Token {
    fn from(login: &Login) -> Self {
        Self {
            token: login.token.expose_secret().to_owned(),
            username: login.session.user.name.clone(),
        }
    }
}

/// The answer to a verify.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = chatto::Identity)]
pub(super) struct Identity {
    /// The name as first typed.
    #[schema(value_type = String)]
    pub(super) username: Username,
}

/// `{"token"}`, where it is not in a header.
#[derive(Debug, ToSchema)]
#[schema(as = chatto::TokenBody)]
pub(super) struct TokenBody {
    /// The JWT.
    #[schema(value_type = Option<String>)]
    pub(super) token: Option<SecretString>,
}

impl TokenBody {
    /// Reads the object's field.
    pub(super) fn parse(body: &Value) -> Result<Self> {
        Ok(Self { token: Fields::of(body)?.optional_text("token")?.map(SecretString::from) })
    }
}

/// A refusal on its way out: `{"error", "code"}`.
#[derive(Debug)]
pub(super) struct Refusal(ChatError);

impl From<ChatError> for Refusal {
    fn from(error: ChatError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (error, code) = (self.0.message().to_owned(), self.0.code());
        answer::refusal(code, ErrorBody { error, code: code.as_str() })
    }
}

/// A known path, a method that it does not take.
pub(super) async fn wrong_method() -> Response {
    let error = "this route does not take that method".to_owned();
    let body = ErrorBody { error, code: "method_not_allowed" };
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}
