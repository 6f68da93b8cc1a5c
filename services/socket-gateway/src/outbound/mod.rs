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
//! | [`io`] | the connection as the HTTP and Engine.IO libraries see it |
//! | [`flusher`] | who writes |

pub(crate) mod flusher;
pub(crate) mod frame;
pub(crate) mod io;

use std::{
    collections::VecDeque,
    io::{Error, ErrorKind, IoSlice},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Waker,
    time::Duration,
};

use bytes::Bytes;
use socket2::SockRef;
use tokio::{
    net::TcpStream,
    time::{Instant, timeout},
};
use tokio_util::sync::CancellationToken;

pub(crate) use flusher::Flushers;

use crate::backlog::Backlog;

/// How long a socket may take to come over. A poll that was answered at the last moment may have
/// taken the marker with it; then the client has to come again. Pings bring it up.
const CROSSING: Duration = Duration::from_secs(15);

/// Frames in one write; Linux takes 1,024 at most.
const AT_ONCE: usize = 64;

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

#[derive(Default)]
struct Queue {
    frames: VecDeque<Bytes>,
    /// Bytes of the first frame that are out already.
    sent: usize,
    /// Bytes that wait.
    bytes: usize,
    /// A flusher has been told.
    is_dirty: bool,
    /// The client reads too slowly just now: a task waits for it.
    is_blocked: bool,
    /// The library is done with the connection: what waits still goes out, then it is closed.
    is_closing: bool,
    /// Who waits for room, or for everything to be out.
    waiting: Option<Waker>,
    /// Sockets that come over from the library's own way out.
    crossings: Vec<Crossing>,
}

/// A socket that comes over. Its frames wait until all that it sent the other way is out, which
/// a marker frame shows that is written last.
struct Crossing {
    marker: Bytes,
    frames: Vec<Bytes>,
    began: Instant,
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
        self.queue().crossings.push(Crossing { marker, frames: Vec::new(), began: Instant::now() });
    }

    /// Hands a frame over without waiting. `marker` is the one of its socket, which may still be
    /// on its way.
    pub(crate) fn push(self: &Arc<Self>, marker: Option<&Bytes>, frame: Bytes) {
        let mut queue = self.queue();
        if queue.is_closing {
            return;
        }
        queue.bytes += frame.len();
        let crossing =
            marker.and_then(|marker| queue.crossings.iter_mut().find(|c| c.marker == *marker));
        if let Some(crossing) = crossing {
            crossing.frames.push(frame);
            return;
        }
        queue.frames.push_back(frame);
        if !queue.is_dirty && !queue.is_blocked {
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
            let mut slices = [IoSlice::new(&[]); AT_ONCE];
            let count = queue.slices(&mut slices);
            match self.stream.try_write_vectored(&slices[..count]) {
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

impl Queue {
    fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; AT_ONCE]) -> usize {
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            let skipped = if count == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(&frame[skipped..]);
            count += 1;
        }
        count
    }

    fn advance(&mut self, mut length: usize) {
        self.bytes -= length;
        while let Some(first) = self.frames.front() {
            let left = first.len() - self.sent;
            if length < left {
                self.sent += length;
                return;
            }
            length -= left;
            self.sent = 0;
            self.frames.pop_front();
        }
        // An idle connection keeps nothing.
        if self.frames.capacity() > AT_ONCE {
            self.frames = VecDeque::new();
        }
    }

    fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.crossings = Vec::new();
        (self.sent, self.bytes) = (0, 0);
        self.wake();
    }

    /// Is a socket stuck half way?
    fn is_stuck(&self) -> bool {
        self.crossings.iter().any(|crossing| crossing.began.elapsed() > CROSSING)
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Takes whole frames that the library has written; a marker among them lets its socket's
    /// frames through. Answers how many bytes of markers it took out.
    fn take_written(&mut self, written: &[u8]) -> usize {
        let arrived = self.crossings.iter().position(|c| frame::find(written, &c.marker).is_some());
        let Some(arrived) = arrived else {
            self.bytes += written.len();
            self.frames.push_back(Bytes::copy_from_slice(written));
            return 0;
        };
        let Crossing { marker, frames, .. } = self.crossings.swap_remove(arrived);
        let at = frame::find(written, &marker).unwrap_or(written.len());
        let (before, after) = (&written[..at], &written[at + marker.len()..]);
        let mut taken_out = marker.len();
        if !before.is_empty() {
            taken_out += self.take_written(before);
        }
        self.frames.extend(frames);
        if !after.is_empty() {
            taken_out += self.take_written(after);
        }
        taken_out
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    use chat_core::process::Shutdown;

    use super::{io::OutboundIo, *};

    const PATIENCE: Duration = Duration::from_secs(60);

    /// A connection's way out, and its client.
    async fn pair(patience: Duration) -> (Arc<Outbound>, TcpStream, Shutdown) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let tasks = Shutdown::new();
        let flushers = Flushers::start(1, &tasks);
        let (cut, backlog) = (CancellationToken::new(), Arc::default());
        (Outbound::new(stream, 0, flushers, cut, backlog, patience), client, tasks)
    }

    async fn read(client: &mut TcpStream, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        timeout(Duration::from_secs(10), client.read_exact(&mut bytes)).await.unwrap().unwrap();
        bytes
    }

    #[tokio::test]
    async fn frames_and_what_the_library_writes_go_out_in_the_order_in_which_they_came() {
        let (outbound, mut client, _tasks) = pair(PATIENCE).await;
        let mut library = OutboundIo::new(Arc::clone(&outbound), ());
        outbound.push(None, Bytes::from_static(b"one "));
        library.write_all(b"two ").await.unwrap();
        outbound.push(None, Bytes::from_static(b"three "));
        outbound.push(None, Bytes::from_static(b"four"));
        assert_eq!(read(&mut client, 18).await, b"one two three four");
        assert_eq!(outbound.queue().bytes, 0);
    }

    #[tokio::test]
    async fn a_socket_that_comes_over_sends_nothing_before_its_marker() {
        let (outbound, mut client, _tasks) = pair(PATIENCE).await;
        let mut library = OutboundIo::new(Arc::clone(&outbound), ());
        let frame = |text: &str| frame::event("/", "e", &format!("\"{text}\""));
        let marker = frame("marker");
        outbound.cross(marker.clone());
        outbound.push(Some(&marker), frame("last"));
        outbound.push(None, frame("other"));
        library.write_all(&[&*frame("first"), &*marker].concat()).await.unwrap();
        outbound.push(Some(&marker), frame("over"));
        let expected = ["other", "first", "last", "over"].map(|text| frame(text).to_vec()).concat();
        assert_eq!(read(&mut client, expected.len()).await, expected);
    }

    #[tokio::test]
    async fn what_a_slow_reader_did_not_take_goes_out_once_it_reads_and_is_counted_out() {
        let (outbound, mut client, _tasks) = pair(PATIENCE).await;
        let frame = Bytes::from(vec![b'x'; 64 * 1024]);
        let mut taken = 0;
        while outbound.backlog.put(frame.len(), 1 << 20) {
            outbound.push(None, frame.clone());
            taken += frame.len();
            tokio::task::yield_now().await;
        }
        read(&mut client, taken).await;
        outbound.push(None, Bytes::from_static(b"done"));
        assert_eq!(read(&mut client, 4).await, b"done");
        assert_eq!((outbound.backlog.bytes(), outbound.queue().bytes), (0, 0));
    }

    #[tokio::test]
    async fn data_that_nobody_reads_is_cut_off_at_the_deadline() {
        let (outbound, _client, _tasks) = pair(Duration::from_millis(50)).await;
        let mut library = OutboundIo::new(Arc::clone(&outbound), ());
        while !outbound.cut.is_cancelled() {
            if outbound.backlog.put(1 << 20, 8 << 20) {
                outbound.push(None, Bytes::from(vec![b'x'; 1 << 20]));
            }
            tokio::task::yield_now().await;
        }
        let error = library.write_all(b"x").await.expect_err("cut");
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
        let error = library.read_u8().await.expect_err("cut");
        assert_eq!(error.kind(), ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn the_switch_releases_a_read_that_waits() {
        let (outbound, _client, _tasks) = pair(PATIENCE).await;
        let mut library = OutboundIo::new(Arc::clone(&outbound), ());
        let read = library.read_u8();
        outbound.cut.cancel();
        assert_eq!(read.await.expect_err("cut").kind(), ErrorKind::ConnectionAborted);
    }

    #[tokio::test]
    async fn the_client_sees_the_end_after_the_last_frame_whoever_holds_the_way_out() {
        let (outbound, mut client, _tasks) = pair(PATIENCE).await;
        let library = OutboundIo::new(Arc::clone(&outbound), ());
        let last = Bytes::from(vec![b'x'; 4 << 20]);
        outbound.push(None, last.clone());
        drop(library);
        outbound.push(None, Bytes::from_static(b"too late"));
        let mut all = Vec::new();
        timeout(Duration::from_secs(10), client.read_to_end(&mut all)).await.unwrap().unwrap();
        assert_eq!(all.len(), last.len());
    }
}
