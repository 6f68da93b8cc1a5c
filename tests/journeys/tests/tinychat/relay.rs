//! The relay between 000's sockets, and the bridge from the other protocols.

use std::time::Duration;

use anyhow::Result;
use harness::{Arena, granted, refused};
use serde_json::{Value, json};

use crate::support::{posts, rows};

/// Long enough for what was on its way to have come: what the test waited for came after it.
const A_MOMENT: Duration = Duration::from_millis(300);

fn saying<'a>(content: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |message| message["content"] == content
}

#[tokio::test]
async fn send_message_reaches_every_other_socket_unchanged_and_is_not_stored() -> Result<()> {
    let arena = Arena::shared().await?;
    let sender = arena.gateway(1).enters().await?;
    let near = arena.gateway(1).enters().await?;
    let far = arena.gateway(2).enters().await?;
    let own = arena.gateway(2).namespace("/tinychat").enters().await?;
    let (guest, said) = (arena.unique("gus"), arena.unique("relayed 👋"));
    let sent = json!({"author": guest, "content": said, "timestamp": 17, "more": {"a": [1, null]}});

    assert_eq!(sender.asks("send:message", sent.clone()).await?, json!({"success": true}));
    for socket in [&near, &far, &own] {
        assert_eq!(socket.hears("broadcast:message", saying(&said)).await?, sent);
    }
    let all = sender.all("broadcast:message");
    assert!(!all.contains(&sent), "the sender heard itself");
    assert!(!rows(&arena.visitor()?).await?.iter().any(saying(&said)), "it was stored");
    Ok(())
}

#[tokio::test]
async fn post_is_not_broadcast_but_reaches_the_other_protocols() -> Result<()> {
    let arena = Arena::shared().await?;
    let bob = arena.newcomer("bob").await?;
    let (chatter, plain) = (bob.enters(2).await?, bob.watches(1, "lobby").await?);
    chatter.joins("lobby").await?;
    let said = arena.unique("posted");
    posts(&arena.visitor()?, &arena.unique("gus"), &said).await?.expect(200)?;
    chatter.reads(&said).await?;
    plain.hears("message", |frame| frame["message"]["text"] == *said).await?;
    assert!(!chatter.all("broadcast:message").iter().any(saying(&said)));
    Ok(())
}

#[tokio::test]
async fn a_lobby_message_of_another_protocol_is_broadcast_once_on_every_gateway() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let (one, two) = (arena.gateway(1).enters().await?, arena.gateway(2).enters().await?);
    let own = arena.gateway(2).namespace("/tinychat").enters().await?;
    let chatter = alice.enters(1).await?;
    chatter.joins("lobby").await?;

    let live = arena.unique("by 004");
    let message = chatter.says("lobby", &live).await?;
    let id: u64 = message["_id"].as_str().expect("an id").parse()?;
    let by_rest = arena.unique("by 001");
    let body = json!({"text": by_rest});
    alice.http.post_json("/api/conversations/lobby", &body).await?.expect(200)?;
    for socket in [&one, &two, &own] {
        let heard = socket.hears("broadcast:message", saying(&live)).await?;
        let expected = json!({"id": id, "author": alice.name, "content": live,
            "timestamp": heard["timestamp"].as_u64().expect("ms")});
        assert_eq!(heard, expected);
        socket.hears("broadcast:message", saying(&by_rest)).await?;
        let all = socket.all("broadcast:message");
        assert_eq!(all.iter().filter(|message| saying(&live)(message)).count(), 1);
    }
    // A socket that speaks both knows what it said itself.
    chatter.hears("broadcast:message", saying(&by_rest)).await?;
    assert!(!chatter.all("broadcast:message").iter().any(saying(&live)));
    Ok(())
}

#[tokio::test]
async fn what_is_said_in_a_room_is_not_broadcast() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let socket = arena.gateway(2).enters().await?;
    let chatter = alice.enters(1).await?;
    let room = chatter.creates_room(&arena.unique("room")).await?;
    let room = room["_id"].as_str().expect("an id");
    chatter.joins(room).await?;
    let (inside, outside) = (arena.unique("inside"), arena.unique("outside"));
    chatter.says(room, &inside).await?;
    chatter.joins("lobby").await?;
    chatter.says("lobby", &outside).await?;
    socket.hears("broadcast:message", saying(&outside)).await?;
    assert!(!socket.all("broadcast:message").iter().any(saying(&inside)));
    Ok(())
}

#[tokio::test]
async fn what_may_not_be_posted_may_not_be_relayed() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (guest, user) = (arena.gateway(1).enters().await?, alice.enters(1).await?);
    let listener = arena.gateway(2).enters().await?;
    let name = arena.unique("gus");
    for (payload, code) in [
        (json!("hi"), "invalid_payload"),
        (json!([1]), "invalid_payload"),
        (json!(null), "invalid_payload"),
        (json!({"content": "no author"}), "invalid_payload"),
        (json!({"author": name}), "invalid_payload"),
        (json!({"author": name, "Author": "x", "content": "forged"}), "invalid_payload"),
        (json!({"author": "a b", "content": "forged"}), "invalid_username"),
        (json!({"author": alice.name, "content": "forged"}), "username_taken"),
        (json!({"author": name, "content": ""}), "empty"),
        (json!({"author": name, "content": "x".repeat(4_001)}), "text_too_long"),
        (
            json!({"author": name, "content": "forged", "x": "x".repeat(16_384)}),
            "payload_too_large",
        ),
    ] {
        let ack = guest.asks("send:message", payload.clone()).await?;
        assert_eq!(refused(&ack)?, code, "{payload}");
    }
    let forged = json!({"author": bob.name, "content": "forged"});
    assert_eq!(refused(&user.asks("send:message", forged).await?)?, "identity_mismatch");
    // A session's user needs no name, and the connection has lived through all of this.
    let fine = arena.unique("fine");
    granted(user.asks("send:message", json!({"content": fine})).await?)?;
    granted(guest.asks("send:message", json!({"author": name, "content": fine})).await?)?;
    for _ in 0..2 {
        listener.hears("broadcast:message", saying(&fine)).await?;
    }
    assert!(!listener.all("broadcast:message").iter().any(saying("forged")));
    Ok(())
}

#[tokio::test]
async fn a_refusal_without_an_acknowledgement_is_an_error_event() -> Result<()> {
    let arena = Arena::shared().await?;
    let socket = arena.gateway(1).enters().await?;
    socket.emit("send:message", json!({"author": arena.unique("gus"), "content": ""}));
    let error = socket.hears("error", |_| true).await?;
    assert_eq!((&error["event"], &error["code"]), (&json!("send:message"), &json!("empty")));
    assert!(error["error"].is_string());
    Ok(())
}

#[tokio::test]
async fn who_relays_too_much_is_told_when_to_go_on() -> Result<()> {
    let arena = Arena::shared().await?;
    let socket = arena.gateway(1).enters().await?;
    let said = json!({"author": arena.unique("gus"), "content": "flood"});
    let acks: Vec<_> =
        (0..60).map(|_| socket.emit_with_ack("send:message", said.clone())).collect();
    let (mut relayed, mut refusals) = (0, 0);
    for ack in acks {
        let ack = ack.answer().await?;
        if ack["success"] == true {
            relayed += 1;
            continue;
        }
        assert_eq!(refused(&ack)?, "rate_limited");
        let ms = ack["retryAfterMs"].as_u64();
        assert!(ms.is_some_and(|ms| (1..=1_000).contains(&ms)), "{ack}");
        refusals += 1;
    }
    assert!(relayed >= 20 && refusals > 0, "{relayed} relayed, {refusals} refused");
    Ok(())
}

#[tokio::test]
async fn in_its_own_namespace_only_000_is_served() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let own = arena.gateway(1).namespace("/tinychat").token(&alice.token).enters().await?;
    for event in ["join room", "chatHistory", "chatMessage", "typing"] {
        assert_eq!(refused(&own.asks(event, json!({})).await?)?, "unknown_event", "{event}");
    }
    own.hears_nothing("storeUsername", A_MOMENT).await?;
    Ok(())
}
