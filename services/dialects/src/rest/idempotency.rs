//! The header that makes a retry of a post harmless.

use axum::http::HeaderMap;
use chat_core::{ClientId, Result};

/// `Idempotency-Key`, if it is there.
pub(crate) fn key(headers: &HeaderMap) -> Result<Option<ClientId>> {
    // What is not ASCII breaks the rule of keys, and so does the empty string that stands for it.
    let raw = headers.get("idempotency-key").map(|value| value.to_str().unwrap_or_default());
    raw.map(ClientId::parse).transpose()
}
