//! No message is on its way for ever: who sends all but its last byte is not waited for, however many
//! pings and pongs come meanwhile.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use dialects::unread::Unread;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// How long a message may take.
const WITHIN: Duration = Duration::from_secs(45);

/// A connection whose messages come in bounded time. On one where nothing comes at all nothing is
/// noticed: who reads it minds silence.
pub(crate) struct IncomingIo<Io> {
    io: Io,
    unread: Unread,
    within: Duration,
    /// When the first byte came of what is no whole message.
    since: Option<Instant>,
}

impl<Io> IncomingIo<Io> {
    pub(crate) fn new(io: Io) -> Self {
        Self { io, unread: Unread::default(), within: WITHIN, since: None }
    }

    pub(crate) const fn unread(&self) -> &Unread {
        &self.unread
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for IncomingIo<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.bytes() == 0 {
            self.since = None;
        }
        if self.since.is_some_and(|since| since.elapsed() > self.within) {
            metrics::counter!("switchboard_closed_total", "reason" => "slow_sender").increment(1);
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        self.unread.came(buf.filled().len() - before);
        if self.since.is_none() && self.unread.bytes() > 0 {
            self.since = Some(Instant::now());
        }
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for IncomingIo<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buf)
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
    use axum::extract::ws::Message;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt, duplex},
        time::sleep,
    };

    use super::*;

    #[tokio::test]
    async fn a_message_has_so_long_and_pongs_within_it_do_not_count() {
        let (mut client, server) = duplex(1_024);
        let within = Duration::from_millis(100);
        let mut server = IncomingIo { within, ..IncomingIo::new(server) };
        server.unread().begin();
        let mut buffer = [0; 1_024];
        for message in [Message::Text("whole".into()), Message::Pong("ab".into())] {
            client.write_all(b"12345678").await.expect("sent");
            server.read_exact(&mut buffer[..8]).await.expect("read");
            server.unread().took(&message);
            sleep(within * 2).await;
        }
        client.write_all(b"a part, and a pong").await.expect("sent");
        let read = server.read_exact(&mut buffer[..18]).await;
        read.expect("read, though it was silent for long");
        server.unread().took(&Message::Pong("ab".into()));
        sleep(within * 2).await;
        client.write_all(b"more").await.expect("sent");
        let error = server.read(&mut buffer).await.expect_err("it took too long");
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }
}
