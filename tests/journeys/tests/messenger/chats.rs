//! Sending, reading, editing, deleting, looking back.

use anyhow::Result;
use harness::Arena;
use serde_json::{Value, json};

use crate::{SILENCE, enters, sends, unread};

#[tokio::test]
async fn a_chat_reaches_every_socket_of_both_but_the_one_that_sent_it() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (phone, laptop) = (enters(arena, &alice, 1).await?, enters(arena, &alice, 2).await?);
    let (bobs, other) = (enters(arena, &bob, 2).await?, enters(arena, &bob, 1).await?);

    let chat = sends(&phone, &bob.name, "hi 👋 <b>").await?;
    let expected = json!({
        "id": chat["id"], "sender": alice.name, "recipient": bob.name, "message": "hi 👋 <b>",
        "has_read": false, "media": [], "senderUsername": alice.name,
        "recipientUsername": bob.name, "mediaIds": [], "created_at": chat["created_at"],
    });
    assert_eq!(chat, expected);
    assert!(chat["id"].is_u64() && journeys::rest::is_timestamp(&chat["created_at"]));

    for socket in [&bobs, &other] {
        assert_eq!(socket.hears("chat", |_| true).await?, json!({"chat": chat}));
        let count = socket.hears("unread-chats-count", |_| true).await?;
        assert_eq!(count, json!({"user": alice.name, "unreadChatsCount": 1}));
        let order: Vec<_> = socket.everything().into_iter().map(|heard| heard.event).collect();
        let place = |event| order.iter().position(|heard| heard == event);
        assert!(place("chat") < place("unread-chats-count"), "{order:?}");
    }
    assert_eq!(laptop.hears("chat", |_| true).await?, json!({"chat": chat}));
    phone.hears_nothing("chat", SILENCE).await?;
    assert!(laptop.all("unread-chats-count").is_empty());
    for socket in [&bobs, &other, &laptop] {
        assert_eq!(socket.all("chat").len(), 1, "each socket hears it once");
    }
    Ok(())
}

#[tokio::test]
async fn reading_tells_the_author_and_the_readers_other_sockets_once() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(arena, &alice, 1).await?, enters(arena, &bob, 2).await?);
    let bobs_other = enters(arena, &bob, 1).await?;
    let first = sends(&alices, &bob.name, "one").await?;
    sends(&alices, &bob.name, "two").await?;
    for socket in [&bobs, &bobs_other] {
        socket.hears("unread-chats-count", |count| count["unreadChatsCount"] == 2).await?;
    }
    assert_eq!(unread(&bobs, &alice.name).await?, 2);
    assert_eq!(unread(&alices, &bob.name).await?, 0);

    let not_the_reader = alices.asks("read-chat", json!({"id": first["id"]})).await?;
    assert_eq!(not_the_reader["code"], "forbidden");
    assert_eq!(bobs.asks("read-chat", json!({"id": first["id"]})).await?, json!({}));
    let read = alices.hears("read-chat", |_| true).await?;
    assert_eq!(read, json!({"id": first["id"], "user": bob.name}));
    for socket in [&bobs, &bobs_other] {
        let count = socket.hears("unread-chats-count", |c| c["unreadChatsCount"] == 1).await?;
        assert_eq!(count["user"], *alice.name);
    }

    let as_text = first["id"].to_string();
    assert_eq!(bobs.asks("read-chat", json!({"id": as_text})).await?, json!({}));
    alices.hears_nothing("read-chat", SILENCE).await?;
    assert_eq!(unread(&bobs, &alice.name).await?, 1);
    let page = alices.asks("fetch-conversation-with-user", json!({"user": bob.name})).await?;
    let read: Vec<_> = (0..2).map(|n| page["chats"][n]["has_read"].clone()).collect();
    assert_eq!(read, [json!(false), json!(true)], "newest first");
    Ok(())
}

#[tokio::test]
async fn edits_and_deletions_reach_both_sides() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(arena, &alice, 1).await?, enters(arena, &bob, 2).await?);
    let chat = sends(&alices, &bob.name, "helo").await?;
    bobs.hears("unread-chats-count", |count| count["unreadChatsCount"] == 1).await?;

    let theirs = json!({"id": chat["id"], "message": "x"});
    assert_eq!(bobs.asks("edit-chat", theirs).await?["code"], "forbidden");
    let edit = json!({"id": chat["id"], "message": "hello"});
    let edited = alices.asks("edit-chat", edit).await?;
    assert_eq!(edited["chat"]["message"], "hello");
    assert_eq!(edited["chat"]["recipient"], *bob.name);
    assert_eq!(chat["edited_at"], json!(null), "it is absent while there was no edit");
    assert!(edited["chat"]["edited_at"].as_str() >= chat["created_at"].as_str());
    for socket in [&alices, &bobs] {
        assert_eq!(socket.hears("edit-chat", |_| true).await?, edited);
    }

    let id = json!({"id": chat["id"]});
    assert_eq!(bobs.asks("delete-chat", id.clone()).await?["code"], "forbidden");
    assert_eq!(alices.asks("delete-chat", id.clone()).await?, json!({}));
    for socket in [&alices, &bobs] {
        assert_eq!(socket.hears("delete-chat", |_| true).await?, id);
    }
    let count = bobs.hears("unread-chats-count", |count| count["unreadChatsCount"] == 0).await?;
    assert_eq!(count["user"], *alice.name);
    assert_eq!(alices.asks("delete-chat", id.clone()).await?["code"], "not_found");
    assert_eq!(bobs.asks("read-chat", id).await?["code"], "not_found");
    let page = bobs.asks("fetch-conversation-with-user", json!({"user": alice.name})).await?;
    assert_eq!(page, json!({"chats": []}));
    Ok(())
}

#[tokio::test]
async fn looking_back_pages_newest_first_in_both_directions() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(arena, &alice, 1).await?, enters(arena, &bob, 2).await?);
    let mut sent = Vec::new();
    for n in 0..60 {
        let (from, to) = if n % 2 == 0 { (&alices, &bob) } else { (&bobs, &alice) };
        sent.push(sends(from, &to.name, &n.to_string()).await?);
    }
    let newest_first = |range: std::ops::Range<usize>| {
        Value::from(sent[range].iter().rev().cloned().collect::<Vec<_>>())
    };
    for (more, expected) in [
        (json!({}), newest_first(10..60)),
        (json!({"limit": 100}), newest_first(0..60)),
        (json!({"limit": 100_000}), newest_first(0..60)),
        (json!({"limit": 3}), newest_first(57..60)),
        (json!({"limit": 3, "before": sent[57]["id"]}), newest_first(54..57)),
        (json!({"limit": 3, "after": sent[20]["id"]}), newest_first(21..24)),
        (json!({"after": sent[59]["id"]}), json!([])),
    ] {
        let mut ask = json!({"user": alice.name.to_uppercase()});
        ask.as_object_mut().into_iter().for_each(|ask| {
            ask.extend(more.as_object().cloned().unwrap_or_default());
        });
        let page = bobs.asks("fetch-conversation-with-user", ask).await?;
        assert_eq!(page["chats"], expected, "{more}");
    }
    Ok(())
}

#[tokio::test]
async fn a_chat_sent_again_with_the_same_client_id_is_one_chat() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (one, other) = (enters(arena, &alice, 1).await?, enters(arena, &alice, 2).await?);
    let bobs = enters(arena, &bob, 2).await?;
    let send = json!({"user": bob.name, "message": "once", "clientId": "k1"});
    let (first, second) = (
        one.emit_with_ack("send-message", send.clone()),
        other.emit_with_ack("send-message", send),
    );
    assert_eq!(first.answer().await?, second.answer().await?);
    bobs.hears("unread-chats-count", |count| count["unreadChatsCount"] == 1).await?;
    bobs.hears_nothing("unread-chats-count", SILENCE).await?;
    assert_eq!(bobs.all("chat").len(), 1);
    Ok(())
}

#[tokio::test]
async fn answers_come_in_the_order_of_the_questions() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(arena, &alice, 1).await?, enters(arena, &bob, 2).await?);
    let before = alices.acks_in_order().len();
    let pending: Vec<_> = (0..100)
        .map(|n| match n % 3 {
            0 => alices.emit_with_ack("fetch-users", json!({"limit": 5})),
            1 => alices.emit_with_ack("read-chat", json!({"id": "nonsense"})),
            _ => {
                let send = json!({"user": bob.name, "message": n.to_string()});
                alices.emit_with_ack("send-message", send)
            }
        })
        .collect();
    let asked: Vec<_> = pending.iter().map(|pending| pending.id).collect();
    for pending in pending {
        pending.answer().await?;
    }
    assert_eq!(alices.acks_in_order()[before..], asked);
    let heard = bobs.hears_in_all("chat", 33).await?;
    let texts: Vec<_> = heard.iter().map(|c| c["chat"]["message"].clone()).collect();
    let sent: Vec<_> = (0..100).filter(|n| n % 3 == 2).map(|n| json!(n.to_string())).collect();
    assert_eq!(texts, sent);
    Ok(())
}
