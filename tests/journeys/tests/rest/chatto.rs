//! 004's REST routes.

use journeys::{
    product,
    rest::{Ask, PASSWORD, Site, bad_bodies, fields, is_timestamp, unique},
    tokens,
};
use serde_json::{Value, json};

fn refused(answer: &journeys::rest::Answer, status: u16, code: &str) {
    assert_eq!((answer.status, &answer.json["code"]), (status, &json!(code)), "{answer:?}");
    assert_eq!(answer.fields(), ["code", "error"]);
    assert!(!answer.text_of("error").is_empty());
}

fn register(site: &Site, body: &Value) -> Ask {
    site.post("/api/register").json(body)
}

#[tokio::test]
async fn registering_answers_201_with_a_token_that_works_and_no_cookie() {
    let site = product().await.site();
    let name = unique("Alice");
    let answer = register(&site, &json!({"username": name, "password": PASSWORD})).await;
    assert_eq!((answer.status, answer.fields()), (201, vec!["token", "username"]));
    assert_eq!((answer.text_of("username"), answer.cookie()), (name.clone(), None));

    let verified = site.get("/api/verify").bearer(&answer.text_of("token")).await;
    verified.is(200, json!({"username": name}));
}

#[tokio::test]
async fn the_token_says_who_and_until_when_and_which_session() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let claims = tokens::claims(&alice.token);
    assert_eq!(fields(&claims), ["exp", "iat", "sid", "sub", "userId", "username"]);
    assert_eq!(claims["username"], *alice.name);
    assert!(claims["exp"].as_u64() > claims["iat"].as_u64());
    assert!(
        !claims.to_string().contains(&alice.cookie),
        "the token gives the session's secret away"
    );
}

#[tokio::test]
async fn a_taken_name_is_409_in_every_letter_case() {
    let site = product().await.site();
    let alice = site.newcomer("Alice").await;
    for name in [alice.name.clone(), alice.name.to_lowercase(), alice.name.to_uppercase()] {
        let answer = register(&site, &json!({"username": name, "password": PASSWORD})).await;
        refused(&answer, 409, "username_taken");
    }
}

#[tokio::test]
async fn many_who_register_the_same_name_at_once_make_one_account() {
    let site = product().await.site();
    let body = json!({"username": unique("race"), "password": PASSWORD});
    let asks = (0..8).map(|_| async { register(&site, &body).await.status });
    let statuses = futures_util::future::join_all(asks).await;
    assert_eq!(statuses.iter().filter(|&&status| status == 201).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|&&status| status == 409).count(), 7, "{statuses:?}");
}

#[tokio::test]
async fn names_and_passwords_that_break_the_rules_are_told_apart() {
    let site = product().await.site();
    for name in ["", "a", "a b", "alice'; --", "<i>al</i>", "👋👋", "a\0", &"x".repeat(33)] {
        let answer = register(&site, &json!({"username": name, "password": PASSWORD})).await;
        refused(&answer, 400, "invalid_username");
    }
    for password in ["", "271", &"271".repeat(43)] {
        let answer =
            register(&site, &json!({"username": unique("al"), "password": password})).await;
        refused(&answer, 400, "invalid_password");
        assert!(!answer.text.contains("271"));
    }
}

#[tokio::test]
async fn a_password_is_counted_in_characters_and_may_be_any() {
    let site = product().await.site();
    for password in ["pàss", "👋👋👋👋", "a\0b\n", &"ü".repeat(128), "<b>'\"--"] {
        let account = json!({"username": unique("alice"), "password": password});
        assert_eq!(register(&site, &account).await.status, 201, "{password:?}");
        assert_eq!(site.post("/api/login").json(&account).await.status, 200, "{password:?}");
    }
}

#[tokio::test]
async fn a_bad_body_is_an_invalid_payload_with_its_reason() {
    let site = product().await.site();
    for path in ["/api/register", "/api/login"] {
        for (body, reason) in bad_bodies() {
            let answer = site.post(path).body(body).await;
            refused(&answer, 400, "invalid_payload");
            assert!(answer.text_of("error").contains(reason), "{answer:?}");
        }
        for (body, field) in [
            (json!({"username": unique("al")}), "`password`"),
            (json!({"password": PASSWORD}), "`username`"),
            (json!({"username": {"$ne": null}, "password": PASSWORD}), "`username`"),
            (json!({"username": unique("al"), "password": ["p"]}), "`password`"),
        ] {
            let answer = site.post(path).json(&body).await;
            refused(&answer, 400, "invalid_payload");
            assert!(answer.text_of("error").contains(field), "{answer:?}");
        }
    }
    let huge = json!({"username": "x".repeat(3_000_000), "password": PASSWORD});
    refused(&register(&site, &huge).await, 413, "payload_too_large");
}

#[tokio::test]
async fn logging_in_answers_a_token_of_its_own_and_the_name_as_first_typed() {
    let site = product().await.site();
    let alice = site.newcomer("Alice").await;
    let account = json!({"username": alice.name.to_lowercase(), "password": PASSWORD});
    let answer = site.post("/api/login").json(&account).await;
    assert_eq!((answer.status, answer.fields()), (200, vec!["token", "username"]));
    assert_eq!((answer.text_of("username"), answer.cookie()), (alice.name.clone(), None));
    assert_ne!(answer.text_of("token"), alice.token);
}

#[tokio::test]
async fn unknown_user_and_wrong_password_are_the_same_answer() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let mut answers = Vec::new();
    for (name, password) in [
        (alice.name.as_str(), "wrong horse"),
        (alice.name.as_str(), &PASSWORD.to_uppercase()),
        (alice.name.as_str(), ""),
        (alice.name.as_str(), &"x".repeat(1_000)),
        (&unique("nobody"), PASSWORD),
        ("no name at all", PASSWORD),
    ] {
        let body = json!({"username": name, "password": password});
        answers.push(site.post("/api/login").json(&body).await);
    }
    for answer in &answers {
        refused(answer, 401, "invalid_credentials");
        assert_eq!(answer.json, answers[0].json);
    }
}

#[tokio::test]
async fn verify_takes_the_credential_from_header_cookie_or_body() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let expected = json!({"username": alice.name});
    site.get("/api/verify").bearer(&alice.token).await.is(200, expected.clone());
    site.get("/api/verify").cookie(&alice.cookie).await.is(200, expected.clone());
    site.post("/api/verify").bearer(&alice.token).await.is(200, expected.clone());
    site.post("/api/verify").cookie(&alice.cookie).json(&json!({})).await.is(200, expected.clone());
    site.post("/api/verify").json(&json!({"token": alice.token})).await.is(200, expected);
}

#[tokio::test]
async fn the_most_explicit_credential_decides() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    let bobs = json!({"username": bob.name});
    site.get("/api/verify").cookie(&alice.cookie).bearer(&bob.token).await.is(200, bobs.clone());
    let body = json!({"token": bob.token});
    site.post("/api/verify").bearer(&alice.token).json(&body).await.is(200, bobs);
    let answer = site.get("/api/verify").cookie(&alice.cookie).bearer("rubbish").await;
    refused(&answer, 401, "invalid_token");
}

#[tokio::test]
async fn verify_refuses_what_is_missing_forged_expired_or_over() {
    let product = product().await;
    let site = product.site();
    refused(&site.get("/api/verify").await, 401, "unauthorised");
    refused(&site.post("/api/verify").await, 401, "unauthorised");
    refused(&site.get("/api/verify").cookie("rubbish").await, 401, "unauthorised");

    let alice = site.newcomer("alice").await;
    for (what, token) in tokens::bad_ones(&alice.token, product.jwt_secret()) {
        for answer in [
            site.get("/api/verify").bearer(&token).await,
            site.post("/api/verify").json(&json!({"token": token})).await,
        ] {
            assert_eq!(
                (answer.status, &answer.json["code"]),
                (401, &json!("invalid_token")),
                "{what}"
            );
            assert!(answer.header("www-authenticate").is_some(), "{what}");
        }
    }
    site.post("/logout").bearer(&alice.token).await;
    refused(&site.get("/api/verify").bearer(&alice.token).await, 401, "invalid_token");
    refused(&site.get("/api/verify").cookie(&alice.cookie).await, 401, "unauthorised");
}

#[tokio::test]
async fn verify_refuses_bodies_that_are_no_objects() {
    let site = product().await.site();
    for body in ["[]", "7", "{", "\"token\"", "{\"token\": 7}"] {
        refused(&site.post("/api/verify").body(body).await, 400, "invalid_payload");
    }
}

#[tokio::test]
async fn a_001_conversation_is_a_004_room() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let title = unique("Sports <b>'\" 👋");
    let made =
        site.post("/api/conversations/").cookie(&alice.cookie).json(&json!({"title": title})).await;

    let answer = site.get("/api/rooms").await;
    assert_eq!(answer.status, 200);
    let rooms = answer.json.as_array().expect("an array");
    let room = rooms.iter().find(|room| room["_id"] == *made.text_of("id")).expect("it is there");
    assert_eq!(fields(room), ["_id", "createdAt", "name"]);
    assert_eq!(room["name"], *title);
    assert!(is_timestamp(&room["createdAt"]), "{room}");
    assert!(rooms.iter().any(|room| room["_id"] == "lobby" && room["name"] == "Lobby"));
}

#[tokio::test]
async fn rooms_are_listed_for_guests_and_for_those_with_a_dead_token() {
    let site = product().await.site();
    assert_eq!(site.get("/api/rooms").await.status, 200);
    assert_eq!(site.get("/api/rooms").bearer("rubbish").await.status, 200);
}

#[tokio::test]
async fn rooms_are_not_made_by_rest() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let ask = site.post("/api/rooms").bearer(&alice.token).json(&json!({"name": unique("room")}));
    let answer = ask.await;
    refused(&answer, 405, "method_not_allowed");
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
}
