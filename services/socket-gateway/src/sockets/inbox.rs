//! One bounded queue a socket. Socket.IO would run handlers at the same time and in any order;
//! here the handler only puts the event into the queue.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use chat_core::{ChatError, Code};
use serde_json::Value;
use socketioxide::{
    adapter::LocalAdapter, extract::AckSender, handler::FromMessageParts, socket::Socket,
};
use socketioxide_core::Str;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use super::sink::SocketSink;

/// Events of one socket that may wait.
const EVENTS: usize = 2_048;

/// Bytes of one socket's events that may wait.
const BYTES: usize = 8 * 1024 * 1024;

/// One event, as it came: text, which takes little; it is parsed when its turn comes.
pub(super) struct Delivery {
    pub event: String,
    /// `["event", payload]`, or `None` where that is too large to be read.
    pub text: Option<Str>,
    pub ack: AckSender,
    /// Under which the client asked for an acknowledgement, if it did.
    pub ack_id: Option<i64>,
}

impl Delivery {
    /// The payload; `null` where there is none.
    pub(super) fn payload(&self) -> Result<Value, ChatError> {
        let Some(text) = &self.text else {
            return Err(ChatError::new(Code::PayloadTooLarge, "the event is too large"));
        };
        let parts: Vec<Value> = serde_json::from_str(text).map_err(|cause| {
            ChatError::invalid_payload(format!("the payload is not JSON: {cause}"))
        })?;
        Ok(parts.into_iter().nth(1).unwrap_or_default())
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

/// The handler's end.
#[derive(Clone)]
pub(super) struct Outbox {
    queue: Sender<(Delivery, usize)>,
    bytes: Arc<AtomicUsize>,
}

/// The task's end.
pub(super) struct Inbox {
    queue: Receiver<(Delivery, usize)>,
    bytes: Arc<AtomicUsize>,
    /// The socket is gone.
    pub gone: CancellationToken,
}

pub(super) fn pair() -> (Outbox, Inbox) {
    let (sender, receiver) = channel(EVENTS);
    let bytes = Arc::new(AtomicUsize::new(0));
    (
        Outbox { queue: sender, bytes: Arc::clone(&bytes) },
        Inbox { queue: receiver, bytes, gone: CancellationToken::new() },
    )
}

impl Outbox {
    /// Puts an event into the queue, or tells the socket at once that it floods.
    pub(super) fn put(&self, sink: &SocketSink, delivery: Delivery) {
        let size = delivery.text.as_ref().map_or(0, |text| text.len());
        metrics::counter!("switchboard_events_in_total").increment(1);
        let waiting = self.bytes.fetch_add(size, Ordering::Relaxed);
        let refused = if waiting > 0 && waiting + size > BYTES {
            Some(delivery)
        } else {
            self.queue.try_send((delivery, size)).err().map(|error| error.into_inner().0)
        };
        if let Some(delivery) = refused {
            self.bytes.fetch_sub(size, Ordering::Relaxed);
            metrics::counter!("switchboard_events_refused_total").increment(1);
            let error = ChatError::new(Code::RateLimited, "too many events at once, slow down");
            sink.reply(delivery, Err(error));
        }
    }
}

impl Inbox {
    /// The next event. What came before the socket was gone still counts; then `None`.
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        let next = tokio::select! {
            biased;
            next = self.queue.recv() => next,
            () = self.gone.cancelled() => None,
        };
        let (delivery, size) = next?;
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        Some(delivery)
    }

    /// How many events wait.
    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }
}
