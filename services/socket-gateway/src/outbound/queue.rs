//! What waits on one connection, in the order in which it goes out.

use std::{collections::VecDeque, io::IoSlice, task::Waker, time::Duration};

use bytes::Bytes;
use tokio::time::Instant;

use super::frame;

/// How long a socket may take to come over. A poll that was answered at the last moment may have
/// taken the marker with it; then the client has to come again. Pings bring it up.
const CROSSING: Duration = Duration::from_secs(15);

/// Frames in one write; Linux takes 1,024 at most.
pub(super) const AT_ONCE: usize = 64;

/// All that waits.
#[derive(Default)]
pub(super) struct Queue {
    pub(super) frames: VecDeque<Bytes>,
    /// Bytes of the first frame that are out already.
    sent: usize,
    /// Bytes that wait in `frames`. What waits for a marker holds nobody up, least of all the marker.
    pub(super) bytes: usize,
    /// A flusher has been told.
    pub(super) is_dirty: bool,
    /// The client reads too slowly just now: a task waits for it.
    pub(super) is_blocked: bool,
    /// The library is done with the connection: what waits still goes out, then it is closed.
    pub(super) is_closing: bool,
    /// Who waits for room, or for everything to be out.
    pub(super) waiting: Option<Waker>,
    /// Sockets that come over from the library's own way out.
    pub(super) crossings: Vec<Crossing>,
}

/// A socket that comes over. Its frames wait until all that it sent the other way is out, which
/// a marker frame shows that is written last.
pub(super) struct Crossing {
    marker: Bytes,
    frames: Vec<Bytes>,
    began: Instant,
}

impl Queue {
    /// Begins to bring a socket over, until its marker comes.
    pub(super) fn cross(&mut self, marker: Bytes) {
        self.crossings.push(Crossing { marker, frames: Vec::new(), began: Instant::now() });
    }

    /// The marker never comes.
    pub(super) fn forget(&mut self, marker: &Bytes) {
        self.crossings.retain(|crossing| crossing.marker != *marker);
    }

    /// Takes a frame of the socket with this marker. Answers whether it may go out: not while the
    /// marker has not come.
    pub(super) fn put(&mut self, marker: &Bytes, frame: Bytes) -> bool {
        if let Some(crossing) = self.crossings.iter_mut().find(|c| c.marker == *marker) {
            crossing.frames.push(frame);
            return false;
        }
        self.bytes += frame.len();
        self.frames.push_back(frame);
        true
    }

    /// What is left of the only frame that waits.
    pub(super) fn only(&self) -> Option<&[u8]> {
        let is_only = self.frames.len() == 1;
        self.frames.front().filter(|_| is_only).map(|frame| &frame[self.sent..])
    }

    /// The first frames, for one write. Answers how many.
    pub(super) fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>; AT_ONCE]) -> usize {
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(&self.frames) {
            let skipped = if count == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(&frame[skipped..]);
            count += 1;
        }
        count
    }

    /// So many bytes are out.
    pub(super) fn advance(&mut self, mut length: usize) {
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

    /// Forgets all that waits.
    pub(super) fn clear(&mut self) {
        self.frames = VecDeque::new();
        self.crossings = Vec::new();
        (self.sent, self.bytes) = (0, 0);
        self.wake();
    }

    /// Is a socket stuck half way?
    pub(super) fn is_stuck(&self) -> bool {
        self.crossings.iter().any(|crossing| crossing.began.elapsed() > CROSSING)
    }

    /// Lets go on who waits for room.
    pub(super) fn wake(&mut self) {
        if let Some(waker) = self.waiting.take() {
            waker.wake();
        }
    }

    /// Takes whole frames that the library has written; a marker among them lets its socket's
    /// frames through. Answers how many bytes of markers it took out.
    pub(super) fn take_written(&mut self, written: &[u8]) -> usize {
        let mut crossings = self.crossings.iter().enumerate();
        let arrived =
            crossings.find_map(|(index, c)| Some((index, frame::find(written, &c.marker)?)));
        let Some((index, at)) = arrived else {
            self.bytes += written.len();
            self.frames.push_back(Bytes::copy_from_slice(written));
            return 0;
        };
        let Crossing { marker, frames, .. } = self.crossings.swap_remove(index);
        let (before, after) = (&written[..at], &written[at + marker.len()..]);
        let mut taken_out = marker.len();
        if !before.is_empty() {
            taken_out += self.take_written(before);
        }
        self.bytes += frames.iter().map(Bytes::len).sum::<usize>();
        self.frames.extend(frames);
        if !after.is_empty() {
            taken_out += self.take_written(after);
        }
        taken_out
    }
}
