//! The bus is back: what was published while nobody here heard it is made good, once for each
//! return, in one task. Whoever waits for it may stop waiting; the work goes on.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chat_core::{Code, Result, process::Backoff};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{GatewayFeed, repair::Reason};

/// How long the repairs of one return are waited for before the next return gets its turn.
const REPAIRS: Duration = Duration::from_secs(10);

/// The returns so far.
pub(super) struct Returns {
    noted: watch::Sender<u64>,
    made_good: watch::Sender<u64>,
    /// Notices published since then may be missing.
    deaf_since: Mutex<Option<Instant>>,
}

impl Default for Returns {
    fn default() -> Self {
        let (noted, made_good) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { noted, made_good, deaf_since: Mutex::default() }
    }
}

impl Returns {
    /// There is a new one.
    pub(super) fn note(&self, deaf_since: Option<Instant>) {
        let mut earliest = self.deaf_since.lock().unwrap_or_else(PoisonError::into_inner);
        // What an earlier return has not made good yet is missing still.
        *earliest = earliest.or(deaf_since);
        self.noted.send_modify(|returns| *returns += 1);
    }

    /// Waits until every one noted so far has been made good.
    pub(super) async fn made_good(&self) {
        let noted = *self.noted.borrow();
        let _ = self.made_good.subscribe().wait_for(|returns| *returns >= noted).await;
    }

    fn take_deaf_since(&self) -> Option<Instant> {
        self.deaf_since.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl GatewayFeed {
    /// Makes good what each return has missed, for ever.
    pub(super) async fn make_good_after_returns(self: Arc<Self>) {
        let mut noted = self.returns.noted.subscribe();
        while noted.changed().await.is_ok() {
            let now = *noted.borrow_and_update();
            let deaf_since = self.returns.take_deaf_since();
            tokio::join!(
                self.repair_after_return(),
                until_answered(|| self.look_at_all_directs(Reason::Return)),
                async {
                    if let Some(since) = deaf_since {
                        until_answered(|| self.tell_missed_rooms(since)).await;
                    }
                },
            );
            self.returns.made_good.send_replace(now);
        }
    }

    async fn repair_after_return(&self) {
        let compared = until_answered(|| self.compare_heads(Reason::Return)).await;
        let repaired = async {
            for hub in compared.unwrap_or_default() {
                hub.repaired().await;
            }
        };
        // Those that are not done by then go on by themselves.
        let _ = timeout(REPAIRS, repaired).await;
    }
}

/// Asks again while message-api is away. Any other refusal would be repeated for ever.
async fn until_answered<T, F: Future<Output = Result<T>>>(ask: impl Fn() -> F) -> Option<T> {
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
    loop {
        match ask().await {
            Ok(answer) => return Some(answer),
            Err(error) if error.code() == Code::Unavailable => backoff.wait().await,
            Err(_) => return None,
        }
    }
}
