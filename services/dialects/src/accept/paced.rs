//! Answers are taken at a fair pace: who reads a little now and then would keep an answer in memory,
//! and its connection from others, for ever.

use std::{
    future::Future,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

/// Bytes a second that must be taken where there is something to take.
const FAIR: u64 = 32 * 1024;

/// How long a connection may be waited for at first, and the most that it can earn by its pace.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST: Duration = Duration::from_secs(20);

/// A connection whose writing is paced. Whoever takes less than is fair has its connection ended.
pub(crate) struct Paced<Io> {
    io: Io,
    left: Duration,
    /// Since when it takes nothing, and when that has been too long.
    stands: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl<Io> Paced<Io> {
    pub(crate) const fn new(io: Io) -> Self {
        Self { io, left: PATIENCE, stands: None }
    }

    fn paced(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match written {
            Poll::Pending => {
                let left = self.left;
                let stands = || (Instant::now(), Box::pin(sleep(left)));
                let (_, end) = self.stands.get_or_insert_with(stands);
                end.as_mut().poll(cx).map(|()| {
                    tracing::info!("an answer was read too slowly");
                    Err(io::ErrorKind::TimedOut.into())
                })
            }
            Poll::Ready(Ok(bytes)) => {
                if let Some((since, _)) = self.stands.take() {
                    self.left = self.left.saturating_sub(since.elapsed());
                }
                let earned = Duration::from_micros(bytes as u64 * 1_000_000 / FAIR);
                self.left = (self.left + earned).min(MOST);
                written
            }
            Poll::Ready(Err(_)) => written,
        }
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Paced<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Paced<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, buf);
        self.paced(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(cx, bufs);
        self.paced(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::timeout,
    };

    use super::*;

    #[tokio::test]
    async fn what_is_taken_earns_time_and_who_takes_nothing_uses_it_up() {
        let (mut reader, writer) = duplex(1_000);
        let mut writer = Paced { left: Duration::from_millis(100), ..Paced::new(writer) };
        writer.write_all(&[0; 1_000]).await.expect("there is room");
        let earned = writer.left;
        assert!(earned > Duration::from_millis(125) && earned < Duration::from_millis(140));
        let stuck = timeout(Duration::from_millis(50), writer.write_all(&[0; 1_000])).await;
        assert!(stuck.is_err());
        reader.read_exact(&mut [0; 1_000]).await.expect("read");
        writer.write_all(b"x").await.expect("there is room again");
        assert!(writer.left < earned - Duration::from_millis(45));
        let began = Instant::now();
        let error = writer.write_all(&[0; 2_000]).await.expect_err("nobody reads");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(began.elapsed() < Duration::from_secs(2));
    }
}
