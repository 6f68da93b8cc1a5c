//! Stopping in order: a token that all tasks watch, a tracker that waits for them.

use std::{future::Future, io, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    task::JoinHandle,
};
use tokio_util::{
    sync::{CancellationToken, WaitForCancellationFuture},
    task::TaskTracker,
};

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
