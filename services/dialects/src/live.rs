//! A plain WebSocket that carries JSON frames: what the protocols that have one share.
//!
//! One task a socket. What goes out waits in a bounded queue; who does not read is cut off, who
//! does not answer pings is given up.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    body::Bytes,
    extract::{
        WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket},
    },
};
use chat_core::{ChatError, CloseReason, Code, Frame, Limits, Result, Sink};
use futures_util::{
    SinkExt, StreamExt,
    stream::{SplitSink, SplitStream},
};
use tokio::{
    sync::mpsc,
    time::{Instant, interval_at, timeout},
};

/// Frames that may wait for one client before it counts as a slow reader.
const QUEUE: usize = 4_096;

/// Largest frame that a client may send: room for a text that is far too long to be told so.
const FRAME_MAX: usize = 2 * 1024 * 1024;

/// How often a client is pinged, and how long it may stay silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// How long a client may take to read its last frames.
const FAREWELL: Duration = Duration::from_secs(1);

/// An upgrade with bounds on what the client may send.
pub fn bounded(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade.max_message_size(FRAME_MAX).max_frame_size(FRAME_MAX)
}

/// How a protocol puts a frame into one text.
pub type Wording = fn(&Frame) -> Utf8Bytes;

enum Outgoing {
    Text(Utf8Bytes),
    Pong(Bytes),
    Ping,
}

/// The way to one client.
#[derive(Clone)]
pub struct Outbox {
    queue: mpsc::Sender<Outgoing>,
    closer: mpsc::UnboundedSender<CloseReason>,
    wording: Wording,
}

impl Outbox {
    /// Puts a frame into the queue, at the pace of the client.
    pub async fn send(&self, frame: &Frame) {
        // The other end is gone only when the connection is.
        let _ = self.queue.send(Outgoing::Text((self.wording)(frame))).await;
    }
}

impl Sink for Outbox {
    fn deliver(&self, frame: &Frame) {
        let sent = self.queue.try_send(Outgoing::Text((self.wording)(frame)));
        if matches!(sent, Err(mpsc::error::TrySendError::Full(_))) && !frame.fleeting {
            self.close(CloseReason::SlowReader);
        }
    }

    fn close(&self, reason: CloseReason) {
        let _ = self.closer.send(reason);
    }
}

/// What one client sends.
pub struct Incoming {
    reader: SplitStream<WebSocket>,
    queue: mpsc::Sender<Outgoing>,
    text_max: usize,
}

impl Incoming {
    /// The next text, or why it is none. `None`: the client is gone.
    pub async fn next(&mut self) -> Option<Result<Utf8Bytes>> {
        loop {
            let Ok(Some(Ok(message))) = timeout(SILENCE_MAX, self.reader.next()).await else {
                return None;
            };
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
/// still goes out.
pub async fn serve<Talk>(
    socket: WebSocket,
    limits: Limits,
    wording: Wording,
    talk: impl FnOnce(Arc<Outbox>, Incoming) -> Talk,
) where
    Talk: Future<Output = ()>,
{
    let (queue, waiting) = mpsc::channel(QUEUE);
    let (closer, closing) = mpsc::unbounded_channel();
    let (writer, reader) = socket.split();
    let incoming = Incoming { reader, queue: queue.clone(), text_max: limits.event_max() };
    let outbox = Arc::new(Outbox { queue, closer, wording });
    let write = write(writer, waiting, closing);
    tokio::pin!(write);
    tokio::select! {
        () = &mut write => return,
        () = talk(outbox, incoming) => {}
    }
    // Nobody hands anything over any more: the writer ends when all is out.
    let _ = timeout(FAREWELL, write).await;
}

async fn write(
    mut writer: SplitSink<WebSocket, Message>,
    mut waiting: mpsc::Receiver<Outgoing>,
    mut closing: mpsc::UnboundedReceiver<CloseReason>,
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
        if writer.send(message(next)).await.is_err() {
            return;
        }
    }
}

fn message(next: Outgoing) -> Message {
    match next {
        Outgoing::Text(text) => Message::Text(text),
        Outgoing::Ping => Message::Ping(Bytes::new()),
        Outgoing::Pong(data) => Message::Pong(data),
    }
}

/// Sends what was handed over before, unless it is too much, and why the socket is closed.
async fn part(
    mut writer: SplitSink<WebSocket, Message>,
    mut waiting: mpsc::Receiver<Outgoing>,
    reason: CloseReason,
) -> Result<(), axum::Error> {
    let code = match reason {
        CloseReason::SlowReader | CloseReason::Draining => 1012,
        CloseReason::SessionEnded => 1008,
    };
    while reason != CloseReason::SlowReader
        && let Ok(next) = waiting.try_recv()
    {
        writer.send(message(next)).await?;
    }
    let frame = CloseFrame { code, reason: reason.as_str().into() };
    writer.send(Message::Close(Some(frame))).await
}
