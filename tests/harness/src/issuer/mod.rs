//! An issuer of tokens as a test needs it: it signs whatever it is told to, and its server answers
//! whatever it is told to.

mod keys;
mod server;

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use serde_json::{Value, json};

pub use self::{
    keys::SigningKey,
    server::{Server, Serves},
};

/// What its tokens are for, in `aud`.
pub const AUDIENCE: &str = "the-chat";

/// An issuer with one key, and more where a test makes them.
#[derive(Debug)]
pub struct Issuer {
    /// What `iss` says.
    pub name: String,
    /// Where its keys are told.
    pub server: Server,
    /// What it signs with.
    pub key: SigningKey,
}

impl Issuer {
    /// One whose server tells this key.
    pub async fn start(name: &str, key: SigningKey) -> Result<Self> {
        let server = Server::start(Serves::keys([&key])).await?;
        Ok(Self { name: name.to_owned(), server, key })
    }

    /// Its entry in ISSUERS_FILE.
    #[must_use]
    pub fn entry(&self) -> Value {
        json!({"issuer": self.name, "jwksUrl": self.server.url(), "audience": AUDIENCE})
    }

    /// What a good token of five minutes says.
    #[must_use]
    pub fn claims(&self, subject: &str) -> Value {
        let now = seconds();
        json!({"iss": self.name, "aud": AUDIENCE, "sub": subject, "preferred_username": subject,
            "iat": now, "exp": now + 300, "nbf": now, "jti": format!("{subject}-{now}")})
    }

    /// A good token.
    pub fn token(&self, subject: &str) -> Result<String> {
        self.key.token(&self.claims(subject))
    }

    /// A token that says something else in one claim; null takes the claim away.
    pub fn token_with(&self, subject: &str, claim: &str, value: Value) -> Result<String> {
        self.key.token(&with(self.claims(subject), claim, value))
    }
}

/// The same claims but for one; null takes it away.
#[must_use]
pub fn with(mut claims: Value, claim: &str, value: Value) -> Value {
    if let Some(claims) = claims.as_object_mut() {
        claims.remove(claim);
        if !value.is_null() {
            claims.insert(claim.to_owned(), value);
        }
    }
    claims
}

/// What is signed of a token: header and claims.
#[must_use]
pub fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", BASE64.encode(header.to_string()), BASE64.encode(claims.to_string()))
}

/// Seconds since 1970.
#[must_use]
pub fn seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
