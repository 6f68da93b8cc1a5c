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
    adapter::LocalAdapter,
    extract::{AckSender, SocketRef},
    handler::FromMessageParts,
    socket::Socket,
};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::task::reply;

/// Events of one socket that may wait.
const EVENTS: usize = 2_048;

/// Bytes of one socket's events that may wait.
const BYTES: usize = 8 * 1024 * 1024;

/// One event, as it came.
pub(super) struct Delivery {
    pub event: String,
    /// The payload, or why it is none.
    pub payload: Result<Value, String>,
    pub ack: AckSender,
    pub wants_ack: bool,
}

/// What the library's own extractors do not tell.
pub(super) struct Meta {
    pub wants_ack: bool,
    pub size: usize,
    /// The event has a name and nothing else.
    pub is_bare: bool,
}

/// Longest packet that is looked at to see whether it is a bare name.
const BARE_MAX: usize = 128;

impl FromMessageParts<LocalAdapter> for Meta {
    type Error = Infallible;

    fn from_message_parts(
        _: &Arc<Socket<LocalAdapter>>,
        packet: &mut socketioxide_core::Value,
        ack: &Option<i64>,
    ) -> Result<Self, Infallible> {
        let text = packet.as_str().map_or("", |text| &**text);
        let is_bare = text.len() <= BARE_MAX && serde_json::from_str::<(String,)>(text).is_ok();
        Ok(Self { wants_ack: ack.is_some(), size: text.len(), is_bare })
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
}

pub(super) fn pair() -> (Outbox, Inbox) {
    let (sender, receiver) = channel(EVENTS);
    let bytes = Arc::new(AtomicUsize::new(0));
    (Outbox { queue: sender, bytes: Arc::clone(&bytes) }, Inbox { queue: receiver, bytes })
}

impl Outbox {
    /// Puts an event into the queue, or tells the socket at once that it floods.
    pub(super) fn put(&self, socket: &SocketRef, delivery: Delivery, size: usize) {
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
            reply(socket, delivery, Err(error));
        }
    }
}

impl Inbox {
    /// The next event.
    pub(super) async fn next(&mut self) -> Option<Delivery> {
        let (delivery, size) = self.queue.recv().await?;
        self.bytes.fetch_sub(size, Ordering::Relaxed);
        Some(delivery)
    }

    /// The next event if it is there already.
    pub(super) fn next_now(&mut self) -> Option<Delivery> {
        self.queue.try_recv().ok().map(|(delivery, _)| delivery)
    }
}
