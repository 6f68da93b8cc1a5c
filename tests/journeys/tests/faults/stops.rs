//! A gateway is told to stop: by its end nobody is held up, and it does not count as dead.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::Arena;
use local_stack::{Link, Options, Weather};
use tokio::time::{Instant, sleep, timeout};

use crate::metric;

/// Longer than a lease and some beats.
const CLEARED: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_redis_sees_its_lease_age_and_stops_at_once() -> Result<()> {
    let mut options = Options { straits: true, ..Arena::options("stop-silent")? };
    options.gateway_env.push(("SHUTDOWN_GRACE".into(), "60".into()));
    let arena = Arena::own(options).await?;
    for (gateway, weather) in [(1, Weather::Silent), (2, Weather::Cut)] {
        arena.stack.straits().set(Link::GatewayToRedis(gateway), weather);
        let deadline = Instant::now() + CLEARED;
        while metric(&arena, gateway, "switchboard_presence_lease_age_seconds").await? < 5.0 {
            ensure!(Instant::now() < deadline, "the lease of gateway {gateway} does not age");
            sleep(Duration::from_millis(100)).await;
        }
        let part = arena.stack.gateway(gateway);
        part.terminate()?;
        let ended = timeout(Duration::from_secs(8), part.exited());
        let status =
            ended.await.with_context(|| format!("gateway {gateway} waits for Redis"))??;
        assert!(status.success(), "{status}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_gateway_that_said_no_farewell_counts_as_dead() -> Result<()> {
    let options = Options { gateways: 3, ..Arena::options_with_own_servers("stop-planned")? };
    let arena = Arena::own(options).await?;
    arena.stack.gateway(3).stop().await?;
    arena.stack.gateway(2).kill().await?;
    let client = redis::Client::open(arena.stack.urls().redis())?;
    let mut redis = client.get_multiplexed_async_connection().await?;
    let keys: Vec<String> =
        redis::cmd("KEYS").arg("*presence}:left").query_async(&mut redis).await?;
    let [left] = &keys[..] else { anyhow::bail!("who has left is not noted once: {keys:?}") };
    let dead = async || metric(&arena, 1, "switchboard_presence_dead_gateways_total").await;
    assert!(dead().await?.abs() < 0.5, "nobody is cleared yet");
    let deadline = Instant::now() + CLEARED;
    while dead().await? < 0.5 {
        ensure!(Instant::now() < deadline, "gateway 2 was not cleared");
        sleep(Duration::from_millis(100)).await;
    }
    let gateways = left.replace(":left", ":gateways");
    let known: usize = redis::cmd("ZCARD").arg(gateways).query_async(&mut redis).await?;
    let noted: usize = redis::cmd("SCARD").arg(left).query_async(&mut redis).await?;
    assert_eq!((known, noted), (1, 0), "gateway 3 went first");
    assert!((dead().await? - 1.0).abs() < 0.5, "gateway 3 did not die");
    Ok(())
}
