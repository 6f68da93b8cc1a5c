//! JSON bodies, whatever their Content-Type says, with refusals that name what was wrong.
//!
//! How large a body may be is its route's matter ([`bound`]). Large ones come in turn: all together
//! take so many bytes, however many come at once.

use std::{convert::Infallible, sync::LazyLock, time::Duration};

use axum::{
    Extension,
    body::Bytes,
    extract::{DefaultBodyLimit, FromRequest, Request, rejection::BytesRejection},
    http::{StatusCode, header::CONTENT_LENGTH},
};
use chat_core::{ChatError, Code, Result};
use serde_json::Value;
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};
use utoipa_axum::router::OpenApiRouter;

use super::RestState;
use crate::json;

/// The largest body of a route that knows names and passwords only.
pub(crate) const ACCOUNT_MAX: usize = 8 * 1024;

/// What is no larger needs no turn.
const SMALL: usize = 8 * 1024;

/// Bytes that all larger bodies together may take.
static ROOM: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(64 * 1024 * 1024));

/// How long a larger one may wait for its turn.
const TURN: Duration = Duration::from_secs(5);

/// How large the bodies of a route may be.
#[derive(Clone, Copy)]
struct Most(usize);

/// Bounds the bodies of these routes. The innermost bound counts.
pub(crate) fn bound(routes: OpenApiRouter<RestState>, most: usize) -> OpenApiRouter<RestState> {
    routes.layer(DefaultBodyLimit::max(most)).layer(Extension(Most(most)))
}

/// Why a body could not be read.
enum Unread {
    /// It has more bytes than this.
    TooLarge(usize),
    BrokenOff,
    /// Too many others come in.
    NoTurn,
}

/// A request's body, read but not yet understood: how a bad one is told is the dialect's matter.
pub(crate) struct Body(Result<(Bytes, Option<SemaphorePermit<'static>>), Unread>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        Ok(Self(take(request, state).await))
    }
}

async fn take<S: Send + Sync>(
    request: Request,
    state: &S,
) -> Result<(Bytes, Option<SemaphorePermit<'static>>), Unread> {
    let most = request.extensions().get().map_or(ACCOUNT_MAX, |Most(most)| *most);
    let told =
        request.headers().get(CONTENT_LENGTH).and_then(|told| told.to_str().ok()?.parse().ok());
    let size = told.unwrap_or(most);
    if size > most {
        return Err(Unread::TooLarge(most));
    }
    let turn = match u32::try_from(size) {
        Ok(bytes) if size > SMALL => {
            let turn = timeout(TURN, ROOM.acquire_many(bytes)).await;
            Some(turn.ok().and_then(Result::ok).ok_or(Unread::NoTurn)?)
        }
        _ => None,
    };
    let bytes = Bytes::from_request(request, state).await;
    bytes.map(|bytes| (bytes, turn)).map_err(|rejection| Unread::of(&rejection, most))
}

impl Unread {
    fn of(rejection: &BytesRejection, most: usize) -> Self {
        match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge(most),
            _ => Self::BrokenOff,
        }
    }

    fn told(&self) -> ChatError {
        match self {
            Self::TooLarge(most) => {
                let rule = format!("the body is larger than {most} bytes");
                ChatError::new(Code::PayloadTooLarge, rule)
            }
            Self::BrokenOff => ChatError::invalid_payload("the body broke off before its end"),
            Self::NoTurn => {
                ChatError::new(Code::Unavailable, "too much comes in at once, try again")
            }
        }
    }
}

impl Body {
    /// What `parse` makes of the JSON in it. Nothing else is kept: parsed JSON is larger than its
    /// text, and what a request waits for later may take long.
    pub(crate) fn read<T, E: From<ChatError>>(
        self,
        parse: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Result<T, E> {
        let (bytes, _turn) = self.0.map_err(|unread| unread.told())?;
        parse(&understand(&bytes)?)
    }

    /// The same, where there may be no JSON: an empty body, or `null`.
    pub(crate) fn read_if_any<T>(
        self,
        parse: impl FnOnce(&Value) -> Result<T>,
    ) -> Result<Option<T>> {
        if matches!(&self.0, Ok((bytes, _)) if bytes.is_empty()) {
            return Ok(None);
        }
        self.read(|value| Some(value).filter(|value| !value.is_null()).map(parse).transpose())
    }
}

/// The JSON in a body. No refusal quotes it.
pub(crate) fn understand(bytes: &[u8]) -> Result<Value> {
    if bytes.is_empty() {
        return Err(ChatError::invalid_payload("the body is empty, it must be a JSON object"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| ChatError::invalid_payload("the body is not UTF-8"))?;
    json::read(text, "the body")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        let error = understand(bytes).expect_err("refused");
        assert_eq!(error.code(), Code::InvalidPayload);
        error.message().to_owned()
    }

    #[test]
    fn a_bad_body_is_told_what_is_wrong_with_it() {
        assert!(refusal(b"").contains("empty"));
        assert!(refusal(b"\xff\xfe").contains("UTF-8"));
        assert!(refusal(b"{\"text\":").contains("JSON"));
        assert!(refusal(br#"{"text": "\ud800"}"#).contains("JSON"));
        assert!(refusal(&b"[".repeat(100_000)).contains("recursion"));
    }

    #[test]
    fn a_bad_body_is_never_quoted() {
        for body in [r#"{"password": hunter2}"#, r#"{"password": "hunter2"#, r#"{"p": 1} hunter2"#]
        {
            assert!(!refusal(body.as_bytes()).contains("hunter2"), "{body}");
        }
    }
}
