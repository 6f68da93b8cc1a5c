//! A plain WebSocket that carries JSON frames: what the protocols that have one share.
//!
//! One task a socket. What goes out waits in a queue bounded in frames and in bytes; who does not
//! read is cut off, who does not answer pings is given up.

use std::{future::Future, sync::Arc, time::Duration};

use async_trait::async_trait;
use axum::{
    body::Bytes,
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
    },
    response::Response,
};
use chat_core::{ChatError, CloseReason, Code, Frame, Limits, Result, Sink};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc},
    time::{Instant, interval_at, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{rest::answer, socket::Ports, unread::Unread};

/// Frames that may wait for one client before it counts as a slow reader.
const QUEUE: usize = 4_096;

/// How often a client is pinged, and how long it may stay silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long a client may take to read its last frames.
const FAREWELL: Duration = Duration::from_secs(1);

/// An upgrade with bounds on what the client may send.
pub fn bounded(upgrade: WebSocketUpgrade, limits: &Limits) -> WebSocketUpgrade {
    upgrade.max_message_size(limits.frame_max()).max_frame_size(limits.frame_max())
}

/// The refusal of an upgrade, with when it is worth trying again, where that is known.
pub(crate) fn with_retry_after(mut refusal: Response, error: &ChatError) -> Response {
    if let Some(after) = error.retry_after() {
        answer::retry_after(&mut refusal, after);
    }
    refusal
}

/// How a protocol puts a frame into one text.
pub type Wording = fn(&Frame) -> Utf8Bytes;

/// What carries a websocket. The gateway leaves one with each request.
#[derive(Clone, Debug, Default)]
pub struct Carrier {
    /// Cancelled when the client shall go elsewhere.
    pub departure: CancellationToken,
    /// What has come in and is no whole message yet.
    pub unread: Unread,
}

enum Outgoing {
    /// With its room in the queue, which comes free once it is written.
    Text(Utf8Bytes, OwnedSemaphorePermit),
    Pong(Bytes),
    Ping,
}

/// The way to one client.
#[derive(Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    closer: mpsc::Sender<CloseReason>,
    wording: Wording,
    room: Arc<Semaphore>,
    most: usize,
}

impl Outbox {
    /// Puts a frame into the queue, at the pace of the client.
    pub async fn send(&self, frame: &Frame) {
        let text = (self.wording)(frame);
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(self.wants(&text)).await else {
            return;
        };
        // The other end is gone only when the connection is.
        let _ = self.queue.send(Outgoing::Text(text, room)).await;
    }

    /// The room that a text takes: half of all at the most, so that however long it is, a queue
    /// that moves has room for it.
    fn wants(&self, text: &Utf8Bytes) -> u32 {
        u32::try_from(text.len().min(self.most / 2)).unwrap_or(u32::MAX)
    }

    /// Puts a text into the queue, if there is room.
    fn put(&self, text: Utf8Bytes, fleeting: bool) -> bool {
        if fleeting && self.room.available_permits() < self.most / 2 {
            return false;
        }
        let room = Arc::clone(&self.room).try_acquire_many_owned(self.wants(&text));
        let Ok(room) = room else { return false };
        let sent = self.queue.try_send(Outgoing::Text(text, room));
        !matches!(sent, Err(mpsc::error::TrySendError::Full(_)))
    }
}

#[async_trait]
impl Sink for Outbox {
    fn deliver(&self, frame: &Frame) {
        if !self.put((self.wording)(frame), frame.fleeting) && !frame.fleeting {
            self.close(CloseReason::SlowReader);
        }
    }

    async fn has_room(&self) {
        let half = u32::try_from(self.most / 2).unwrap_or(u32::MAX);
        let _ = self.room.acquire_many(half).await;
    }

    fn close(&self, reason: CloseReason) {
        // The first reason counts.
        if self.closer.try_send(reason).is_ok() {
            metrics::counter!("switchboard_closed_total", "reason" => reason.as_str()).increment(1);
        }
    }
}

/// What one client sends.
pub struct Incoming {
    reader: SplitStream<WebSocket>,
    queue: mpsc::Sender<Outgoing>,
    text_max: usize,
    departure: CancellationToken,
    unread: Unread,
}

impl Incoming {
    /// The next text, or why it is none. `None`: the client is gone, or shall go.
    pub async fn next(&mut self) -> Option<Result<Utf8Bytes>> {
        loop {
            let message = tokio::select! {
                biased;
                () = self.departure.cancelled() => return None,
                message = timeout(SILENCE_MAX, self.reader.next()) => message,
            };
            let Ok(Some(Ok(message))) = message else { return None };
            self.unread.took(&message);
            match message {
                Message::Text(text) if text.len() <= self.text_max => return Some(Ok(text)),
                Message::Text(_) => {
                    let error = ChatError::new(Code::PayloadTooLarge, "the frame is too large");
                    return Some(Err(error));
                }
                Message::Binary(_) => {
                    let error = ChatError::invalid_payload("send JSON as text, not as binary");
                    return Some(Err(error));
                }
                Message::Ping(data) => drop(self.queue.send(Outgoing::Pong(data)).await),
                Message::Pong(_) => {}
                Message::Close(_) => return None,
            }
        }
    }
}

/// Serves one client until `talk` has ended or the socket is closed. What `talk` handed over last
/// still goes out. Who shall go hears nothing more once what it asked before is answered.
pub async fn serve<Talk>(
    socket: WebSocket,
    ports: &Ports,
    carrier: Carrier,
    wording: Wording,
    talk: impl FnOnce(Arc<Outbox>, Incoming) -> Talk,
) where
    Talk: Future<Output = ()>,
{
    let (queue, waiting) = mpsc::channel(QUEUE);
    let (closer, closing) = mpsc::channel(1);
    let (writer, reader) = socket.split();
    let Carrier { departure, unread } = carrier;
    unread.begin();
    let incoming = Incoming {
        reader,
        queue: queue.clone(),
        text_max: ports.limits.event_max(),
        departure: departure.clone(),
        unread,
    };
    let most = ports.queue_bytes;
    let room = Arc::new(Semaphore::new(most));
    let outbox = Arc::new(Outbox { queue, closer, wording, room, most });
    let farewell = Outbox::clone(&outbox);
    let write = write(writer, waiting, closing);
    tokio::pin!(write);
    tokio::select! {
        () = &mut write => return,
        () = talk(outbox, incoming) => {}
    }
    if departure.is_cancelled() {
        farewell.close(CloseReason::Draining);
    }
    drop(farewell);
    // Nobody hands anything over any more: the writer ends when all is out.
    let _ = timeout(FAREWELL, write).await;
}

async fn write(
    mut writer: SplitSink<WebSocket, Message>,
    mut waiting: mpsc::Receiver<Outgoing>,
    mut closing: mpsc::Receiver<CloseReason>,
) {
    // Also while much is sent: who only listens shows by its pongs that it is there.
    let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    loop {
        let next = tokio::select! {
            biased;
            Some(reason) = closing.recv() => {
                // Who has gone without reading this is gone all the same.
                let _ = timeout(FAREWELL, part(writer, waiting, reason)).await;
                return;
            }
            _ = ping.tick() => Some(Outgoing::Ping),
            next = waiting.recv() => next,
        };
        let Some(next) = next else {
            let _ = writer.close().await;
            return;
        };
        if send(&mut writer, next).await.is_err() {
            return;
        }
    }
}

/// Writes one message; a text's room comes free then.
async fn send(
    writer: &mut SplitSink<WebSocket, Message>,
    next: Outgoing,
) -> Result<(), axum::Error> {
    let (message, _room) = match next {
        Outgoing::Text(text, room) => (Message::Text(text), Some(room)),
        Outgoing::Ping => (Message::Ping(Bytes::new()), None),
        Outgoing::Pong(data) => (Message::Pong(data), None),
    };
    writer.send(message).await
}

/// Sends what was handed over before, unless it is too much, and why the socket is closed.
async fn part(
    mut writer: SplitSink<WebSocket, Message>,
    mut waiting: mpsc::Receiver<Outgoing>,
    reason: CloseReason,
) -> Result<(), axum::Error> {
    let code = match reason {
        CloseReason::SlowReader | CloseReason::Draining => 1012,
        CloseReason::SessionEnded | CloseReason::NameTaken => 1008,
    };
    while reason != CloseReason::SlowReader
        && let Ok(next) = waiting.try_recv()
    {
        send(&mut writer, next).await?;
    }
    let frame = CloseFrame { code, reason: reason.as_str().into() };
    writer.send(Message::Close(Some(frame))).await
}
