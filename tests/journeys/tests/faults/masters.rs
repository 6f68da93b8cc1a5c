//! One master of a cluster dies, hangs, loses a slot or gives way to its replica: nothing is lost,
//! and the others go on.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Arena, Chatter, granted};
use local_stack::{Part, RedisKind};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    cluster::{MASTERS, fleeting_things_pass, lanes, on, rooms_on_all_masters, slot},
    readiness, readiness_turns, texts,
};

/// The promise: silence shows in readiness within this.
const SHOWS: Duration = Duration::from_secs(3);

fn master(arena: &Arena, number: usize) -> Result<&Part> {
    let name = format!("redis-{number}");
    arena.stack.parts().find(|part| part.name() == name).context(name)
}

/// Where a master is, as the settings say it.
fn address(arena: &Arena, number: usize) -> Result<String> {
    let urls = arena.stack.urls();
    let url = urls.redis().split(',').nth(number - 1).context("a master")?;
    Ok(url.trim_start_matches("redis://").to_owned())
}

/// Messages in some rooms, one after the other: alice says them, both must read each.
struct Traffic<'a> {
    alice: &'a Chatter,
    bob: &'a Chatter,
    rooms: &'a [String],
    said: usize,
}

impl Traffic<'_> {
    fn text(&self, n: usize) -> String {
        format!("{} m{n}", n % self.rooms.len())
    }

    /// Says something in each room by turns until `done`; all must be acknowledged.
    async fn flows_until<T>(&mut self, done: impl Future<Output = Result<T>>) -> Result<T> {
        let mut done = std::pin::pin!(done);
        loop {
            let line =
                self.alice.line(&self.rooms[self.said % self.rooms.len()], &self.text(self.said));
            granted(self.alice.asks("chat message", line).await?)?;
            self.said += 1;
            tokio::select! {
                done = &mut done => return done,
                () = sleep(Duration::from_millis(10)) => {}
            }
        }
    }

    /// Both have read everything, each room in order and once.
    async fn is_whole(&self) -> Result<()> {
        for reader in [self.alice, self.bob] {
            reader.hears_in_all("chat message", self.said).await?;
            let read = texts(reader);
            for room in 0..self.rooms.len() {
                let expected = (room..self.said).step_by(self.rooms.len()).map(|n| self.text(n));
                let of_room = format!("{room} ");
                let read: Vec<_> =
                    read.iter().filter(|text| text.starts_with(&of_room)).cloned().collect();
                ensure!(read == expected.collect::<Vec<_>>(), "{}: {read:?}", reader.name);
            }
        }
        Ok(())
    }
}

/// Both gateways turn red, and say which server is silent.
async fn both_turn_red(arena: &Arena, culprit: &str) -> Result<()> {
    let began = Instant::now();
    for gateway in [1, 2] {
        let why = readiness_turns(arena, gateway, false).await?;
        ensure!(why["silent_redis"] == json!([culprit]), "not only {culprit}: {why}");
        let alive = format!("{}/healthz", arena.stack.urls().gateway_admin(gateway));
        ensure!(reqwest::get(alive).await?.status().is_success(), "not alive");
    }
    ensure!(began.elapsed() < SHOWS, "red only after {:?}", began.elapsed());
    Ok(())
}

async fn both_turn_green(arena: &Arena) -> Result<()> {
    for gateway in [1, 2] {
        readiness_turns(arena, gateway, true).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_master_dies_and_comes_back_under_traffic_and_nothing_is_lost() -> Result<()> {
    let arena = on(RedisKind::Cluster, "masters").await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let rooms = rooms_on_all_masters(&arena, &alice, &bob).await?;
    let mut traffic = Traffic { alice: &alice, bob: &bob, rooms: &rooms, said: 0 };
    for number in 1..=MASTERS {
        let (culprit, address) = (master(&arena, number)?, address(&arena, number)?);
        traffic
            .flows_until(async {
                culprit.kill().await?;
                both_turn_red(&arena, &address).await?;
                // Long enough for the other masters to give it up.
                sleep(Duration::from_secs(3)).await;
                ensure!(!readiness(&arena, 1).await?.0, "green without {address}");
                culprit.start().await?;
                both_turn_green(&arena).await
            })
            .await
            .with_context(|| format!("master {number}"))?;
        let own_room = &rooms[2 * (number - 1)];
        fleeting_things_pass(&arena, &alice, &bob, own_room).await?;
    }
    traffic.is_whole().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_master_that_hangs_shows_within_three_seconds_and_holds_up_no_other() -> Result<()> {
    let arena = on(RedisKind::Cluster, "master-hangs").await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let rooms = rooms_on_all_masters(&arena, &alice, &bob).await?;
    let (culprit, address) = (master(&arena, 2)?, address(&arena, 2)?);
    culprit.pause()?;
    both_turn_red(&arena, &address).await?;
    let mut others = 0;
    for room in [&rooms[0], &rooms[1], &rooms[4], &rooms[5]] {
        let began = Instant::now();
        alice.says(room, "by another master").await?;
        bob.reads("by another master").await?;
        others += u32::from(began.elapsed() < Duration::from_secs(1));
    }
    ensure!(others == 4, "only {others} of 4 rooms on other masters were fast");
    let mut traffic = Traffic { alice: &alice, bob: &bob, rooms: &rooms[2..4], said: 0 };
    traffic
        .flows_until(async {
            sleep(Duration::from_secs(1)).await;
            culprit.resume()?;
            both_turn_green(&arena).await
        })
        .await?;
    bob.hears_in_all("chat message", 4 + traffic.said).await?;
    fleeting_things_pass(&arena, &alice, &bob, &rooms[2]).await
}

/// Has a node run a command, and reads its answer as text.
async fn ask(address: &str, words: &[&str]) -> Result<String> {
    let client = redis::Client::open(format!("redis://{address}"))?;
    let mut node = client.get_multiplexed_async_connection().await?;
    let (command, arguments) = words.split_first().context("a command")?;
    let answer: redis::Value = redis::cmd(command).arg(arguments).query_async(&mut node).await?;
    Ok(redis::from_redis_value(answer).unwrap_or_default())
}

/// Moves a slot, and what is in it, from one master to another, as `redis-cli --cluster` does.
async fn move_slot(slot: u16, from: &str, to: &str, masters: &[String]) -> Result<()> {
    let slot = slot.to_string();
    let ids = (ask(from, &["CLUSTER", "MYID"]).await?, ask(to, &["CLUSTER", "MYID"]).await?);
    ask(to, &["CLUSTER", "SETSLOT", &slot, "IMPORTING", &ids.0]).await?;
    ask(from, &["CLUSTER", "SETSLOT", &slot, "MIGRATING", &ids.1]).await?;
    let (host, port) = to.split_once(':').context("a port")?;
    let client = redis::Client::open(format!("redis://{from}"))?;
    let mut node = client.get_multiplexed_async_connection().await?;
    loop {
        let keys: Vec<String> = redis::cmd("CLUSTER")
            .arg(&["GETKEYSINSLOT", &slot, "100"])
            .query_async(&mut node)
            .await?;
        if keys.is_empty() {
            break;
        }
        let mut migrate = redis::cmd("MIGRATE");
        migrate.arg(&[host, port, "", "0", "1000", "KEYS"]).arg(&keys);
        migrate.exec_async(&mut node).await?;
    }
    for master in [to, from].into_iter().chain(masters.iter().map(String::as_str)) {
        ask(master, &["CLUSTER", "SETSLOT", &slot, "NODE", &ids.1]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_that_move_to_another_master_are_followed_there() -> Result<()> {
    let arena = on(RedisKind::Cluster, "slots-move").await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let rooms = rooms_on_all_masters(&arena, &alice, &bob).await?;
    let redis = lanes(&arena)?;
    let presence = redis.presence().slot().context("a slot")?;
    let home = usize::from(presence) * MASTERS / 16_384 + 1;
    let masters: Vec<_> = (1..=MASTERS).map(|n| address(&arena, n)).collect::<Result<_>>()?;
    let mut traffic = Traffic { alice: &alice, bob: &bob, rooms: &rooms, said: 0 };
    let of_room = slot(&redis, &rooms[0])?;
    for (slot, from, to) in [(of_room, 1, 2), (presence, home, home % MASTERS + 1)] {
        let moved = async {
            move_slot(slot, &masters[from - 1], &masters[to - 1], &masters).await?;
            let channels = ["PUBSUB", "SHARDCHANNELS"];
            let begun = Instant::now();
            loop {
                // Both gateways' probes are heard at the new owner.
                let client = redis::Client::open(format!("redis://{}", masters[to - 1]))?;
                let mut node = client.get_multiplexed_async_connection().await?;
                let mut all = redis::cmd(channels[0]);
                let all: Vec<String> = all.arg(channels[1]).query_async(&mut node).await?;
                let lane = redis.lanes().iter().find(|lane| lane.slot() == Some(slot));
                let stem = lane.context("a lane")?.key("probe:");
                if all.iter().filter(|channel| channel.starts_with(&stem)).count() == 2 {
                    return both_turn_green(&arena).await;
                }
                ensure!(begun.elapsed() < Duration::from_secs(10), "nobody followed: {all:?}");
                sleep(Duration::from_millis(20)).await;
            }
        };
        traffic.flows_until(moved).await.with_context(|| format!("slot {slot}"))?;
        fleeting_things_pass(&arena, &alice, &bob, &rooms[0]).await?;
    }
    traffic.is_whole().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_takes_over_for_a_master_that_does_not_come_back() -> Result<()> {
    let arena = on(RedisKind::ReplicatedCluster, "takes-over").await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let rooms = rooms_on_all_masters(&arena, &alice, &bob).await?;
    let (culprit, address) = (master(&arena, 1)?, address(&arena, 1)?);
    let mut traffic = Traffic { alice: &alice, bob: &bob, rooms: &rooms, said: 0 };
    traffic
        .flows_until(async {
            culprit.kill().await?;
            both_turn_red(&arena, &address).await?;
            both_turn_green(&arena).await
        })
        .await?;
    fleeting_things_pass(&arena, &alice, &bob, &rooms[0]).await?;
    traffic.is_whole().await
}
