//! Sessions: that their secrets can't be guessed, and that nobody can plant one.

use std::collections::HashSet;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use journeys::{
    product,
    rest::{PASSWORD, unique},
    tokens,
};
use serde_json::json;

#[tokio::test]
async fn secrets_are_256_bits_without_a_pattern() {
    let site = product().await.site();
    const MANY: usize = 300;
    let (mut secrets, mut ids) = (HashSet::new(), HashSet::new());
    let (mut ones, mut ones_at) = (0, [0_u32; 256]);
    for _ in 0..MANY {
        // Without a password: nothing is hashed.
        let newcomer = json!({"username": unique("entropy")});
        let answer = site.post("/auth/register").json(&newcomer).await;
        let secret = answer.cookie().expect("a cookie");
        let bytes = BASE64.decode(&secret).expect("base64");
        assert_eq!(bytes.len(), 32, "{secret}");
        for (at, count) in ones_at.iter_mut().enumerate() {
            let bit = u32::from(bytes[at / 8] >> (at % 8) & 1);
            *count += bit;
            ones += bit;
        }
        assert!(secrets.insert(secret), "a secret came twice");
    }
    // Six standard deviations either way: once in a thousand million runs by chance.
    let within = |count: u32, of: usize| {
        let (count, of) = (f64::from(count), of as f64);
        (count - of / 2.0).abs() < 6.0 * (of / 4.0).sqrt()
    };
    assert!(within(ones, MANY * 256), "{ones} ones");
    for (at, count) in ones_at.into_iter().enumerate() {
        assert!(within(count, MANY), "bit {at} is set in {count} of {MANY}");
    }

    // What a token says of its session is no way in.
    let alice = site.newcomer("alice").await;
    let claims = tokens::claims(&alice.token);
    let id = claims["sid"].as_str().expect("an id");
    assert!(ids.insert(id.to_owned()) && !alice.token.contains(&alice.cookie));
    for shown in [id, &alice.token] {
        assert_eq!(site.get("/api/conversations/").cookie(shown).await.status, 401);
    }
    assert_eq!(site.get("/api/verify").bearer(&alice.cookie).await.status, 401);
}

#[tokio::test]
async fn a_session_that_the_client_brings_is_never_adopted() {
    let site = product().await.site();
    let planted = BASE64.encode([7_u8; 32]);
    let (name, other) = (unique("alice"), unique("alice"));
    let account = |name: &str| json!({"username": name, "password": PASSWORD});
    for (path, body) in [
        ("/register", account(&name)),
        ("/login", account(&name)),
        ("/auth/register", json!({"username": other})),
        ("/api/login", account(&name)),
        ("/api/auth/login", account(&name)),
    ] {
        let answer = site.post(path).cookie(&planted).json(&body).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        assert_ne!(answer.cookie().as_deref(), Some(&*planted), "{path}");
        assert!(!answer.text.contains(&planted), "{path}");
        assert_eq!(site.get("/api/conversations/").cookie(&planted).await.status, 401, "{path}");
        assert_eq!(site.get("/api/verify").cookie(&planted).await.status, 401, "{path}");
    }
}

#[tokio::test]
async fn logging_in_begins_a_new_session_and_ends_the_one_that_it_replaces() {
    let site = product().await.site();
    let first = site.newcomer("alice").await;
    let elsewhere = {
        let account = json!({"username": first.name, "password": PASSWORD});
        site.post("/login").json(&account).await.person()
    };
    let is_alive =
        async |cookie: &str| site.get("/api/conversations/").cookie(cookie).await.status == 200;
    let log_in = async |password: &str, cookie: &str| {
        let account = json!({"username": first.name, "password": password});
        site.post("/login").cookie(cookie).json(&account).await
    };
    // Who fails to log in stays who they are.
    assert_eq!(log_in("wrong", &first.cookie).await.status, 401);
    assert!(is_alive(&first.cookie).await);

    let second = log_in(PASSWORD, &first.cookie).await.person();
    assert_ne!(second.cookie, first.cookie);
    assert!(is_alive(&second.cookie).await && is_alive(&elsewhere.cookie).await);
    assert!(!is_alive(&first.cookie).await);
    assert_eq!(site.get("/api/verify").bearer(&first.token).await.status, 401);

    // As somebody else in the same browser: the former session would be out of reach.
    let account = json!({"username": unique("bob"), "password": PASSWORD});
    let bob = site.post("/register").cookie(&second.cookie).json(&account).await.person();
    assert!(is_alive(&bob.cookie).await && !is_alive(&second.cookie).await);
}

#[tokio::test]
async fn a_password_is_changed_by_whoever_knows_it_and_ends_the_other_sessions() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let account = |password: &str| json!({"username": alice.name, "password": password});
    let other = site.post("/login").json(&account(PASSWORD)).await.person();
    let bob = site.newcomer("bob").await;
    let change = async |current: &str, new: &str| {
        let body = json!({"current": current, "new": new});
        site.post("/api/auth/password").cookie(&alice.cookie).json(&body).await
    };
    let is_alive = async |cookie: &str| site.get("/api/verify").cookie(cookie).await.status == 200;

    change("wrong", "a new one").await.is(401, json!({"error": "Unauthorized"}));
    for (body, code) in [
        (json!({"current": PASSWORD, "new": "abc"}), "invalid_password"),
        (json!({"current": PASSWORD, "new": "x".repeat(129)}), "invalid_password"),
        (json!({"current": PASSWORD}), "invalid_payload"),
        (json!({"new": "a new one"}), "invalid_payload"),
        (json!({"current": 1, "new": "a new one"}), "invalid_payload"),
        (json!([]), "invalid_payload"),
    ] {
        let answer = site.post("/api/auth/password").cookie(&alice.cookie).json(&body).await;
        assert_eq!((answer.status, &answer.json["errors"][0]["code"]), (400, &json!(code)));
    }
    assert!(is_alive(&other.cookie).await, "refusals end nothing");

    change(PASSWORD, "a new one").await.is(200, json!({"message": "Changed"}));
    assert!(is_alive(&alice.cookie).await && is_alive(&bob.cookie).await);
    assert!(!is_alive(&other.cookie).await);
    assert_eq!(site.get("/api/verify").bearer(&other.token).await.status, 401);
    assert_eq!(site.post("/login").json(&account(PASSWORD)).await.status, 401);
    assert_eq!(site.post("/login").json(&account("a new one")).await.status, 200);
    // By token as well, and only with the password as it is now.
    let by_token = json!({"current": "a new one", "new": PASSWORD});
    for status in [200, 401] {
        let ask = site.post("/api/auth/password").bearer(&alice.token);
        assert_eq!(ask.json(&by_token).await.status, status);
    }
    assert!(is_alive(&alice.cookie).await);

    // An account that never had a password gets none this way.
    let answer = site.post("/auth/register").json(&json!({"username": unique("carol")})).await;
    let cookie = answer.cookie().expect("a cookie");
    for current in ["", PASSWORD] {
        let body = json!({"current": current, "new": "a new one"});
        let answer = site.post("/api/auth/password").cookie(&cookie).json(&body).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
}
