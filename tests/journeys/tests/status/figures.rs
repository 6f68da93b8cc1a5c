//! What the figures say while people talk, and who is shown as dead, gone or stopping.

use std::{collections::BTreeSet, time::Duration};

use anyhow::{Context, Result};
use harness::Arena;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{PATIENCE, count, is_whole, number, replica, status, status_turns};

#[tokio::test(flavor = "multi_thread")]
async fn figures_move_while_people_talk_and_come_to_rest() -> Result<()> {
    let arena = Arena::own(Arena::options("status-figures")?).await?;
    let (idle, _) = status_turns(&arena, PATIENCE, |now| is_whole(now, 1)).await;
    for amount in ["posts", "deliveries", "repairs", "connections"] {
        assert_eq!(number(&idle["sums"][amount]), 0.0, "{amount} in {idle:#}");
    }
    for latency in ["ack", "delivery", "commit"] {
        assert_eq!(idle["sums"][latency], Value::Null, "{latency}");
    }

    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = alice.makes_room(&arena.unique("room")).await?;
    alice.joins(&room).await?;
    bob.joins(&room).await?;
    let began = Instant::now();
    for n in 0..100 {
        alice.says(&room, &format!("line {n}")).await?;
    }
    bob.reads("line 99").await?;
    let said = began.elapsed();
    let busy = |now: &Value| {
        let sums = &now["sums"];
        // Both heard each: twice as many deliveries as posts, and whatever else there was.
        sums["posts"].as_f64() > Some(10.0)
            && sums["deliveries"].as_f64() >= sums["posts"].as_f64().map(|posts| posts * 1.5)
            && sums["ack"]["count"].as_u64() >= Some(50)
            && sums["delivery"]["count"].as_u64() >= Some(50)
            && sums["commit"]["count"].as_u64() >= Some(10)
    };
    let (now, _) = status_turns(&arena, PATIENCE, busy).await;
    for latency in ["ack", "delivery", "commit"] {
        let latency = &now["sums"][latency];
        let (p50, p99) = (number(&latency["p50"]), number(&latency["p99"]));
        assert!(0.0 < p50 && p50 <= p99 && p99 <= 10_000.0, "{latency}");
    }
    // One after the other: the middle one can't have taken longer than twice their mean.
    let mean = said.as_secs_f64() * 1_000.0 / 100.0;
    assert!(number(&now["sums"]["ack"]["p50"]) <= 2.0 * mean.max(1.0), "{mean} ms: {now:#}");

    let urls = arena.stack.urls();
    for gateway in [1, 2] {
        let shown = replica(&now, &urls.gateway(gateway)).context("the gateway is shown")?;
        assert_eq!((&shown["state"], &shown["lacks"]), (&json!("ready"), &json!([])));
        assert_eq!((&shown["connections"], &shown["sockets"]), (&json!(1), &json!({"shared": 1})));
        assert!(number(&shown["deliveries"]) > 10.0 && number(&shown["memory"]) > 1e6, "{shown:#}");
        assert_eq!(shown["version"], env!("CARGO_PKG_VERSION"));
        // Only the first one's client posts.
        assert_eq!(shown["ack"].is_null(), gateway == 2, "{shown:#}");
    }
    let shown = replica(&now, &urls.api(1)).context("message-api is shown")?;
    assert_eq!((&shown["service"], &shown["state"]), (&json!("message-api"), &json!("ready")));
    assert_eq!(shown["posts"], now["sums"]["posts"]);

    let at_rest = |now: &Value| now["sums"]["posts"] == 0.0 && now["sums"]["ack"].is_null();
    let (rest, _) = status_turns(&arena, PATIENCE, at_rest).await;
    assert_eq!(rest["sums"]["connections"], 2);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_was_killed_is_lost_then_gone_and_one_that_stops_just_leaves() -> Result<()>
{
    let arena = Arena::own(Arena::options("status-killed")?).await?;
    let bob = arena.newcomer("bob").await?.enters(2).await?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 1) && now["sums"]["connections"] == 1).await;
    let dead = arena.stack.urls().gateway(2);
    arena.stack.gateway(2).kill().await?;
    drop(bob);
    let killed = Instant::now();
    let lost = |now: &Value| count(now, "socket-gateway", "lost") == 1;
    let (now, _) = status_turns(&arena, Duration::from_secs(7), lost).await;
    assert_eq!(now["sums"]["connections"], 0, "the dead are not counted");
    let shown = replica(&now, &dead).context("it is still shown")?;
    assert_eq!(shown["state"], "lost");
    assert!(number(&shown["heard"]) >= 4_000.0, "{shown:#}");
    let gone = |now: &Value| replica(now, &dead).is_none();
    status_turns(&arena, Duration::from_secs(30), gone).await;
    assert!(killed.elapsed() >= Duration::from_secs(15), "it was shown for a while");

    // Another in its place is another replica, though it has the same name.
    arena.stack.gateway(2).restart().await?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 1)).await;

    arena.stack.gateway(2).terminate()?;
    let mut states = BTreeSet::new();
    let left = Instant::now();
    while let Some(shown) = replica(&status(&arena).await, &dead) {
        states.insert(shown["state"].to_string());
        assert!(left.elapsed() < PATIENCE, "it never left");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert!(!states.contains("\"lost\""), "it said farewell: {states:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_drains_says_so_and_either_message_api_tells_of_all() -> Result<()> {
    let mut options = Arena::options("status-drains")?;
    options.apis = 2;
    options.gateway_env.push(("DRAIN_DELAY".into(), "4".into()));
    let arena = Arena::own(options).await?;
    status_turns(&arena, PATIENCE, |now| is_whole(now, 2)).await;
    arena.stack.gateway(1).terminate()?;
    let draining = |now: &Value| count(now, "socket-gateway", "draining") == 1;
    status_turns(&arena, PATIENCE, draining).await;

    // Either of two message-apis answers for all.
    let other = journeys::rest::Site::at(arena.stack.urls().api(2)).get("/status.json").await;
    assert_eq!(count(&other.json, "message-api", "ready"), 2);

    arena.stack.api(2).kill().await?;
    let gateway = arena.stack.urls().gateway(2);
    let lacks = |now: &Value| replica(now, &gateway).is_some_and(|one| one["lacks"] != json!([]));
    // One of two is enough.
    let (now, _) =
        status_turns(&arena, PATIENCE, |now| count(now, "message-api", "lost") == 1).await;
    assert!(!lacks(&now), "{now:#}");
    Ok(())
}
