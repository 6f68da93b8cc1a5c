//! Two replicas of message-api: one dies, one is cut off from MySQL, and both are asked at once.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::{Arena, granted};
use journeys::stored;
use local_stack::{Link, Options, Weather};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    heard_texts, options, room_of,
    talk::{Key, talks},
};

async fn two_replicas(name: &str) -> Result<Arena> {
    Arena::own(Options { apis: 2, ..options(name)? }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_two_dies_and_nothing_with_a_key_fails() -> Result<()> {
    let arena = two_replicas("two-apis").await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice_too, bob_too) = (alice.enters(1).await?, bob.enters(2).await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = room_of(&arena, &[&alice, &bob, &alice_too, &bob_too]).await?;
    let stop = AtomicBool::new(false);
    let pause = Duration::from_millis(15);
    let dying = async {
        for doomed in [1, 2] {
            sleep(Duration::from_secs(1)).await;
            arena.stack.api(doomed).kill().await?;
            sleep(Duration::from_secs(1)).await;
            arena.stack.api(doomed).restart().await?;
            // Both serve again before the other dies.
            sleep(Duration::from_secs(2)).await;
        }
        stop.store(true, Ordering::Relaxed);
        Ok(())
    };
    let (keyed, keyed_too, bare, bare_too, ()) = tokio::try_join!(
        talks(&alice, &room, Key::Given, pause, &stop),
        talks(&bob, &room, Key::Given, pause, &stop),
        talks(&alice_too, &room, Key::Missing, pause, &stop),
        talks(&bob_too, &room, Key::Missing, pause, &stop),
        dying,
    )?;
    assert_eq!((keyed.refused, keyed_too.refused), (0, 0), "what carries a key moves on");
    let lost = bare.refused + bare_too.refused;
    assert!(lost <= 4, "{lost} failed without a key, with two under way at each of two deaths");

    alice.says(&room, "last").await?;
    for socket in [&alice, &bob] {
        socket.reads("last").await?;
    }
    let stored = stored::texts(&arena, &room).await?;
    assert_eq!(heard_texts(&alice, &room), stored);
    assert_eq!(heard_texts(&bob, &room), stored);
    for text in [keyed, keyed_too, bare, bare_too].iter().flat_map(|talk| &talk.said) {
        let count = stored.iter().filter(|other| *other == text).count();
        assert_eq!(count, 1, "{text} was acknowledged and is stored {count} times");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_says_without_waiting_keeps_its_order_over_the_death_of_a_replica() -> Result<()> {
    const LINES: usize = 1_500;
    let arena = two_replicas("burst").await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = room_of(&arena, &[&alice, &bob]).await?;
    let line = |n: usize| {
        let mut line = alice.line(&room, &format!("m{n}"));
        line["clientId"] = json!(format!("key-{n}"));
        alice.emit_with_ack("chat message", line)
    };
    let acks: Vec<_> = (0..LINES).map(line).collect();
    let mut places = Vec::new();
    for (n, ack) in acks.into_iter().enumerate() {
        if n == 200 {
            arena.stack.api(1).kill().await?;
        }
        let message = granted(ack.answer().await?)?["message"].clone();
        assert_eq!(message["text"], format!("m{n}"));
        places.push(message["seq"].as_u64().context("a seq")?);
    }
    assert!(places.is_sorted(), "each was stored after the one before");
    let expected: Vec<_> = (0..LINES).map(|n| format!("m{n}")).collect();
    assert_eq!(stored::texts(&arena, &room).await?, expected);
    bob.reads(&format!("m{}", LINES - 1)).await?;
    assert_eq!(heard_texts(&bob, &room), expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_key_at_once_everywhere_is_one_message() -> Result<()> {
    let arena = two_replicas("race").await?;
    let alice = arena.newcomer("alice").await?;
    let (here, there) = (alice.enters(1).await?, alice.enters(2).await?);
    let room = room_of(&arena, &[&here, &there]).await?;
    let other = alice.http.moved_to(&arena.stack.urls().api(2))?;
    let path = format!("/api/conversations/{room}");
    for n in 0..40 {
        let (text, key) = (format!("m{n}"), format!("key-{n}"));
        let line = json!({"roomId": room, "user": alice.name, "text": text, "clientId": key});
        let body = json!({"text": text, "clientId": key});
        let (one, two, three, four) = tokio::join!(
            here.asks("chat message", line.clone()),
            there.asks("chat message", line),
            alice.http.post_json(&path, &body),
            other.post_json(&path, &body),
        );
        let (one, two) = (granted(one?)?, granted(two?)?);
        let (three, four) = (three?.expect(200)?, four?.expect(200)?);
        assert_eq!(one["message"], two["message"]);
        assert_eq!(three.json, four.json);
        let id = one["message"]["_id"].as_str().context("an id")?;
        let url = three["url"].as_str().context("a URL")?;
        ensure!(url.ends_with(&format!("/{id}")), "{id} is not {url}");
    }
    let expected: Vec<_> = (0..40).map(|n| format!("m{n}")).collect();
    assert_eq!(stored::texts(&arena, &room).await?, expected);
    for socket in [&here, &there] {
        socket.reads("m39").await?;
        assert_eq!(heard_texts(socket, &room), expected);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn gateways_leave_a_replica_that_lost_its_database() -> Result<()> {
    let arena = two_replicas("one-blind").await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = room_of(&arena, &[&alice, &bob]).await?;
    arena.stack.straits().set(Link::ApiToDatabase(1), Weather::Silent);
    let stop = AtomicBool::new(false);
    let pause = Duration::from_millis(20);
    let watched = async {
        sleep(Duration::from_secs(12)).await;
        stop.store(true, Ordering::Relaxed);
        Ok(())
    };
    let (first, second, ()) = tokio::try_join!(
        talks(&alice, &room, Key::Given, pause, &stop),
        talks(&bob, &room, Key::Given, pause, &stop),
        watched,
    )?;
    assert_eq!((first.refused, second.refused), (0, 0), "the other replica can serve all");
    for n in 0..10 {
        for socket in [&alice, &bob] {
            let asked = Instant::now();
            socket.says(&room, &format!("now {n}")).await?;
            assert!(asked.elapsed() < Duration::from_secs(3), "still asked of the blind one");
        }
    }
    arena.stack.straits().set(Link::ApiToDatabase(1), Weather::Fair);
    let ready = format!("{}/readyz", arena.stack.urls().api_admin(1));
    let until = Instant::now() + Duration::from_secs(15);
    while !reqwest::get(&ready).await?.status().is_success() {
        assert!(Instant::now() < until, "it does not recover");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}
