//! Thousands are dropped at once, and come back like official clients: with backoff and jitter,
//! to whichever gateway is there, catching up by `since`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use anyhow::{Result, ensure};
use futures_util::future::{join_all, try_join_all};
use harness::{Arena, Person, SocketIo};
use serde_json::json;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{Size, people, seqs};

/// Rooms that they are in.
const ROOMS: usize = 50;

/// In which all are back.
const ALL_BACK: Duration = Duration::from_secs(120);

/// What all clients know.
struct Crowd {
    gateways: [String; 2],
    inside: AtomicUsize,
    over: AtomicBool,
    /// Refusals that an official client would not get over by itself.
    final_refusals: AtomicUsize,
    attempts: AtomicUsize,
}

/// One of them.
struct One {
    number: usize,
    token: String,
    name: String,
    room: String,
    /// The newest that it has heard.
    last: Arc<AtomicU64>,
}

impl One {
    /// Comes in, and comes back whenever it is dropped.
    async fn live(self: Arc<Self>, crowd: Arc<Crowd>) {
        let mut failures = 0_u32;
        while !crowd.over.load(Ordering::Relaxed) {
            let gateway = &crowd.gateways[(self.number + failures as usize) % 2];
            crowd.attempts.fetch_add(1, Ordering::Relaxed);
            match self.comes_in(gateway).await {
                Ok(socket) => {
                    failures = 0;
                    crowd.inside.fetch_add(1, Ordering::Relaxed);
                    while socket.is_open() && !crowd.over.load(Ordering::Relaxed) {
                        let _ = socket.sees_the_end().await;
                    }
                    crowd.inside.fetch_sub(1, Ordering::Relaxed);
                }
                Err(error) => {
                    failures += 1;
                    if error.to_string().contains("connect_error") {
                        crowd.final_refusals.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
            sleep(self.pause(failures)).await;
        }
    }

    /// Like socket.io-client: one second, doubled up to five, half of it more or less.
    fn pause(&self, failures: u32) -> Duration {
        let whole = 1_000 << failures.min(3);
        let jitter = (self.number as u64 * 7_919 + u64::from(failures) * 104_729) % 1_000;
        Duration::from_millis(whole.min(5_000) * (500 + jitter) / 1_000)
    }

    async fn comes_in(&self, gateway: &str) -> Result<SocketIo> {
        let last = Arc::clone(&self.last);
        let hear = move |frame: &str| {
            if frame.starts_with(r#"42["chat message""#) || frame.starts_with(r#"42["message h"#) {
                let newest = seqs(frame).max().unwrap_or_default();
                last.fetch_max(newest, Ordering::Relaxed);
            }
        };
        let socket = SocketIo::at(gateway).token(&self.token).listens(hear).enters().await?;
        let since = self.last.load(Ordering::Relaxed);
        let ask = json!({"roomId": self.room, "user": self.name, "since": since});
        let ack = socket.asks("join room", ask).await?;
        ensure!(ack["success"] == true, "not in: {ack}");
        Ok(socket)
    }
}

/// Waits until so many are inside, and have heard the newest of their rooms.
async fn all_are_back(crowd: &Crowd, all: &[Arc<One>], newest: u64) -> Result<()> {
    let is_behind = |one: &Arc<One>| one.last.load(Ordering::Relaxed) < newest;
    let until = Instant::now() + ALL_BACK;
    loop {
        let inside = crowd.inside.load(Ordering::Relaxed);
        let behind = all.iter().filter(|one| is_behind(one)).count();
        if inside == all.len() && behind == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{inside} are inside, {behind} have not caught up");
        sleep(Duration::from_millis(50)).await;
    }
}

/// Says something in every room over REST.
async fn news(who: &Person<'_>, rooms: &[String]) -> Result<()> {
    let posting = rooms.iter().map(async |room| {
        let path = format!("/api/conversations/{room}");
        who.http.post_json(&path, &json!({"text": "news"})).await?.expect(200)
    });
    try_join_all(posting).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn all_come_back_by_themselves_and_catch_up() -> Result<()> {
    let arena = Arena::own(Arena::options("storm")?).await?;
    let people = people(&arena, 10).await?;
    let host = people[0].enters(1).await?;
    let mut rooms = Vec::new();
    for _ in 0..ROOMS {
        rooms.push(host.makes_room(&arena.unique("room")).await?);
    }
    drop(host);
    let urls = arena.stack.urls();
    let crowd = Arc::new(Crowd {
        gateways: [urls.gateway(1), urls.gateway(2)],
        inside: AtomicUsize::new(0),
        over: AtomicBool::new(false),
        final_refusals: AtomicUsize::new(0),
        attempts: AtomicUsize::new(0),
    });
    let all: Vec<_> = (0..Size::given()?.storm)
        .map(|number| {
            let (who, room) = (&people[number % people.len()], &rooms[number / 2 % ROOMS]);
            let last = Arc::default();
            let (token, name) = (who.token.clone(), who.name.clone());
            Arc::new(One { number, token, name, room: room.clone(), last })
        })
        .collect();
    let mut living = JoinSet::new();
    for one in &all {
        living.spawn(Arc::clone(one).live(Arc::clone(&crowd)));
    }
    let began = Instant::now();
    news(&people[0], &rooms).await?;
    all_are_back(&crowd, &all, 1).await?;
    println!("{} came in at once in {:?}", all.len(), began.elapsed());

    let began = Instant::now();
    arena.stack.gateway(1).kill().await?;
    news(&people[0], &rooms).await?;
    all_are_back(&crowd, &all, 2).await?;
    println!("half dropped: all back after {:?}", began.elapsed());

    arena.stack.gateway(1).start().await?;
    let began = Instant::now();
    join_all([1, 2].map(|n| arena.stack.gateway(n).kill())).await;
    try_join_all([1, 2].map(|n| arena.stack.gateway(n).start())).await?;
    news(&people[0], &rooms).await?;
    all_are_back(&crowd, &all, 3).await?;
    println!("all dropped: all back after {:?}", began.elapsed());

    // One is stopped in the middle of it, in order.
    let began = Instant::now();
    join_all([1, 2].map(|n| arena.stack.gateway(n).kill())).await;
    try_join_all([1, 2].map(|n| arena.stack.gateway(n).start())).await?;
    while crowd.inside.load(Ordering::Relaxed) < all.len() / 3 {
        ensure!(began.elapsed() < ALL_BACK, "a third are not back");
        sleep(Duration::from_millis(20)).await;
    }
    ensure!(arena.stack.gateway(2).stop().await?.success(), "exit code 0");
    arena.stack.gateway(2).start().await?;
    news(&people[0], &rooms).await?;
    all_are_back(&crowd, &all, 4).await?;
    println!("all dropped, a gateway stopped meanwhile: all back after {:?}", began.elapsed());
    println!("{} attempts in all", crowd.attempts.load(Ordering::Relaxed));
    crowd.over.store(true, Ordering::Relaxed);
    assert_eq!(crowd.final_refusals.load(Ordering::Relaxed), 0, "nobody is refused for good");
    Ok(())
}
