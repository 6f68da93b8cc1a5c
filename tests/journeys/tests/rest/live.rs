//! What is done by REST reaches the live sockets of every protocol, on every gateway.

use anyhow::Result;
use harness::{Arena, Chatter, Person, PlainSocket};
use serde_json::json;

/// 001's and 004's sockets of one user, each on another gateway, in the same room.
async fn watching(who: &Person<'_>, room: &str) -> Result<(PlainSocket, Chatter)> {
    let plain = who.watches(1, room).await?;
    let chatter = who.enters(2).await?;
    chatter.joins(room).await?;
    Ok((plain, chatter))
}

#[tokio::test]
async fn a_conversation_made_by_rest_is_told_to_004s_clients() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let bob = bob.enters(2).await?;
    let title = arena.unique("made by REST");
    let made = alice.http.post_json("/api/conversations/", &json!({"title": title})).await?;
    let told = bob.hears("room created", |room| room["name"] == *title).await?;
    assert_eq!(told["_id"], made["id"]);
    Ok(())
}

#[tokio::test]
async fn a_message_posted_and_deleted_by_rest_is_seen_so_live() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let title = json!({"title": arena.unique("live")});
    let made = alice.http.post_json("/api/conversations/", &title).await?.expect(200)?;
    let (room, url) =
        (made["id"].as_str().unwrap_or_default(), made["url"].as_str().unwrap_or_default());
    let (plain, chatter) = watching(&bob, room).await?;

    let posted = alice.http.post_json(url, &json!({"text": "hi 👋"})).await?.expect(200)?;
    let message = posted["url"].as_str().unwrap_or_default();
    let row = alice.http.get(message).await?.expect(200)?;
    let frame = plain.hears("message", |_| true).await?;
    assert_eq!(frame["message"], row.json);
    let event = chatter.hears("chat message", |_| true).await?;
    assert_eq!(
        event,
        json!({"_id": row["id"], "room": room, "user": alice.name, "text": "hi 👋",
               "timestamp": row["timestamp"], "seq": row["seq"]})
    );

    alice.http.delete(message).await?.expect(200)?;
    let frame = plain.hears("deleted", |_| true).await?;
    assert_eq!(frame, json!({"type": "deleted", "url": message}));
    let event = chatter.hears("message deleted", |_| true).await?;
    assert_eq!(event, json!({"_id": row["id"], "room": room}));
    Ok(())
}

#[tokio::test]
async fn what_is_said_live_is_read_by_rest_in_the_same_order() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let title = json!({"title": arena.unique("live")});
    let made = alice.http.post_json("/api/conversations/", &title).await?.expect(200)?;
    let (room, url) =
        (made["id"].as_str().unwrap_or_default(), made["url"].as_str().unwrap_or_default());
    let (plain, chatter) = watching(&alice, room).await?;

    chatter.says(room, "by 004").await?;
    plain.sends(&json!({"text": "by 001"}));
    let posted = plain.hears("posted", |_| true).await?;
    let read = alice.http.get(url).await?.expect(200)?;
    let rows = read["messages"].as_array().cloned().unwrap_or_default();
    let texts: Vec<_> = rows.iter().map(|row| row["text"].as_str().unwrap_or_default()).collect();
    assert_eq!(texts, ["by 004", "by 001"]);
    assert_eq!(rows[1]["url"], posted["url"]);
    Ok(())
}
