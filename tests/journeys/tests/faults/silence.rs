//! The bus falls silent without a word: a route is lost, and no socket says so.

use std::time::Duration;

use anyhow::Result;
use harness::{Arena, granted};
use local_stack::{Link, Options, Weather};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{metric, readiness, readiness_turns, texts, two_in_a_room};

/// The promise: silence shows in readiness within this.
const SHOWS: Duration = Duration::from_secs(3);

/// What nobody publishes comes by the comparison of heads: every 6 s at the longest, and a moment.
const COMPARISON: Duration = Duration::from_millis(7_500);

async fn arena(name: &str) -> Result<Arena> {
    Arena::own(Options { straits: true, ..Arena::options(name)? }).await
}

/// Gateway 1 is cut off from Redis and gets it back.
async fn goes_red_alone_and_repairs(name: &str, weather: Weather) -> Result<()> {
    let arena = arena(name).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    bob.says(&room, "m0").await?;
    alice.reads("m0").await?;

    arena.stack.straits().set(Link::GatewayToRedis(1), weather);
    let began = Instant::now();
    let why = readiness_turns(&arena, 1, false).await?;
    assert!(began.elapsed() < SHOWS, "red only after {:?}", began.elapsed());
    assert_eq!((&why["hears_redis"], &why["stopping"]), (&json!(false), &json!(false)), "{why}");
    let alive = format!("{}/healthz", arena.stack.urls().gateway_admin(1));
    assert!(reqwest::get(alive).await?.status().is_success());

    for n in 1..20 {
        bob.says(&room, &format!("m{n}")).await?;
    }
    alice.hears_in_all("chat message", 20).await?;
    assert!(!readiness(&arena, 1).await?.0, "messages come, but not by the bus");
    assert!(metric(&arena, 1, "switchboard_bus_probe_age_seconds").await? > 2.0);
    let (peer_is_ready, peer) = readiness(&arena, 2).await?;
    assert!(peer_is_ready, "{peer}");

    arena.stack.straits().set(Link::GatewayToRedis(1), Weather::Fair);
    let body = readiness_turns(&arena, 1, true).await?;
    assert_eq!((&body["hears_redis"], &body["repaired"]), (&json!(true), &json!(true)));
    bob.says(&room, "m20").await?;
    alice.reads("m20").await?;
    bob.reads("m20").await?;
    let expected: Vec<_> = (0..=20).map(|n| format!("m{n}")).collect();
    assert_eq!(texts(&alice), expected, "in order, once");
    assert_eq!(texts(&bob), expected, "his gateway heard all the time");

    assert!(metric(&arena, 1, "switchboard_bus_connections_total").await? >= 2.0);
    assert!(metric(&arena, 1, "switchboard_repaired_changes_total").await? >= 19.0);
    assert!(metric(&arena, 1, "switchboard_bus_probe_seconds_count").await? > 0.0);
    assert!(metric(&arena, 1, "switchboard_bus_probe_age_seconds").await? < 2.5);
    assert_eq!(metric(&arena, 2, "switchboard_bus_connections_total").await?, 1.0);
    let silences = metric(&arena, 1, "switchboard_bus_silences_total").await?;
    assert_eq!(silences > 0.0, weather == Weather::Silent, "{silences} silences");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_goes_deaf_without_a_word_says_so_and_repairs_itself() -> Result<()> {
    goes_red_alone_and_repairs("bus-silent", Weather::Silent).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_is_cut_off_from_redis_says_so_and_repairs_itself() -> Result<()> {
    goes_red_alone_and_repairs("bus-cut", Weather::Cut).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_bus_is_not_a_silent_one() -> Result<()> {
    let arena = arena("bus-slow").await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    let slow = Weather::Slow(Duration::from_millis(300));
    arena.stack.straits().set(Link::GatewayToRedis(1), slow);
    let began = Instant::now();
    for n in 0.. {
        bob.says(&room, &format!("m{n}")).await?;
        alice.reads(&format!("m{n}")).await?;
        let (is_ready, why) = readiness(&arena, 1).await?;
        assert!(is_ready, "{why}");
        if began.elapsed() > Duration::from_secs(5) {
            break;
        }
    }
    assert_eq!(metric(&arena, 1, "switchboard_bus_connections_total").await?, 1.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_is_green_again_though_message_api_can_not_tell_what_it_missed() -> Result<()> {
    let arena = arena("bus-both").await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    arena.stack.straits().set(Link::GatewayToRedis(1), Weather::Cut);
    readiness_turns(&arena, 1, false).await?;
    arena.stack.straits().set(Link::GatewayToApi(1, 1), Weather::Cut);
    bob.says(&room, "unheard").await?;
    arena.stack.straits().set(Link::GatewayToRedis(1), Weather::Fair);

    let began = Instant::now();
    let mut why = readiness(&arena, 1).await?.1;
    while why["hears_redis"] == false {
        sleep(Duration::from_millis(50)).await;
        why = readiness(&arena, 1).await?.1;
    }
    assert_eq!(why["repaired"], false, "{why}");
    readiness_turns(&arena, 1, true).await?;
    let waited = began.elapsed();
    assert!(waited > Duration::from_secs(8) && waited < Duration::from_secs(15), "{waited:?}");
    arena.stack.straits().set(Link::GatewayToApi(1, 1), Weather::Fair);
    alice.reads("unheard").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_do_not_wait_for_a_message_api_that_can_not_publish() -> Result<()> {
    let arena = arena("api-mute").await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    arena.stack.straits().set(Link::ApiToRedis(1), Weather::Silent);
    let asked = Instant::now();
    for n in 0..20 {
        alice.says(&room, &format!("m{n}")).await?;
    }
    // Half a second each: far less than it would take to give up on Redis.
    assert!(asked.elapsed() < Duration::from_secs(10), "acknowledged in {:?}", asked.elapsed());
    let began = Instant::now();
    bob.reads("m19").await?;
    assert!(began.elapsed() < COMPARISON, "heard after {:?}", began.elapsed());
    arena.stack.straits().set(Link::ApiToRedis(1), Weather::Fair);
    alice.says(&room, "m20").await?;
    bob.reads("m20").await?;
    let expected: Vec<_> = (0..=20).map(|n| format!("m{n}")).collect();
    assert_eq!(texts(&bob), expected, "what is published late is not heard again");
    assert!(readiness(&arena, 2).await?.0, "the gateways' own bus was fine");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_made_while_a_gateway_was_deaf_is_told_there_once() -> Result<()> {
    let arena = arena("bus-rooms").await?;
    let (alice, bob, _) = two_in_a_room(&arena).await?;
    let title = arena.unique("made in silence");
    arena.stack.straits().set(Link::GatewayToRedis(1), Weather::Silent);
    readiness_turns(&arena, 1, false).await?;
    let asked = bob.asks("create room", json!({"name": title})).await?;
    granted(asked)?;
    bob.hears("room created", |room| room["name"] == *title).await?;
    arena.stack.straits().set(Link::GatewayToRedis(1), Weather::Fair);
    alice.hears("room created", |room| room["name"] == *title).await?;
    readiness_turns(&arena, 1, true).await?;
    let marker = bob.creates_room(&arena.unique("marker")).await?;
    alice.hears("room created", |room| room["_id"] == marker["_id"]).await?;
    let told = alice.all("room created");
    assert_eq!(told.iter().filter(|room| room["name"] == *title).count(), 1);
    Ok(())
}
