//! The task that beats: once a second, what this replica counts and how it is.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use chat_core::process::Shutdown;
use rand::RngExt;
use rustix::time::{ClockId, clock_gettime};
use telemetry::metrics::Metrics;
use tokio::{
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use crate::{Beat, Board, Condition, counts::Counts, window::Window};

/// How often.
pub const EVERY: Duration = Duration::from_secs(1);

/// Of which time rates and latencies are.
pub const WINDOW: Duration = Duration::from_secs(5);

/// One replica's.
pub struct Reporter {
    board: Board,
    metrics: Metrics,
    posts: Vec<(&'static str, &'static str)>,
    window: Window,
    began: Instant,
    latest: watch::Sender<Beat>,
}

impl Reporter {
    /// Of a service at an address. `posts`: the protocol and the name of each event by which clients
    /// post.
    #[must_use]
    pub fn new(
        board: Board,
        metrics: Metrics,
        (service, version): (&str, &str),
        address: SocketAddr,
        posts: &[(&'static str, &'static str)],
    ) -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let latest = Beat {
            id: format!("{:016x}", rand::rng().random::<u64>()),
            service: service.to_owned(),
            name: format!("{host}:{}", address.port()),
            version: version.to_owned(),
            ..Beat::default()
        };
        Self {
            board,
            metrics,
            posts: posts.to_vec(),
            window: Window::default(),
            began: Instant::now(),
            latest: watch::Sender::new(latest),
        }
    }

    /// This replica's own last beat, whether or not Redis took it.
    #[must_use]
    pub fn latest(&self) -> watch::Receiver<Beat> {
        self.latest.subscribe()
    }

    /// Beats until shutdown begins, and takes the replica off the board then. A Redis that is away
    /// is told of once.
    pub async fn run(mut self, condition: impl Fn() -> Condition + Send, stop: Shutdown) {
        let mut ticks = interval(EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut is_lost = false;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = stop.begun() => break,
            }
            let beat = self.beat(condition());
            let written = tokio::select! {
                written = self.board.write(&beat) => written,
                () = stop.begun() => break,
            };
            let was_lost = std::mem::replace(&mut is_lost, written.is_err());
            if let Err(cause) = written {
                metrics::counter!("switchboard_beats_lost_total").increment(1);
                if !was_lost {
                    tracing::warn!(%cause, "the status board does not show this replica");
                }
            }
        }
        if !is_lost {
            let id = self.latest.borrow().id.clone();
            // It would be forgotten anyway, a little later.
            let _ = self.board.leave(&id).await;
        }
    }

    fn beat(&mut self, condition: Condition) -> Beat {
        let now = Instant::now();
        let counts = Counts::read(&self.metrics.render(), &self.posts);
        let counts = Counts { cpu: cpu_seconds(), ..counts };
        let figures = self.window.take(now, counts, WINDOW);
        let uptime = now.duration_since(self.began).as_secs();
        self.latest.send_modify(|beat| {
            beat.note(condition);
            beat.uptime = uptime;
            beat.figures = figures;
        });
        self.latest.borrow().clone()
    }
}

/// What this process has used of a core since it began.
#[expect(clippy::cast_precision_loss, reason = "centuries fit")]
fn cpu_seconds() -> f64 {
    let used = clock_gettime(ClockId::ProcessCPUTime);
    used.tv_sec as f64 + used.tv_nsec as f64 / 1e9
}
