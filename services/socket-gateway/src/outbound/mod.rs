//! What goes out on one connection: finished frames in a queue that is bounded in bytes, written
//! many at a time.
//!
//! Socket.IO's own way out encodes, copies and wakes a task for each recipient of each frame.
//! Here a frame is encoded once, its bytes are shared, and one flusher writes to all sockets that
//! have become dirty since it last looked. What the Engine.IO library itself has to say
//! (handshake, pings) is written through [`io::OutboundIo`] into the same queue, whole frames at
//! a time, so the two never mix within a frame.
//!
//! | file | what it does |
//! |---|---|
//! | [`frame`] | finished frames |
//! | [`queue`] | what waits, and sockets that come over from the library's own way out |
//! | [`io`] | the connection as the HTTP and Engine.IO libraries see it |
//! | [`flusher`] | who writes |

pub(crate) mod flusher;
pub(crate) mod frame;
pub(crate) mod io;
mod queue;

use std::{
    io::{Error, ErrorKind, IoSlice, Result},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;

pub(crate) use self::flusher::Flushers;
use self::queue::{AT_ONCE, Queue};
use crate::backlog::Backlog;

/// One connection's way out.
pub(crate) struct Outbound {
    stream: TcpStream,
    queue: Mutex<Queue>,
    flushers: Flushers,
    number: u64,
    cut: CancellationToken,
    /// Counts what waits: who hands a frame over counts it in first.
    backlog: Arc<Backlog>,
    /// How long written data may wait for the client.
    patience: Duration,
}

/// Counts a connection that is lost because its peer took nothing for too long, whether we or the
/// kernel noticed.
fn noted(error: &Error) {
    if error.kind() == ErrorKind::TimedOut {
        metrics::counter!("switchboard_closed_total", "reason" => "write_deadline").increment(1);
    }
}

impl Outbound {
    pub(crate) fn new(
        stream: TcpStream,
        number: u64,
        flushers: Flushers,
        cut: CancellationToken,
        backlog: Arc<Backlog>,
        patience: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { stream, queue: Mutex::default(), flushers, number, cut, backlog, patience })
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts what waits.
    pub(crate) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    /// Begins to bring a socket over. `marker` is the frame that it sends last on the old way.
    pub(crate) fn cross(&self, marker: Bytes) {
        self.queue().cross(marker);
    }

    /// The marker could not be sent: its socket is gone, others on the connection are not.
    pub(crate) fn forget(&self, marker: &Bytes) {
        self.queue().forget(marker);
    }

    /// Hands a frame over without waiting. `marker` is the one of its socket, which may still be
    /// on its way.
    pub(crate) fn push(self: &Arc<Self>, marker: &Bytes, frame: Bytes) {
        let mut queue = self.queue();
        if queue.is_closing {
            // Nothing is written any more, and nobody shall wait for it.
            self.backlog.written(frame.len());
            return;
        }
        let is_on_its_way = queue.put(marker, frame);
        if is_on_its_way && !queue.is_dirty && !queue.is_blocked {
            queue.is_dirty = true;
            drop(queue);
            self.flushers.tell(self);
        }
    }

    /// Writes what waits, as far as the client takes it.
    fn flush(self: &Arc<Self>) {
        let mut queue = self.queue();
        queue.is_dirty = false;
        if !queue.is_blocked {
            self.write_out(&mut queue);
        }
    }

    fn write_out(self: &Arc<Self>, queue: &mut Queue) {
        if self.try_write(queue) || queue.is_blocked {
            return;
        }
        queue.is_blocked = true;
        self.flushers.spawn(Arc::clone(self).write_when_possible());
    }

    /// Writes until all is out (`true`) or the client takes no more. A broken connection is cut.
    fn try_write(&self, queue: &mut Queue) -> bool {
        while !queue.frames.is_empty() {
            match self.write_some(queue) {
                Ok(length) => {
                    queue.advance(length);
                    self.backlog.written(length);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    noted(&error);
                    self.cut.cancel();
                    self.clear(queue);
                }
            }
        }
        queue.wake();
        if queue.is_closing {
            self.shut();
        }
        true
    }

    /// One write of the first frames.
    fn write_some(&self, queue: &Queue) -> Result<usize> {
        // Most often one waits, and the kernel takes that faster than a list of one.
        if let Some(only) = queue.only() {
            return self.stream.try_write(only);
        }
        let mut slices = [IoSlice::new(&[]); AT_ONCE];
        let count = queue.slices(&mut slices);
        self.stream.try_write_vectored(&slices[..count])
    }

    /// No more comes in from the library. Others may hold this longer, the client shall not wait
    /// for them.
    fn close(&self) {
        let mut queue = self.queue();
        queue.is_closing = true;
        if self.cut.is_cancelled() {
            self.clear(&mut queue);
        }
        if queue.frames.is_empty() {
            self.shut();
        }
    }

    /// Nothing of it will ever go out.
    fn clear(&self, queue: &mut Queue) {
        queue.clear();
        self.backlog.clear();
    }

    fn shut(&self) {
        // Fails only if the other side has done it.
        let _ = SockRef::from(&self.stream).shutdown(std::net::Shutdown::Both);
    }

    /// The way of a slow reader: waits until it takes more, not longer than the patience at once.
    async fn write_when_possible(self: Arc<Self>) {
        loop {
            let is_possible = tokio::select! {
                possible = timeout(self.patience, self.stream.writable()) => possible.is_ok(),
                () = self.cut.cancelled() => true,
            };
            if !is_possible {
                noted(&ErrorKind::TimedOut.into());
                self.cut.cancel();
            }
            if self.cut.is_cancelled() {
                self.clear(&mut self.queue());
                return self.shut();
            }
            let mut queue = self.queue();
            if self.try_write(&mut queue) {
                queue.is_blocked = false;
                return;
            }
            queue.wake();
        }
    }
}

#[cfg(test)]
mod guard;
#[cfg(test)]
mod tests;
