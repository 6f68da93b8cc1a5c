//! The board is in Redis: what is told while that is away, hangs, was emptied, or is a cluster. And
//! what a message-api says that lacks its database.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use harness::Arena;
use local_stack::RedisKind;
use serde_json::{Value, json};

use crate::{PATIENCE, count, is_whole, replica, status, status_turns};

/// Does it say that Redis is away, and tell of message-api itself?
fn is_alone(arena: &Arena, now: &Value) -> bool {
    let own = replica(now, &arena.stack.urls().api(1));
    now["redis"] != "ok"
        && now["replicas"].as_array().map_or(0, Vec::len) == 1
        && own.is_some_and(|own| own["heard"] == 0 && own["lacks"] != json!([]))
}

#[tokio::test(flavor = "multi_thread")]
async fn while_redis_is_away_or_hangs_a_message_api_tells_of_itself() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("status-redis")?).await?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 1)).await;
    let redis = arena.stack.redis().context("a private Redis")?;
    redis.kill().await?;
    let (now, _) = status_turns(&arena, PATIENCE, |now| is_alone(&arena, now)).await;
    println!("while Redis is away: {}", now["redis"]);
    let asked = Instant::now();
    status(&arena).await;
    assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    // It counts what it could not tell.
    let metrics = format!("{}/metrics", arena.stack.urls().gateway_admin(1));
    let metrics = reqwest::get(metrics).await?.text().await?;
    let lost = metrics.lines().find_map(|line| line.strip_prefix("switchboard_beats_lost_total "));
    assert!(lost.context("the metric")?.parse::<f64>()? >= 1.0);
    redis.restart().await?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 1)).await;

    redis.pause()?;
    let (now, _) = status_turns(&arena, PATIENCE, |now| is_alone(&arena, now)).await;
    assert_eq!(now["redis"], "no answer in time");
    redis.resume()?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 1)).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_api_without_its_database_says_so() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("status-mysql")?).await?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 1)).await;
    let database = arena.stack.mariadb().context("a private MariaDB")?;
    database.pause()?;
    let unready = |now: &Value| count(now, "message-api", "unready") == 1;
    let (now, _) = status_turns(&arena, PATIENCE, unready).await;
    let own = replica(&now, &arena.stack.urls().api(1)).context("itself")?;
    assert_eq!(own["lacks"], json!(["mysql: no answer in time"]));
    database.resume()?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 1)).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_is_on_the_board_harms_nothing_and_is_forgotten() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("status-rubbish")?).await?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 1)).await;
    let mut redis =
        redis::Client::open(arena.stack.urls().redis())?.get_multiplexed_async_connection().await?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*:status*").query_async(&mut redis).await?;
    let seen = keys.iter().find(|key| key.ends_with(":seen")).context("when each was heard")?;
    let beats = seen.trim_end_matches(":seen");
    let (now, _): (i64, i64) = redis::cmd("TIME").query_async(&mut redis).await?;
    for n in 0..1_500 {
        let id = format!("rubbish {n}");
        let beat = if n % 2 == 0 { "{" } else { r#"{"service":"older","figures":{"posts":1}}"# };
        redis::cmd("HSET").arg(&[beats, &*id, beat]).exec_async(&mut redis).await?;
        redis::cmd("ZADD").arg(seen).arg(now * 1_000).arg(&id).exec_async(&mut redis).await?;
    }
    let (now, _) = status_turns(&arena, PATIENCE, |now| count(now, "older", "unready") > 400).await;
    assert_eq!(count(&now, "socket-gateway", "ready"), 2);
    let ttl: i64 = redis::cmd("PTTL").arg(beats).query_async(&mut redis).await?;
    assert!((1..=20_000).contains(&ttl), "{ttl}");
    // The next beat makes room.
    let began = Instant::now();
    loop {
        let size: usize = redis::cmd("HLEN").arg(beats).query_async(&mut redis).await?;
        if size <= 1_000 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{size} replicas");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    status_turns(&arena, Duration::from_secs(40), |now| is_whole(now, 1)).await;

    redis::cmd("FLUSHALL").exec_async(&mut redis).await?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 1)).await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_holds_the_board_as_well() -> Result<()> {
    let mut options = Arena::options_with_own_servers("status-cluster")?;
    options.redis_kind = RedisKind::Cluster;
    options.apis = 2;
    let arena = Arena::own(options).await?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 2)).await;
    arena.stack.gateway(2).kill().await?;
    status_turns(&arena, PATIENCE, |now| count(now, "socket-gateway", "lost") == 1).await;
    Ok(())
}
