//! The keys of one issuer as known here, and when they are fetched anew.
//!
//! One task fetches; requests never do. It looks now and then, and soon when a token names a key that
//! is not known, but never more often than [`Pace::quiet`] allows: made-up names make no flood. A
//! request waits a bounded time for a look that is under way or due.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context;
use chat_core::{ChatError, process::Backoff};
use jsonwebtoken::Header;
use rand::RngExt;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until, timeout},
};

use super::{fetch::Fetcher, keys::Keys, settings::Issuer};
use crate::tokens::invalid_token;

/// How often keys are fetched, and how long they are good.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Between two looks, when all is well.
    pub every: Duration,
    /// Least time between the beginnings of two looks for the sake of an unknown key. Also the
    /// longest pause after a look that failed.
    pub quiet: Duration,
    /// How long a request waits for a look.
    pub patience: Duration,
    /// How long keys are good after the last look that succeeded.
    pub good_for: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(600),
            quiet: Duration::from_secs(30),
            patience: Duration::from_secs(3),
            good_for: Duration::from_secs(86_400),
        }
    }
}

/// The first pause after a look that failed while no keys are had at all.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Ring {
    pub(super) issuer: Issuer,
    pace: Pace,
    known: Mutex<Known>,
    wanted: Notify,
    /// How many looks have ended.
    looks: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    /// With the time of the look that brought them.
    keys: Option<(Arc<Keys>, Instant)>,
    /// When the last look began.
    began: Option<Instant>,
    is_looking: bool,
    has_failed: bool,
    /// What was wrong with keys in the last answer.
    unusable: Vec<String>,
}

impl Ring {
    pub(super) fn new(issuer: Issuer, pace: Pace) -> Self {
        let known = Mutex::new(Known { is_looking: true, ..Known::default() });
        Self { issuer, pace, known, wanted: Notify::new(), looks: watch::Sender::default() }
    }

    /// The keys, one of which fits a token with this header. Fails with `invalid_token` if none does,
    /// and with `unavailable` while that can't be told.
    pub(super) async fn keys_for(&self, header: &Header) -> Result<Arc<Keys>, ChatError> {
        let mut looks = self.looks.subscribe();
        looks.mark_unchanged();
        let fitting = || self.keys().filter(|keys| keys.fitting(header).is_some());
        if let Some(keys) = fitting() {
            return Ok(keys);
        }
        if self.is_worth_waiting() {
            // A look that takes longer is told below.
            let _ = timeout(self.pace.patience, looks.changed()).await;
        }
        match fitting() {
            Some(keys) => Ok(keys),
            None if self.can_tell() => Err(invalid_token()),
            None => Err(ChatError::unavailable("keys of an issuer", &self.issuer.name)),
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keys(&self) -> Option<Arc<Keys>> {
        let known = self.known();
        let (keys, at) = known.keys.as_ref()?;
        (at.elapsed() < self.pace.good_for).then(|| Arc::clone(keys))
    }

    /// Asks for a look. Is one under way, or about to begin?
    fn is_worth_waiting(&self) -> bool {
        let known = self.known();
        if known.is_looking {
            return true;
        }
        self.wanted.notify_one();
        known.began.is_none_or(|began| began.elapsed() >= self.pace.quiet)
    }

    /// Is what is known what the issuer says?
    fn can_tell(&self) -> bool {
        let known = self.known();
        let is_settled = !known.has_failed && !known.is_looking;
        drop(known);
        is_settled && self.keys().is_some()
    }

    /// Looks now and then, for ever.
    pub(super) async fn follow(self: Arc<Self>, fetcher: Fetcher) {
        let mut backoff = Backoff::new(FIRST_PAUSE.min(self.pace.quiet), self.pace.quiet);
        loop {
            let began = Instant::now();
            self.look(&fetcher, began).await;
            let pause = if self.known().has_failed {
                backoff.next_delay()
            } else {
                backoff.reset();
                self.pace.every.mul_f64(rand::rng().random_range(0.8..1.0))
            };
            let asked = async {
                self.wanted.notified().await;
                sleep_until(began + self.pace.quiet).await;
            };
            tokio::select! { () = sleep(pause) => {}, () = asked => {} }
        }
    }

    async fn look(&self, fetcher: &Fetcher, began: Instant) {
        {
            let mut known = self.known();
            (known.began, known.is_looking) = (Some(began), true);
        }
        let fetched = self.fetch(fetcher).await;
        let mut known = self.known();
        known.is_looking = false;
        let issuer = &*self.issuer.name;
        match fetched {
            Ok(keys) => {
                if known.has_failed || known.keys.is_none() {
                    tracing::info!(issuer, keys = keys.len(), "the keys of an issuer are known");
                }
                if known.unusable != keys.unusable || keys.len() == 0 {
                    let unusable = keys.unusable.join("; ");
                    tracing::warn!(issuer, keys = keys.len(), unusable, "keys that can't be used");
                    known.unusable.clone_from(&keys.unusable);
                }
                known.has_failed = false;
                known.keys = Some((Arc::new(keys), began));
            }
            Err(cause) => {
                if !known.has_failed {
                    let cause = format!("{cause:#}");
                    tracing::error!(issuer, cause, "can't fetch the keys of an issuer");
                }
                known.has_failed = true;
            }
        }
        metrics::gauge!("switchboard_issuer_keys_stale", "issuer" => self.issuer.name.clone())
            .set(if known.has_failed { 1 } else { 0 });
        drop(known);
        self.looks.send_modify(|looks| *looks += 1);
    }

    async fn fetch(&self, fetcher: &Fetcher) -> anyhow::Result<Keys> {
        let url = &self.issuer.jwks_url;
        let body = fetcher.get(url).await.with_context(|| url.to_string())?;
        Keys::parse(&body, &self.issuer)
            .map_err(anyhow::Error::msg)
            .with_context(|| url.to_string())
    }
}
