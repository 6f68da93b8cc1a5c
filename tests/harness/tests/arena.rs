//! The arena itself: people meet in it, and its parts survive being hurt.

use anyhow::{Context, Result};
use harness::{Arena, Http};

#[tokio::test]
async fn two_people_on_two_gateways_meet_in_a_room() -> Result<()> {
    let arena = Arena::shared().await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = &alice.makes_room(&arena.unique("tea")).await?;
    alice.joins(room).await?;
    bob.joins(room).await?;
    alice.says(room, "hi").await?;
    assert_eq!(bob.reads("hi").await?["user"], alice.name);
    Ok(())
}

#[tokio::test]
async fn a_killed_gateway_comes_back_where_it_was() -> Result<()> {
    let arena = Arena::own(Arena::options("killed")?).await?;
    let alice = arena.newcomer("alice").await?;
    let socket = alice.enters(1).await?;
    arena.stack.gateway(1).kill().await?;
    socket.sees_the_end().await?;
    arena.stack.gateway(1).start().await?;
    alice.enters(1).await?;
    arena.stack.stop().await
}

#[tokio::test]
async fn the_front_door_leads_to_rest_and_to_sockets() -> Result<()> {
    let mut options = Arena::options("front")?;
    options.front = true;
    let arena = Arena::own(options).await?;
    let front = arena.stack.urls().front().context("there is a front door")?;
    let alice = arena.newcomer("alice").await?;
    let rooms = alice.http.moved_to(&front)?.get("/api/rooms").await?.expect(200)?;
    assert!(rooms.json.is_array());
    harness::SocketIo::at(&front).token(&alice.token).enters().await?;
    let polled = Http::at(&front)?.get("/socket.io/?EIO=4&transport=polling").await?.expect(200)?;
    assert!(polled.header("set-cookie").starts_with("SB_GATEWAY=gateway-"));
    Ok(())
}
