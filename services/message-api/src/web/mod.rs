//! The web client: its files, embedded in the program, and its pages. What it is made of stands in
//! `web/` of this crate.

mod files;
mod pages;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    extract::{Path, State},
    http::HeaderMap,
    response::{IntoResponse, Response},
    routing::get,
};
use chat_core::Code;

use self::files::Files;
use crate::http::refusal;

/// The protocols that the web client speaks.
const SPOKEN: [&str; 4] = ["conversations", "one-to-one", "messenger", "chatto"];

/// The web client.
#[derive(Debug)]
pub struct Web {
    files: Files,
    /// What its pages begin the addresses of its files with.
    base: String,
    password_min: usize,
    /// Of [`SPOKEN`], those that are not enabled.
    missing: Vec<&'static str>,
}

impl Web {
    /// As it is served beside these protocols, where passwords have at least so many characters.
    #[must_use]
    pub fn new(protocols: &[String], password_min: usize) -> Self {
        let files = Files::embedded();
        let base = format!("/web/{}", files.version());
        let is_missing = |name: &&str| protocols.iter().all(|enabled| enabled != name);
        let missing = SPOKEN.into_iter().filter(is_missing).collect();
        Self { files, base, password_min, missing }
    }

    /// Without 002 nobody can log in, and nobody else answers for the pages of those who are.
    fn has_accounts(&self) -> bool {
        !self.missing.contains(&"one-to-one")
    }
}

/// The client's files and the pages that need no account; the others are the dialects'.
pub fn routes(web: Arc<Web>) -> Router {
    let router = Router::new()
        .route("/web/{version}/{*name}", get(file))
        .route("/socket.io/socket.io.js", get(official_client))
        .route("/status", get(async |State(web): State<Arc<Web>>| web.status()));
    let router = if web.has_accounts() {
        router
    } else {
        let unserved = get(async |State(web): State<Arc<Web>>| web.unserved());
        router.route("/", unserved.clone()).route("/io", unserved)
    };
    router.with_state(web)
}

/// A file of another version is asked for while replicas of two versions run.
async fn file(
    State(web): State<Arc<Web>>,
    Path((version, name)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let caching = if version == web.files.version() {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    web.files.answer(&name, caching, &headers).unwrap_or_else(unknown)
}

/// The official client where Socket.IO's own servers have it, for pages that load it by a classic
/// script.
async fn official_client(State(web): State<Arc<Web>>, headers: HeaderMap) -> Response {
    let file = web.files.answer("vendor/socket.io.min.js", "no-cache", &headers);
    // Also for pages of other origins.
    let shared = [("cross-origin-resource-policy", "cross-origin")];
    file.map_or_else(unknown, |file| (shared, file).into_response())
}

/// Nobody may keep this: in a moment the file may be there, at a newer replica.
fn unknown() -> Response {
    let refusal = refusal(Code::NotFound, "the web client has no such file");
    ([("cache-control", "no-store")], refusal).into_response()
}
