//! Stopping in order: a token that all tasks watch, a tracker that waits for them.
//!
//! Whatever changes something goes [to its end](Shutdown::to_the_end) in a task of its own: a
//! server drops what it does for a client that hangs up, wherever it is just then.

use std::{future::Future, io, panic::resume_unwind, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};
use tracing::Instrument;

use crate::error::{ChatError, Result};

/// Longer than all that a change waits for by itself. What is silent for so long is given up, lest
/// it hold what others need.
const LONGEST: Duration = Duration::from_secs(60);

/// The owner of every task of a process.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// Nothing runs yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Starts a task that shutdown waits for. It must end by itself soon after [`Self::begun`].
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        self.tasks.spawn(task)
    }

    /// Starts a task that may be dropped at any await once shutdown begins.
    pub fn spawn_until_stopped<F>(&self, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let token = self.token.clone();
        self.tasks.spawn(async move {
            let _ = token.run_until_cancelled(task).await;
        });
    }

    /// Does it to its end, whoever stops waiting for the answer. Shutdown waits for it. A panic in it
    /// is one in whoever waits.
    pub async fn to_the_end<T, F>(&self, change: F) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = Result<T>> + Send + 'static,
    {
        let bounded = async move {
            let outcome = tokio::time::timeout(LONGEST, change).await;
            outcome.unwrap_or_else(|_| Err(ChatError::unavailable("a change", "it took too long")))
        };
        let outcome = self.tasks.spawn(bounded.in_current_span()).await;
        outcome.unwrap_or_else(|ended| match ended.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(ended) => Err(ChatError::unavailable("a change", ended)),
        })
    }

    /// Begins it.
    pub fn begin(&self) {
        self.token.cancel();
    }

    /// Has it begun?
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Waits until it begins.
    pub fn begun(&self) -> WaitForCancellationFuture<'_> {
        self.token.cancelled()
    }

    /// Waits until every task has ended, `grace` at most. Was it in time?
    pub async fn finished(&self, grace: Duration) -> bool {
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }

    /// Waits for SIGTERM or SIGINT; a second one ends the process at once with status 130.
    #[expect(
        clippy::disallowed_methods,
        reason = "nothing waits for the listener to a second signal"
    )]
    pub async fn signal() -> io::Result<()> {
        let mut term = signal(SignalKind::terminate())?;
        let mut int = signal(SignalKind::interrupt())?;
        let mut next = async move || tokio::select! { _ = term.recv() => {}, _ = int.recv() => {} };
        next().await;
        tokio::spawn(async move {
            next().await;
            tracing::warn!("second signal: stopping at once");
            std::process::exit(130);
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_change_goes_on_when_nobody_waits_for_it_and_shutdown_waits() {
        let tasks = Shutdown::new();
        let ((go, gone), (told, hears)) = (oneshot::channel::<()>(), oneshot::channel());
        let change = tasks.to_the_end(async move {
            let _ = gone.await;
            told.send(()).map_err(|()| ChatError::unauthorised())
        });
        assert!(tokio::time::timeout(Duration::from_millis(1), change).await.is_err());
        tasks.begin();
        assert!(!tasks.finished(Duration::from_millis(1)).await);
        go.send(()).expect("it goes on");
        assert!(tasks.finished(Duration::from_secs(10)).await);
        hears.await.expect("it came to its end");
    }

    #[tokio::test]
    #[should_panic(expected = "oh")]
    async fn a_panic_is_one_in_who_waits() {
        let _ = Shutdown::new().to_the_end::<(), _>(async { panic!("oh") }).await;
    }
}
