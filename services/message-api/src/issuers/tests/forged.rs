//! Tokens of somebody else, for somebody else, of another time.

use harness::issuer::unsigned;
use jsonwebtoken::{Algorithm, EncodingKey};

use super::*;

/// A token signed with HS256 by whatever is taken for a secret.
fn hmac(header: &Value, secret: &[u8]) -> String {
    let said = unsigned(header, &claims());
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(said.as_bytes(), &key, Algorithm::HS256);
    format!("{said}.{}", signature.expect("signs"))
}

#[test]
fn no_header_changes_how_a_signature_is_checked() {
    for key in every_key() {
        let listed = [key.jwk()];
        let header = key.header();
        let good = key.token(&claims()).expect("signs");
        assert!(believed(&listed, &good).is_some());
        for algorithm in [
            "none", "None", "NONE", "", "HS256", "HS384", "HS512", "RS384", "RS512", "PS256",
            "ES384", "rs256",
        ] {
            let header = with(header.clone(), "alg", json!(algorithm));
            let token = key.token_headed(&header, &claims()).expect("signs");
            assert!(believed(&listed, &token).is_none(), "{algorithm}");
            let bare = format!("{}.", unsigned(&header, &claims()));
            assert!(believed(&listed, &bare).is_none(), "{algorithm}");
        }
        // The public key as a secret, in each of the ways in which it is written.
        let header = with(header, "alg", json!("HS256"));
        let jwk = key.jwk();
        let modulus = jwk["n"].as_str().or(jwk["x"].as_str()).expect("a number").to_owned();
        for secret in [key.public(), modulus.into_bytes(), jwk.to_string().into_bytes(), vec![]] {
            assert!(believed(&listed, &hmac(&header, &secret)).is_none(), "{key:?}");
        }
    }
    // A secret that stands in a JWKS counts for nothing.
    let secret = json!({"kty": "oct", "alg": "HS256", "kid": "s", "k": BASE64.encode([7; 32])});
    let header = json!({"alg": "HS256", "typ": "JWT", "kid": "s"});
    assert!(believed(&[secret], &hmac(&header, &[7; 32])).is_none());
}

#[test]
fn a_key_that_the_token_brings_or_another_issuer_has_signs_nothing() {
    let (own, foreign) = (SigningKey::rs256("k"), SigningKey::rs256("k"));
    let (own, foreign) = (own.expect("a key"), foreign.expect("a key"));
    let listed = [own.jwk()];
    assert!(believed(&listed, &own.token(&claims()).expect("signs")).is_some());
    assert!(believed(&listed, &foreign.token(&claims()).expect("signs")).is_none());
    for (field, value) in [
        ("jwk", foreign.jwk()),
        ("jku", json!("http://127.0.0.1:9/keys")),
        ("x5u", json!("http://127.0.0.1:9/keys")),
    ] {
        let header = with(foreign.header(), field, value);
        let token = foreign.token_headed(&header, &claims()).expect("signs");
        assert!(believed(&listed, &token).is_none(), "{field}");
    }
    for kid in ["", "K", "../../dev/null", "' OR 1=1", &"x".repeat(10_000)] {
        let token = foreign.called(Some(kid)).token(&claims()).expect("signs");
        assert!(believed(&listed, &token).is_none(), "{kid}");
        let token = own.called(Some(kid)).token(&claims()).expect("signs");
        assert!(believed(&listed, &token).is_none(), "it has no such name: {kid}");
    }
}

#[test]
fn what_must_be_understood_or_is_for_something_else_is_refused() {
    let key = SigningKey::ed25519("k").expect("a key");
    let is_believed = |field: &str, value: Value| {
        let header = with(key.header(), field, value);
        let token = key.token_headed(&header, &claims()).expect("signs");
        believed(&[key.jwk()], &token).is_some()
    };
    for kind in ["JWT", "jwt", "at+jwt", "application/at+jwt"] {
        assert!(is_believed("typ", json!(kind)), "{kind}");
    }
    assert!(is_believed("typ", Value::Null));
    for kind in ["logout+jwt", "secevent+jwt", "dpop+jwt", ""] {
        assert!(!is_believed("typ", json!(kind)), "{kind}");
    }
    assert!(!is_believed("crit", json!(["exp"])));
}

#[test]
fn claims_must_be_there_and_say_what_they_must() {
    let key = SigningKey::es256("k").expect("a key");
    let now = clock::now().unix_timestamp();
    let is_believed = |claim: &str, value: Value| {
        let token = key.token(&with(claims(), claim, value)).expect("signs");
        believed(&[key.jwk()], &token).is_some()
    };
    for (claim, good) in [
        ("aud", json!(["another", AUDIENCE])),
        ("iat", json!(now as f64 - 0.5)),
        ("iat", json!(now + 20)),
        ("nbf", json!(now + 20)),
        ("exp", json!(now - 20)),
        ("exp", json!(now + 86_390)),
        ("sub", json!("x".repeat(255))),
        ("preferred_username", json!({"a": 1})),
        ("preferred_username", Value::Null),
    ] {
        assert!(is_believed(claim, good.clone()), "{claim}: {good}");
    }
    for (claim, bad) in [
        ("iss", Value::Null),
        ("iss", json!("https://id.example/")),
        ("iss", json!([NAME])),
        ("aud", Value::Null),
        ("aud", json!("another")),
        ("aud", json!([])),
        ("aud", json!("the-chat-2")),
        ("aud", json!({AUDIENCE: 1})),
        ("sub", Value::Null),
        ("sub", json!("")),
        ("sub", json!(7)),
        ("sub", json!("x".repeat(256))),
        ("exp", Value::Null),
        ("exp", json!(now - 40)),
        ("exp", json!("soon")),
        ("exp", json!(now + 86_410)),
        ("exp", json!(now + 315_360_000)),
        ("exp", json!(1e300)),
        ("exp", json!(u64::MAX)),
        ("iat", Value::Null),
        ("iat", json!(now + 40)),
        ("iat", json!(now - 90_000)),
        ("iat", json!(-1e300)),
        ("iat", json!("now")),
        ("nbf", json!(now + 40)),
        ("nbf", json!("never")),
    ] {
        assert!(!is_believed(claim, bad.clone()), "{claim}: {bad}");
    }
}

#[test]
fn what_was_changed_after_it_was_signed_is_refused() {
    let key = SigningKey::ed25519("k").expect("a key");
    let good = key.token(&claims()).expect("signs");
    let parts: Vec<_> = good.split('.').collect();
    let others = BASE64.encode(with(claims(), "sub", json!("bob")).to_string());
    for bad in [
        format!("{}.{others}.{}", parts[0], parts[2]),
        format!("{}.{}.", parts[0], parts[1]),
        format!("{}.{}", parts[0], parts[1]),
        format!("{good}.{}", parts[2]),
        format!("{good}="),
        format!(" {good}"),
        good[..good.len() - 2].to_owned(),
        String::new(),
        "...".into(),
    ] {
        assert!(believed(&[key.jwk()], &bad).is_none(), "{bad}");
    }
}

/// The order of P-256.
const ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6,
    0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51,
];

#[test]
fn another_form_of_the_signature_is_the_same_session() {
    let key = SigningKey::es256("k").expect("a key");
    let token = key.token(&claims()).expect("signs");
    let (signed, signature) = token.rsplit_once('.').expect("three parts");
    // Who has (r, s) has (r, order - s) too, without the key.
    let mut signature = BASE64.decode(signature).expect("base64");
    let mut borrow = 0;
    for (digit, order) in signature[32..].iter_mut().zip(ORDER).rev() {
        let difference = 256 + i32::from(order) - i32::from(*digit) - borrow;
        (*digit, borrow) = ((difference % 256) as u8, i32::from(difference < 256));
    }
    let other = format!("{signed}.{}", BASE64.encode(signature));
    let session = |token: &str| believed(&[key.jwk()], token).expect("believed").session;
    assert_ne!(other, token);
    assert_eq!(session(&other), session(&token));
    let next = key.token(&with(claims(), "jti", json!("another"))).expect("signs");
    assert_ne!(session(&next), session(&token));
}
