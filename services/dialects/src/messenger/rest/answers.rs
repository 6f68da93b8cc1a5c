//! What 003's REST routes take and answer; refusals.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chat_core::{ChatError, Code, Limits, Login, Password, Result, Username};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    payload::Fields,
    rest::{
        accounts::{Entry, Registration},
        answer::{self, ErrorBody},
    },
};

/// `{"message"}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = messenger::Done)]
pub(super) struct Done {
    #[schema(value_type = String, example = "Created")]
    message: &'static str,
}

impl Done {
    pub(super) const fn new(message: &'static str) -> Self {
        Self { message }
    }
}

/// The answer to a login.
#[derive(Serialize, ToSchema)]
#[schema(as = messenger::Token)]
pub(super) struct Token {
    /// A JWT: ends with its session.
    token: String,
}

impl From<&Login> for Token {
    fn from(login: &Login) -> Self {
        Self { token: login.token.expose_secret().to_owned() }
    }
}

/// The answer to an upload.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = messenger::Uploaded)]
pub(super) struct Uploaded {
    #[schema(value_type = String, example = "Uploaded")]
    message: &'static str,
    /// Where the files are, root-relative, in the order in which they came.
    files: Vec<String>,
}

impl Uploaded {
    pub(super) const fn new(files: Vec<String>) -> Self {
        Self { message: "Uploaded", files }
    }
}

/// `{"username", "password"}` of the account that is to be deleted; neither where a session or
/// token tells whose.
#[derive(Debug, ToSchema)]
#[schema(as = messenger::Account)]
#[expect(dead_code, reason = "it exists for the OpenAPI document")]
pub(super) struct Account {
    /// In any letter case.
    username: Option<String>,
    /// The account's.
    #[schema(format = Password)]
    password: Option<String>,
}

impl Account {
    /// Reads the object's fields.
    pub(super) fn parse(body: &Value) -> Result<Option<Entry>> {
        let fields = Fields::of(body)?;
        let given = fields.optional_text("username")?.or(fields.optional_text("password")?);
        given.map(|_| Entry::parse(body)).transpose()
    }
}

/// `{"current", "new"}`.
#[derive(Debug, ToSchema)]
#[schema(as = messenger::NewPassword)]
pub(super) struct NewPassword {
    /// The account's.
    #[schema(value_type = String, format = Password, max_length = 128)]
    pub(super) current: Password,
    /// Within the length that the server's setting allows.
    #[schema(value_type = String, format = Password, max_length = 128)]
    pub(super) new: Password,
}

impl NewPassword {
    /// Reads the object's fields.
    pub(super) fn parse(body: &Value, limits: &Limits) -> Result<Self> {
        let fields = Fields::of(body)?;
        let (current, new) = (fields.text("current")?, fields.text("new")?);
        Ok(Self { current: Password::offered(current)?, new: Password::parse(new, limits)? })
    }
}

/// Reads the fields of a new account, and tells everything that is wrong with them.
pub(super) fn parse_registration(body: &Value, limits: &Limits) -> Result<Registration, Refusal> {
    let fields = Fields::of(body)?;
    let username = fields.text("username").and_then(Username::parse);
    let password = fields.text("password").and_then(|raw| Password::parse(raw, limits));
    match (username, password) {
        (Ok(username), Ok(password)) => Ok(Registration { username, password }),
        (username, password) => {
            let wrong = [username.err(), password.err()];
            Err(Refusal(wrong.into_iter().flatten().collect()))
        }
    }
}

/// `{"errors"}`: everything that is wrong with a request.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = messenger::Invalid)]
pub(super) struct Invalid {
    errors: Vec<Wrong>,
}

/// One thing that is wrong.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = messenger::Wrong)]
struct Wrong {
    /// For people.
    msg: String,
    /// For programs, stable.
    #[schema(value_type = String, example = "invalid_username")]
    code: &'static str,
}

/// `{"error": 409}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = messenger::Conflict)]
pub(super) struct Conflict {
    /// Always 409.
    error: u16,
}

/// `{"error": "Unauthorized"}`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = messenger::Unauthorized)]
pub(super) struct Unauthorized {
    #[schema(value_type = String, example = "Unauthorized")]
    error: &'static str,
}

/// A refusal on its way out: what was wrong, one thing at least.
#[derive(Debug)]
pub(super) struct Refusal(Vec<ChatError>);

impl From<ChatError> for Refusal {
    fn from(error: ChatError) -> Self {
        Self(vec![error])
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Some(first) = self.0.first() else {
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        };
        let code = first.code();
        match code.http() {
            400 => {
                let wrong = self.0.iter().map(|error| Wrong {
                    msg: error.message().to_owned(),
                    code: error.code().as_str(),
                });
                answer::refusal(code, Invalid { errors: wrong.collect() })
            }
            401 => answer::refusal(code, Unauthorized { error: "Unauthorized" }),
            409 => answer::refusal(code, Conflict { error: 409 }),
            _ => {
                let error = first.message().to_owned();
                answer::refusal_of(first, ErrorBody { error, code: code.as_str() })
            }
        }
    }
}

/// The refusal of a body that breaks the rules of multipart.
pub(super) fn no_upload(rule: impl Into<std::borrow::Cow<'static, str>>) -> ChatError {
    ChatError::new(Code::InvalidPayload, rule)
}

#[cfg(test)]
mod tests {
    use axum::body::to_bytes;
    use serde_json::json;

    use super::*;

    async fn told(refusal: Refusal) -> (u16, Value) {
        let response = refusal.into_response();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
        (status, serde_json::from_slice(&body).expect("JSON"))
    }

    #[tokio::test]
    async fn refusals_have_the_documented_bodies() {
        let one = |code| Refusal::from(ChatError::new(code, "why"));
        assert_eq!(told(one(Code::UsernameTaken)).await, (409, json!({"error": 409})));
        for code in [Code::InvalidCredentials, Code::Unauthorised, Code::InvalidToken] {
            assert_eq!(told(one(code)).await, (401, json!({"error": "Unauthorized"})));
        }
        let invalid = json!({"errors": [{"msg": "why", "code": "invalid_payload"}]});
        assert_eq!(told(one(Code::InvalidPayload)).await, (400, invalid));
    }

    #[tokio::test]
    async fn a_registration_is_told_all_that_is_wrong() {
        let body = json!({"username": "a b", "password": "x"});
        let refusal = parse_registration(&body, &Limits::default()).expect_err("refused");
        let (status, body) = told(refusal).await;
        let codes: Vec<_> = body["errors"].as_array().expect("an array").iter().collect();
        assert_eq!((status, codes.len()), (400, 2));
        assert_eq!(codes[0]["code"], "invalid_username");
        assert_eq!(codes[1]["code"], "invalid_password");
    }

    #[test]
    fn an_account_is_named_wholly_or_not_at_all() {
        assert!(Account::parse(&json!({})).expect("fine").is_none());
        assert!(
            Account::parse(&json!({"username": "al", "password": "x"})).expect("fine").is_some()
        );
        for half in [json!({"username": "al"}), json!({"password": "x"}), json!([]), json!(7)] {
            assert!(Account::parse(&half).is_err(), "{half}");
        }
    }
}
