//! One bounded queue a socket. Socket.IO would run handlers at the same time and in any order;
//! here the handler only puts the event into the queue.

use std::{
    collections::VecDeque,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use chat_core::{ChatError, Code};
use dialects::json;
use serde_json::Value;
use socketioxide::{
    adapter::LocalAdapter, extract::AckSender, handler::FromMessageParts, socket::Socket,
};
use socketioxide_core::Str;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::sink::SocketSink;

/// Events of one socket that may wait.
const EVENTS: usize = 2_048;

/// Bytes of one socket's events that may wait, and of all sockets' together. One event may always
/// wait, which is bounded by itself.
const BYTES: usize = 256 * 1024;
const BYTES_OF_ALL: usize = 64 * 1024 * 1024;

/// Bytes that wait for all sockets' tasks.
static OF_ALL: AtomicUsize = AtomicUsize::new(0);

/// How long who floods the queue should wait.
const WORTH_A_TRY: Duration = Duration::from_secs(1);

/// One event, as it came: text, which takes little; it is parsed when its turn comes.
pub(super) struct Delivery {
    pub event: String,
    /// `["event", payload]`, or `None` where that is too large to be read.
    pub text: Option<Str>,
    /// How the library acknowledges, where it carries the socket.
    pub ack: Option<AckSender>,
    /// The number that the client gave its acknowledgement, if it asked for one.
    pub ack_id: Option<i64>,
    /// When it came.
    pub came: Instant,
}

impl Delivery {
    pub(super) fn size(&self) -> usize {
        self.text.as_ref().map_or(0, |text| text.len())
    }

    /// The payload; `null` where there is none.
    pub(super) fn payload(&self) -> Result<Value, ChatError> {
        let Some(text) = &self.text else {
            return Err(ChatError::new(Code::PayloadTooLarge, "the event is too large"));
        };
        payload(text)
    }
}

/// The payload of `["event", payload]`; `null` where there is none.
pub(super) fn payload(text: &str) -> Result<Value, ChatError> {
    match json::read(text, "the payload")? {
        Value::Array(parts) => Ok(parts.into_iter().nth(1).unwrap_or_default()),
        _ => Err(ChatError::invalid_payload("an event is an array: its name, its payload")),
    }
}

/// The packet itself, which the library's own extractors would parse at once.
pub(super) struct Packet {
    pub text: Str,
    pub ack_id: Option<i64>,
}

impl FromMessageParts<LocalAdapter> for Packet {
    type Error = Infallible;

    fn from_message_parts(
        _: &Arc<Socket<LocalAdapter>>,
        packet: &mut socketioxide_core::Value,
        ack: &Option<i64>,
    ) -> Result<Self, Infallible> {
        let text = packet.as_str().cloned().unwrap_or_default();
        Ok(Self { text, ack_id: *ack })
    }
}

/// What waits. An idle socket keeps nothing: a channel would keep room for 32 events.
#[derive(Default)]
struct Waiting {
    events: VecDeque<Delivery>,
    bytes: usize,
}

impl Waiting {
    fn put_in(&mut self, bytes: usize) {
        self.bytes += bytes;
        OF_ALL.fetch_add(bytes, Ordering::Relaxed);
    }

    fn put_out(&mut self, bytes: usize) {
        self.bytes -= bytes;
        OF_ALL.fetch_sub(bytes, Ordering::Relaxed);
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.put_out(self.bytes);
    }
}

struct Queue {
    waiting: Mutex<Waiting>,
    news: Notify,
}

impl Queue {
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The handler's end.
#[derive(Clone)]
pub(super) struct Outbox(Arc<Queue>);

/// The task's end.
pub(super) struct Inbox {
    queue: Arc<Queue>,
    /// The socket is gone.
    pub gone: CancellationToken,
}

pub(super) fn pair() -> (Outbox, Inbox) {
    let queue = Arc::new(Queue { waiting: Mutex::default(), news: Notify::new() });
    (Outbox(Arc::clone(&queue)), Inbox { queue, gone: CancellationToken::new() })
}

impl Outbox {
    /// Puts an event into the queue, or tells the socket at once that it floods.
    pub(super) fn put(&self, sink: &SocketSink, delivery: Delivery) {
        if let Err(refused) = self.try_put(delivery) {
            metrics::counter!("switchboard_events_refused_total").increment(1);
            let error = ChatError::rate_limited("too many events at once, slow down", WORTH_A_TRY);
            sink.reply(refused, Err(error));
        }
    }

    fn try_put(&self, delivery: Delivery) -> Result<(), Delivery> {
        let mut waiting = self.0.waiting();
        let is_too_long = waiting.bytes + delivery.size() > BYTES
            || OF_ALL.load(Ordering::Relaxed) + delivery.size() > BYTES_OF_ALL;
        if waiting.bytes > 0 && is_too_long || waiting.events.len() == EVENTS {
            return Err(delivery);
        }
        waiting.put_in(delivery.size());
        waiting.events.push_back(delivery);
        drop(waiting);
        self.0.news.notify_one();
        Ok(())
    }
}

impl Inbox {
    /// The next event. What came before the socket was gone still counts; then `None`.
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        loop {
            let is_gone = self.gone.is_cancelled();
            if let Some(next) = self.take() {
                return Some(next);
            }
            if is_gone {
                return None;
            }
            tokio::select! { () = self.queue.news.notified() => {}, () = self.gone.cancelled() => {} }
        }
    }

    /// Takes more events as long as they can be read, with what was read of each.
    pub(super) fn take_while<T>(
        &self,
        mut read: impl FnMut(&Delivery) -> Option<T>,
    ) -> Vec<(Delivery, T)> {
        let (mut taken, mut waiting) = (Vec::new(), self.queue.waiting());
        while let Some(found) = waiting.events.front().and_then(&mut read)
            && let Some(next) = waiting.events.pop_front()
        {
            waiting.put_out(next.size());
            taken.push((next, found));
        }
        taken
    }

    /// How many events wait.
    pub(super) fn len(&self) -> usize {
        self.queue.waiting().events.len()
    }

    fn take(&self) -> Option<Delivery> {
        let mut waiting = self.queue.waiting();
        let Some(next) = waiting.events.pop_front() else {
            waiting.events = VecDeque::new();
            return None;
        };
        waiting.put_out(next.size());
        Some(next)
    }
}
