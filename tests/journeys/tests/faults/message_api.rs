//! message-api dies and comes back.

use std::collections::HashSet;

use anyhow::{Context, Result};
use harness::{Arena, granted, refused};
use journeys::stored;
use serde_json::json;

use crate::{texts, two_in_a_room};

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_after_message_api_was_killed() -> Result<()> {
    let arena = Arena::own(Arena::options("api-killed")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    let send = |n: usize| alice.emit_with_ack("chat message", alice.line(&room, &format!("m{n}")));
    let mut acks: Vec<_> = (0..300).map(send).collect();
    // Some are acknowledged, the rest are under way when it dies.
    for ack in acks.drain(..50) {
        granted(ack.answer().await?)?;
    }
    arena.stack.api(1).kill().await?;
    arena.stack.api(1).restart().await?;
    acks.extend((300..400).map(send));

    let mut acknowledged: HashSet<String> = (0..50).map(|n| format!("m{n}")).collect();
    for ack in acks {
        let ack = ack.answer().await?;
        if ack["success"] == true {
            let text = ack["message"]["text"].as_str().context("an acknowledged message")?;
            acknowledged.insert(text.to_owned());
        } else {
            assert_eq!(refused(&ack)?, "unavailable");
        }
    }
    let last = alice.says(&room, "last").await?;
    bob.reads("last").await?;
    alice.reads("last").await?;

    let stored = stored::texts(&arena, &room).await?;
    let missing: Vec<_> = acknowledged.iter().filter(|text| !stored.contains(text)).collect();
    assert!(missing.is_empty(), "acknowledged but not stored: {missing:?}");
    assert_eq!(texts(&alice), stored, "alice heard what is stored, in that order, once");
    assert_eq!(texts(&bob), stored, "bob too");
    assert_eq!(last["seq"], stored.len(), "no seq was skipped");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_with_the_same_client_id_over_a_crash_stores_one_message() -> Result<()> {
    let arena = Arena::own(Arena::options("api-retry")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    let line =
        |n: usize| json!({"roomId": room, "text": format!("m{n}"), "clientId": format!("key-{n}")});
    let acks: Vec<_> = (0..100).map(|n| alice.emit_with_ack("chat message", line(n))).collect();
    arena.stack.api(1).kill().await?;
    arena.stack.api(1).restart().await?;
    let mut ids = Vec::new();
    for (n, ack) in acks.into_iter().enumerate() {
        let mut ack = ack.answer().await?;
        while ack["success"] != true {
            assert_eq!(refused(&ack)?, "unavailable");
            ack = alice.asks("chat message", line(n)).await?;
        }
        ids.push(ack["message"]["_id"].clone());
    }
    bob.hears_in_all("chat message", 100).await?;
    let stored = stored::texts(&arena, &room).await?;
    // What was refused and sent again may stand later than it was first sent.
    let mut sorted = stored.clone();
    sorted.sort_by_key(|text| text[1..].parse::<u32>().unwrap());
    assert_eq!(sorted, (0..100).map(|n| format!("m{n}")).collect::<Vec<_>>());
    for (n, id) in ids.iter().enumerate() {
        let again = granted(alice.asks("chat message", line(n)).await?)?;
        assert_eq!(&again["message"]["_id"], id, "the first answer again");
    }
    assert_eq!(texts(&bob), stored);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_stay_and_are_told_while_message_api_is_away() -> Result<()> {
    let arena = Arena::own(Arena::options("api-away")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    arena.stack.api(1).kill().await?;
    let ack = alice.asks("chat message", alice.line(&room, "into the void")).await?;
    assert_eq!(refused(&ack)?, "unavailable");
    arena.stack.api(1).restart().await?;
    alice.says(&room, "back").await?;
    bob.reads("back").await?;
    assert!(alice.is_open() && bob.is_open());
    Ok(())
}
