//! 001's way in: registering, and the credentials that open its routes.

use journeys::{
    product,
    rest::{Ask, PASSWORD, Site, bad_bodies, unique},
    tokens,
};
use serde_json::json;

#[tokio::test]
async fn registering_answers_success_alone_with_a_cookie_that_works_at_once() {
    let site = product().await.site();
    for path in ["/auth/register", "/auth/register/"] {
        let answer = site.post(path).json(&json!({"username": unique("bob")})).await;
        answer.is(200, json!({"status": "success"}));
        let set = answer.header("set-cookie").expect("a cookie");
        for attribute in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
            assert!(set.contains(attribute), "{attribute} in {set}");
        }
        let cookie = answer.cookie().expect("a session cookie");
        assert_eq!(site.get("/api/conversations/").cookie(&cookie).await.status, 200);
    }
}

#[tokio::test]
async fn a_taken_name_is_told_by_the_status_field_of_a_200_without_a_cookie() {
    let site = product().await.site();
    let name = unique("Bob");
    for (name, expected) in [
        (name.clone(), "success"),
        (name.clone(), "username taken"),
        (name.to_uppercase(), "username taken"),
    ] {
        let answer = site.post("/auth/register").json(&json!({"username": name})).await;
        answer.is(200, json!({"status": expected}));
        assert_eq!(answer.cookie().is_some(), expected == "success");
    }
}

#[tokio::test]
async fn an_account_without_a_password_has_only_its_session() {
    let site = product().await.site();
    let (with, without) = (unique("with"), unique("without"));
    site.post("/auth/register").json(&json!({"username": with, "password": PASSWORD})).await;
    site.post("/auth/register").json(&json!({"username": without, "password": null})).await;
    for (name, status) in [(with, 200), (without, 401)] {
        let account = json!({"username": name, "password": PASSWORD});
        assert_eq!(site.post("/login").json(&account).await.status, status, "{name}");
    }
}

#[tokio::test]
async fn names_that_break_the_rules_are_invalid_usernames() {
    let site = product().await.site();
    let long = "x".repeat(33);
    for name in
        ["", "a", "a b", "ålice", "a\0b", "<b>bob</b>", "👋👋", "bob'; DROP TABLE users;--", &long]
    {
        let answer = site.post("/auth/register").json(&json!({"username": name})).await;
        answer.is(400, json!({"status": "invalid username"}));
        assert_eq!(answer.cookie(), None);
    }
}

#[tokio::test]
async fn a_bad_body_is_a_bad_request_with_its_reason() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let topic = site.topic(&alice, "topic").await;
    for path in ["/auth/register", "/api/conversations/", &topic] {
        for (body, reason) in bad_bodies() {
            let answer = site.post(path).cookie(&alice.cookie).body(body).await;
            assert_eq!(
                (answer.status, &answer.json["status"]),
                (400, &json!("bad request")),
                "{answer:?}"
            );
            assert!(answer.text_of("error").contains(reason), "{answer:?}");
            assert_eq!(answer.fields(), ["error", "status"]);
        }
    }
}

#[tokio::test]
async fn a_field_of_the_wrong_type_is_named_but_its_value_is_not() {
    let site = product().await.site();
    for body in [json!({"username": 1}), json!({"username": ["bob"]}), json!({"username": null})] {
        let answer = site.post("/auth/register").json(&body).await;
        assert_eq!(answer.status, 400);
        assert!(answer.text_of("error").contains("`username`"), "{answer:?}");
    }
    for password in [json!(271_828), json!("271"), json!("271".repeat(43))] {
        let body = json!({"username": unique("bob"), "password": password});
        let answer = site.post("/auth/register").json(&body).await;
        assert_eq!((answer.status, &answer.json["status"]), (400, &json!("bad request")));
        assert!(!answer.text.contains("271"), "{}", answer.text);
    }
}

#[tokio::test]
async fn json_is_json_whatever_its_content_type_says() {
    let site = product().await.site();
    for kind in
        ["text/plain", "application/json; charset=utf-8", "application/x-www-form-urlencoded", "%"]
    {
        let body = json!({"username": unique("bob")}).to_string();
        let answer = site.post("/auth/register").header("content-type", kind).body(body).await;
        answer.is(200, json!({"status": "success"}));
    }
}

fn every_route(site: &Site) -> Vec<Ask> {
    vec![
        site.get("/api/conversations/"),
        site.post("/api/conversations/").json(&json!({"title": unique("never")})),
        site.get("/api/conversations/lobby"),
        site.post("/api/conversations/lobby").json(&json!({"text": "never"})),
        site.get("/api/conversations/lobby/1"),
        site.ask("PATCH", "/api/conversations/lobby/1").json(&json!({"text": "never"})),
        site.delete("/api/conversations/lobby/1"),
    ]
}

#[tokio::test]
async fn without_a_live_session_every_route_is_unauthorised() {
    let product = product().await;
    let site = product.site();
    let gone = site.newcomer("gone").await;
    site.post("/logout").cookie(&gone.cookie).await;
    let alive = site.newcomer("alive").await;

    for ask in every_route(&site) {
        ask.await.is(401, json!({"status": "unauthorised"}));
    }
    for cookie in ["", "rubbish", &gone.cookie, &alive.token, &"x".repeat(5_000), "a b\"c"] {
        for ask in every_route(&site) {
            ask.cookie(cookie).await.is(401, json!({"status": "unauthorised"}));
        }
    }
    for header in
        ["", "Bearer", "Bearer ", "Basic Og==", "Digest x", &format!("Bearer {}", gone.token)]
    {
        for ask in every_route(&site) {
            ask.header("authorization", header).await.is(401, json!({"status": "unauthorised"}));
        }
    }
}

#[tokio::test]
async fn forged_and_expired_tokens_are_unauthorised() {
    let product = product().await;
    let site = product.site();
    let alice = site.newcomer("alice").await;
    for (what, token) in tokens::bad_ones(&alice.token, product.jwt_secret()) {
        let answer = site.get("/api/conversations/").bearer(&token).await;
        assert_eq!(
            (answer.status, answer.json),
            (401, json!({"status": "unauthorised"})),
            "{what}"
        );
    }
}

#[tokio::test]
async fn cookie_bearer_and_basic_open_the_same_doors() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let list = || site.get("/api/conversations/");
    assert_eq!(list().cookie(&alice.cookie).await.status, 200);
    assert_eq!(list().bearer(&alice.token).await.status, 200);
    assert_eq!(list().header("authorization", format!("Basic {}", alice.token)).await.status, 200);
}

#[tokio::test]
async fn a_dead_cookie_does_not_spoil_a_live_token() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let answer = site.get("/api/conversations/").cookie("dead").bearer(&alice.token).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn use_prolongs_the_cookie() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    let answer = site.get("/api/conversations/").cookie(&alice.cookie).await;
    assert_eq!(answer.cookie(), Some(alice.cookie.clone()));
    let refused = site.get("/api/conversations/").cookie("dead").await;
    assert_eq!(refused.cookie(), None);
}

#[tokio::test]
async fn only_the_cookie_that_let_somebody_in_is_prolonged() {
    let site = product().await.site();
    let (alice, bob) = (site.newcomer("alice").await, site.newcomer("bob").await);
    assert_eq!(site.post("/logout").cookie(&bob.cookie).await.status, 200);
    let planted = "x%3B%20Domain=example.org%3B%20Max-Age=999999999";
    for cookie in [&*alice.cookie, &bob.cookie, "dead", planted] {
        for path in ["/api/conversations/", "/api/inbox", "/io"] {
            let answer = site.get(path).cookie(cookie).bearer(&alice.token).await;
            assert_eq!(
                (answer.status, answer.header("set-cookie")),
                (200, None),
                "{path} {cookie}"
            );
        }
    }
}

#[tokio::test]
async fn every_answer_is_json_that_nobody_keeps() {
    let site = product().await.site();
    let alice = site.newcomer("alice").await;
    for ask in every_route(&site).into_iter().chain([
        site.ask("PATCH", "/api/conversations/"),
        site.get("/api/conversations/a/b/c"),
        site.get("/nowhere"),
        site.post("/auth/register").body("rubbish"),
    ]) {
        let answer = ask.cookie(&alice.cookie).await;
        assert_eq!(answer.header("content-type"), Some("application/json"), "{answer:?}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{answer:?}");
    }
}
