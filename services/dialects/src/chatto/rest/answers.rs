//! What 004's REST routes take and answer, beyond what its events share (`wire.rs`) and the refusals
//! that it shares with others (`rest/answer.rs`).

use chat_core::{Login, Result, Username};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::payload::Fields;

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
