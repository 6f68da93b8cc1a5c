//! Gateways that stop or die, and Redis that goes away.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::Arena;
use serde_json::json;

use crate::{enters, enters_plainly, sends};

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_stops_waits_for_no_socket() -> Result<()> {
    let arena = Arena::own(Arena::options("messenger-drained")?).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(&arena, &alice, 2).await?, enters(&arena, &bob, 1).await?);
    let plain = enters_plainly(&arena, &bob, 2).await?;
    sends(&alices, &bob.name, "hi").await?;
    plain.hears("unread-chats-count", |_| true).await?;

    let told = Instant::now();
    arena.stack.gateway(2).terminate()?;
    alices.sees_the_end().await?;
    plain.sees_the_end().await?;
    assert!(arena.stack.gateway(2).exited().await?.success());
    assert!(told.elapsed() < Duration::from_secs(8), "it waited: {:?}", told.elapsed());
    sends(&bobs, &alice.name, "still here").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_on_a_gateway_that_died_goes_offline_once() -> Result<()> {
    let arena = Arena::own(Arena::options("messenger-killed")?).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, _bobs) = (enters(&arena, &alice, 1).await?, enters(&arena, &bob, 2).await?);
    alices.emit("wait-for-user", json!({"user": bob.name}));
    alices.hears("user-online", |_| true).await?;
    arena.stack.gateway(2).kill().await?;
    let until = Instant::now() + Duration::from_secs(15);
    while alices.all("user-offline").is_empty() {
        assert!(Instant::now() < until, "nobody noticed the death of a gateway");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    alices.hears("user-offline", |_| true).await?;
    // More than one beat of the others passes: nobody says it again.
    alices.hears_nothing("user-offline", Duration::from_secs(5)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn chats_sent_while_redis_is_away_arrive_in_order_and_are_counted() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("messenger-redis")?).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alices, bobs) = (enters(&arena, &alice, 1).await?, enters(&arena, &bob, 2).await?);
    let other = enters(&arena, &alice, 2).await?;
    let redis = arena.stack.parts().find(|part| part.name() == "redis").context("a Redis")?;
    redis.kill().await?;
    let mut sent = Vec::new();
    for n in 0..20 {
        sent.push(json!({"chat": sends(&alices, &bob.name, &n.to_string()).await?}));
    }
    redis.restart().await?;
    for socket in [&bobs, &other] {
        assert_eq!(socket.hears_in_all("chat", 20).await?, sent);
    }
    bobs.hears("unread-chats-count", |count| count["unreadChatsCount"] == 20).await?;
    alices.hears_nothing("chat", crate::SILENCE).await
}
