//! Many conversations miss something at once: all are repaired, and message-api is not flooded.

use anyhow::{Context, Result};
use harness::{Arena, granted};
use local_stack::Part;

use crate::{metric, readiness_turns};

/// Followed conversations.
const ROOMS: usize = 300;

/// How many of them one socket follows.
const A_SOCKET: usize = 150;

/// Those in which something is said while nobody hears.
const BUSY: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn many_rooms_are_repaired_after_a_restart_of_redis_with_few_calls() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("redis-many")?).await?;
    let redis: &Part = arena.stack.redis().context("a private Redis")?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (mut speakers, mut hearers, mut rooms) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..ROOMS {
        if n % A_SOCKET == 0 {
            speakers.push(alice.enters(1).await?);
            hearers.push(bob.enters(2).await?);
        }
        let (Some(alice), Some(bob)) = (speakers.last(), hearers.last()) else { continue };
        let room = alice.makes_room(&arena.unique("room")).await?;
        alice.joins(&room).await?;
        bob.joins(&room).await?;
        rooms.push(room);
    }
    redis.kill().await?;
    readiness_turns(&arena, 2, false).await?;
    let changes = "switchboard_repair_calls_total{verb=\"changes\"}";
    let heads = "switchboard_repair_calls_total{verb=\"heads\"}";
    let before = (metric(&arena, 2, changes).await?, metric(&arena, 2, heads).await?);

    let say = |n: usize, room| {
        let alice = &speakers[n / A_SOCKET];
        alice.emit_with_ack("chat message", alice.line(room, &format!("r{n}")))
    };
    let acks: Vec<_> = rooms.iter().take(BUSY).enumerate().map(|(n, room)| say(n, room)).collect();
    for ack in acks {
        granted(ack.answer().await?)?;
    }
    redis.restart().await?;
    readiness_turns(&arena, 2, true).await?;
    let mut heard = Vec::new();
    for (n, bob) in hearers.iter().enumerate() {
        let here = BUSY.saturating_sub(n * A_SOCKET).min(A_SOCKET);
        heard.extend(bob.hears_in_all("chat message", here).await?);
    }
    let mut texts: Vec<_> = heard.iter().filter_map(|message| message["text"].as_str()).collect();
    texts.sort_unstable();
    texts.dedup();
    assert_eq!((heard.len(), texts.len()), (BUSY, BUSY), "each room's message, once");

    let (changes, heads) =
        (metric(&arena, 2, changes).await? - before.0, metric(&arena, 2, heads).await? - before.1);
    println!("{changes} calls for changes, {heads} for heads");
    // One page for each that missed something; a comparison now and then while it lasted.
    assert!(changes <= BUSY as f64, "{changes} calls for changes");
    assert!(heads <= 10.0, "{heads} calls for heads");
    Ok(())
}
