//! Who is online: `storeUsername` and `updateUsers`.

use anyhow::Result;
use harness::{Arena, Person, SocketIo};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::support::{enters, opens};

fn lists<'a>(who: &'a Person<'_>) -> impl Fn(&Value) -> bool + 'a {
    |list| list.as_array().is_some_and(|names| names.contains(&json!(who.name)))
}

#[tokio::test]
async fn a_socket_is_told_who_it_is_whom_it_may_talk_with_and_who_is_online() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let carol = arena.newcomer("carol").await?;
    let bobs = enters(&bob, 2).await?;
    opens(&bobs, &alice).await?;
    let socket = arena.gateway(1).token(&alice.token).enters().await?;
    let welcome = socket.hears("storeUsername", |_| true).await?;
    assert_eq!(welcome["username"], *alice.name);
    let rows = welcome["userList"].as_array().expect("an array");
    assert!(rows.len() <= 1_000);
    for peer in [&bob, &carol] {
        let row = rows.iter().find(|row| row["username"] == *peer.name).expect("a row");
        assert_eq!(
            *row,
            json!({"id": row["id"].as_u64().expect("a number"), "username": peer.name})
        );
    }
    socket.hears("updateUsers", lists(&alice)).await?;
    let order: Vec<_> = socket.everything().into_iter().map(|heard| heard.event).collect();
    assert_eq!(order[..2], ["storeUsername", "updateUsers"]);
    Ok(())
}

#[tokio::test]
async fn everybody_is_told_who_comes_and_goes_anywhere_each_once_and_sorted() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("Alice").await?, arena.newcomer("bob").await?);
    let watcher = enters(&alice, 1).await?;
    let (first, second) = (enters(&bob, 2).await?, enters(&bob, 1).await?);
    let list = watcher.hears("updateUsers", lists(&bob)).await?;
    let names: Vec<_> = list
        .as_array()
        .expect("an array")
        .iter()
        .map(|name| name.as_str().expect("a name"))
        .collect();
    let mut sorted = names.clone();
    sorted.sort_by_key(|name| name.to_lowercase());
    sorted.dedup();
    assert_eq!(names, sorted);

    first.leaves();
    drop(second);
    watcher.hears("updateUsers", |list| !lists(&bob)(list)).await?;
    Ok(())
}

#[tokio::test]
async fn a_socket_of_another_protocol_makes_its_user_online() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let watcher = enters(&alice, 1).await?;
    let _plain = bob.watches(2, "lobby").await?;
    watcher.hears("updateUsers", lists(&bob)).await?;
    Ok(())
}

/// Twenty who connect at once are told in a few lists, not in twenty.
#[tokio::test]
async fn a_burst_is_merged() -> Result<()> {
    let arena = Arena::shared().await?;
    let alice = arena.newcomer("alice").await?;
    let watcher = enters(&alice, 1).await?;
    let mut crowd = Vec::new();
    for _ in 0..20 {
        crowd.push(arena.newcomer("crowd").await?);
    }
    let before = watcher.all("updateUsers").len();
    let began = Instant::now();
    let mut sockets: Vec<SocketIo> = Vec::new();
    for one in &crowd {
        sockets.push(arena.gateway(2).token(&one.token).enters().await?);
    }
    let all = |list: &Value| crowd.iter().all(|one| lists(one)(list));
    watcher.hears("updateUsers", all).await?;
    let told = watcher.all("updateUsers").len() - before;
    let most = began.elapsed().as_millis() / 250 + 2;
    assert!(told as u128 <= most, "{told} lists, {most} at most");
    drop(sockets);
    // Whoever is gone is gone from the list too.
    watcher.hears("updateUsers", |list| !crowd.iter().any(|one| lists(one)(list))).await?;
    Ok(())
}

#[tokio::test]
async fn without_a_session_nobody_is_told() -> Result<()> {
    let arena = Arena::shared().await?;
    let stranger = arena.gateway(1).enters().await?;
    let alice = arena.newcomer("alice").await?;
    let socket = enters(&alice, 1).await?;
    socket.hears("updateUsers", lists(&alice)).await?;
    assert!(stranger.all("updateUsers").is_empty() && stranger.all("storeUsername").is_empty());
    Ok(())
}
