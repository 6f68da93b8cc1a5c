//! More join at once than message-api can be asked for in the time of a call: they wait for their
//! turn, and nobody else waits for them.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use harness::{Arena, granted};
use local_stack::{Link, Options, Weather};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::metric;

/// How many join at once, where one call is let through at a time.
const CROWD: usize = 70;

/// How long a call takes then, there and back: all joins together take much longer than the 5 s
/// that a call may.
const SLOW: Duration = Duration::from_millis(20);

#[tokio::test(flavor = "multi_thread")]
async fn who_joins_waits_for_its_turn_and_nobody_else_does() -> Result<()> {
    let mut options = Arena::options("joins")?;
    options.gateway_env.push(("CALLS_MAX".to_owned(), "1".to_owned()));
    let arena = Arena::own(Options { straits: true, ..options }).await?;
    let (host, guest) = (arena.newcomer("host").await?, arena.newcomer("guest").await?);
    let speaker = host.enters(1).await?;
    let room = &speaker.makes_room(&arena.unique("room")).await?;
    speaker.joins(room).await?;
    let crowd = try_join_all((0..CROWD).map(|_| guest.enters(1))).await?;
    let is_to_api = |link| matches!(link, Link::GatewayToApi(..));
    arena.stack.straits().set_all(is_to_api, Weather::Slow(SLOW));

    let began = Instant::now();
    let joining = try_join_all(crowd.iter().map(async |member| {
        member.joins(room).await?;
        Ok::<_, anyhow::Error>(began.elapsed())
    }));
    let talking = async {
        while metric(&arena, "switchboard_calls_waiting").await? < CROWD as f64 / 2.0 {
            ensure!(began.elapsed() < Duration::from_secs(10), "they don't wait");
            sleep(Duration::from_millis(10)).await;
        }
        let asked = Instant::now();
        let line = json!({"roomId": room, "user": host.name, "text": "a post"});
        granted(speaker.asks("chat message", line).await?)?;
        let posted = asked.elapsed();
        // Who comes in, too, only waits for those who are half way.
        let asked = Instant::now();
        guest.enters(1).await?;
        Ok((posted, asked.elapsed()))
    };
    let (joined, (posted, entered)) = tokio::try_join!(joining, talking)?;
    let last = joined.iter().max().context("a crowd")?;
    println!("the last had joined after {last:?}; a post took {posted:?}, coming in {entered:?}");
    assert!(*last > Duration::from_secs(5), "they were too fast to show anything: {last:?}");
    assert!(posted < Duration::from_secs(1), "a post waited for joins: {posted:?}");
    assert!(entered < Duration::from_secs(3), "who came in waited for joins: {entered:?}");
    assert_eq!(metric(&arena, "switchboard_calls_refused_total").await?, 0.0);
    assert_eq!(metric(&arena, "switchboard_calls_waiting").await?, 0.0);
    Ok(())
}
