//! Argon2id, off the async threads, and only so many at once: each takes 19 MiB and tens of
//! milliseconds of a core.

use std::{sync::Arc, time::Duration};

use argon2::{
    Argon2,
    password_hash::{self, PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use chat_core::{ChatError, Password};
use tokio::sync::Semaphore;

type Result<T> = std::result::Result<T, ChatError>;

/// How long a request waits for its turn before it is told to come back.
const PATIENCE: Duration = Duration::from_secs(3);

/// How many may wait for each turn: about what is done in [`PATIENCE`].
const WAITING: usize = 64;

/// Hashes and verifies.
#[derive(Clone, Debug)]
pub struct Passwords {
    turns: Arc<Semaphore>,
    /// Those that have a turn, or may wait for one.
    places: Arc<Semaphore>,
    /// What the password of an unknown user is compared with, so that the answer takes as long.
    dummy: Arc<str>,
}

impl Passwords {
    /// At most `parallel` at once.
    pub fn new(parallel: usize) -> Result<Self> {
        let dummy = hash("nobody's").map_err(failed)?.into();
        let places = Arc::new(Semaphore::new(parallel * (1 + WAITING)));
        Ok(Self { turns: Arc::new(Semaphore::new(parallel)), places, dummy })
    }

    /// The PHC string to store.
    pub async fn hash(&self, password: Password) -> Result<String> {
        self.off_thread(move || hash(password.expose())).await?.map_err(failed)
    }

    /// Is it the password of this PHC string? Without one it is wrong, in the same time.
    pub async fn verify(&self, password: Password, stored: Option<String>) -> Result<bool> {
        let exists = stored.is_some();
        let stored = stored.unwrap_or_else(|| self.dummy.to_string());
        let matches =
            self.off_thread(move || verify(password.expose(), &stored)).await?.map_err(failed)?;
        Ok(matches && exists)
    }

    async fn off_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        // More would only wait in vain.
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return Err(busy()) };
        let turn = tokio::time::timeout(PATIENCE, Arc::clone(&self.turns).acquire_owned());
        let turn = turn.await.map_err(|_| busy())?.map_err(failed)?;
        // The turn ends with the work, even if nobody waits for it any more.
        let work = move || {
            let done = work();
            drop((turn, place));
            done
        };
        tokio::task::spawn_blocking(work).await.map_err(failed)
    }
}

fn busy() -> ChatError {
    metrics::counter!("switchboard_limited_total", "what" => "hashing").increment(1);
    ChatError::rate_limited("too many log in at once, try again", PATIENCE)
}

fn hash(password: &str) -> password_hash::Result<String> {
    Ok(Argon2::default().hash_password(password.as_bytes())?.to_string())
}

fn verify(password: &str, stored: &str) -> password_hash::Result<bool> {
    let stored = PasswordHash::new(stored).map_err(|_| password_hash::Error::EncodingInvalid)?;
    match Argon2::default().verify_password(password.as_bytes(), &stored) {
        Ok(()) => Ok(true),
        Err(password_hash::Error::PasswordInvalid) => Ok(false),
        Err(error) => Err(error),
    }
}

fn failed(cause: impl std::fmt::Display) -> ChatError {
    ChatError::internal("hashing a password", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(raw: &str) -> Password {
        Password::offered(raw).expect("short enough")
    }

    #[tokio::test]
    async fn only_the_right_password_is_right() {
        let passwords = Passwords::new(1).expect("hashes");
        let stored = passwords.hash(password("pässword\0")).await.expect("hashes");
        assert!(stored.starts_with("$argon2id$"), "{stored}");
        let verify = async |raw| {
            passwords.verify(password(raw), Some(stored.clone())).await.expect("verifies")
        };
        assert!(verify("pässword\0").await);
        assert!(!verify("pässword").await);
        assert!(!verify("").await);
    }

    #[tokio::test]
    async fn who_finds_too_many_waiting_is_sent_away_at_once() {
        let passwords = Passwords::new(1).expect("hashes");
        let _turn = passwords.turns.acquire().await.expect("free");
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..=WAITING {
            let passwords = passwords.clone();
            waiting.spawn(async move { passwords.verify(password("any"), None).await });
        }
        while passwords.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        let refused = passwords.verify(password("any"), None).await.expect_err("no place");
        assert_eq!(refused.code(), chat_core::Code::RateLimited);
        assert_eq!(refused.retry_after(), Some(PATIENCE));
        waiting.shutdown().await;
        assert_eq!(passwords.places.available_permits(), 1 + WAITING);
    }

    #[tokio::test]
    async fn an_account_without_a_password_has_none_that_fits() {
        let passwords = Passwords::new(1).expect("hashes");
        for raw in ["", "nobody's"] {
            assert!(!passwords.verify(password(raw), None).await.expect("verifies"));
        }
    }
}
