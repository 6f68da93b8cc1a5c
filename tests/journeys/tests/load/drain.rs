//! Every replica is restarted in turn under traffic. Clients come back by themselves; nothing is
//! lost, doubled or reordered, and nobody is seen to leave.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use harness::{Arena, Person, SocketIo};
use journeys::stored;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::people;

/// Who talks at the same time.
const PEOPLE: usize = 8;

/// How long a client goes on trying.
const PATIENCE: Duration = Duration::from_secs(60);

/// One who comes back elsewhere whenever the connection ends, and sends again what was not
/// acknowledged.
struct Loyal<'a> {
    arena: &'a Arena,
    who: &'a Person<'a>,
    room: &'a str,
    gateway: usize,
    socket: Option<SocketIo>,
    /// What it heard on connections that have ended.
    seen: Vec<u64>,
    texts: Vec<String>,
    returns: usize,
    left: usize,
}

impl<'a> Loyal<'a> {
    fn new(arena: &'a Arena, who: &'a Person<'a>, room: &'a str, gateway: usize) -> Self {
        let (seen, texts) = (Vec::new(), Vec::new());
        Self { arena, who, room, gateway, socket: None, seen, texts, returns: 0, left: 0 }
    }

    /// Writes down what the connection has heard, and gives it away.
    fn note(&mut self) -> Option<SocketIo> {
        let socket = self.socket.take()?;
        for heard in socket.everything() {
            let messages = match heard.event.as_str() {
                "message history" => heard.data.as_array().cloned().unwrap_or_default(),
                "chat message" => vec![heard.data],
                "user left room" => {
                    self.left += 1;
                    continue;
                }
                _ => continue,
            };
            for message in messages {
                self.seen.push(message["seq"].as_u64().unwrap_or_default());
                self.texts.push(message["text"].as_str().unwrap_or_default().to_owned());
            }
        }
        Some(socket)
    }

    async fn connect(&mut self) -> Result<()> {
        drop(self.note());
        let until = Instant::now() + PATIENCE;
        loop {
            match self.try_to_connect().await {
                Ok(socket) => {
                    self.returns += 1;
                    self.socket = Some(socket);
                    return Ok(());
                }
                Err(error) => ensure!(Instant::now() < until, "nobody lets me in: {error:#}"),
            }
            self.gateway = 3 - self.gateway;
            sleep(Duration::from_millis(100)).await;
        }
    }

    async fn try_to_connect(&self) -> Result<SocketIo> {
        let knock = self.arena.gateway(self.gateway).named(&self.who.name).token(&self.who.token);
        let socket = knock.enters().await?;
        let since = self.seen.last().copied().unwrap_or_default();
        let join = json!({"roomId": self.room, "user": self.who.name, "since": since});
        let ack = socket.asks("join room", join).await?;
        ensure!(ack["success"] == true, "not in: {ack}");
        Ok(socket)
    }

    /// Says it until it is acknowledged.
    async fn says(&mut self, text: &str) -> Result<()> {
        let line = json!({"roomId": self.room, "text": text, "clientId": text});
        let until = Instant::now() + PATIENCE;
        loop {
            let ack = match &self.socket {
                Some(socket) if socket.is_open() => socket.asks("chat message", line.clone()).await,
                _ => Err(anyhow::anyhow!("not connected")),
            };
            match ack {
                Ok(ack) if ack["success"] == true => return Ok(()),
                Ok(ack) => {
                    ensure!(ack["code"] == "unavailable", "a final refusal: {ack}");
                    sleep(Duration::from_millis(50)).await;
                }
                Err(_) => self.connect().await?,
            }
            ensure!(Instant::now() < until, "{text} was never acknowledged");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_loses_doubles_and_reorders_nothing() -> Result<()> {
    let options = Arena::options("rolling")?;
    let arena = Arena::own(local_stack::Options { apis: 2, gateways: 2, ..options }).await?;
    let people = people(&arena, PEOPLE).await?;
    let host = arena.newcomer("host").await?.enters(1).await?;
    let room = &host.makes_room(&arena.unique("room")).await?;
    drop(host);

    let over = AtomicBool::new(false);
    let said = AtomicUsize::new(0);
    let talking = people.iter().enumerate().map(async |(n, who)| {
        let mut client = Loyal::new(&arena, who, room, 1 + n % 2);
        client.connect().await?;
        let mut count = 0;
        while !over.load(Ordering::Relaxed) {
            client.says(&format!("{n}.{count}")).await?;
            count += 1;
            said.fetch_add(1, Ordering::Relaxed);
            sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok((client, count))
    });
    let restarting = async {
        let stack = &arena.stack;
        for part in [stack.gateway(1), stack.gateway(2), stack.api(1), stack.api(2)] {
            let began = Instant::now();
            let status = part.stop().await?;
            println!("{} stopped in {:?}", part.name(), began.elapsed());
            ensure!(status.success(), "{} ended with {status}", part.name());
            part.start().await?;
            let before = said.load(Ordering::Relaxed);
            while said.load(Ordering::Relaxed) < before + 20 * PEOPLE {
                sleep(Duration::from_millis(20)).await;
            }
        }
        over.store(true, Ordering::Relaxed);
        anyhow::Ok(())
    };
    let (mut clients, ()) = tokio::try_join!(try_join_all(talking), restarting)?;
    let said: usize = clients.iter().map(|(_, count)| count).sum();
    println!("{said} said");
    // Nobody is gone before everybody has written down: from then on they really leave.
    let sockets: Vec<_> = clients.iter_mut().map(|(client, _)| client.note()).collect();
    drop(sockets);
    for (client, _) in clients {
        ensure!(client.left == 0, "{} saw somebody leave", client.who.name);
        audit(client, said).await?;
    }
    Ok(())
}

/// Every message of everybody, once, in order.
async fn audit(mut client: Loyal<'_>, said: usize) -> Result<()> {
    let who = client.who.name.clone();
    // A last return shows that nothing is missing at the end.
    let until = Instant::now() + PATIENCE;
    loop {
        client.connect().await?;
        let socket = client.socket.as_ref().context("connected")?;
        socket.hears("message history", |_| true).await?;
        drop(client.note());
        if client.seen.len() >= said {
            break;
        }
        ensure!(Instant::now() < until, "{who} heard only {} of {said}", client.seen.len());
    }
    let expected: Vec<u64> = (1..=said as u64).collect();
    ensure!(client.seen == expected, "{who}: lost, doubled or out of order: {:?}", client.seen);
    let mut texts = client.texts.clone();
    texts.sort();
    texts.dedup();
    ensure!(texts.len() == said, "{who} saw {} different texts of {said}", texts.len());
    ensure!(client.returns > 1, "{who} was never sent away");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_received_before_the_stop_is_acknowledged_or_the_connection_ends() -> Result<()> {
    let arena = Arena::own(Arena::options("in-hand")?).await?;
    let alice = arena.newcomer("alice").await?.enters(1).await?;
    let room = &alice.makes_room(&arena.unique("room")).await?;
    alice.joins(room).await?;
    let line = |n: usize| json!({"roomId": room, "text": format!("m{n}")});
    let acks: Vec<_> = (0..200).map(|n| alice.emit_with_ack("chat message", line(n))).collect();
    // The first is acknowledged: the others have been received, or are on their way.
    let mut acks = acks.into_iter();
    let mut granted = 0;
    let answer = acks.next().context("200")?.answer().await?;
    granted += usize::from(answer["success"] == true);
    arena.stack.gateway(1).terminate()?;
    for ack in acks {
        let Ok(answer) = ack.answer().await else { break };
        ensure!(answer["success"] == true, "a request was neither done nor dropped: {answer}");
        granted += 1;
    }
    alice.sees_the_end().await?;
    ensure!(arena.stack.gateway(1).exited().await?.success(), "exit code 0");
    println!("{granted} of 200 were acknowledged");
    let stored = stored::posts(&arena, room).await?.len();
    ensure!(stored == granted, "{stored} stored, {granted} acknowledged");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_websocket_is_told_why_it_ends_and_readiness_goes_first() -> Result<()> {
    let mut options = Arena::options("told")?;
    options.gateway_env.push(("DRAIN_DELAY".to_owned(), "2".to_owned()));
    let arena = Arena::own(options).await?;
    let alice = arena.newcomer("alice").await?;
    let live = alice.watches(1, "lobby").await?;
    arena.stack.gateway(1).terminate()?;
    let ready = format!("{}/readyz", arena.stack.urls().gateway_admin(1));
    while reqwest::get(&ready).await?.status().is_success() {
        sleep(Duration::from_millis(20)).await;
    }
    // Who does not know yet is still served.
    ensure!(live.is_open(), "readiness goes before the clients");
    live.sends(&json!({"text": "still here"}));
    live.hears("posted", |frame: &Value| frame["status"] == "success").await?;
    assert_eq!(live.sees_the_end().await?, "closed: 1012 draining");
    ensure!(arena.stack.gateway(1).exited().await?.success(), "exit code 0");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() -> Result<()> {
    let mut options = Arena::options("second")?;
    let delay = ("DRAIN_DELAY".to_owned(), "600".to_owned());
    options.gateway_env.push(delay.clone());
    options.api_env.push(delay);
    let arena = Arena::own(options).await?;
    let urls = arena.stack.urls();
    let parts =
        [(arena.stack.gateway(1), urls.gateway_admin(1)), (arena.stack.api(1), urls.api_admin(1))];
    for (part, admin) in parts {
        part.terminate()?;
        while reqwest::get(format!("{admin}/readyz")).await?.status().is_success() {
            sleep(Duration::from_millis(20)).await;
        }
        let began = Instant::now();
        part.terminate()?;
        assert_eq!(part.exited().await?.code(), Some(130), "{}", part.name());
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn message_api_finishes_what_was_asked_over_rest() -> Result<()> {
    let arena = Arena::own(Arena::options("rest-in-hand")?).await?;
    let people = people(&arena, PEOPLE).await?;
    let host = people[0].enters(1).await?;
    let room = &host.makes_room(&arena.unique("room")).await?;
    let path = format!("/api/conversations/{room}");
    let granted = AtomicUsize::new(0);
    let posting = people.iter().map(async |who| {
        // Until nobody listens any more: what is answered was done.
        while let Ok(answer) = who.http.post_json(&path, &json!({"text": "hello"})).await {
            answer.expect(200)?;
            granted.fetch_add(1, Ordering::Relaxed);
        }
        anyhow::Ok(())
    });
    let stopping = async {
        while granted.load(Ordering::Relaxed) < 5 * PEOPLE {
            sleep(Duration::from_millis(5)).await;
        }
        ensure!(arena.stack.api(1).stop().await?.success(), "exit code 0");
        anyhow::Ok(())
    };
    tokio::try_join!(try_join_all(posting), stopping)?;
    arena.stack.api(1).start().await?;
    let stored = stored::posts(&arena, room).await?.len();
    let granted = granted.into_inner();
    println!("{granted} were answered");
    ensure!(stored == granted, "{stored} stored, {granted} answered");
    Ok(())
}
