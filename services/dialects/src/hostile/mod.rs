//! Whatever a stranger sends, each parser reads it or refuses it with a code: it never panics, and
//! never answers with much. These are the properties; made-up input comes from tests, and from
//! `tests/fuzz`.

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use chat_core::{ChatError, Code, Limits, MessageText, Result, Username};
use serde_json::Value;

#[cfg(test)]
pub(crate) mod tests;

pub use crate::messenger::rest::read_form;
use crate::{
    chatto, conversations, inbox, messenger, one_to_one, origin,
    payload::speaks_for,
    rest::{
        accounts::{Entry, Registration},
        body, credentials, idempotency,
        query::Params,
    },
    tinychat,
};

/// The longest sentence of a refusal.
const SENTENCE: usize = 300;

/// Refused in bounded words, by a code that is the sender's fault.
pub fn refused(error: &ChatError) {
    assert!(error.code().http() < 500, "{error}");
    assert!(error.message().len() <= SENTENCE, "{error}");
}

fn checked<T>(result: Result<T>) -> Option<T> {
    result.inspect_err(refused).ok()
}

fn is_fine(text: &MessageText, limits: &Limits) {
    let (text, again) = (text.as_str(), MessageText::parse(text.as_str(), limits));
    assert_eq!(again.expect("what was taken is taken again").as_str(), text);
}

/// A payload, as an event of any protocol and as the body of any request.
pub fn payload(payload: &Value) {
    let limits = Limits::default();
    let me = Username::parse("alice").expect("a name");
    if let Some(said) = checked(tinychat::wire::Submission::parse(payload, &limits)) {
        is_fine(&said.content, &limits);
    }
    if let Some(said) = checked(conversations::wire::NewText::parse(payload, &me, &limits)) {
        is_fine(&said.text, &limits);
    }
    if let Some(said) = checked(one_to_one::wire::Say::parse(payload, &limits)) {
        is_fine(&said.text, &limits);
    }
    checked(one_to_one::wire::Ask::parse(payload));
    if let Some(said) = checked(messenger::asks::Send::parse(payload, &limits)) {
        is_fine(&said.text, &limits);
        assert!(said.media.len() <= chat_core::model::MEDIA_MAX);
    }
    if let Some(page) = checked(messenger::asks::FetchChats::parse(payload)) {
        assert!((1..=100).contains(&page.limit));
    }
    if let Some(page) = checked(messenger::asks::FetchUsers::parse(payload)) {
        assert!((1..=chat_core::chat::DIRECTS_MAX).contains(&page.limit));
    }
    checked(messenger::asks::user_of(payload));
    checked(messenger::asks::chat_of(payload));
    checked(messenger::asks::edit_of(payload, &limits));
    if let Some(said) = checked(chatto::wire::Say::parse(payload, &limits)) {
        is_fine(&said.text, &limits);
    }
    if let Some(join) = checked(chatto::wire::Join::parse(payload)) {
        assert!(join.since.is_none_or(|seq| i64::try_from(seq.0).is_ok()));
    }
    checked(chatto::wire::Place::of(payload));
    if let Some(title) = checked(chatto::wire::parse_room_name(payload)) {
        assert!(title.as_str().chars().count() <= 80);
    }
    checked(inbox::wire::Seen::parse(payload));
    checked(speaks_for(&me, payload, &["user", "author"]));
    checked(Entry::parse(payload));
    checked(Registration::parse(payload, &limits));
}

/// A body, before anything of it is known.
pub fn body(bytes: &[u8]) {
    match body::understand(bytes) {
        Ok(value) => {
            assert!(body::understand(value.to_string().as_bytes()).is_ok());
            payload(&value);
        }
        Err(error) => {
            assert_eq!(error.code(), Code::InvalidPayload);
            refused(&error);
        }
    }
}

/// A frame of the messenger's plain websocket.
pub fn frame(text: &str) {
    match messenger::plain::asked(text) {
        Ok((_, _, Some(Value::String(id)))) => assert!(id.len() <= messenger::plain::ECHO_MAX),
        Ok(_) => {}
        Err(code) => assert_eq!(code, Code::InvalidPayload),
    }
}

/// The query of a request.
pub fn query(uri: &Uri) {
    let mut params = Params::of(uri);
    if let Some(count) = checked(params.count("N", 10, 1_000)) {
        assert!((1..=1_000).contains(&count));
    }
    if let Some(Some(id)) = checked(params.before()) {
        assert!(i64::try_from(id.0).is_ok());
    }
}

/// The value of any header that is looked into.
pub fn header_value(value: &HeaderValue) {
    let names = [header::AUTHORIZATION, header::COOKIE, header::ORIGIN, header::HOST];
    let mut headers: HeaderMap = names.into_iter().map(|name| (name, value.clone())).collect();
    headers.insert("idempotency-key", value.clone());
    headers.insert("x-forwarded-for", value.clone());
    let _ = (credentials::from_authorization(&headers), credentials::from_cookie(&headers));
    let _ = origin::is_allowed(&headers, &["https://app.example".to_owned()]);
    let _ = crate::address::Address::of([127, 0, 0, 1].into(), &headers, 1);
    if let Some(Some(key)) = checked(idempotency::key(&headers)) {
        assert!((1..=64).contains(&key.as_str().len()));
    }
}
