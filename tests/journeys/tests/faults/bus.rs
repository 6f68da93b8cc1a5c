//! Redis dies, comes back, forgets.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::{Arena, granted};
use local_stack::Part;
use tokio::time::sleep;

use crate::{readiness_turns, texts, two_in_a_room};

fn redis(arena: &Arena) -> Result<&Part> {
    arena.stack.parts().find(|part| part.name() == "redis").context("a private Redis")
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_posted_while_redis_is_away_arrive_in_order_once_it_is_back() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("redis-away")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    alice.says(&room, "m0").await?;
    bob.reads("m0").await?;

    redis(&arena)?.kill().await?;
    let sent: Vec<_> = (1..50)
        .map(|n| alice.emit_with_ack("chat message", alice.line(&room, &format!("m{n}"))))
        .collect();
    for ack in sent {
        granted(ack.answer().await?)?;
    }
    redis(&arena)?.restart().await?;
    alice.says(&room, "m50").await?;

    bob.reads("m50").await?;
    alice.reads("m50").await?;
    let expected: Vec<_> = (0..=50).map(|n| format!("m{n}")).collect();
    assert_eq!(texts(&bob), expected);
    assert_eq!(texts(&alice), expected);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_message_before_a_restart_of_redis_needs_no_later_one_to_arrive() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("redis-last")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    redis(&arena)?.kill().await?;
    alice.says(&room, "lost on the bus").await?;
    redis(&arena)?.restart().await?;
    bob.reads("lost on the bus").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn readiness_follows_redis_and_liveness_does_not() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("redis-ready")?).await?;
    readiness_turns(&arena, 1, true).await?;
    redis(&arena)?.kill().await?;
    readiness_turns(&arena, 1, false).await?;
    let alive = format!("{}/healthz", arena.stack.urls().gateway_admin(1));
    assert!(reqwest::get(alive).await?.status().is_success());
    redis(&arena)?.restart().await?;
    readiness_turns(&arena, 1, true).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn people_can_join_and_talk_while_redis_is_away() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("redis-join")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    redis(&arena)?.kill().await?;
    alice.leaves_room(&room).await?;
    alice.joins(&room).await?;
    alice.says(&room, "still here").await?;
    // No bus: the comparison of heads brings it.
    bob.reads("still here").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_for_four_seconds_loses_and_repeats_nothing() -> Result<()> {
    let arena = Arena::own(Arena::options_with_own_servers("redis-hangs")?).await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    let mut acks = Vec::new();
    let mut say = async |count: usize| {
        for _ in 0..count {
            let text = format!("m{}", acks.len());
            acks.push(alice.emit_with_ack("chat message", alice.line(&room, &text)));
            sleep(Duration::from_millis(20)).await;
        }
    };
    say(20).await;
    redis(&arena)?.pause()?;
    say(200).await;
    redis(&arena)?.resume()?;
    say(20).await;
    for ack in acks {
        granted(ack.answer().await?)?;
    }
    alice.says(&room, "last").await?;
    bob.reads("last").await?;
    alice.reads("last").await?;
    let mut expected: Vec<_> = (0..240).map(|n| format!("m{n}")).collect();
    expected.push("last".to_owned());
    assert_eq!(texts(&bob), expected);
    assert_eq!(texts(&alice), expected);
    readiness_turns(&arena, 1, true).await?;
    readiness_turns(&arena, 2, true).await?;
    Ok(())
}
