//! Carries the schedule out, writes down what was done when, and heals everything in the end.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result};
use harness::Arena;
use local_stack::{Part, Weather};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    books::Books,
    schedule::{Deed, Fault, Target},
};

/// A deed as it was really done.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    /// What.
    pub deed: Deed,
    /// Begun.
    pub from: Duration,
    /// Over; for a program that was started again, when it was spawned.
    pub until: Duration,
}

/// What was done, and what should not have happened.
#[derive(Debug, Default)]
pub struct Ledger {
    done: Mutex<Vec<Done>>,
    bad_ends: Mutex<Vec<String>>,
}

impl Ledger {
    /// All deeds that are over.
    #[must_use]
    pub fn done(&self) -> Vec<Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Programs that did not end as they should, each a sentence.
    #[must_use]
    pub fn bad_ends(&self) -> Vec<String> {
        self.bad_ends.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes down such a sentence.
    pub fn blame(&self, sentence: String) {
        self.bad_ends.lock().unwrap_or_else(PoisonError::into_inner).push(sentence);
    }
}

/// The part that a target is.
pub fn part(arena: &Arena, target: Target) -> Result<&Part> {
    Ok(match target {
        Target::Gateway(n) => arena.stack.gateway(n),
        Target::Api(n) => arena.stack.api(n),
        Target::Redis => arena.stack.redis().context("a private Redis")?,
        Target::Database => arena.stack.mariadb().context("a private MariaDB")?,
    })
}

/// Carries out all of it; returns when the last fault is over.
pub async fn storm(arena: &Arc<Arena>, books: &Arc<Books>, ledger: &Arc<Ledger>, plan: &[Fault]) {
    let begin = Instant::now();
    let mut deeds = JoinSet::new();
    // A program that takes its time to stop is neither killed nor paused before it runs again.
    let mut turns: BTreeMap<Option<Target>, Arc<tokio::sync::Mutex<()>>> = BTreeMap::new();
    for fault in plan.iter().copied() {
        let (arena, books, ledger) = (Arc::clone(arena), Arc::clone(books), Arc::clone(ledger));
        let target = fault.deed.target();
        let turn = Arc::clone(turns.entry(target).or_default());
        deeds.spawn(async move {
            sleep_until(begin + fault.at).await;
            let _turn = if target.is_some() { Some(turn.lock().await) } else { None };
            let from = books.now();
            if let Err(error) = carry_out(&arena, &ledger, fault).await {
                ledger.blame(format!("{fault}: {error:#}"));
            }
            let done = Done { deed: fault.deed, from, until: books.now() };
            ledger.done.lock().unwrap_or_else(PoisonError::into_inner).push(done);
        });
    }
    deeds.join_all().await;
}

async fn carry_out(arena: &Arena, ledger: &Ledger, fault: Fault) -> Result<()> {
    let over = Instant::now() + fault.lasts;
    match fault.deed {
        Deed::Kill(target) => {
            let part = part(arena, target)?;
            part.kill().await?;
            sleep_until(over).await;
            part.spawn()
        }
        Deed::Term(target) => {
            let part = part(arena, target)?;
            let status = part.stop().await?;
            if !status.success() {
                ledger.blame(format!("after SIGTERM {}", part.obituary(status)));
            }
            sleep_until(over).await;
            part.spawn()
        }
        Deed::Pause(target) => {
            let part = part(arena, target)?;
            part.pause()?;
            sleep_until(over).await;
            part.resume()
        }
        Deed::Flush => flush(arena.stack.urls().redis()).await,
        Deed::Link(link, weather) => {
            arena.stack.straits().set(link, weather);
            sleep_until(over).await;
            arena.stack.straits().set(link, Weather::Fair);
            Ok(())
        }
    }
}

/// FLUSHALL. A Redis that is down or stands still is left as it is.
async fn flush(url: &str) -> Result<()> {
    let address = url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
    let asked = timeout(Duration::from_secs(5), async {
        let mut redis = TcpStream::connect(address).await?;
        redis.write_all(b"FLUSHALL\r\nQUIT\r\n").await?;
        redis.read_to_end(&mut Vec::new()).await
    });
    drop(asked.await);
    Ok(())
}

/// Everything runs and every link is fair. Blames what had ended by itself.
pub async fn heal(arena: &Arena, ledger: &Ledger) -> Result<()> {
    arena.stack.straits().set_all(|_| true, Weather::Fair);
    for part in arena.stack.parts() {
        if part.pid().is_none() {
            ledger.blame(format!("by itself {}", part.obituary(part.exited().await?)));
            part.spawn()?;
        }
    }
    for part in arena.stack.parts() {
        part.ready().await.context("after all faults were over")?;
    }
    Ok(())
}
