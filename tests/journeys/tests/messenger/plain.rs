//! The plain WebSocket on `/ws`.

use anyhow::Result;
use harness::{Arena, PlainSocket};
use serde_json::json;

use crate::{SILENCE, asks, enters, enters_plainly, sends};

#[tokio::test]
async fn it_speaks_the_same_events_as_frames() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (plain, bobs) = (enters_plainly(arena, &alice, 1).await?, enters(arena, &bob, 2).await?);

    let send = json!({"user": bob.name, "message": "hi"});
    let sent = asks(&plain, "send-message", send, "a").await?;
    assert_eq!(sent, json!({"event": "send-message", "id": "a", "data": sent["data"]}));
    assert_eq!(bobs.hears("chat", |_| true).await?, sent["data"]);
    plain.hears_nothing("chat", SILENCE).await?;

    let back = sends(&bobs, &alice.name, "hello").await?;
    let push = plain.hears("chat", |_| true).await?;
    assert_eq!(push, json!({"event": "chat", "data": {"chat": back}}), "a push has no id");
    let count = plain.hears("unread-chats-count", |_| true).await?;
    assert_eq!(count["data"], json!({"user": bob.name, "unreadChatsCount": 1}));

    let read = asks(&plain, "read-chat", json!({"id": back["id"]}), "b").await?;
    assert_eq!(read, json!({"event": "read-chat", "data": {}, "id": "b"}));
    assert_eq!(bobs.hears("read-chat", |_| true).await?["user"], *alice.name);
    plain.sends(&json!({"event": "wait-for-user", "data": {"user": bob.name}}));
    let online = plain.hears("user-online", |_| true).await?;
    assert_eq!(online, json!({"event": "user-online", "data": {"user": bob.name}}));
    let page = json!({"user": bob.name});
    let page = asks(&plain, "fetch-conversation-with-user", page, "c").await?;
    assert_eq!(page["data"]["chats"].as_array().map(Vec::len), Some(2));
    Ok(())
}

#[tokio::test]
async fn what_is_wrong_is_told_with_the_id_or_as_an_error() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let plain = enters_plainly(arena, &alice, 2).await?;
    let answer = asks(&plain, "send-message", json!({"user": alice.name, "message": "x"}), "a");
    let answer = answer.await?;
    assert_eq!(
        (&answer["error"]["code"], &answer["data"]),
        (&json!("invalid_recipient"), &json!(null))
    );
    let answer = asks(&plain, "no such event", json!({}), "b").await?;
    assert_eq!(answer["error"]["code"], "unknown_event");
    for bad in ["", "rubbish", "[]", "{}", r#"{"event": 7}"#, r#"{"event": "e", "id": []}"#] {
        plain.sends_raw(bad);
        let told = plain.hears("error", |_| true).await?;
        assert_eq!(told["data"]["code"], "invalid_payload", "{bad}");
    }
    plain.sends_raw_bytes(b"{}");
    plain.hears("error", |told| told["data"]["code"] == "invalid_payload").await?;
    plain.sends(&json!({"event": "read-chat", "data": {"id": "x"}}));
    let told = plain.hears("error", |told| told["data"]["code"] == "not_found").await?;
    assert_eq!(told["data"]["event"], "read-chat");
    assert!(asks(&plain, "fetch-users", json!({}), "c").await?["data"]["users"].is_array());
    Ok(())
}

#[tokio::test]
async fn strangers_are_let_in_told_and_sent_away() -> Result<()> {
    let arena = Arena::shared().await?;
    let gateway = arena.stack.urls().gateway(1);
    for query in ["", "?token=", "?token=rubbish"] {
        for slash in ["", "/"] {
            let url = format!("{gateway}/ws{slash}{query}");
            let socket = PlainSocket::open("a stranger", &url, &[]).await?;
            let told = socket.hears("auth-failed", |_| true).await?;
            assert_eq!(told, json!({"event": "auth-failed", "data": {}}));
            assert!(socket.sees_the_end().await?.contains("session_ended"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_cookie_lets_in_but_not_from_a_foreign_page() -> Result<()> {
    let arena = Arena::shared().await?;
    let visitor = arena.visitor()?;
    visitor.register(&arena.unique("alice")).await?.expect(200)?;
    let url = format!("{}/ws", arena.stack.urls().gateway(1));
    let cookie = ("cookie".to_owned(), visitor.cookie_header());
    let socket = PlainSocket::open("alice", &url, std::slice::from_ref(&cookie)).await?;
    assert!(asks(&socket, "fetch-users", json!(null), "a").await?["data"]["users"].is_array());
    let foreign = [cookie, ("origin".to_owned(), "https://evil.example".to_owned())];
    let refused = PlainSocket::open("alice", &url, &foreign).await.expect_err("refused");
    assert!(matches!(refused, harness::Refused::Http { status: 403, .. }), "{refused}");
    visitor.post_json("/logout", &json!({})).await?.expect(200)?;
    assert!(socket.sees_the_end().await?.contains("session_ended"));
    Ok(())
}
