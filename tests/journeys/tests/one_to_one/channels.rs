//! Channels: opening, history both ways round, messages.

use anyhow::Result;
use futures_util::future::try_join_all;
use harness::{Arena, granted, refused};
use serde_json::json;

use crate::support::{enters, history, opens, reads, says, texts};

#[tokio::test]
async fn a_message_reaches_every_socket_that_has_the_channel_open() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (sender, own, peer) =
        (enters(&alice, 1).await?, enters(&alice, 2).await?, enters(&bob, 2).await?);
    let elsewhere = enters(&bob, 1).await?;
    assert!(opens(&sender, &bob).await?.is_empty(), "a new channel has a history");
    opens(&own, &bob).await?;
    opens(&peer, &alice).await?;

    let said = arena.unique("hi 👋");
    let message = says(&sender, &said).await?;
    for socket in [&sender, &own, &peer] {
        let heard = reads(socket, &said).await?;
        assert_eq!(heard, message);
        let expected = json!({"username": alice.name, "msg": said,
            "id": heard["id"].as_u64().expect("a number"), "createdAt": heard["createdAt"]});
        assert_eq!(heard, expected);
        assert!(journeys::rest::is_timestamp(&heard["createdAt"]));
    }
    let answer = json!({"msg": "hello", "clientId": arena.unique("key")});
    for _ in 0..2 {
        granted(peer.asks("chatMessage", answer.clone()).await?)?;
    }
    reads(&sender, "hello").await?;
    says(&peer, "bye").await?;
    reads(&sender, "bye").await?;
    assert_eq!(sender.all("chatMessage").len(), 3, "a retry was told twice");
    assert!(elsewhere.all("chatMessage").is_empty(), "told to one who has no channel open");
    Ok(())
}

#[tokio::test]
async fn history_comes_in_tens_the_way_round_it_was_asked() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(&alice, 1).await?, enters(&bob, 2).await?);
    opens(&alices, &bob).await?;
    let all: Vec<_> = (0..25).map(|n| format!("message {n}")).collect();
    for text in &all {
        says(&alices, text).await?;
    }

    // By name: the newest ten, oldest first.
    let newest = opens(&bobs, &alice).await?;
    assert_eq!(texts(&newest), all[15..].iter().collect::<Vec<_>>());
    let row = &newest[0];
    let user = row["User"]["id"].clone();
    let expected = json!({"id": row["id"], "msg": "message 15", "username": alice.name,
        "createdAt": row["createdAt"], "User": {"id": user, "username": alice.name}});
    assert_eq!(*row, expected);
    assert!(row["id"].is_u64() && user.is_u64());

    // The open one, by offset.
    let older = history(&bobs, json!({"offset": 10})).await?;
    assert_eq!(texts(&older), all[5..15].iter().collect::<Vec<_>>());
    let oldest = history(&bobs, json!({"user": alice.name, "offset": 20})).await?;
    assert_eq!(texts(&oldest), all[..5].iter().collect::<Vec<_>>());
    assert!(history(&bobs, json!({"offset": 25})).await?.is_empty());

    // By id, or as the published page asks: newest first.
    let reversed: Vec<_> = all[15..].iter().rev().collect();
    let by_id = history(&bobs, json!({"id": user})).await?;
    assert_eq!(texts(&by_id), reversed);
    let digits = json!({"id": user.to_string()});
    assert_eq!(history(&bobs, digits).await?, by_id);
    let paged = history(&bobs, json!({"offset": 10, "pagination": true})).await?;
    assert_eq!(texts(&paged), all[5..15].iter().rev().collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn an_offset_counts_what_is_there_when_it_is_asked() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(&alice, 1).await?, enters(&bob, 2).await?);
    opens(&alices, &bob).await?;
    let mut all: Vec<_> = (0..35).map(|n| format!("message {n}")).collect();
    for text in &all {
        says(&alices, text).await?;
    }
    opens(&bobs, &alice).await?;
    let page = async |offset: usize| history(&bobs, json!({"offset": offset})).await;
    assert_eq!(texts(&page(10).await?), all[15..25].iter().collect::<Vec<_>>());
    // What is said meanwhile counts, whether the page goes on from the one before or not.
    for text in ["one more", "and another"] {
        says(&alices, text).await?;
        reads(&bobs, text).await?;
        all.push(text.to_owned());
    }
    assert_eq!(texts(&page(20).await?), all[7..17].iter().collect::<Vec<_>>());
    assert_eq!(texts(&page(30).await?), all[..7].iter().collect::<Vec<_>>());
    assert!(page(37).await?.is_empty() && page(1_000_000).await?.is_empty());
    assert_eq!(texts(&page(10).await?), all[17..27].iter().collect::<Vec<_>>());
    Ok(())
}

#[tokio::test]
async fn a_channel_is_made_once_however_many_open_it() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (mut sockets, mut opening) = (Vec::new(), Vec::new());
    for n in 0..4 {
        sockets.push((enters(&alice, n % 2 + 1).await?, &bob));
        sockets.push((enters(&bob, n % 2 + 1).await?, &alice));
    }
    for (socket, peer) in &sockets {
        opening.push(opens(socket, peer));
    }
    try_join_all(opening).await?;
    let said = arena.unique("to all");
    says(&sockets[0].0, &said).await?;
    for (socket, _) in &sockets {
        reads(socket, &said).await?;
    }
    Ok(())
}

#[tokio::test]
async fn turning_to_another_channel_leaves_the_one_before() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let carol = arena.newcomer("carol").await?;
    let (alices, bobs) = (enters(&alice, 1).await?, enters(&bob, 2).await?);
    let carols = enters(&carol, 2).await?;
    opens(&bobs, &alice).await?;
    opens(&carols, &alice).await?;
    opens(&alices, &bob).await?;
    opens(&alices, &carol).await?;
    says(&bobs, "unheard").await?;
    says(&carols, "heard").await?;
    reads(&alices, "heard").await?;
    assert_eq!(alices.all("chatMessage").len(), 1);
    assert_eq!(texts(&opens(&alices, &bob).await?), ["unheard"]);
    Ok(())
}

#[tokio::test]
async fn what_can_not_be_opened_or_said_is_refused_by_its_code() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let socket = enters(&alice, 1).await?;
    for event in ["chatMessage", "typing", "doneTyping"] {
        assert_eq!(refused(&socket.asks(event, "x").await?)?, "not_joined", "{event}");
    }
    assert_eq!(refused(&socket.asks("chatHistory", json!({})).await?)?, "not_joined");
    for (ask, code) in [
        (json!({"user": arena.unique("nobody")}), "unknown_user"),
        (json!({"user": "no body"}), "unknown_user"),
        (json!({"id": 999_999_999}), "unknown_user"),
        (json!({"user": alice.name}), "invalid_recipient"),
        (json!({"user": 7}), "invalid_payload"),
        (json!({"offset": -1}), "invalid_payload"),
        (json!("bob"), "invalid_payload"),
    ] {
        assert_eq!(refused(&socket.asks("chatHistory", ask.clone()).await?)?, code, "{ask}");
    }
    let bob = arena.newcomer("bob").await?;
    opens(&socket, &bob).await?;
    for (message, code) in [
        (json!(""), "empty"),
        (json!(" \n"), "empty"),
        (json!(null), "empty"),
        (json!({"msg": ""}), "empty"),
        (json!({}), "invalid_payload"),
        (json!(7), "invalid_payload"),
        (json!("x".repeat(4_001)), "text_too_long"),
        (json!({"msg": "hi", "clientId": ""}), "invalid_client_id"),
    ] {
        assert_eq!(refused(&socket.asks("chatMessage", message.clone()).await?)?, code);
    }
    socket.emit("chatMessage", "");
    let error = socket.hears("error", |_| true).await?;
    assert_eq!((&error["event"], &error["code"]), (&json!("chatMessage"), &json!("empty")));
    says(&socket, "still there").await?;
    Ok(())
}
