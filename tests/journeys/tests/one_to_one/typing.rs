//! Typing, and its end.

use std::time::Duration;

use anyhow::Result;
use harness::{Arena, Person, SocketIo, granted};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{enters, opens};

/// Both have the channel open, each on another gateway.
async fn face_to_face(alice: &Person<'_>, bob: &Person<'_>) -> Result<(SocketIo, SocketIo)> {
    let (alices, bobs) = (enters(alice, 1).await?, enters(bob, 2).await?);
    opens(&alices, bob).await?;
    opens(&bobs, alice).await?;
    Ok((alices, bobs))
}

#[tokio::test]
async fn the_others_are_told_the_name_of_who_types_and_of_who_is_done() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = face_to_face(&alice, &bob).await?;
    // The published page sends nothing beside the name.
    for nothing in [vec![], vec![json!(null)]] {
        alices.emit("typing", nothing.clone());
        assert_eq!(bobs.hears("typing", |_| true).await?, *alice.name);
        alices.emit("doneTyping", nothing);
        assert_eq!(bobs.hears("doneTyping", |_| true).await?, *alice.name);
    }
    assert!(alices.all("typing").is_empty() && alices.all("doneTyping").is_empty());
    assert!(alices.all("error").is_empty());
    Ok(())
}

#[tokio::test]
async fn typing_ends_by_itself_after_five_seconds_and_once() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = face_to_face(&alice, &bob).await?;
    let began = Instant::now();
    alices.emit("typing", json!({}));
    bobs.hears("typing", |_| true).await?;
    bobs.hears("doneTyping", |_| true).await?;
    let lasted = began.elapsed();
    assert!((4_500..7_000).contains(&lasted.as_millis()), "{lasted:?}");
    alices.leaves();
    bobs.hears_nothing("doneTyping", Duration::from_millis(500)).await
}

#[tokio::test]
async fn a_typist_who_disconnects_or_turns_away_is_done() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let carol = arena.newcomer("carol").await?;
    let (alices, bobs) = face_to_face(&alice, &bob).await?;
    let began = Instant::now();
    alices.emit("typing", json!({}));
    bobs.hears("typing", |_| true).await?;
    opens(&alices, &carol).await?;
    assert_eq!(bobs.hears("doneTyping", |_| true).await?, *alice.name);
    opens(&alices, &bob).await?;
    alices.emit("typing", json!({}));
    bobs.hears("typing", |_| true).await?;
    drop(alices);
    assert_eq!(bobs.hears("doneTyping", |_| true).await?, *alice.name);
    assert!(began.elapsed() < Duration::from_secs(4), "it was time that ended it");
    Ok(())
}

#[tokio::test]
async fn a_flood_is_told_twice_a_second_and_its_end_is_told() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = face_to_face(&alice, &bob).await?;
    let began = Instant::now();
    for _ in 0..200 {
        granted(alices.asks("typing", json!({})).await?)?;
    }
    granted(alices.asks("doneTyping", json!({})).await?)?;
    bobs.hears("doneTyping", |_| true).await?;
    let most = 2 + 2 * (began.elapsed().as_secs() + 1);
    let told = bobs.all("typing").len() as u64;
    assert!((1..=most).contains(&told), "{told} told, {most} at most");
    Ok(())
}

#[tokio::test]
async fn typing_in_a_room_is_004s() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = face_to_face(&alice, &bob).await?;
    granted(alices.asks("join room", json!({"roomId": "lobby"})).await?)?;
    granted(bobs.asks("join room", json!({"roomId": "lobby"})).await?)?;
    granted(alices.asks("typing", json!({"roomId": "lobby"})).await?)?;
    let is_alices = |typing: &Value| typing["user"] == *alice.name;
    bobs.hears("typing", is_alices).await?;
    assert!(!bobs.all("typing").contains(&json!(alice.name)));
    Ok(())
}
