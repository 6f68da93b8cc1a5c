//! Somebody who talks all the time, and tries again with the same key until it is acknowledged.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use harness::{Chatter, refused};
use serde_json::json;
use tokio::time::{Instant, sleep};

/// No answer may take longer, whatever is away. Generous: the machine is busy.
pub(crate) const BOUND: Duration = Duration::from_secs(6);

/// What became of it.
#[derive(Debug, Default)]
pub(crate) struct Talk {
    /// What was acknowledged, in order.
    pub(crate) said: Vec<String>,
    /// How often the answer was `unavailable`.
    pub(crate) refused: usize,
    /// The slowest answer.
    pub(crate) slowest: Duration,
}

/// Does a message carry a key, so that it may be sent again?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    Given,
    Missing,
}

/// Talks until told to stop. Without keys nothing is said twice: what was refused is let go.
pub(crate) async fn talks(
    who: &Chatter,
    room: &str,
    key: Key,
    pause: Duration,
    stop: &AtomicBool,
) -> Result<Talk> {
    let mut talk = Talk::default();
    let mut n = 0;
    while !stop.load(Ordering::Relaxed) {
        let text = format!("{} {key:?} {n}", who.name);
        let mut line = who.line(room, &text);
        if key == Key::Given {
            line["clientId"] = json!(format!("{room}-{n}"));
        }
        if says(who, &line, key, &mut talk).await.with_context(|| text.clone())? {
            talk.said.push(text);
        }
        n += 1;
        sleep(pause).await;
    }
    Ok(talk)
}

async fn says(who: &Chatter, line: &serde_json::Value, key: Key, talk: &mut Talk) -> Result<bool> {
    loop {
        let asked = Instant::now();
        let ack = who.asks("chat message", line.clone()).await?;
        talk.slowest = talk.slowest.max(asked.elapsed());
        ensure!(asked.elapsed() < BOUND, "answered after {:?}: {ack}", asked.elapsed());
        if ack["success"] == true {
            return Ok(true);
        }
        ensure!(refused(&ack)? == "unavailable", "{ack}");
        talk.refused += 1;
        if key == Key::Missing {
            return Ok(false);
        }
        sleep(Duration::from_millis(50)).await;
    }
}
