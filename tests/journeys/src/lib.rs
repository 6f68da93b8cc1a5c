//! What the journeys share. The journeys themselves are in `tests/`, one file a subject.

pub mod rest;
pub mod stored;
pub mod tokens;

use harness::Arena;
use rest::Site;

/// The product that all tests of a binary share.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its parts.
    pub arena: &'static Arena,
    jwt_secret: String,
    service_token: String,
}

/// The running product; the first test that asks for it waits until it is up.
pub async fn product() -> Product {
    let arena = Arena::shared().await.expect("the product comes up");
    let options = Arena::options("shared").expect("options");
    Product { arena, jwt_secret: options.jwt_secret, service_token: options.service_token }
}

impl Product {
    /// REST, at message-api 1.
    #[must_use]
    pub fn site(&self) -> Site {
        Site::at(self.arena.stack.urls().api(1))
    }

    /// What message-api signs tokens with.
    #[must_use]
    pub fn jwt_secret(&self) -> &str {
        &self.jwt_secret
    }

    /// What services show each other.
    #[must_use]
    pub fn service_token(&self) -> &str {
        &self.service_token
    }
}
