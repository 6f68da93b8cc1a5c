//! The table: each of MySQL, Redis and message-api, and each two of them, dead, silent and slow.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use harness::{Arena, Chatter, Person};
use journeys::stored;
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{
    fault::{Dependency, EACH_AND_EACH_PAIR, Way},
    heard_texts, leaks, long_outage, options, room_of,
    talk::{BOUND, Key, Talk, talks},
};

/// Longer than it takes to notice silence, and to repair.
const LONG: Duration = Duration::from_secs(12);

#[tokio::test(flavor = "multi_thread")]
async fn short_outages_lose_nothing_and_leave_nothing() -> Result<()> {
    let of_all = async |way: Way| {
        let arena = Arena::own(options(&format!("short-{way:?}"))?).await?;
        let scene = Scene::set(&arena).await?;
        let before = leaks::count(&arena).await?;
        for hurt in EACH_AND_EACH_PAIR {
            let outage = Outage { hurt, way, lasts: Duration::from_secs(1) };
            outage.passes(&scene).await.with_context(|| format!("{outage:?}"))?;
        }
        leaks::none_since(&arena, &before).await
    };
    try_join_all([Way::Dead, Way::Silent, Way::Slow].map(of_all)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn long_outages_lose_nothing_and_leave_nothing() -> Result<()> {
    let lasts = long_outage()?;
    let one = async |hurt: &'static [Dependency]| {
        let arena = Arena::own(options("long")?).await?;
        let scene = Scene::set(&arena).await?;
        let before = leaks::count(&arena).await?;
        let outage = Outage { hurt, way: Way::Dead, lasts };
        outage.passes(&scene).await.with_context(|| format!("{outage:?}"))?;
        leaks::none_since(&arena, &before).await
    };
    try_join_all(EACH_AND_EACH_PAIR.map(one)).await.map(drop)
}

/// Two people on two gateways, and one more who types.
struct Scene<'a> {
    arena: &'a Arena,
    person: Person<'a>,
    alice: Chatter,
    bob: Chatter,
    typist: Chatter,
}

impl<'a> Scene<'a> {
    async fn set(arena: &'a Arena) -> Result<Self> {
        let (person, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
        let typist = arena.newcomer("typist").await?.enters(1).await?;
        let (alice, bob) = (person.enters(1).await?, bob.enters(2).await?);
        Ok(Self { arena, person, alice, bob, typist })
    }
}

/// One outage.
#[derive(Clone, Copy, Debug)]
struct Outage {
    hurt: &'static [Dependency],
    way: Way,
    lasts: Duration,
}

impl Outage {
    fn is_of(self, dependency: Dependency) -> bool {
        self.hurt.contains(&dependency)
    }

    /// Before, during, after.
    async fn passes(self, scene: &Scene<'_>) -> Result<()> {
        let Scene { arena, alice, bob, typist, .. } = scene;
        let room = room_of(arena, &[alice, bob, typist]).await?;
        alice.says(&room, "before").await?;
        bob.reads("before").await?;
        let stop = AtomicBool::new(false);
        let pause = self.lasts / 250 + Duration::from_millis(60);
        let (of_alice, of_bob, ()) = tokio::try_join!(
            talks(alice, &room, Key::Given, pause, &stop),
            talks(bob, &room, Key::Given, pause, &stop),
            async {
                let lived = self.lived_through(scene, &room).await;
                stop.store(true, Ordering::Relaxed);
                lived
            },
        )?;
        self.books_are_right(scene, &room, &[of_alice, of_bob]).await
    }

    /// The outage itself.
    async fn lived_through(self, scene: &Scene<'_>, room: &str) -> Result<()> {
        let Scene { arena, alice, bob, typist, .. } = scene;
        let heard = heard_texts(bob, room).len();
        for hurt in self.hurt {
            hurt.suffers(arena, self.way).await?;
        }
        let over = Instant::now() + self.lasts;
        if !self.is_of(Dependency::Redis) {
            typist.emit("typing", json!({ "roomId": room }));
            bob.hears("typing", |typing| typing["roomId"] == room).await?;
        }
        self.rest_answers(&scene.person).await?;
        while Instant::now() < over {
            sleep(Duration::from_millis(20)).await;
        }
        if self.hurt == [Dependency::Redis] && self.lasts > LONG {
            let now = heard_texts(bob, room).len();
            ensure!(now > heard, "without Redis nothing was posted, or nothing was repaired");
        }
        ensure!(alice.is_open() && bob.is_open() && typist.is_open(), "sockets stay");
        for hurt in self.hurt {
            hurt.recovers(arena, self.way)?;
        }
        // What was said during the outage is said by now, and more.
        let all = heard_texts(bob, room).len();
        let until = Instant::now() + Duration::from_secs(40);
        while heard_texts(bob, room).len() < all + 10 {
            ensure!(Instant::now() < until, "it does not recover");
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// REST refuses by 503 and in time, and never calls anybody logged out.
    async fn rest_answers(self, person: &Person<'_>) -> Result<()> {
        if self.is_of(Dependency::Api) && self.way == Way::Dead {
            return Ok(());
        }
        let lasts = self.lasts > LONG;
        for (path, needs) in
            [("/api/verify", Dependency::Redis), ("/api/conversations/", Dependency::MySql)]
        {
            let asked = Instant::now();
            let answer = person.http.get(path).await?;
            ensure!(asked.elapsed() < BOUND, "{path} took {:?}", asked.elapsed());
            let fits = match answer.status {
                503 => answer.header("retry-after") == "1",
                200 => !(lasts && self.way != Way::Slow && self.is_of(needs)),
                _ => false,
            };
            ensure!(fits, "{path}: {answer:?}");
        }
        Ok(())
    }

    /// Stored exactly once, heard exactly once, in one order.
    async fn books_are_right(
        self,
        Scene { arena, alice, bob, .. }: &Scene<'_>,
        room: &str,
        talks: &[Talk],
    ) -> Result<()> {
        let last = alice.says(room, "after").await?;
        for socket in [alice, bob] {
            let in_room = |m: &serde_json::Value| m["room"] == room && m["text"] == "after";
            socket.hears("chat message", in_room).await?;
        }
        let stored = stored::texts(arena, room).await?;
        ensure!(heard_texts(alice, room) == stored, "alice heard something else: {stored:?}");
        ensure!(heard_texts(bob, room) == stored, "bob heard something else: {stored:?}");
        ensure!(last["seq"] == stored.len(), "a seq was skipped, or something stored twice");
        for talk in talks {
            let kept: Vec<_> = stored.iter().filter(|text| talk.said.contains(text)).collect();
            ensure!(kept.into_iter().eq(&talk.said), "not as it was said: {stored:?}");
        }
        let (said, refused): (usize, usize) =
            (talks.iter().map(|t| t.said.len()).sum(), talks.iter().map(|t| t.refused).sum());
        let slowest = talks.iter().map(|t| t.slowest).max();
        println!(
            "{:?} {:?} {:?}: {said} said, {refused} refused, slowest {slowest:?}",
            self.hurt, self.way, self.lasts
        );
        Ok(())
    }
}
