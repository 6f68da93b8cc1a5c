//! Hop 1 of 10: 001's live WebSocket, `/ws/conversations/{id}`. What a client sends is posted.
//! From the client; next the gateway's `chat_client.rs`. What comes back out is hop 10, `render.rs`.

use std::{sync::Arc, time::Instant};

use axum::{
    Extension, Router,
    extract::{
        Path, Query, State, WebSocketUpgrade,
        ws::{Utf8Bytes, rejection::WebSocketUpgradeRejection},
    },
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Response},
    routing::get,
};
use chat_core::{
    Caller, ChatError, ConversationId, Event, Frame, Listener, MessageId, Render, Result, Seq,
    Session, Sink, SocketKey, Via, chat::CHANGES_MAX, model::NewMessage, root_span,
};
use serde::Deserialize;
use tracing::Instrument;

use super::{
    render::Conversations,
    wire::{NewText, ServerFrame, message_url, status_word},
};
use crate::{
    allowance::{Allowance, Owner},
    handshake, json,
    live::{self, Carrier, Incoming, Outbox},
    observe::{self, Counted},
    socket::Ports,
};

/// What its frames are called where they are counted.
const POST: &str = "chat message";

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
    carrier: Option<Extension<Carrier>>,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let Ok(upgrade) = upgrade else {
        return refusal(&ChatError::invalid_payload("this is a WebSocket: ask for an upgrade"));
    };
    let carrier = carrier.map(|Extension(carrier)| carrier).unwrap_or_default();
    let span = root_span!("connect", otel.kind = "server", switchboard.protocol = "conversations");
    match admit(&ports, &id, wanted, &headers).instrument(span).await {
        Ok((session, allowance, start)) => {
            live::bounded(upgrade, &ports.limits).on_upgrade(async move |socket| {
                let entered = (session, allowance, start);
                let talk = |outbox, incoming| serve(outbox, incoming, ports.clone(), entered);
                live::serve(socket, &ports, carrier, text, talk).await;
            })
        }
        Err(error) => refusal(&error),
    }
}

fn refusal(error: &ChatError) -> Response {
    let status = StatusCode::from_u16(error.code().http()).unwrap_or(StatusCode::BAD_REQUEST);
    let body = serde_json::json!({
        "status": status_word(error.code()), "error": error.message(), "code": error.code().as_str(),
    });
    live::with_retry_after((status, axum::Json(body)).into_response(), error)
}

/// Where a connection begins.
struct Start {
    conversation: ConversationId,
    after: Seq,
}

/// Who is let in, what it may ask for, and where it begins.
type Entered = (Session, Allowance, Start);

async fn admit(ports: &Ports, id: &str, wanted: Wanted, headers: &HeaderMap) -> Result<Entered> {
    let session = handshake::session(ports, wanted.token.as_deref(), headers).await?;
    let session = session.ok_or_else(ChatError::unauthorised)?;
    let allowance = ports.allowances.socket(Owner::User(session.user.id))?;
    let caller = Caller::User(session.user.clone());
    let conversation = ports.chat.conversation(&caller, id.parse()?).await?;
    let after = match wanted.since.map(|since| since.parse::<u64>()) {
        None => conversation.head,
        Some(Ok(since)) => Seq(since).min(conversation.head),
        Some(Err(_)) => {
            return Err(ChatError::invalid_payload("`since` must be a whole number, 0 or more"));
        }
    };
    Ok((session, allowance, Start { conversation: conversation.id, after }))
}

/// A frame as it goes out: 001's have no name beside their body.
fn text(frame: &Frame) -> Utf8Bytes {
    frame.body.get().into()
}

async fn serve(
    outbox: Arc<Outbox>,
    mut incoming: Incoming,
    ports: Ports,
    (session, allowance, start): Entered,
) {
    let (key, _counted) = (ports.keys.next(), Counted::begin("conversations", "plain"));
    let _bound = ports.feed.bind(&session, key, Arc::clone(&outbox) as Arc<dyn Sink>);
    let client =
        LiveClient { key, ports, session, allowance, conversation: start.conversation, outbox };
    let Ok(_follow) = client.begin(start.after).await else { return };
    while let Some(text) = incoming.next().await {
        client.hear(text).await;
    }
}

/// One connected client.
struct LiveClient {
    key: SocketKey,
    ports: Ports,
    session: Session,
    allowance: Allowance,
    conversation: ConversationId,
    outbox: Arc<Outbox>,
}

impl LiveClient {
    /// Replays what came after `after`, then follows. Each page that is read counts as a query, so
    /// that a long replay goes no faster than who asks for the same in parts.
    async fn begin(&self, mut after: Seq) -> Result<chat_core::Follow> {
        let listener = Listener {
            key: self.key,
            user: Some(self.session.user.id),
            render: &Conversations,
            sink: Arc::clone(&self.outbox) as Arc<dyn Sink>,
        };
        let followed = loop {
            self.allowance.query_in_time().await;
            let page = match self.ports.chat.changes(self.conversation, after, CHANGES_MAX).await {
                Ok(page) => page,
                Err(error) => break Err(error),
            };
            let is_last = page.len() < CHANGES_MAX as usize;
            for change in page {
                after = change.seq;
                // A long replay goes at the pace of its reader.
                for frame in Conversations.render(&Event::Change(change), 0) {
                    self.outbox.send(&frame).await;
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

    /// Handles one frame, and answers it.
    async fn hear(&self, text: Result<Utf8Bytes>) {
        let (came, kind) = (Instant::now(), observe::kind("conversations", "post"));
        let span = kind.came(1);
        let posted = match text {
            Ok(text) => self.post(text.as_str(), came).instrument(span.clone()).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &posted {
            span.record("switchboard.refusal", error.code().as_str());
        }
        match posted {
            Ok(id) => {
                let url = message_url(self.conversation, id);
                self.send(&ServerFrame::Posted { status: "success", url }).await;
            }
            Err(error) => self.tell(&error).await,
        }
        kind.answered(came);
    }

    async fn post(&self, text: &str, came: Instant) -> Result<MessageId> {
        self.allowance.take(POST, came)?;
        let body = json::read(text, "the frame")?;
        let new = NewText::parse(&body, &self.session.user.name, &self.ports.limits)?;
        let new = NewMessage {
            conversation: self.conversation,
            text: new.text,
            media: Vec::new(),
            client_id: new.client_id,
            via: Via::Conversations,
        };
        let caller = Caller::User(self.session.user.clone());
        Ok(self.ports.chat.post(&caller, new, Some(self.key)).await?.id)
    }

    async fn tell(&self, error: &ChatError) {
        let (status, code) = (status_word(error.code()), error.code().as_str());
        let (error, retry_after_ms) = (error.message(), error.retry_after_ms());
        self.send(&ServerFrame::Error { status, error, code, retry_after_ms }).await;
    }

    async fn send(&self, frame: &ServerFrame<'_>) {
        self.outbox.send(&Frame::new("", frame)).await;
    }
}
