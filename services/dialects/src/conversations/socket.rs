//! Hop 1 of 10: 001's live WebSocket, `/ws/conversations/{id}`. What a client sends is posted.
//! From the client; next the gateway's `chat_client.rs`. What comes back out is hop 10, `render.rs`.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{
        Path, Query, State, WebSocketUpgrade,
        ws::{CloseFrame, Message, Utf8Bytes, WebSocket, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use chat_core::{
    Caller, ChatError, CloseReason, ConversationId, Event, Frame, Listener, MessageId, Render,
    Result, Seq, Session, Sink, SocketKey, chat::CHANGES_MAX, model::NewMessage,
};
use futures_util::{SinkExt, StreamExt, stream::SplitSink};
use serde::Deserialize;
use tokio::{
    sync::mpsc,
    time::{Instant, interval_at, timeout},
};

use super::{
    render::Conversations,
    wire::{NewText, ServerFrame, message_url, status_word},
};
use crate::{handshake, socket::Ports};

/// Frames that may wait for one client before it counts as a slow reader.
const QUEUE: usize = 4_096;

/// Largest frame that a client may send: room for a text that is far too long to be told so.
const FRAME_MAX: usize = 2 * 1024 * 1024;

/// How often a client is pinged, and how long it may stay silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(45);

/// The route, for the gateway to mount.
pub fn router(ports: Ports) -> Router {
    Router::new()
        .route("/ws/conversations/{id}", get(upgrade))
        .route("/ws/conversations/{id}/", get(upgrade))
        .with_state(ports)
}

#[derive(Deserialize)]
struct Wanted {
    token: Option<String>,
    since: Option<String>,
}

/// Lets the client in, or refuses the upgrade with 401, 403, 404, 400 or 503.
async fn upgrade(
    State(ports): State<Ports>,
    Path(id): Path<String>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return refusal(&ChatError::invalid_payload("this is a WebSocket: ask for an upgrade"));
    };
    match admit(&ports, &id, wanted, &headers).await {
        Ok((session, start)) => upgrade
            .max_message_size(FRAME_MAX)
            .max_frame_size(FRAME_MAX)
            .on_upgrade(move |socket| serve(socket, ports, session, start)),
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &ChatError) -> Response {
    let status = StatusCode::from_u16(error.code().http()).unwrap_or(StatusCode::BAD_REQUEST);
    let body = serde_json::json!({
        "status": status_word(error.code()), "error": error.message(), "code": error.code().as_str(),
    });
    (status, axum::Json(body)).into_response()
}

/// Where a connection begins.
struct Start {
    conversation: ConversationId,
    after: Seq,
}

async fn admit(
    ports: &Ports,
    id: &str,
    wanted: Wanted,
    headers: &HeaderMap,
) -> Result<(Session, Start)> {
    let session = handshake::session(ports, wanted.token.as_deref(), headers).await?;
    let session = session.ok_or_else(ChatError::unauthorised)?;
    let caller = Caller::User(session.user.clone());
    let conversation = ports.chat.conversation(&caller, id.parse()?).await?;
    let after = match wanted.since.map(|since| since.parse::<u64>()) {
        None => conversation.head,
        Some(Ok(since)) => Seq(since).min(conversation.head),
        Some(Err(_)) => {
            return Err(ChatError::invalid_payload("`since` must be a whole number, 0 or more"));
        }
    };
    Ok((session, Start { conversation: conversation.id, after }))
}

/// What waits to be written to one client.
enum Outgoing {
    Frame(Utf8Bytes),
    Pong(axum::body::Bytes),
    Ping,
    Close(CloseReason),
}

/// The way to one client.
struct Outbox(mpsc::Sender<Outgoing>, mpsc::UnboundedSender<CloseReason>);

impl Sink for Outbox {
    fn deliver(&self, frame: &Frame) {
        let sent = self.0.try_send(Outgoing::Frame(frame.body.get().into()));
        if matches!(sent, Err(mpsc::error::TrySendError::Full(_))) && !frame.fleeting {
            self.close(CloseReason::SlowReader);
        }
    }

    fn close(&self, reason: CloseReason) {
        // The other end is gone only when the connection is.
        let _ = self.1.send(reason);
    }
}

async fn serve(socket: WebSocket, ports: Ports, session: Session, start: Start) {
    let (outbox, mut queue) = mpsc::channel(QUEUE);
    let (closer, mut closing) = mpsc::unbounded_channel();
    let sink: Arc<dyn Sink> = Arc::new(Outbox(outbox.clone(), closer));
    let key = ports.keys.next();
    let _bound = ports.feed.bind(&session, key, Arc::clone(&sink));
    let (mut writer, mut reader) = socket.split();
    // Also while much is sent: who only listens shows by its pongs that it is there.
    let mut ping = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
    let write = async {
        loop {
            let next = tokio::select! {
                biased;
                reason = closing.recv() => reason.map(Outgoing::Close),
                _ = ping.tick() => Some(Outgoing::Ping),
                next = queue.recv() => next,
            };
            let Some(next) = next else { break };
            if !send(&mut writer, next).await {
                break;
            }
        }
    };
    let client = LiveClient { key, ports, session, conversation: start.conversation, outbox, sink };
    let read = async {
        let Ok(_follow) = client.begin(start.after).await else { return };
        while let Ok(Some(Ok(message))) = timeout(SILENCE_MAX, reader.next()).await {
            if !client.hear(message).await {
                break;
            }
        }
    };
    tokio::select! { () = write => {}, () = read => {} }
}

/// Writes one thing. Is the connection still good?
async fn send(writer: &mut SplitSink<WebSocket, Message>, next: Outgoing) -> bool {
    let message = match next {
        Outgoing::Frame(text) => Message::Text(text),
        Outgoing::Ping => Message::Ping(Default::default()),
        Outgoing::Pong(data) => Message::Pong(data),
        Outgoing::Close(reason) => {
            let code = match reason {
                CloseReason::SlowReader | CloseReason::Draining => 1012,
                CloseReason::SessionEnded => 1008,
            };
            let frame = CloseFrame { code, reason: reason.as_str().into() };
            let _ = timeout(Duration::from_secs(1), writer.send(Message::Close(Some(frame)))).await;
            return false;
        }
    };
    writer.send(message).await.is_ok()
}

/// One connected client.
struct LiveClient {
    key: SocketKey,
    ports: Ports,
    session: Session,
    conversation: ConversationId,
    outbox: mpsc::Sender<Outgoing>,
    sink: Arc<dyn Sink>,
}

impl LiveClient {
    /// Replays what came after `after`, then follows.
    async fn begin(&self, mut after: Seq) -> Result<chat_core::Follow> {
        let listener =
            Listener { key: self.key, render: &Conversations, sink: Arc::clone(&self.sink) };
        let followed = loop {
            let page = match self.ports.chat.changes(self.conversation, after, CHANGES_MAX).await {
                Ok(page) => page,
                Err(error) => break Err(error),
            };
            let is_last = page.len() < CHANGES_MAX as usize;
            for change in page {
                after = change.seq;
                // A long replay goes at the pace of its reader.
                if let Some(frame) = Conversations.render(&Event::Change(change)) {
                    let _ = self.outbox.send(Outgoing::Frame(frame.body.get().into())).await;
                }
            }
            if is_last {
                break self.ports.feed.follow(self.conversation, Some(after), listener).await;
            }
        };
        if let Err(error) = &followed {
            self.tell(error).await;
        }
        followed
    }

    /// Handles one message. Does the connection go on?
    async fn hear(&self, message: Message) -> bool {
        match message {
            Message::Text(text) => match self.post(text.as_str()).await {
                Ok(id) => {
                    let url = message_url(self.conversation, id);
                    self.send(&ServerFrame::Posted { status: "success", url }).await;
                }
                Err(error) => self.tell(&error).await,
            },
            Message::Binary(_) => {
                self.tell(&ChatError::invalid_payload("send JSON as text, not as binary")).await;
            }
            Message::Ping(data) => {
                let _ = self.outbox.send(Outgoing::Pong(data)).await;
            }
            Message::Pong(_) => {}
            Message::Close(_) => return false,
        }
        true
    }

    async fn post(&self, text: &str) -> Result<MessageId> {
        let body = serde_json::from_str(text)
            .map_err(|e| ChatError::invalid_payload(format!("the frame is not JSON: {e}")))?;
        let new = NewText::parse(&body, &self.ports.limits)?;
        let new = NewMessage {
            conversation: self.conversation,
            text: new.text,
            media: Vec::new(),
            client_id: new.client_id,
        };
        let caller = Caller::User(self.session.user.clone());
        Ok(self.ports.chat.post(&caller, new, Some(self.key)).await?.id)
    }

    async fn tell(&self, error: &ChatError) {
        let (status, code) = (status_word(error.code()), error.code().as_str());
        self.send(&ServerFrame::Error { status, error: error.message(), code }).await;
    }

    async fn send(&self, frame: &ServerFrame<'_>) {
        let text = Frame::new("", frame).body.get().into();
        let _ = self.outbox.send(Outgoing::Frame(text)).await;
    }
}
