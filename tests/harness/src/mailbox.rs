//! What a client has heard, and waiting for more.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Result, bail};
use serde_json::Value;
use tokio::{sync::Notify, time::timeout};

/// How long a test waits for what must come.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    /// Its name.
    pub event: String,
    /// What came with it; an array if that was several things.
    pub data: Value,
}

/// Every event of one client, in the order in which they came.
#[derive(Debug)]
pub struct Mailbox {
    owner: String,
    patience: Duration,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    heard: Vec<Heard>,
    /// For each, whether a test has already taken it.
    taken: Vec<bool>,
    closed: Option<String>,
}

impl Mailbox {
    pub(crate) fn new(owner: &str) -> Self {
        let (state, news) = (Mutex::default(), Notify::new());
        Self { owner: owner.to_owned(), patience: PATIENCE, state, news }
    }

    pub(crate) fn put(&self, event: &str, data: Value) {
        let mut state = self.state();
        state.heard.push(Heard { event: event.to_owned(), data });
        state.taken.push(false);
        drop(state);
        self.news.notify_waiters();
    }

    pub(crate) fn close(&self, reason: &str) {
        self.state().closed.get_or_insert_with(|| reason.to_owned());
        self.news.notify_waiters();
    }

    /// Waits for an event that the test has not had yet, and takes it. What came before it stays.
    pub async fn hears(&self, event: &str, fits: impl Fn(&Value) -> bool) -> Result<Value> {
        let take = |state: &mut State| {
            let fresh =
                state.heard.iter().zip(&state.taken).position(|(heard, taken)| {
                    !taken && heard.event == event && fits(&heard.data)
                })?;
            state.taken[fresh] = true;
            Some(state.heard[fresh].data.clone())
        };
        self.wait(&format!("\"{event}\""), take).await
    }

    /// Waits until so many events of that name have come since the beginning, and returns all.
    /// For long runs: it waits until nothing new has come for [`PATIENCE`].
    pub async fn hears_in_all(&self, event: &str, count: usize) -> Result<Vec<Value>> {
        let mut before = 0;
        loop {
            let all = |state: &mut State| {
                let all: Vec<_> = state.heard.iter().filter(|heard| heard.event == event).collect();
                (all.len() >= count).then(|| all.iter().map(|heard| heard.data.clone()).collect())
            };
            let what = format!("{count} times \"{event}\"");
            match self.wait(&what, all).await {
                Ok(all) => return Ok(all),
                Err(e) => {
                    let now = self.all(event).len();
                    if now == before {
                        return Err(e.context(format!("only {now} of {count} came")));
                    }
                    before = now;
                }
            }
        }
    }

    /// Fails if an event that the test has not had yet fits, now or within `during`.
    pub async fn hears_nothing(&self, event: &str, during: Duration) -> Result<()> {
        let fresh = |state: &mut State| {
            let mut pairs = state.heard.iter().zip(&state.taken);
            pairs.find(|(heard, taken)| !**taken && heard.event == event).map(|(h, _)| h.clone())
        };
        match self.poll(during, fresh).await {
            Some(heard) => bail!("{} heard \"{event}\": {}", self.owner, heard.data),
            None => Ok(()),
        }
    }

    /// Everything heard so far, whether taken or not.
    #[must_use]
    pub fn everything(&self) -> Vec<Heard> {
        self.state().heard.clone()
    }

    /// What was heard after the first `count` events, whether taken or not.
    #[must_use]
    pub fn heard_after(&self, count: usize) -> Vec<Heard> {
        self.state().heard.get(count..).unwrap_or_default().to_vec()
    }

    /// Why the connection ended, if it has.
    #[must_use]
    pub fn end(&self) -> Option<String> {
        self.state().closed.clone()
    }

    /// What came with every event of that name so far, whether taken or not.
    #[must_use]
    pub fn all(&self, event: &str) -> Vec<Value> {
        let state = self.state();
        let named = state.heard.iter().filter(|heard| heard.event == event);
        named.map(|heard| heard.data.clone()).collect()
    }

    /// Is the connection open?
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.state().closed.is_none()
    }

    /// Waits for the end of the connection, and tells its reason.
    pub async fn sees_the_end(&self) -> Result<String> {
        match self.poll(self.patience, |state| state.closed.clone()).await {
            Some(reason) => Ok(reason),
            None => bail!("{}'s connection is still open after {:?}", self.owner, self.patience),
        }
    }

    /// Like `poll`, but the end of the connection ends it too, and failing explains itself.
    async fn wait<T>(
        &self,
        what: &str,
        mut find: impl FnMut(&mut State) -> Option<T>,
    ) -> Result<T> {
        let found = self.poll(self.patience, |state| match find(state) {
            Some(found) => Some(Ok(found)),
            None => state.closed.clone().map(Err),
        });
        match found.await {
            Some(Ok(found)) => Ok(found),
            Some(Err(reason)) => {
                bail!("{}'s connection ended ({reason}) before {what}; {}", self.owner, self.rest())
            }
            None => bail!(
                "{} did not hear {what} within {:?}; {}",
                self.owner,
                self.patience,
                self.rest()
            ),
        }
    }

    async fn poll<T>(
        &self,
        limit: Duration,
        mut find: impl FnMut(&mut State) -> Option<T>,
    ) -> Option<T> {
        let polling = async {
            loop {
                // Listening begins before looking, so that nothing slips in between.
                let news = self.news.notified();
                let mut news = std::pin::pin!(news);
                news.as_mut().enable();
                if let Some(found) = find(&mut self.state()) {
                    return found;
                }
                news.await;
            }
        };
        timeout(limit, polling).await.ok()
    }

    /// The newest events that no test has taken, for errors.
    fn rest(&self) -> String {
        const SHOWN: usize = 20;
        let state = self.state();
        let pairs = state.heard.iter().zip(&state.taken).filter(|(_, taken)| !**taken);
        let mut lines: Vec<_> =
            pairs.map(|(heard, _)| format!("\n    {} {}", heard.event, heard.data)).collect();
        if lines.is_empty() {
            return "nothing else was heard".to_owned();
        }
        let older = lines.len().saturating_sub(SHOWN);
        lines.drain(..older);
        let hint = if older > 0 { format!(" ({older} older ones)") } else { String::new() };
        format!("heard instead{hint}:{}", lines.concat())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[tokio::test]
    async fn an_event_is_taken_once_and_others_stay() -> Result<()> {
        let mailbox = Mailbox::new("alice");
        mailbox.put("said", json!({"n": 1}));
        mailbox.put("said", json!({"n": 2}));
        assert_eq!(mailbox.hears("said", |m| m["n"] == 2).await?["n"], 2);
        assert_eq!(mailbox.hears("said", |_| true).await?["n"], 1);
        mailbox.hears_nothing("said", Duration::ZERO).await?;
        assert_eq!(mailbox.all("said").len(), 2);
        Ok(())
    }

    #[tokio::test]
    async fn waiting_in_vain_tells_what_was_heard_instead() {
        let patience = Duration::from_millis(20);
        let mailbox = Mailbox { patience, ..Mailbox::new("alice") };
        mailbox.put("typing", json!("bob"));
        let error = mailbox.hears("said", |_| true).await.unwrap_err().to_string();
        assert!(error.contains("alice did not hear \"said\" within 20ms"), "{error}");
        assert!(error.contains("typing \"bob\""), "{error}");
    }

    #[tokio::test]
    async fn the_end_of_the_connection_ends_the_wait() {
        let mailbox = Mailbox::new("alice");
        mailbox.close("kicked");
        let error = mailbox.hears("said", |_| true).await.unwrap_err().to_string();
        assert!(error.contains("ended (kicked)"), "{error}");
        assert_eq!(mailbox.sees_the_end().await.unwrap(), "kicked");
    }
}
