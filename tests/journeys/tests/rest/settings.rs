//! What the settings of message-api change in REST.

use std::time::{Duration, SystemTime};

use harness::Arena;
use journeys::{
    rest::{PASSWORD, Site, unique},
    tokens,
};
use serde_json::json;

async fn with(settings: &[(&str, &str)]) -> (Arena, Site) {
    let mut options = Arena::options("settings").expect("options");
    options.gateways = 0;
    options.api_env.extend(settings.iter().map(|(name, value)| ((*name).into(), (*value).into())));
    let arena = Arena::own(options).await.expect("the product comes up");
    let site = Site::at(arena.stack.urls().api(1));
    (arena, site)
}

#[tokio::test]
async fn without_guests_the_list_of_rooms_needs_somebody() {
    let (_arena, site) = with(&[("GUESTS", "false")]).await;
    let alice = site.newcomer("alice").await;
    let refused = site.get("/api/rooms").await;
    assert_eq!((refused.status, refused.text_of("code").as_str()), (401, "unauthorised"));
    assert_eq!(site.get("/api/rooms").bearer("rubbish").await.status, 401);
    assert_eq!(site.get("/api/rooms").bearer(&alice.token).await.status, 200);
    assert_eq!(site.get("/api/rooms").cookie(&alice.cookie).await.status, 200);
}

#[tokio::test]
async fn without_guests_the_lobby_is_for_those_who_log_in_and_its_list_has_a_length() {
    let (_arena, site) = with(&[("GUESTS", "false"), ("LOBBY_MAX", "2")]).await;
    let (alice, messages) = (site.newcomer("alice").await, "/api/v1/messages");
    site.get(messages).await.is(401, json!({"body": "Error retrieving messages"}));
    let guests = site.post(messages).json(&json!({"author": "gus", "content": "hi"}));
    guests.await.is(400, json!({"body": "Error sending message"}));

    for content in ["one", "two", "three"] {
        let own = site.post(messages).bearer(&alice.token).json(&json!({"content": content}));
        assert_eq!(own.await.status, 200);
    }
    for query in ["", "?limit=1000"] {
        let answer = site.get(&format!("{messages}{query}")).cookie(&alice.cookie).await;
        let rows = answer.json["body"]["messages"].as_array().expect("an array").clone();
        let contents: Vec<_> = rows.iter().map(|row| row["content"].clone()).collect();
        assert_eq!(contents, ["two", "three"]);
    }
}

#[tokio::test]
async fn lengths_and_lifetimes_are_settings_and_in_production_the_cookie_is_for_https_only() {
    let (_arena, site) = with(&[
        ("ENVIRONMENT", "production"),
        ("TEXT_MAX", "5"),
        ("PASSWORD_MIN", "8"),
        ("SESSION_TTL", "1234"),
    ])
    .await;
    let answer = site.post("/auth/register").json(&json!({"username": unique("bob")})).await;
    let cookie = answer.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("Secure") && cookie.contains("Max-Age=1234"), "{cookie}");

    let short = json!({"username": unique("bob"), "password": "7 chars"});
    assert_eq!(site.post("/register").json(&short).await.text_of("status"), "invalid password");

    let cookie = answer.cookie().expect("a session");
    for (text, status) in [("five!", 200), ("sixes!", 400)] {
        let ask = site.post("/api/conversations/lobby").cookie(&cookie);
        assert_eq!(ask.json(&json!({"text": text})).await.status, status);
    }
}

#[tokio::test]
async fn a_session_ends_when_it_has_not_been_used_for_its_time() {
    let (_arena, site) = with(&[("SESSION_TTL", "2")]).await;
    let used = site.newcomer("bob").await;
    let account = json!({"username": used.name, "password": PASSWORD});
    let unused = site.post("/login").json(&account).await.person();
    while age(&used.token) < 5 {
        assert_eq!(site.get("/api/verify").cookie(&used.cookie).await.status, 200);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for (what, ask) in [
        ("the session left alone", site.get("/api/verify").cookie(&unused.cookie)),
        ("its token", site.get("/api/verify").bearer(&unused.token)),
        ("the expired token of a session in use", site.get("/api/verify").bearer(&used.token)),
    ] {
        assert_eq!(ask.await.status, 401, "{what}");
    }
}

/// Seconds since a token was issued.
fn age(token: &str) -> u64 {
    let issued = tokens::claims(token)["iat"].as_u64().expect("a time");
    SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs() - issued
}
