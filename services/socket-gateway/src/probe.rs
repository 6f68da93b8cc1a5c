//! The bus proves itself: what this gateway publishes, it must hear.
//!
//! Every half second a probe goes out by the connection that publishes ([`whisper`](crate::whisper))
//! and comes in by the loop that hands events to the feed ([`subscriber`](crate::subscriber)). So a
//! route that is lost without a word, a Redis that hangs and a loop of ours that is stuck all show
//! as the same silence, whatever the sockets say about themselves.
//!
//! Each lane has probes of its own, so that no master of a cluster is silent unnoticed.
//!
//! A probe is no event: it has a channel of its own for each gateway, and never reaches the feed.
//! It carries when it was sent. One that comes late proves nothing about now and does not count;
//! one that waits behind a stuck publish is not sent at all.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use redis_link::Lane;
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};

/// How often a probe is sent.
pub const EVERY: Duration = Duration::from_millis(500);

/// After so long without a probe the bus counts as silent: readiness says so within 3 s of the
/// last sign of life, and the connections are made anew.
pub const SILENCE: Duration = Duration::from_millis(2_500);

/// The probes of one gateway by one lane.
#[derive(Debug)]
pub struct Probe {
    channel: String,
    born: Instant,
    /// When the newest one was heard, in microseconds since birth; 0: none yet.
    heard: AtomicU64,
    echo: Notify,
}

impl Probe {
    /// None was sent yet. No other gateway has this epoch.
    #[must_use]
    pub fn new(lane: &Lane, epoch: u64) -> Self {
        Self {
            channel: lane.key(&format!("probe:{epoch:016x}")),
            born: Instant::now(),
            heard: AtomicU64::new(0),
            echo: Notify::new(),
        }
    }

    /// Where they are published and heard.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The next one: the time, in microseconds since birth.
    #[must_use]
    pub fn payload(&self) -> [u8; 8] {
        self.now().to_be_bytes()
    }

    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_micros()).unwrap_or(u64::MAX).max(1)
    }

    /// Takes one that came back. It counts if it was under way for less than [`SILENCE`].
    pub fn hear(&self, payload: &[u8]) {
        let now = self.now();
        let sent = payload.try_into().map(u64::from_be_bytes);
        let Some(trip) = sent.ok().and_then(|sent| now.checked_sub(sent)) else {
            metrics::counter!("switchboard_bus_rubbish_total").increment(1);
            return;
        };
        let trip = Duration::from_micros(trip);
        metrics::histogram!("switchboard_bus_probe_seconds").record(trip);
        if trip < SILENCE {
            self.heard.store(now, Ordering::Relaxed);
            self.echo.notify_waiters();
        }
    }

    /// When the newest one was heard.
    #[must_use]
    pub fn last_heard(&self) -> Option<Instant> {
        let heard = self.heard.load(Ordering::Relaxed);
        (heard > 0).then(|| self.born + Duration::from_micros(heard))
    }

    /// For how long none was heard.
    #[must_use]
    pub fn silent_for(&self) -> Duration {
        self.last_heard().unwrap_or(self.born).elapsed()
    }

    /// Waits for the next one.
    pub async fn echo(&self) {
        self.echo.notified().await;
    }

    /// Waits until none was heard for [`SILENCE`], counted from now at the earliest.
    pub async fn silence(&self) {
        let began = Instant::now();
        loop {
            let silent = self.silent_for().min(began.elapsed());
            if silent >= SILENCE {
                return;
            }
            sleep(SILENCE - silent).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use redis_link::Redis;

    use super::*;

    fn probe() -> Probe {
        let redis = Redis::single("redis://127.0.0.1", "p").expect("a URL");
        Probe::new(&redis.lanes()[0], 7)
    }

    #[test]
    fn a_probe_that_comes_back_ends_the_silence_and_rubbish_does_not() {
        let probe = probe();
        assert_eq!(probe.channel(), "p:probe:0000000000000007");
        probe.hear(b"");
        probe.hear(&u64::MAX.to_be_bytes());
        assert!(probe.last_heard().is_none());
        probe.hear(&probe.payload());
        assert!(probe.last_heard().is_some() && probe.silent_for() < SILENCE);
    }

    #[tokio::test]
    async fn a_probe_that_comes_too_late_proves_nothing() {
        let probe = Probe { born: Instant::now() - 2 * SILENCE, ..probe() };
        probe.hear(&1_u64.to_be_bytes());
        assert!(probe.last_heard().is_none());
        assert!(probe.silent_for() >= SILENCE);
    }
}
