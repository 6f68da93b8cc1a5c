//! Tokens that must not be believed, made from one that may.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

/// What a token says, without asking whether it is true.
#[must_use]
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).expect("a payload");
    let payload = BASE64.decode(payload).expect("base64");
    serde_json::from_slice(&payload).expect("JSON")
}

/// Properly signed with the server's own secret.
#[must_use]
pub fn signed(claims: &Value, secret: &str) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).expect("signs")
}

/// Every kind of bad token, by name: made from a live one and the secret that signed it.
#[must_use]
pub fn bad_ones(live: &str, secret: &str) -> Vec<(&'static str, String)> {
    let truth = claims(live);
    let with = |field: &str, value: Value| {
        let mut claims = truth.clone();
        claims[field] = value;
        claims
    };
    let mut parts = live.split('.');
    let mut part = || parts.next().expect("three parts");
    let (header, payload, signature) = (part(), part(), part());
    let none = |name: &str| BASE64.encode(json!({"alg": name, "typ": "JWT"}).to_string());
    let others = BASE64.encode(with("username", json!("somebody-else")).to_string());
    vec![
        ("expired", signed(&with("exp", json!(1_000_000_000)), secret)),
        ("of an unknown session", signed(&with("sid", json!("0".repeat(64))), secret)),
        ("of a strange session", signed(&with("sid", json!("x")), secret)),
        ("signed by somebody else", signed(&truth, "another secret, just as long as the real one")),
        ("tampered with", format!("{header}.{others}.{signature}")),
        ("unsigned", format!("{header}.{payload}.")),
        ("alg none", format!("{}.{payload}.", none("none"))),
        ("alg None with a signature", format!("{}.{payload}.{signature}", none("None"))),
        ("cut off", live[..live.len() - 4].to_owned()),
        ("rubbish", "rubbish".to_owned()),
        ("endless", "x".repeat(6_000)),
    ]
}
