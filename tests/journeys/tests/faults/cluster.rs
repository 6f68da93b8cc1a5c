//! Redis as a cluster: everything that goes through it, with each kind of thing in many lanes.

use anyhow::{Context, Result, ensure};
use chat_core::{ConversationId, Topic};
use futures_util::future::try_join_all;
use harness::{Arena, Chatter, granted};
use local_stack::{Options, RedisKind, Source};
use redis_link::{Redis, RedisSettings};
use serde_json::{Value, json};
use tokio::time::{Duration, Instant, sleep};

use crate::{presence::watcher, readiness_turns};

/// Masters of the cluster.
pub(crate) const MASTERS: usize = 3;

/// A stack of two gateways on a cluster of its own.
pub(crate) async fn on(kind: RedisKind, name: &str) -> Result<Arena> {
    let (redis, redis_kind) = (Source::Private, kind);
    let arena = Arena::own(Options { redis, redis_kind, ..Arena::options(name)? }).await?;
    readiness_turns(&arena, 1, true).await?;
    readiness_turns(&arena, 2, true).await?;
    Ok(arena)
}

/// The lanes as the services have them.
pub(crate) fn lanes(arena: &Arena) -> Result<Redis> {
    let env = arena.stack.urls().as_env();
    let (_, prefix) = env.iter().find(|(name, _)| name == "REDIS_PREFIX").context("a prefix")?;
    let settings = RedisSettings {
        redis_url: Some(arena.stack.urls().redis().into()),
        redis_url_file: None,
        redis_cluster: true,
        redis_ca_file: None,
        redis_prefix: prefix.clone(),
    };
    settings.check().map_err(anyhow::Error::msg)
}

/// The slot in which a room's messages are published.
pub(crate) fn slot(redis: &Redis, room: &str) -> Result<u16> {
    let room: ConversationId = room.parse().ok().context("a room's id")?;
    redis.lane_of(Topic::Conversation(room)).slot().context("a slot")
}

/// Waits until message-api can ask every master for sessions: one that comes back serves pub/sub
/// at once, and keys only when the others have heard of it.
pub(crate) async fn sessions_can_be_had(arena: &Arena) -> Result<()> {
    let url = format!("{}/readyz", arena.stack.urls().api_admin(1));
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let report: Value = reqwest::get(&url).await?.json().await?;
        if report["redis"] == "ok" {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "message-api can't reach Redis: {report}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Rooms that two people have joined, some on each master; in the order of the masters.
pub(crate) async fn rooms_on_all_masters(
    arena: &Arena,
    alice: &Chatter,
    bob: &Chatter,
) -> Result<Vec<String>> {
    let redis = lanes(arena)?;
    let mut rooms: Vec<Vec<String>> = vec![Vec::new(); MASTERS];
    for _ in 0..60 {
        if rooms.iter().all(|rooms| rooms.len() == 2) {
            break;
        }
        let room = alice.makes_room(&arena.unique("room")).await?;
        let master = usize::from(slot(&redis, &room)?) * MASTERS / 16_384;
        if rooms[master].len() < 2 {
            alice.joins(&room).await?;
            bob.joins(&room).await?;
            alice.hears("user joined room", |joined| joined["user"] == bob.name).await?;
            rooms[master].push(room);
        }
    }
    ensure!(rooms.iter().all(|rooms| rooms.len() == 2), "rooms on some masters only: {rooms:?}");
    Ok(rooms.into_iter().flatten().collect())
}

/// Who types, comes and goes in a room is told on the other gateway.
pub(crate) async fn fleeting_things_pass(
    arena: &Arena,
    alice: &Chatter,
    bob: &Chatter,
    room: &str,
) -> Result<()> {
    sessions_can_be_had(arena).await?;
    // More than two a second are dropped.
    sleep(Duration::from_millis(600)).await;
    granted(alice.asks("typing", json!({"roomId": room, "user": alice.name})).await?)?;
    bob.hears("typing", |typing| typing["roomId"] == room).await?;
    let carol = arena.newcomer("carol").await?.enters(2).await?;
    carol.joins(room).await?;
    alice.hears("user joined room", |joined| joined["user"] == carol.name).await?;
    carol.leaves();
    alice.hears("user left room", |left| left["user"] == carol.name).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_on_two_gateways_of_a_cluster_hear_all_of_each_other() -> Result<()> {
    let arena = on(RedisKind::Cluster, "cluster").await?;
    let (a, b) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let waits = watcher(&arena, &a, 1, &[&b.name]).await?;
    let (alice, bob) = (a.enters(1).await?, b.enters(2).await?);
    waits.hears("user-online", |online| online["user"] == b.name).await?;

    let rooms = rooms_on_all_masters(&arena, &alice, &bob).await?;
    for (n, room) in rooms.iter().enumerate() {
        // The bus brings it, or the comparison of heads would have to, seconds later.
        let began = Instant::now();
        alice.says(room, &format!("to bob {n}")).await?;
        bob.reads(&format!("to bob {n}")).await?;
        bob.says(room, &format!("to alice {n}")).await?;
        alice.reads(&format!("to alice {n}")).await?;
        ensure!(began.elapsed() < Duration::from_secs(2), "room {n}: {:?}", began.elapsed());
    }
    for room in rooms.iter().step_by(2) {
        fleeting_things_pass(&arena, &alice, &bob, room).await?;
    }
    bob.leaves();
    waits.hears("user-offline", |offline| offline["user"] == b.name).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_a_cluster_live_in_many_slots_and_their_end_reaches_live_sockets() -> Result<()>
{
    let arena = on(RedisKind::Cluster, "cluster-sessions").await?;
    let lives = |n: usize| {
        let arena = &arena;
        async move {
            let browser = arena.visitor()?;
            let account = json!({"username": arena.unique("alice"), "password": "open sesame"});
            let answer = browser.post_json("/register", &account).await?.expect(200)?;
            let token = answer["token"].as_str().context("a token")?;
            let ends = arena.gateway(n % 2 + 1).token(token).enters().await?;
            let other = arena.visitor()?.post_json("/login", &account).await?.expect(200)?;
            let other = other["token"].as_str().context("a token")?.to_owned();
            let stays = arena.gateway(n % 2 + 1).token(&other).enters().await?;
            browser.post_json("/logout", &json!({})).await?.expect(200)?;
            ends.sees_the_end().await?;
            ensure!(stays.is_open(), "another session of the same user is not touched");
            let refused = arena.gateway(1).token(token).enters().await;
            ensure!(refused.is_err(), "the session has ended");
            // All that are left end with the account.
            let browser = arena.visitor()?.bearing(&other);
            browser.delete("/api/auth/account").await?.expect(200)?;
            stays.sees_the_end().await?;
            anyhow::Ok(())
        }
    };
    try_join_all((0..8).map(lives)).await?;
    Ok(())
}
