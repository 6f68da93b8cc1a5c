//! What the REST legs share, and the one router that message-api mounts.
//!
//! A handler makes three moves: parse (`body`, `query`, `accounts`), ask [`Chat`], render. A refusal
//! travels as a [`ChatError`](chat_core::ChatError) up to its dialect's `Refusal`, which phrases it.

pub(crate) mod accounts;
pub(crate) mod answer;
pub(crate) mod body;
pub mod budget;
pub(crate) mod cookie;
pub mod credentials;
pub mod door;
pub(crate) mod drain;
pub(crate) mod foreign;
pub(crate) mod idempotency;
pub(crate) mod mount;
pub mod pages;
pub(crate) mod query;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use axum::{
    http::header::CACHE_CONTROL,
    middleware::{from_fn, map_response},
    response::Response,
};
use chat_core::{Chat, Limits, Media};
use utoipa::{
    Modify, OpenApi,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};
use utoipa_axum::router::OpenApiRouter;

pub use self::answer::retry_after;
use self::{budget::Budget, door::Door, pages::Pages};
use crate::{chatto, conversations, inbox, messenger, one_to_one, tinychat};

/// What the REST legs need.
#[derive(Clone)]
pub struct RestState {
    /// Ask.
    pub chat: Arc<dyn Chat>,
    /// Keep files.
    pub media: Arc<dyn Media>,
    /// What browsers are shown.
    pub pages: Arc<dyn Pages>,
    /// The enabled protocols, of [`crate::PROTOCOLS`].
    pub protocols: Arc<[String]>,
    /// How long texts may be.
    pub limits: Limits,
    /// Is the session cookie for HTTPS only?
    pub secure_cookies: bool,
    /// How long a session lasts after its last use.
    pub session_ttl: Duration,
    /// Are guests let in?
    pub guests: bool,
    /// Most messages that 000 lists at once.
    pub lobby_max: u32,
    /// Pages of these origins may use the visitor's cookie, beside our own.
    pub origins: Arc<[String]>,
    /// Who may knock, and how often.
    pub door: Arc<dyn Door>,
    /// How much may be asked.
    pub budget: Arc<Budget>,
    /// Proxies before us whose `X-Forwarded-For` is believed.
    pub trusted_hops: usize,
}

/// Every REST route of every dialect, with its OpenAPI document: what is documented is what is
/// served. Unknown routes are answered too, so merge it into routers without a fallback.
pub fn router(state: RestState) -> OpenApiRouter {
    let mut router =
        OpenApiRouter::with_openapi(Document::openapi()).merge(inbox::rest::routes(&state));
    for protocol in state.protocols.iter() {
        router = match protocol.as_str() {
            "tinychat" => router.merge(tinychat::rest::routes(&state)),
            "conversations" => router.merge(conversations::rest::routes(&state)),
            "one-to-one" => router.merge(one_to_one::rest::routes(&state)),
            "messenger" => router.merge(messenger::rest::routes(&state)),
            "chatto" => router.merge(chatto::rest::routes(&state)),
            _ => router,
        };
    }
    body::bound(router.fallback(answer::unknown_route), state.limits.event_max())
        .layer(map_response(no_store))
        .layer(from_fn(drain::read_the_rest))
        .with_state(state)
}

/// Every answer is somebody's own, or true only now; one that is neither says so itself.
async fn no_store(mut response: Response) -> Response {
    if !response.headers().contains_key(CACHE_CONTROL) {
        answer::header(&mut response, "cache-control", "no-store");
    }
    response
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Switchboard",
        description = "One chat, several client protocols, over one set of users, conversations \
                       and messages."
    ),
    tags(
        (name = "tinychat", description = "000: the lobby's messages"),
        (name = "conversations", description = "001: topics over REST, live over WebSocket"),
        (name = "one-to-one", description = "002: accounts and sessions"),
        (name = "messenger", description = "003: accounts and files"),
        (name = "chatto", description = "004: accounts and rooms"),
        (name = "inbox", description = "one's conversations, with what is unread"),
    ),
    modifiers(&Security)
)]
struct Document;

struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let cookie = ApiKey::Cookie(ApiKeyValue::new(cookie::NAME));
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    }
}
