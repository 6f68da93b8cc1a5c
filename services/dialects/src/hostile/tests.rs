//! Payloads, texts, queries and headers that are nearly right.

use axum::http::{HeaderValue, Uri};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value};

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
fn payload() -> impl Strategy<Value = Value> {
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
fn json_like() -> impl Strategy<Value = String> {
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

proptest! {
    #[test]
    fn every_payload_of_every_protocol_is_read_or_refused(payload in payload()) {
        super::payload(&payload);
    }

    #[test]
    fn every_body_is_json_or_refused(bytes in vec(any::<u8>(), 0..200), text in json_like()) {
        super::body(&bytes);
        super::body(text.as_bytes());
    }

    #[test]
    fn every_query_is_understood_or_refused(query in "[ -~]{0,60}", number in text()) {
        let uris = [
            format!("/?{query}"),
            format!("/?N={query}&before={query}"),
            format!("/?before={}&N={}", percent(&number), percent(&number)),
        ];
        for uri in uris.iter().filter_map(|uri| uri.parse::<Uri>().ok()) {
            super::query(&uri);
        }
    }

    #[test]
    fn headers_that_name_nobody_are_nobodys(bytes in vec(any::<u8>(), 0..80), scheme in 0..4) {
        let scheme = ["Bearer ", "Basic ", "session=", ""][usize::try_from(scheme).expect("few")];
        if let Ok(value) = HeaderValue::from_bytes(&[scheme.as_bytes(), &bytes].concat()) {
            super::header_value(&value);
        }
    }

    #[test]
    fn every_frame_is_read_or_refused_with_a_code(frame in json_like()) {
        super::frame(&frame);
    }
}

fn percent(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}
