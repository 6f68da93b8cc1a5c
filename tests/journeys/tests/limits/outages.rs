//! Without Redis each replica counts for itself; and a flood of log-ins leaves the chat alone.

use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::future::join_all;
use harness::Arena;
use journeys::rest::{PASSWORD, unique};
use local_stack::Options;
use tokio::time::{Instant, timeout};

use super::{arena, log_in, register, site, too_much, with};

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_the_door_is_neither_open_nor_locked() -> Result<()> {
    let options = Arena::options_with_own_servers("no-redis")?;
    let options = Options { gateways: 0, ..options };
    let limits = [("WRONG_PASSWORDS", "3"), ("LOGINS_PER_ADDRESS", "20")];
    let arena = Arena::own(with(options, &limits, &[])).await?;
    let (site, alice, here) = (site(&arena, 1), unique("alice"), "203.0.113.7");
    assert_eq!(register(&site, here, &alice).await.status, 201);
    let redis = arena.stack.redis().context("a private Redis")?;
    redis.stop().await?;
    for _ in 0..3 {
        assert_eq!(log_in(&site, here, &alice, "not this one").await.status, 401);
    }
    too_much(&log_in(&site, here, &alice, "not this one").await);
    // From elsewhere the password is looked at; the session has to wait for Redis, and such a try
    // does not count.
    for _ in 0..6 {
        assert_eq!(log_in(&site, "203.0.113.8", &alice, PASSWORD).await.status, 503);
    }
    redis.start().await?;
    let back = async {
        while log_in(&site, "203.0.113.9", &alice, PASSWORD).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(30), back).await.context("nobody gets in again")?;
    Ok(())
}

/// Log-ins at once, and the longest that a post may take meanwhile: what it takes on two busy cores
/// in a debug build, and far less than all the log-ins.
const FLOOD: usize = 200;
const POST_MAX: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_log_ins_leaves_posts_alone_and_ends_soon() -> Result<()> {
    let settings = [("HASH_PARALLEL", "1"), ("WRONG_PASSWORDS", "10")];
    let arena = arena("flood", &settings, &[]).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, hears) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = alice.makes_room(&arena.unique("room")).await?;
    alice.joins(&room).await?;
    hears.joins(&room).await?;
    let site = site(&arena, 1);
    let flood = join_all((0..FLOOD).map(|n| {
        let (site, name) = (site.clone(), bob.name.clone());
        async move { log_in(&site, &format!("203.0.{}.7", n), &name, "open sesame").await }
    }));
    let talk = async {
        let mut slowest = Duration::ZERO;
        for n in 0..40 {
            let began = Instant::now();
            alice.says(&room, &format!("post {n}")).await?;
            hears.reads(&format!("post {n}")).await?;
            slowest = slowest.max(began.elapsed());
        }
        anyhow::Ok(slowest)
    };
    let (answers, slowest) = tokio::join!(flood, talk);
    let slowest = slowest?;
    println!("the slowest post took {slowest:?}");
    assert!(slowest < POST_MAX, "{slowest:?}");
    let of = |status| answers.iter().filter(|answer| answer.status == status).count();
    println!("{} came in, {} were sent away, {} waited in vain", of(200), of(429), of(503));
    assert!(of(200) > 0 && of(429) > 0 && of(200) + of(429) + of(503) == FLOOD);
    let sent_away = answers.iter().filter(|answer| answer.status != 200);
    assert!(sent_away.into_iter().all(|answer| answer.header("retry-after").is_some()));
    // Nothing of it stays.
    assert_eq!(log_in(&site, "198.51.100.1", &bob.name, "open sesame").await.status, 200);
    Ok(())
}
