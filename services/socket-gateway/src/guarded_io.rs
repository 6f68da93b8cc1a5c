//! A connection with a kill switch and a write deadline, which counts what was written.
//!
//! Socket.IO's writer waits for a slow reader inside a flush that nothing can cancel. So the
//! bytes themselves pass through here: once killed, or once written data has waited longer than
//! the deadline, every read and write fails, and whatever waited is released.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::connections::OpenConnection;

/// The connection.
pub struct GuardedIo<T> {
    inner: T,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Runs while written data waits.
    deadline: Option<Pin<Box<Sleep>>>,
    patience: Duration,
    // Tells the list of connections when this one is gone, upgraded or not.
    open: OpenConnection,
}

impl<T> GuardedIo<T> {
    /// Guards `inner`: its switch cuts it, and so does written data that waits for `patience`.
    pub fn new(inner: T, open: OpenConnection, patience: Duration) -> Self {
        let killed = Box::pin(open.switch().killed());
        Self { inner, killed, deadline: None, patience, open }
    }

    fn check(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.killed.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }

    /// Counts out what was written.
    fn counted(&self, outcome: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(bytes)) = outcome {
            self.open.switch().backlog().written(bytes);
        }
        outcome
    }

    /// Passes a write's outcome on, and starts, stops or enforces the deadline.
    fn timed<R>(
        &mut self,
        cx: &mut Context<'_>,
        outcome: Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        if let Poll::Ready(outcome) = outcome {
            self.deadline = None;
            return Poll::Ready(outcome.inspect_err(noted));
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(deadline.as_mut().poll(cx));
        let late = io::ErrorKind::TimedOut.into();
        noted(&late);
        Poll::Ready(Err(late))
    }
}

/// Counts a connection that is lost because its peer took nothing for too long, whether we or the
/// kernel noticed.
fn noted(error: &io::Error) {
    if error.kind() == io::ErrorKind::TimedOut {
        metrics::counter!("switchboard_closed_total", "reason" => "write_deadline").increment(1);
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for GuardedIo<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let outcome = Pin::new(&mut self.inner).poll_read(cx, buf);
        outcome.map(|outcome| outcome.inspect_err(noted))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for GuardedIo<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let outcome = Pin::new(&mut self.inner).poll_write(cx, buf);
        let outcome = self.counted(outcome);
        self.timed(cx, outcome)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        let outcome = Pin::new(&mut self.inner).poll_write_vectored(cx, bufs);
        let outcome = self.counted(outcome);
        self.timed(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let outcome = Pin::new(&mut self.inner).poll_flush(cx);
        self.timed(cx, outcome)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        let outcome = Pin::new(&mut self.inner).poll_shutdown(cx);
        self.timed(cx, outcome)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    use super::*;
    use crate::connections::Connections;

    #[tokio::test]
    async fn the_switch_releases_a_read_that_waits() {
        let (near, _far) = duplex(16);
        let open = Connections::new(1, 1).open(None);
        let switch = open.switch().clone();
        let mut guarded = GuardedIo::new(near, open, Duration::from_secs(60));
        let read = guarded.read_u8();
        switch.kill();
        assert_eq!(read.await.expect_err("cut").kind(), io::ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn data_that_nobody_reads_is_cut_off_at_the_deadline() {
        let (near, _far) = duplex(16);
        let open = Connections::new(1, 1).open(None);
        let mut guarded = GuardedIo::new(near, open, Duration::from_millis(50));
        let error = guarded.write_all(&[0; 64]).await.expect_err("cut");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
