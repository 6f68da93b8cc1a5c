//! Tokens that must be believed, and all the others.

mod forged;
mod rings;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
use harness::issuer::{AUDIENCE, SigningKey, with};
use serde_json::{Value, json};

use super::{keys::Keys, *};

const NAME: &str = "https://id.example";

fn issuer(jwks_url: &str) -> Issuer {
    Issuer {
        name: NAME.into(),
        jwks_url: jwks_url.parse().expect("a URL"),
        audience: AUDIENCE.into(),
        name_claim: "preferred_username".into(),
    }
}

fn keys(listed: &[Value]) -> Keys {
    let body = json!({ "keys": listed }).to_string();
    Keys::parse(body.as_bytes(), &issuer("https://id.example/keys")).expect("a JWKS")
}

/// What a token says, if it is believed by these keys.
fn believed(listed: &[Value], token: &str) -> Option<Identity> {
    let header = decode_header(token).ok()?;
    let issuer = issuer("https://id.example/keys");
    is_for_entering(&header).then(|| identity(&issuer, &keys(listed), &header, token))?
}

/// What a good token says.
fn claims() -> Value {
    let now = clock::now().unix_timestamp();
    json!({"iss": NAME, "aud": AUDIENCE, "sub": "alice", "preferred_username": "Alice",
        "iat": now, "exp": now + 300})
}

fn every_key() -> [SigningKey; 3] {
    [SigningKey::rs256("r"), SigningKey::es256("p"), SigningKey::ed25519("e")]
        .map(|key| key.expect("a key"))
}

#[test]
fn every_kind_of_key_is_believed_by_its_name_or_alone() {
    let all = every_key();
    let listed: Vec<_> = all.iter().map(SigningKey::jwk).collect();
    for key in &all {
        let token = key.token(&claims()).expect("signs");
        let identity = believed(&listed, &token).expect("believed");
        assert_eq!((&*identity.subject, identity.called.as_deref()), ("alice", Some("Alice")));
        assert_eq!(identity.until - identity.issued_at, Duration::from_secs(300) + LEEWAY);
        let nameless = key.called(None).token(&claims()).expect("signs");
        assert!(believed(&listed, &nameless).is_some(), "the only one of its kind: {key:?}");
        assert!(believed(&[key.called(None).jwk()], &nameless).is_some(), "{key:?}");
    }
    // Of two that fit it can't be told which is meant.
    let other = SigningKey::es256("q").expect("a key");
    let two = [all[1].jwk(), other.jwk()];
    let nameless = other.called(None).token(&claims()).expect("signs");
    assert!(believed(&two, &nameless).is_none());
    assert!(believed(&two, &other.token(&claims()).expect("signs")).is_some());
    assert!(believed(&[all[1].jwk(), other.called(Some("p")).jwk()], &nameless).is_none());
}

#[test]
fn a_key_that_is_for_something_else_is_left_out() {
    let [rsa, point, pair] = every_key().map(|key| key.jwk());
    let small = json!({"kty": "RSA", "e": "AQAB", "n": BASE64.encode([0xff; 255])});
    // 256 bytes, but the first of them is a zero.
    let padded =
        json!({"kty": "RSA", "e": "AQAB", "n": BASE64.encode([&[0][..], &[0xff; 255]].concat())});
    let secret = json!({"kty": "oct", "alg": "HS256", "kid": "s", "k": BASE64.encode([7; 32])});
    for (useless, why) in [
        (small, "2040 bits"),
        (padded, "2040 bits"),
        (secret, "neither"),
        (with(rsa.clone(), "use", json!("enc")), "not for signatures"),
        (with(rsa.clone(), "alg", json!("RS512")), "not for signatures"),
        (with(rsa.clone(), "alg", json!("PS256")), "not for signatures"),
        (with(rsa.clone(), "alg", json!("HS256")), "not for signatures"),
        (with(rsa.clone(), "alg", json!("RSA-OAEP")), "not for signatures"),
        (with(point.clone(), "key_ops", json!(["sign"])), "not for signatures"),
        (with(point.clone(), "crv", json!("P-384")), "neither"),
        (with(point.clone(), "x", json!("AQAB")), "`x` has 3 bytes"),
        (with(point.clone(), "y", json!("?")), "`y` is not base64url"),
        (with(pair.clone(), "crv", json!("X25519")), ""),
        (with(pair.clone(), "x", Value::Null), ""),
        (json!({"kty": "moon"}), "neither"),
        (json!("key"), ""),
        (json!({}), "neither"),
    ] {
        let all = keys(&[useless.clone(), rsa.clone()]);
        assert_eq!((all.len(), all.unusable.len()), (1, 1), "{useless}");
        assert!(all.unusable[0].contains(why), "{why}: {}", all.unusable[0]);
    }
    for useful in [
        with(rsa.clone(), "alg", Value::Null),
        with(with(point, "use", Value::Null), "key_ops", json!(["verify"])),
        with(pair, "kid", Value::Null),
    ] {
        assert_eq!(keys(&[useful]).len(), 1);
    }
}

#[test]
fn what_is_no_jwks_or_has_too_many_keys_is_an_error() {
    let parse = |body: &str| Keys::parse(body.as_bytes(), &issuer("https://id.example/keys"));
    for bad in ["", "<html>", "[]", "{}", r#"{"keys": {}}"#, r#"{"keys": 7}"#] {
        assert!(parse(bad).err().expect(bad).contains("no JWKS"), "{bad}");
    }
    let many = json!({"keys": vec![json!({}); 65]}).to_string();
    assert!(parse(&many).err().expect("too many").contains("64 at most"));
    assert_eq!(parse(r#"{"keys": []}"#).expect("none is an answer").len(), 0);
}
