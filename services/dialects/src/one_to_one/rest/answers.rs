//! What 002's account routes answer to programs.

use axum::{
    Json,
    http::StatusCode,
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
        answer::refusal_of(&self.0, RefusalBody { status, error: self.0.message().to_owned() })
    }
}

/// A known path, a method that it does not take.
pub(super) async fn wrong_method() -> Response {
    let body = RefusalBody {
        status: "method not allowed".to_owned(),
        error: "this route does not take that method".to_owned(),
    };
    (StatusCode::METHOD_NOT_ALLOWED, Json(body)).into_response()
}
