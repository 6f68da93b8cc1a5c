//! Whatever a stranger sends, each parser reads it or refuses it with a code: it never panics, and
//! never answers with much.

use axum::http::{HeaderMap, HeaderValue, Uri, header};
use chat_core::{ChatError, Code, Limits, MessageText, Result, Username};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value};

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

/// Every field that some payload has.
const FIELDS: &[&str] = &[
    "author",
    "Author",
    "content",
    "messageObject",
    "user",
    "text",
    "clientId",
    "roomId",
    "since",
    "name",
    "id",
    "msg",
    "offset",
    "pagination",
    "message",
    "media",
    "limit",
    "before",
    "after",
    "username",
    "password",
    "title",
    "event",
    "data",
    "_placeholder",
    "num",
    "",
];

/// Texts that are nearly right, and some that are far too long.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        select(vec![
            "lobby",
            "alice",
            "0000000000000002",
            "ffffffffffffffff",
            "-1",
            "+1",
            "1e999999",
            "\0",
            "9223372036854775808",
            "18446744073709551616",
            " ",
            "\u{202e}",
            "../../etc/passwd",
            "/media/AAAAAAAAAAAAAAAAAAAAAA",
            "👋🏽",
            "' OR 1=1 --",
            "__proto__",
            "\u{feff}a",
        ])
        .prop_map(str::to_owned),
        (any::<char>(), 3_900_usize..4_100).prop_map(|(one, times)| one.to_string().repeat(times)),
    ]
}

/// Numbers at the ends of what types hold.
fn number() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<u64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        select(vec!["-0", "0.0", "1e308", "-1e308", "9223372036854775807", "18446744073709551615"])
            .prop_map(|raw| serde_json::from_str(raw).expect("a number")),
    ]
}

/// Payloads whose fields are known and whose values are not.
pub(crate) fn payload() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, |inner| {
        let field = prop_oneof![9 => select(FIELDS).prop_map(str::to_owned), 1 => any::<String>()];
        prop_oneof![
            1 => vec(inner.clone(), 0..6).prop_map(Value::from),
            4 => vec((field, inner), 0..6)
                .prop_map(|fields| Value::from(fields.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Texts that are JSON, or nearly.
pub(crate) fn json_like() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        payload().prop_map(|payload| payload.to_string()),
        (payload(), any::<prop::sample::Index>(), any::<char>()).prop_map(|(payload, at, one)| {
            let mut text: Vec<char> = payload.to_string().chars().collect();
            let at = at.index(text.len());
            text[at] = one;
            text.into_iter().collect()
        }),
        (select(vec!["[", "{\"a\":", "[[{\"a\":"]), 0_usize..100_000)
            .prop_map(|(open, times)| open.repeat(times)),
        select(vec![
            r#"{"event":"\ud800"}"#,
            r#"{"id":1e999999}"#,
            r#"{"id":-0}"#,
            "\"\\u0000\"",
            "\u{feff}{}",
            r#"{"event":"e","id":18446744073709551616}"#,
            r#"{"event":"e","event":"f"}"#,
            "nan",
        ])
        .prop_map(str::to_owned),
    ]
}

/// Refused in bounded words, by a code that is the sender's fault.
fn refused(error: &ChatError) {
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

proptest! {
    #[test]
    fn every_payload_of_every_protocol_is_read_or_refused(payload in payload()) {
        let limits = Limits::default();
        let me = Username::parse("alice").expect("a name");
        if let Some(said) = checked(tinychat::wire::Submission::parse(&payload, &limits)) {
            is_fine(&said.content, &limits);
        }
        if let Some(said) = checked(conversations::wire::NewText::parse(&payload, &me, &limits)) {
            is_fine(&said.text, &limits);
        }
        if let Some(said) = checked(one_to_one::wire::Say::parse(&payload, &limits)) {
            is_fine(&said.text, &limits);
        }
        checked(one_to_one::wire::Ask::parse(&payload));
        if let Some(said) = checked(messenger::asks::Send::parse(&payload, &limits)) {
            is_fine(&said.text, &limits);
            prop_assert!(said.media.len() <= chat_core::model::MEDIA_MAX);
        }
        if let Some(page) = checked(messenger::asks::FetchChats::parse(&payload)) {
            prop_assert!((1..=100).contains(&page.limit));
        }
        if let Some(page) = checked(messenger::asks::FetchUsers::parse(&payload)) {
            prop_assert!((1..=chat_core::chat::DIRECTS_MAX).contains(&page.limit));
        }
        checked(messenger::asks::user_of(&payload));
        checked(messenger::asks::chat_of(&payload));
        checked(messenger::asks::edit_of(&payload, &limits));
        if let Some(said) = checked(chatto::wire::Say::parse(&payload, &limits)) {
            is_fine(&said.text, &limits);
        }
        if let Some(join) = checked(chatto::wire::Join::parse(&payload)) {
            prop_assert!(join.since.is_none_or(|seq| i64::try_from(seq.0).is_ok()));
        }
        checked(chatto::wire::Place::of(&payload));
        if let Some(title) = checked(chatto::wire::parse_room_name(&payload)) {
            prop_assert!(title.as_str().chars().count() <= 80);
        }
        checked(inbox::wire::Seen::parse(&payload));
        checked(speaks_for(&me, &payload, &["user", "author"]));
        checked(Entry::parse(&payload));
        checked(Registration::parse(&payload, &limits));
    }

    #[test]
    fn every_body_is_json_or_refused(bytes in vec(any::<u8>(), 0..200), text in json_like()) {
        for body in [&bytes, text.as_bytes()] {
            match body::understand(body) {
                Ok(value) => prop_assert!(body::understand(value.to_string().as_bytes()).is_ok()),
                Err(error) => {
                    prop_assert_eq!(error.code(), Code::InvalidPayload);
                    refused(&error);
                }
            }
        }
    }

    #[test]
    fn every_query_is_understood_or_refused(query in "[ -~]{0,60}", number in text()) {
        let uris = [
            format!("/?{query}"),
            format!("/?N={query}&before={query}"),
            format!("/?before={}&N={}", percent(&number), percent(&number)),
        ];
        for uri in uris.iter().filter_map(|uri| uri.parse::<Uri>().ok()) {
            let mut params = Params::of(&uri);
            if let Some(count) = checked(params.count("N", 10, 1_000)) {
                prop_assert!((1..=1_000).contains(&count));
            }
            if let Some(Some(id)) = checked(params.before()) {
                prop_assert!(i64::try_from(id.0).is_ok());
            }
        }
    }

    #[test]
    fn headers_that_name_nobody_are_nobodys(bytes in vec(any::<u8>(), 0..80), scheme in 0..4) {
        let scheme = ["Bearer ", "Basic ", "session=", ""][usize::try_from(scheme).expect("few")];
        let Ok(value) = HeaderValue::from_bytes(&[scheme.as_bytes(), &bytes].concat()) else {
            return Ok(());
        };
        let names = [header::AUTHORIZATION, header::COOKIE, header::ORIGIN, header::HOST];
        let mut headers: HeaderMap = names.into_iter().map(|name| (name, value.clone())).collect();
        headers.insert("idempotency-key", value);
        let _ = (credentials::from_authorization(&headers), credentials::from_cookie(&headers));
        let _ = origin::is_allowed(&headers, &["https://app.example".to_owned()]);
        if let Some(Some(key)) = checked(idempotency::key(&headers)) {
            prop_assert!((1..=64).contains(&key.as_str().len()));
        }
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
