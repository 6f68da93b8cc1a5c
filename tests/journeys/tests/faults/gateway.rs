//! A gateway dies or is told to stop.

use std::time::Duration;

use anyhow::Result;
use harness::Arena;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::two_in_a_room;

/// PROTOCOLS promises that the death of a gateway is noticed within this.
const LEASE_PROMISE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn users_of_a_gateway_that_was_killed_leave_their_rooms_once() -> Result<()> {
    let arena = Arena::own(Arena::options("gateway-killed")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    arena.stack.gateway(2).kill().await?;
    let killed = Instant::now();
    let left = |socket: &harness::Chatter| socket.all("user left room").len();
    while left(&alice) == 0 {
        assert!(killed.elapsed() < LEASE_PROMISE, "nobody noticed the death of a gateway");
        sleep(Duration::from_millis(50)).await;
    }
    let told = alice.hears("user left room", |_| true).await?;
    assert_eq!(told, json!({"roomId": room, "user": bob.name}));
    // More than one beat of the others passes: nobody says it again.
    alice.hears_nothing("user left room", Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_with_a_socket_on_another_gateway_has_not_left() -> Result<()> {
    let arena = Arena::own(Arena::options("gateway-other")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    let carol = arena.newcomer("carol").await?;
    let (doomed, safe) = (carol.enters(2).await?, carol.enters(1).await?);
    doomed.joins(&room).await?;
    safe.joins(&room).await?;
    arena.stack.gateway(2).kill().await?;
    // Bob was on that gateway: his leaving shows that it has been cleared, all of it at once.
    let killed = Instant::now();
    while alice.all("user left room").is_empty() {
        assert!(killed.elapsed() < LEASE_PROMISE, "nobody noticed the death of a gateway");
        sleep(Duration::from_millis(50)).await;
    }
    alice.says(&room, "marker").await?;
    alice.reads("marker").await?;
    let left = alice.all("user left room");
    assert_eq!(left, [json!({"roomId": room, "user": bob.name})], "carol is still here");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_told_to_stop_sends_its_clients_away_and_exits_with_zero() -> Result<()> {
    let arena = Arena::own(Arena::options("gateway-drained")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    arena.stack.gateway(2).terminate()?;
    bob.sees_the_end().await?;
    assert!(arena.stack.gateway(2).exited().await?.success());
    alice.says(&room, "meanwhile").await?;

    // He comes back elsewhere and catches up; nobody saw him leave.
    let again = arena.gateway(1).named(&bob.name).token(&bob_token(&arena, &bob.name).await?);
    let again = again.enters().await?;
    let ack = again.asks("join room", json!({"roomId": room, "since": 0})).await?;
    assert_eq!(ack["success"], true, "{ack}");
    let history = again.hears("message history", |_| true).await?;
    assert_eq!(history[0]["text"], "meanwhile");
    Ok(())
}

async fn bob_token(arena: &Arena, name: &str) -> Result<String> {
    let credentials = json!({"username": name, "password": harness::Person::PASSWORD});
    let answer = arena.visitor()?.post_json("/api/login", &credentials).await?.expect(200)?;
    Ok(answer["token"].as_str().unwrap_or_default().to_owned())
}
