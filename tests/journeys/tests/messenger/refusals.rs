//! What is refused, and that the connection lives on; strangers.

use anyhow::Result;
use harness::{Arena, refused};
use serde_json::json;

use crate::{enters, sends};

#[tokio::test]
async fn what_is_wrong_is_told_and_the_connection_lives_on() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let socket = enters(arena, &alice, 1).await?;
    let (me, peer) = (&alice.name, &bob.name);
    let long = "x".repeat(4_001);
    for (event, payload, code) in [
        ("send-message", json!({"user": peer, "message": " \n"}), "empty"),
        ("send-message", json!({"user": peer, "message": long}), "text_too_long"),
        ("send-message", json!({"user": me, "message": "hi"}), "invalid_recipient"),
        ("send-message", json!({"user": "nobody-at-all", "message": "hi"}), "unknown_user"),
        ("send-message", json!({"user": "a b", "message": "hi"}), "invalid_username"),
        ("send-message", json!({"user": peer}), "invalid_payload"),
        ("send-message", json!({"message": "hi"}), "invalid_payload"),
        ("send-message", json!({"user": 7, "message": "hi"}), "invalid_payload"),
        ("send-message", json!("hi"), "invalid_payload"),
        ("send-message", json!({"user": peer, "message": "hi", "media": "x"}), "invalid_payload"),
        ("send-message", json!({"user": peer, "message": "hi", "media": ["x"]}), "invalid_media"),
        (
            "send-message",
            json!({"user": peer, "message": "hi", "clientId": ""}),
            "invalid_client_id",
        ),
        ("fetch-users", json!({"limit": 0}), "invalid_payload"),
        ("fetch-users", json!([]), "invalid_payload"),
        ("fetch-conversation-with-user", json!({}), "invalid_payload"),
        ("fetch-conversation-with-user", json!({"user": me}), "invalid_recipient"),
        ("fetch-conversation-with-user", json!({"user": "nobody-at-all"}), "unknown_user"),
        ("fetch-conversation-with-user", json!({"user": peer, "limit": -1}), "invalid_payload"),
        ("fetch-conversation-with-user", json!({"user": peer, "before": 1}), "not_found"),
        ("fetch-unread-chats-count", json!({"user": "nobody-at-all"}), "unknown_user"),
        ("read-chat", json!({}), "invalid_payload"),
        ("read-chat", json!({"id": 9_999_999}), "not_found"),
        ("read-chat", json!({"id": "x"}), "not_found"),
        ("delete-chat", json!({"id": {}}), "invalid_payload"),
        ("edit-chat", json!({"id": 9_999_999, "message": "x"}), "not_found"),
        ("wait-for-user", json!({"user": "nobody-at-all"}), "unknown_user"),
        ("stop-waiting-for-user", json!({}), "invalid_payload"),
        ("chat message", json!({"roomId": "lobby", "text": "hi"}), "unknown_event"),
    ] {
        let ack = socket.asks(event, payload.clone()).await?;
        assert_eq!(refused(&ack)?, code, "{event} {payload}: {ack}");
        assert!(ack["error"].is_string());
    }
    socket.emit("read-chat", json!({}));
    let told = socket.hears("error", |_| true).await?;
    assert_eq!((&told["event"], &told["code"]), (&json!("read-chat"), &json!("invalid_payload")));
    sends(&socket, peer, "still here").await?;
    Ok(())
}

#[tokio::test]
async fn others_can_do_nothing_with_a_chat_and_messages_of_rooms_are_none() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let eve = arena.newcomer("eve").await?;
    let (alices, eves) = (enters(arena, &alice, 1).await?, enters(arena, &eve, 2).await?);
    let chat = sends(&alices, &bob.name, "secret").await?;
    for (event, payload) in [
        ("read-chat", json!({"id": chat["id"]})),
        ("delete-chat", json!({"id": chat["id"]})),
        ("edit-chat", json!({"id": chat["id"], "message": "x"})),
    ] {
        assert_eq!(refused(&eves.asks(event, payload).await?)?, "not_found", "{event}");
    }
    assert!(eves.all("chat").is_empty());

    let room = alice.enters(1).await?;
    room.joins("lobby").await?;
    let said = room.says("lobby", "hi").await?;
    let id = json!({"id": said["_id"]});
    assert_eq!(refused(&alices.asks("delete-chat", id).await?)?, "not_found");
    Ok(())
}

#[tokio::test]
async fn strangers_are_let_in_told_and_sent_away() -> Result<()> {
    let arena = Arena::shared().await?;
    let knock = || arena.gateway(1).path("/ws").namespace("/chat");
    for knock in [knock(), knock().token("rubbish"), knock().cookie("session=rubbish")] {
        let socket = knock.enters().await?;
        socket.hears("auth-failed", |_| true).await?;
        socket.hears("disconnect", |_| true).await?;
        socket.sees_the_end().await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_cookie_lets_in_too_and_the_end_of_the_session_closes() -> Result<()> {
    let arena = Arena::shared().await?;
    let visitor = arena.visitor()?;
    visitor.register(&arena.unique("alice")).await?.expect(200)?;
    let knock = arena.gateway(2).path("/ws").namespace("/chat").cookie(&visitor.cookie_header());
    let socket = knock.enters().await?;
    assert!(socket.asks("fetch-users", json!({"limit": 1})).await?["users"].is_array());
    visitor.post_json("/logout", &json!({})).await?.expect(200)?;
    socket.sees_the_end().await?;
    Ok(())
}
