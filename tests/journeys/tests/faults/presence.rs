//! Who is in a room and who is online stays true, and is told once, whatever dies or forgets.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use harness::{Arena, Chatter, Mailbox, Person, SocketIo};
use local_stack::{Link, Options, Weather};
use serde_json::json;
use tokio::time::{Instant, sleep};

/// PROTOCOLS promises that the end of a gateway is noticed within this.
const LEASE_PROMISE: Duration = Duration::from_secs(15);

/// A lease, and some comparisons of rosters: after Redis was emptied nobody is gone before.
const SETTLED: Duration = Duration::from_secs(20);

/// For what should take a moment, on a busy machine.
const SOON: Duration = Duration::from_secs(10);

/// More than a beat and some comparisons: whoever would say it again has said it by then.
const QUIET: Duration = Duration::from_secs(4);

/// Three gateways.
fn three(name: &str) -> Result<Options> {
    Ok(Options { gateways: 3, ..Arena::options(name)? })
}

/// Three gateways, with a Redis that may be emptied.
fn three_with_own_servers(name: &str) -> Result<Options> {
    Ok(Options { gateways: 3, ..Arena::options_with_own_servers(name)? })
}

/// Empties Redis, except for the sessions: without those the sockets of users would be closed,
/// which is right and not what these tests are about.
pub(crate) async fn empty_redis(arena: &Arena) -> Result<()> {
    let client = redis::Client::open(arena.stack.urls().redis())?;
    let mut redis = client.get_multiplexed_async_connection().await?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut redis).await?;
    let mut emptying = redis::pipe();
    emptying.atomic().cmd("FLUSHALL").ignore();
    for key in keys.iter().filter(|key| !key.contains("presence}")) {
        let dump: Option<Vec<u8>> = redis::cmd("DUMP").arg(key).query_async(&mut redis).await?;
        if let Some(dump) = dump {
            emptying.cmd("RESTORE").arg(key).arg(0).arg(dump).ignore();
        }
    }
    Ok(emptying.exec_async(&mut redis).await?)
}

/// What a socket heard of somebody, in order: true for coming, false for going.
pub(crate) fn turns(heard: &Mailbox, came: &str, left: &str, name: &str) -> Vec<bool> {
    let about = heard.everything().into_iter().filter(|heard| heard.data["user"] == name);
    about.filter(|h| h.event == came || h.event == left).map(|h| h.event == came).collect()
}

fn in_room(socket: &SocketIo, name: &str) -> Vec<bool> {
    turns(socket, "user joined room", "user left room", name)
}

fn online(socket: &SocketIo, name: &str) -> Vec<bool> {
    turns(socket, "user-online", "user-offline", name)
}

async fn within(limit: Duration, what: &str, done: impl Fn() -> bool) -> Result<Duration> {
    let begun = Instant::now();
    while !done() {
        ensure!(begun.elapsed() < limit, "not within {limit:?}: {what}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(begun.elapsed())
}

/// Opens a 003 socket at a gateway that waits for these people.
pub(crate) async fn watcher(
    arena: &Arena,
    who: &Person<'_>,
    gateway: usize,
    names: &[&str],
) -> Result<SocketIo> {
    let knock = arena.gateway(gateway).named(&who.name).path("/ws").namespace("/chat");
    let socket = knock.token(&who.token).enters().await?;
    for name in names {
        socket.asks("wait-for-user", json!({"user": name})).await?;
    }
    Ok(socket)
}

/// Alice, Bob and Carol in one room on gateways 1, 2 and 3; and a socket of Alice's, on 1, that
/// waits for the other two.
struct Party {
    alice: Chatter,
    bob: Chatter,
    carol: Chatter,
    waits: SocketIo,
    room: String,
}

impl Party {
    async fn on(arena: &Arena) -> Result<Self> {
        let [a, b, c] = ["alice", "bob", "carol"].map(|name| arena.newcomer(name));
        let (a, b, c) = (a.await?, b.await?, c.await?);
        let waits = watcher(arena, &a, 1, &[&b.name, &c.name]).await?;
        let (alice, bob, carol) = (a.enters(1).await?, b.enters(2).await?, c.enters(3).await?);
        let room = alice.makes_room(&arena.unique("room")).await?;
        for one in [&alice, &bob, &carol] {
            one.joins(&room).await?;
        }
        let party = Self { alice, bob, carol, waits, room };
        party.alice_knows(SOON, "all are there", &[true], &[true]).await?;
        Ok(party)
    }

    /// Waits until Alice's two sockets have heard this of Bob and of Carol, and then nothing more.
    async fn alice_knows(
        &self,
        limit: Duration,
        what: &str,
        of_bob: &[bool],
        of_carol: &[bool],
    ) -> Result<Duration> {
        let books = || {
            [(&self.bob, of_bob), (&self.carol, of_carol)].map(|(who, expected)| {
                let heard = (in_room(&self.alice, &who.name), online(&self.waits, &who.name));
                (heard, (expected.to_vec(), expected.to_vec()))
            })
        };
        let agree = || books().iter().all(|(heard, expected)| heard == expected);
        let took = within(limit, what, agree)
            .await
            .with_context(|| format!("heard and expected of Bob, of Carol: {:?}", books()))?;
        sleep(QUIET).await;
        ensure!(agree(), "said again after {what}: {:?}", books());
        Ok(took)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_redis_was_emptied_nobody_flaps_and_who_left_meanwhile_has_left_once() -> Result<()> {
    let arena = Arena::own(three_with_own_servers("presence-emptied")?).await?;
    let party = Party::on(&arena).await?;
    empty_redis(&arena).await?;
    party.carol.leaves();
    party.alice_knows(SETTLED, "Carol left", &[true], &[true, false]).await?;
    // What is true is in Redis again: the next change is told at once.
    party.bob.leaves();
    party.alice_knows(SOON, "Bob left", &[true, false], &[true, false]).await?;
    Ok(())
}

/// Has presence in Redis begun anew, with somebody in each of these rooms?
async fn is_told_again(arena: &Arena, rooms: &[String]) -> Result<bool> {
    let client = redis::Client::open(arena.stack.urls().redis())?;
    let mut redis = client.get_multiplexed_async_connection().await?;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*presence}:*").query_async(&mut redis).await?;
    let has = |part: &str| keys.iter().any(|key| key.ends_with(part));
    Ok(has(":settling") && rooms.iter().all(|room| has(&format!(":place:{room}"))))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_to_a_room_just_after_redis_was_emptied_hears_who_leaves_it() -> Result<()> {
    let arena = Arena::own(three_with_own_servers("presence-emptied-late")?).await?;
    let [a, b] = ["alice", "bob"].map(|name| arena.newcomer(name));
    let (a, b) = (a.await?, b.await?);
    let (alice, bob) = (a.enters(1).await?, b.enters(2).await?);
    // Whether gateway 2 has looked at a room before Alice leaves it is chance; not so for all.
    let mut rooms = Vec::new();
    for _ in 0..5 {
        let room = alice.makes_room(&arena.unique("room")).await?;
        alice.joins(&room).await?;
        rooms.push(room);
    }
    empty_redis(&arena).await?;
    let deadline = Instant::now() + SOON;
    while !is_told_again(&arena, &rooms).await? {
        ensure!(Instant::now() < deadline, "the gateways do not say who is there");
        sleep(Duration::from_millis(20)).await;
    }
    for room in &rooms {
        bob.joins(room).await?;
    }
    alice.leaves();
    let all = vec![false; rooms.len()];
    within(SETTLED, "Bob knows that Alice left", || in_room(&bob, &a.name) == all).await?;
    sleep(QUIET).await;
    assert_eq!(in_room(&bob, &a.name), all, "each once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_died_before_redis_was_emptied_is_no_ghost() -> Result<()> {
    let arena = Arena::own(three_with_own_servers("presence-died-emptied")?).await?;
    let party = Party::on(&arena).await?;
    arena.stack.gateway(2).kill().await?;
    empty_redis(&arena).await?;
    party.alice_knows(SETTLED, "Bob is gone", &[true, false], &[true]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_slept_beyond_its_lease_says_everything_again() -> Result<()> {
    let arena = Arena::own(three("presence-slept")?).await?;
    let party = Party::on(&arena).await?;
    arena.stack.gateway(3).pause()?;
    party.alice_knows(LEASE_PROMISE, "Carol is gone", &[true], &[true, false]).await?;
    // What happens meanwhile its sleepers find out.
    party.bob.leaves_room(&party.room).await?;
    arena.stack.gateway(3).resume()?;
    within(SOON, "Carol is back", || in_room(&party.alice, &party.carol.name).len() == 3).await?;
    within(SOON, "Carol knows", || in_room(&party.carol, &party.bob.name) == [false]).await?;
    sleep(QUIET).await;
    assert_eq!(in_room(&party.alice, &party.carol.name), [true, false, true]);
    assert_eq!(online(&party.waits, &party.carol.name), [true, false, true]);
    assert!(in_room(&party.carol, &party.alice.name).is_empty(), "Alice was always there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn users_of_a_gateway_without_redis_are_gone_within_the_lease_and_come_back() -> Result<()> {
    let options = Options { straits: true, ..three("presence-silent")? };
    let arena = Arena::own(options).await?;
    let party = Party::on(&arena).await?;
    for (weather, gone, back) in [
        (Weather::Silent, vec![true, false], vec![true, false, true]),
        (Weather::Cut, vec![true, false, true, false], vec![true, false, true, false, true]),
    ] {
        arena.stack.straits().set(Link::GatewayToRedis(3), weather);
        party.alice_knows(LEASE_PROMISE, "Carol is gone", &[true], &gone).await?;
        arena.stack.straits().set(Link::GatewayToRedis(3), Weather::Fair);
        party.alice_knows(SOON, "Carol is back", &[true], &back).await?;
    }
    assert!(party.carol.is_open());
    assert!(in_room(&party.carol, &party.alice.name).is_empty(), "Alice was always there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_gateway_did_not_hear_it_finds_out_once() -> Result<()> {
    let options = Options { straits: true, ..three("presence-deaf")? };
    let arena = Arena::own(options).await?;
    let party = Party::on(&arena).await?;
    arena.stack.straits().set(Link::GatewayToRedis(1), Weather::Cut);
    party.carol.leaves();
    // Redis hears of her leaving, gateway 1 does not.
    within(SOON, "Bob knows", || in_room(&party.bob, &party.carol.name) == [true, false]).await?;
    sleep(Duration::from_secs(2)).await;
    arena.stack.straits().set(Link::GatewayToRedis(1), Weather::Fair);
    party.alice_knows(SOON, "Carol left", &[true], &[true, false]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_to_a_gateway_without_redis_hears_who_came_after_and_not_who_was_there()
-> Result<()> {
    let options = Options { straits: true, ..three("presence-first-reading")? };
    let arena = Arena::own(options).await?;
    let [a, b, c, d] = ["alice", "bob", "carol", "dave"].map(|name| arena.newcomer(name));
    let (a, b, c, d) = (a.await?, b.await?, c.await?, d.await?);
    let (alice, bob, carol) = (a.enters(1).await?, b.enters(2).await?, c.enters(3).await?);
    let daves = d.enters(2).await?;
    let room = alice.makes_room(&arena.unique("room")).await?;
    alice.joins(&room).await?;
    arena.stack.straits().set(Link::GatewayToRedis(2), Weather::Cut);
    // Whatever Redis tells of Carol, gateway 2 does not hear it.
    bob.joins(&room).await?;
    carol.joins(&room).await?;
    within(SOON, "Alice knows", || in_room(&alice, &c.name) == [true]).await?;
    daves.joins(&room).await?;
    arena.stack.straits().set(Link::GatewayToRedis(2), Weather::Fair);
    within(SOON, "Bob knows", || in_room(&bob, &c.name) == [true]).await?;
    within(SOON, "Carol knows", || in_room(&carol, &b.name) == [true]).await?;
    sleep(QUIET).await;
    assert_eq!(in_room(&bob, &c.name), [true], "once");
    assert!(in_room(&bob, &a.name).is_empty(), "Alice was always there");
    for name in [&a.name, &c.name] {
        assert!(in_room(&daves, name).is_empty(), "{name} was there before Dave");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_another_is_out_hears_that_they_came_back_whatever_is_lost() -> Result<()> {
    let options = Options { straits: true, ..three("presence-back-unheard")? };
    let arena = Arena::own(options).await?;
    let party = Party::on(&arena).await?;
    let (d, e) = (arena.newcomer("dave").await?, arena.newcomer("erin").await?);
    // Bob and Dave were there in this order, when gateway 2 still heard all.
    let daves = d.enters(2).await?;
    daves.joins(&party.room).await?;
    within(SOON, "Bob knows Dave", || in_room(&party.bob, &d.name) == [true]).await?;
    let erins = e.enters(2).await?;
    arena.stack.straits().set(Link::GatewayToRedis(2), Weather::Cut);
    party.carol.leaves_room(&party.room).await?;
    let carol = &party.carol.name;
    within(SOON, "Alice knows", || in_room(&party.alice, carol) == [true, false]).await?;
    erins.joins(&party.room).await?;
    party.carol.joins(&party.room).await?;
    // So long that gateway 2 has to say everybody again.
    let gone = || in_room(&party.alice, &party.bob.name) == [true, false];
    within(LEASE_PROMISE, "Bob is gone", gone).await?;
    arena.stack.straits().set(Link::GatewayToRedis(2), Weather::Fair);
    within(SOON, "Erin knows", || in_room(&erins, carol) == [true]).await?;
    let back = || in_room(&party.alice, &party.bob.name) == [true, false, true];
    within(SOON, "Bob is back", back).await?;
    sleep(QUIET).await;
    assert_eq!(in_room(&erins, carol), [true], "once");
    assert_eq!(in_room(&party.bob, carol), [true], "Bob never heard that she was out");
    assert_eq!(in_room(&daves, carol), [true], "she had been there before him, and came anew");
    for name in [&party.alice.name, &party.bob.name, &d.name] {
        assert!(in_room(&erins, name).is_empty(), "{name} was there before Erin");
    }
    assert!(in_room(&daves, &party.bob.name).is_empty(), "Bob was there before Dave");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_to_a_room_just_after_redis_was_emptied_has_those_there_before() -> Result<()> {
    let arena = Arena::own(three_with_own_servers("presence-emptied-before")?).await?;
    let [a, b, c] = ["alice", "bob", "carol"].map(|name| arena.newcomer(name));
    let (a, b, c) = (a.await?, b.await?, c.await?);
    let (alice, bob, carol) = (a.enters(1).await?, b.enters(2).await?, c.enters(3).await?);
    let mut rooms = Vec::new();
    for _ in 0..5 {
        let room = alice.makes_room(&arena.unique("room")).await?;
        alice.joins(&room).await?;
        carol.joins(&room).await?;
        rooms.push(room);
    }
    let both = || in_room(&alice, &c.name) == vec![true; rooms.len()];
    within(SOON, "Redis knows both", both).await?;
    empty_redis(&arena).await?;
    for room in &rooms {
        bob.joins(room).await?;
    }
    let deadline = Instant::now() + SOON;
    while !is_told_again(&arena, &rooms).await? {
        ensure!(Instant::now() < deadline, "the gateways do not say who is there");
        sleep(Duration::from_millis(20)).await;
    }
    let all = vec![true; rooms.len()];
    within(SOON, "Alice knows", || in_room(&alice, &b.name) == all).await?;
    sleep(SETTLED).await;
    for name in [&a.name, &c.name] {
        assert!(in_room(&bob, name).is_empty(), "{name} was there before");
    }
    carol.leaves();
    let left = vec![false; rooms.len()];
    within(SOON, "Bob knows that Carol left", || in_room(&bob, &c.name) == left).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn several_gateways_that_die_at_once_leave_no_ghost() -> Result<()> {
    let arena = Arena::own(three("presence-two-died")?).await?;
    let party = Party::on(&arena).await?;
    let (two, three) = (arena.stack.gateway(2), arena.stack.gateway(3));
    tokio::try_join!(two.kill(), three.kill())?;
    let both = [true, false];
    party.alice_knows(LEASE_PROMISE, "Bob and Carol are gone", &both, &both).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_that_dies_while_it_clears_another_leaves_no_ghost() -> Result<()> {
    let arena = Arena::own(three("presence-clearing")?).await?;
    let party = Party::on(&arena).await?;
    let crowd = try_join_all((0..12).map(|_| arena.newcomer("crowd"))).await?;
    let mut sockets = Vec::new();
    for person in &crowd {
        let socket = person.enters(2).await?;
        socket.joins(&party.room).await?;
        sockets.push(socket);
    }
    // An acknowledged join may still be on its way to Redis: one that dies with its gateway there
    // was never told, so it is never taken back.
    let there = |p: &Person<'_>| in_room(&party.alice, &p.name) == [true];
    within(SOON, "the crowd is there", || crowd.iter().all(there)).await?;
    arena.stack.gateway(2).kill().await?;
    let gone = |p: &Person<'_>| in_room(&party.alice, &p.name) == [true, false];
    within(LEASE_PROMISE, "the first is gone", || crowd.iter().any(gone)).await?;
    arena.stack.gateway(3).kill().await?;
    within(SOON, "the crowd is gone", || crowd.iter().all(gone)).await?;
    let both = [true, false];
    party.alice_knows(LEASE_PROMISE, "Bob and Carol are gone", &both, &both).await?;
    assert!(crowd.iter().all(gone), "each once");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn when_all_gateways_died_new_ones_clear_up_after_them() -> Result<()> {
    let arena = Arena::own(three("presence-all-died")?).await?;
    let party = Party::on(&arena).await?;
    try_join_all((1..=3).map(|n| arena.stack.gateway(n).kill())).await?;
    try_join_all((1..=3).map(|n| arena.stack.gateway(n).start())).await?;
    let erin = arena.newcomer("erin").await?;
    let waits = watcher(&arena, &erin, 1, &[&party.bob.name, &party.carol.name]).await?;
    let erins = erin.enters(1).await?;
    erins.joins(&party.room).await?;
    // Long enough for the last lease to run out: they may have been taken for living at first.
    sleep(LEASE_PROMISE).await;
    for name in [&party.bob.name, &party.carol.name] {
        let is_ghost = online(&waits, name).last() == Some(&true);
        ensure!(!is_ghost, "{name} is a ghost: {:?}", online(&waits, name));
        ensure!(!in_room(&erins, name).contains(&true), "{name} has come back?");
    }
    // Whoever comes and goes now is told at once.
    let dave = arena.newcomer("dave").await?;
    let daves = dave.enters(2).await?;
    daves.joins(&party.room).await?;
    within(SOON, "Dave is there", || in_room(&erins, &dave.name) == [true]).await?;
    daves.leaves();
    within(SOON, "Dave has left", || in_room(&erins, &dave.name) == [true, false]).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reloads_or_moves_to_another_gateway_never_was_offline() -> Result<()> {
    let arena = Arena::own(three("presence-reload")?).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let waits = watcher(&arena, &alice, 1, &[&bob.name]).await?;
    let mut socket = bob.enters(2).await?;
    within(SOON, "Bob is online", || online(&waits, &bob.name) == [true]).await?;
    for gateway in [2, 3, 2] {
        socket.leaves();
        socket = bob.enters(gateway).await?;
    }
    sleep(QUIET).await;
    assert_eq!(online(&waits, &bob.name), [true]);
    drop(socket);
    within(SOON, "Bob is gone", || online(&waits, &bob.name) == [true, false]).await?;
    Ok(())
}
