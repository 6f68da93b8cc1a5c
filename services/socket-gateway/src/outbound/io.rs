//! The connection as the HTTP and Engine.IO libraries see it. Once cut, every read and write
//! fails, and whatever waited is released.

use std::{
    future::Future,
    io,
    net::Shutdown,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::{Outbound, noted, queue::Queue};

/// Bytes that may wait before the library has to: an answer to HTTP may be long.
const ROOM: usize = 256 * 1024;

/// One connection. `Guard` is dropped with it.
pub(crate) struct OutboundIo<Guard> {
    outbound: Arc<Outbound>,
    killed: Pin<Box<WaitForCancellationFutureOwned>>,
    guard: Guard,
}

impl<Guard> OutboundIo<Guard> {
    pub(crate) fn new(outbound: Arc<Outbound>, guard: Guard) -> Self {
        let killed = Box::pin(outbound.cut.clone().cancelled_owned());
        Self { outbound, killed, guard }
    }

    pub(crate) const fn guard(&self) -> &Guard {
        &self.guard
    }

    fn check(&self) -> io::Result<()> {
        match self.outbound.cut.is_cancelled() {
            true => Err(io::ErrorKind::ConnectionAborted.into()),
            false => Ok(()),
        }
    }
}

impl<Guard> Drop for OutboundIo<Guard> {
    fn drop(&mut self) {
        self.outbound.close();
    }
}

/// Waits until less than `room` bytes wait.
fn poll_room(queue: &mut Queue, room: usize, cx: &mut Context<'_>) -> Poll<()> {
    if queue.bytes < room {
        return Poll::Ready(());
    }
    queue.waiting = Some(cx.waker().clone());
    Poll::Pending
}

impl<Guard: Unpin> AsyncRead for OutboundIo<Guard> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.killed.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        loop {
            ready!(self.outbound.stream.poll_read_ready(cx))?;
            match self.outbound.stream.try_read(buf.initialize_unfilled()) {
                Ok(length) => {
                    buf.advance(length);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    noted(&error);
                    return Poll::Ready(Err(error));
                }
            }
        }
    }
}

/// What is written is taken whole or not at all: the library writes whole frames.
impl<Guard: Unpin> AsyncWrite for OutboundIo<Guard> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        let mut queue = self.outbound.queue();
        ready!(poll_room(&mut queue, ROOM, cx));
        let taken_out = queue.take_written(buf);
        self.outbound.backlog.written(taken_out);
        if queue.is_stuck() {
            self.outbound.cut.cancel();
        }
        if !queue.is_blocked {
            self.outbound.write_out(&mut queue);
        }
        Poll::Ready(Ok(buf.len()))
    }

    /// What was written is on its way; a deadline watches over it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.check())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        ready!(poll_room(&mut self.outbound.queue(), 1, cx));
        Poll::Ready(SockRef::from(&self.outbound.stream).shutdown(Shutdown::Write))
    }
}
