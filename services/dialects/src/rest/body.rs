//! JSON bodies, whatever their Content-Type says, with refusals that name what was wrong.

use std::convert::Infallible;

use axum::{
    body::Bytes,
    extract::{FromRequest, Request, rejection::BytesRejection},
    http::StatusCode,
};
use chat_core::{ChatError, Code, Result};
use serde_json::Value;

use super::BODY_MAX;

/// A request's body, read but not yet understood: how a bad one is told is the dialect's matter.
pub(crate) struct Body(Result<Bytes, BytesRejection>);

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = Infallible;

    async fn from_request(request: Request, state: &S) -> Result<Self, Infallible> {
        Ok(Self(Bytes::from_request(request, state).await))
    }
}

impl Body {
    /// The JSON in it.
    pub(crate) fn json(self) -> Result<Value> {
        match self.0 {
            Ok(bytes) => parse(&bytes),
            Err(rejection) if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE => {
                let rule = format!("the body is larger than {BODY_MAX} bytes");
                Err(ChatError::new(Code::PayloadTooLarge, rule))
            }
            Err(_) => Err(ChatError::invalid_payload("the body broke off before its end")),
        }
    }

    /// The JSON in it, where there may be none: an empty body, or `null`.
    pub(crate) fn json_if_any(self) -> Result<Option<Value>> {
        match &self.0 {
            Ok(bytes) if bytes.is_empty() => Ok(None),
            _ => self.json().map(|value| Some(value).filter(|value| !value.is_null())),
        }
    }
}

/// The syntax errors of the JSON parser name a place and a rule, never what stood there: it may
/// have been a password.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value> {
    if bytes.is_empty() {
        return Err(ChatError::invalid_payload("the body is empty, it must be a JSON object"));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| ChatError::invalid_payload("the body is not UTF-8"))?;
    serde_json::from_str(text)
        .map_err(|cause| ChatError::invalid_payload(format!("the body is not JSON: {cause}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(bytes: &[u8]) -> String {
        let error = parse(bytes).expect_err("refused");
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
