//! Some stop reading. Nobody else notices, memory stays flat, and they can come back.

use std::{
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use harness::{Arena, Chatter, DeafSocket, Person, SocketIo};
use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep};

use crate::{Size, metric, people, seqs};

/// Who stops reading.
const DEAF: usize = 10;

/// The gateways' setting.
const WRITE_DEADLINE: Duration = Duration::from_secs(2);

/// How much a gateway may grow while five of its clients don't read: their queues of 1 MiB, what
/// lies between queue and socket, and what an allocator keeps.
const GROWTH_MAX_KIB: u64 = 64 * 1024;

/// Messages of 4 kB, so many a second, while all read.
const USUAL: usize = 50;
const PER_SECOND: u32 = 20;

/// How often some stop reading, with all reading in between: the machine has moods.
const ROUNDS: usize = 3;

/// When each message came to one reader.
type Times = Arc<Mutex<Vec<(u64, Instant)>>>;

struct Reader {
    times: Times,
    socket: SocketIo,
}

impl Reader {
    async fn enters(arena: &Arena, gateway: usize, who: &Person<'_>, room: &str) -> Result<Self> {
        let times = Times::default();
        let heard = Arc::clone(&times);
        let hear = move |frame: &str| {
            if frame.starts_with(r#"42["chat message""#) {
                let now = Instant::now();
                let mut times = heard.lock().unwrap_or_else(PoisonError::into_inner);
                times.extend(seqs(frame).map(|seq| (seq, now)));
            }
        };
        let socket = arena.gateway(gateway).token(&who.token).listens(hear).enters().await?;
        let ack = socket.asks("join room", json!({"roomId": room, "user": who.name})).await?;
        ensure!(ack["success"] == true, "not in: {ack}");
        Ok(Self { times, socket })
    }

    fn heard(&self) -> Vec<(u64, Instant)> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Which messages were said, and when.
type Said = Vec<(u64, Instant)>;

/// Talks at a steady pace, until so many are said and `enough` is set.
async fn talk(talker: &Chatter, room: &str, least: usize, enough: &AtomicBool) -> Result<Said> {
    let mut pace = interval(Duration::from_secs(1) / PER_SECOND);
    let text = "x".repeat(3_900);
    let mut said = Vec::new();
    while said.len() < least || !enough.load(Ordering::Relaxed) {
        pace.tick().await;
        let now = Instant::now();
        let message = talker.says(room, &text).await?;
        said.push((message["seq"].as_u64().context("a seq")?, now));
    }
    Ok(said)
}

/// Waits until all have heard the last one; returns the 99th percentile of all latencies.
async fn latency(readers: &[Reader], said: &[(u64, Instant)]) -> Result<Duration> {
    let (first, last) = (said.first().context("some")?.0, said.last().context("some")?.0);
    let until = Instant::now() + Duration::from_secs(60);
    let is_behind = |reader: &Reader| reader.heard().last().is_none_or(|(seq, _)| *seq < last);
    while readers.iter().any(is_behind) {
        ensure!(Instant::now() < until, "somebody did not hear the last message");
        sleep(Duration::from_millis(100)).await;
    }
    let mut latencies = Vec::new();
    for reader in readers {
        let heard = reader.heard();
        let part: Vec<_> = heard.iter().filter(|(seq, _)| *seq >= first).collect();
        let order: Vec<_> = part.iter().map(|(seq, _)| *seq).collect();
        ensure!(order == (first..=last).collect::<Vec<_>>(), "lost, doubled or out of order");
        latencies.extend(part.iter().zip(said).map(|((_, came), (_, went))| *came - *went));
    }
    latencies.sort();
    Ok(latencies[latencies.len() * 99 / 100])
}

fn memory_kib(arena: &Arena, gateway: usize) -> Result<u64> {
    let pid = arena.stack.gateway(gateway).pid().context("it runs")?;
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS")).context("VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}

/// Some connect and stop reading; returns how long it took until they were gone.
async fn deaf_come_and_go(arena: &Arena, who: &Person<'_>, room: &str) -> Result<Duration> {
    let closed = "switchboard_closed_total";
    let before = metric(arena, closed).await?;
    let request = json!(["join room", {"roomId": room, "user": who.name}]).to_string();
    let urls = arena.stack.urls();
    let deaf = (0..DEAF).map(|n| (urls.gateway(1 + n % 2), &who.token, &request));
    let deaf = deaf.map(async |(url, token, ask)| DeafSocket::asks(&url, token, ask).await);
    let _deaf = try_join_all(deaf).await?;
    let began = Instant::now();
    while metric(arena, closed).await? < before + DEAF as f64 {
        ensure!(began.elapsed() < Duration::from_secs(60), "they are still there");
        sleep(Duration::from_millis(100)).await;
    }
    Ok(began.elapsed())
}

fn median(mut of: Vec<Duration>) -> Duration {
    of.sort();
    of[of.len() / 2]
}

#[tokio::test(flavor = "multi_thread")]
async fn who_stops_reading_is_cut_off_and_nobody_else_notices() -> Result<()> {
    let mut options = Arena::options("slow-readers")?;
    let deadline = WRITE_DEADLINE.as_secs().to_string();
    options.gateway_env.push(("WRITE_DEADLINE".to_owned(), deadline));
    let arena = Arena::own(options).await?;
    let people = people(&arena, 8).await?;
    let talker = arena.newcomer("talker").await?.enters(1).await?;
    let room = talker.makes_room(&arena.unique("hall")).await?;
    talker.joins(&room).await?;

    let mut readers = Vec::new();
    let numbers: Vec<_> = (0..Size::given()?.readers).collect();
    for some in numbers.chunks(50) {
        let enter = |n: &usize| Reader::enters(&arena, 1 + n % 2, &people[n % 8], &room);
        readers.extend(try_join_all(some.iter().map(enter)).await?);
    }
    let (mut usual, mut unusual) = (Vec::new(), Vec::new());
    let (mut before, mut missed) = (None, Vec::new());
    for _ in 0..ROUNDS {
        // To come in costs something too: as many come who read.
        let come = (0..DEAF).map(|n| Reader::enters(&arena, 1 + n % 2, &people[0], &room));
        let enough = AtomicBool::new(true);
        let (said, _others) =
            tokio::try_join!(talk(&talker, &room, USUAL, &enough), try_join_all(come))?;
        usual.push(latency(&readers, &said).await?);
        before = before.or(Some([memory_kib(&arena, 1)?, memory_kib(&arena, 2)?]));
        let caught_up = said.last().context("some")?.0;

        let are_gone = AtomicBool::new(false);
        let deaf = async {
            let gone = deaf_come_and_go(&arena, &people[0], &room).await;
            are_gone.store(true, Ordering::Relaxed);
            gone
        };
        let (said, gone) = tokio::try_join!(talk(&talker, &room, 1, &are_gone), deaf)?;
        unusual.push(latency(&readers, &said).await?);
        println!("deaf gone after {gone:?}");
        // Until something waits at all, a few messages go into operating systems' buffers.
        assert!(gone < WRITE_DEADLINE + Duration::from_secs(12), "they stayed for {gone:?}");
        missed.push((caught_up, said));
    }
    let (before, after) =
        (before.context("a round")?, [memory_kib(&arena, 1)?, memory_kib(&arena, 2)?]);
    println!("{} readers: p99 {usual:?}, with {DEAF} deaf {unusual:?}", readers.len());
    println!("gateways' memory {before:?} KiB, then {after:?} KiB");
    assert!(readers.iter().all(|reader| reader.socket.is_open()), "readers stay");
    let (usual, unusual) = (median(usual), median(unusual));
    let bound = usual * 3 / 2 + Duration::from_millis(100);
    assert!(unusual < bound, "others notice: {unusual:?} instead of {usual:?}");
    for (before, after) in before.iter().zip(after) {
        assert!(after < before + GROWTH_MAX_KIB, "grew from {before} to {after} KiB");
    }
    all_is_written(&arena).await?;

    // One of them comes back.
    let (caught_up, said) = missed.pop().context("a round")?;
    let back = arena.gateway(2).token(&people[0].token).enters().await?;
    let ask = json!({"roomId": room, "user": people[0].name, "since": caught_up});
    let ack = back.asks("join room", ask).await?;
    assert_eq!(ack["success"], true, "{ack}");
    let history = back.hears("message history", |_| true).await?.to_string();
    let expected: Vec<_> = said.iter().map(|(seq, _)| *seq).collect();
    assert_eq!(seqs(&history).collect::<Vec<_>>(), expected, "it misses nothing");
    Ok(())
}

/// What is counted in is counted out again, to the byte.
async fn all_is_written(arena: &Arena) -> Result<()> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let waiting = metric(arena, "switchboard_waiting_bytes").await?;
        if waiting == 0.0 {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{waiting} bytes still count as waiting");
        sleep(Duration::from_millis(200)).await;
    }
}

/// Joins a room by polling, and never polls again.
async fn joins_and_stops_polling(url: &str, token: &str, join: &str) -> Result<()> {
    let (http, url) = (reqwest::Client::new(), format!("{url}/socket.io/?EIO=4&transport=polling"));
    let hello = http.get(&url).send().await?.text().await?;
    let hello: Value = serde_json::from_str(&hello[1..])?;
    let url = format!("{url}&sid={}", hello["sid"].as_str().context("a session")?);
    for (packet, answer) in
        [(format!(r#"40{{"token":"{token}"}}"#), "40{"), (format!("421{join}"), "431[")]
    {
        http.post(&url).body(packet).send().await?.error_for_status()?;
        while !http.get(&url).send().await?.error_for_status()?.text().await?.contains(answer) {}
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_one_who_does_not_read_is_bounded_whatever_carries_it() -> Result<()> {
    let mut options = Arena::options("deaf-kinds")?;
    // Long deadline: the bytes decide.
    for (name, value) in [("QUEUE_BYTES", "65536"), ("WRITE_DEADLINE", "600")] {
        options.gateway_env.push((name.to_owned(), value.to_owned()));
    }
    let arena = Arena::own(options).await?;
    let (alice, deaf) = (arena.newcomer("alice").await?, arena.newcomer("deaf").await?);
    let (alice, bob) = (alice.enters(1).await?, arena.newcomer("bob").await?.enters(1).await?);
    let room = &alice.makes_room(&arena.unique("room")).await?;
    bob.joins(room).await?;
    alice.joins(room).await?;

    let url = arena.stack.urls().gateway(1);
    let join = json!(["join room", {"roomId": room, "user": deaf.name}]).to_string();
    let _socket_io = DeafSocket::asks(&url, &deaf.token, &join).await?;
    let _plain = DeafSocket::watches(&url, &deaf.token, room).await?;
    joins_and_stops_polling(&url, &deaf.token, &join).await?;

    let slow = r#"switchboard_closed_total{reason="slow_reader"}"#;
    let mut said = 0;
    while metric(&arena, slow).await? < 3.0 {
        ensure!(said < 1_000, "only {} were cut off", metric(&arena, slow).await?);
        for _ in 0..20 {
            alice.says(room, &format!("{said} {}", "x".repeat(3_900))).await?;
            said += 1;
        }
    }
    alice.says(room, "the last").await?;
    bob.reads("the last").await?;
    ensure!(bob.all("chat message").len() == said + 1, "who reads misses nothing");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_history_reaches_one_who_reads_through_a_small_queue() -> Result<()> {
    let mut options = Arena::options("small-queue")?;
    options.gateway_env.push(("QUEUE_BYTES".to_owned(), "20000".to_owned()));
    let arena = Arena::own(options).await?;
    let alice = arena.newcomer("alice").await?.enters(1).await?;
    let room = &alice.makes_room(&arena.unique("room")).await?;
    alice.joins(room).await?;
    let text = "x".repeat(3_900);
    for _ in 0..50 {
        alice.says(room, &text).await?;
        alice.reads(&text).await?;
    }
    // Ten times the queue's length, several times at once.
    let join = || alice.emit_with_ack("join room", json!({"roomId": room, "user": alice.name}));
    for ack in [join(), join(), join()] {
        assert_eq!(ack.answer().await?["success"], true);
    }
    for _ in 0..3 {
        let history = alice.hears("message history", |h| h.as_array().is_some_and(|h| h.len() > 9));
        assert_eq!(history.await?.as_array().map(Vec::len), Some(50));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_hangs_leaves_its_room_once() -> Result<()> {
    let arena = Arena::own(Arena::options("hangs")?).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let alice = alice.enters(1).await?;
    let room = &alice.makes_room(&arena.unique("room")).await?;
    alice.joins(room).await?;
    let hangs = arena.gateway(2).token(&bob.token).plays_dead().enters().await?;
    let ack = hangs.asks("join room", json!({"roomId": room, "user": bob.name})).await?;
    assert_eq!(ack["success"], true, "{ack}");
    // The ping's interval and timeout, and the grace for those who come back.
    let until = Instant::now() + Duration::from_secs(75);
    while alice.all("user left room").is_empty() {
        ensure!(Instant::now() < until, "nobody noticed");
        sleep(Duration::from_millis(200)).await;
    }
    alice.says(room, "marker").await?;
    alice.reads("marker").await?;
    assert_eq!(alice.all("user left room"), [json!({"roomId": room, "user": bob.name})]);
    Ok(())
}
