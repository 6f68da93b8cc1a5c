//! A Socket.IO 5 client over one websocket.

mod knock;
mod packet;

use std::{
    collections::HashMap,
    ops::Deref,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result};
use serde_json::Value;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_tungstenite::tungstenite::Message;

pub use self::{knock::Knock, packet::Packet};
use crate::{
    mailbox::{Mailbox, PATIENCE},
    wire::{Hear, Refused, Wire},
};

/// A connected client. What it hears is in its [`Mailbox`], to which it dereferences.
/// Dropping it cuts the connection without a word, like a pulled plug.
#[derive(Debug)]
pub struct SocketIo {
    wire: Wire,
    ears: Arc<Ears>,
    namespace: String,
    next_ack: AtomicU64,
    /// What the server answered to CONNECT: `{"sid"}`.
    greeting: Value,
}

impl SocketIo {
    /// Begins to knock at a gateway, e.g. `http://127.0.0.1:3001`.
    #[must_use]
    pub fn at(url: &str) -> Knock {
        Knock::new(url)
    }

    /// What the server answered to CONNECT: `{"sid"}`.
    #[must_use]
    pub const fn greeting(&self) -> &Value {
        &self.greeting
    }

    /// Sends an event and asks for nothing.
    pub fn emit(&self, event: &str, data: impl Into<Args>) {
        self.send(None, event, data.into());
    }

    /// Sends an event at once; its acknowledgement can be awaited later. Many can be under way.
    pub fn emit_with_ack(&self, event: &str, data: impl Into<Args>) -> PendingAck {
        let id = self.next_ack.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = oneshot::channel();
        self.ears.pending().insert(id, tell);
        self.send(Some(id), event, data.into());
        PendingAck { id, event: event.to_owned(), told }
    }

    /// Sends an event and waits for its acknowledgement.
    pub async fn asks(&self, event: &str, data: impl Into<Args>) -> Result<Value> {
        self.emit_with_ack(event, data).answer().await
    }

    /// The numbers of all acknowledgements so far, in the order in which they came.
    #[must_use]
    pub fn acks_in_order(&self) -> Vec<u64> {
        self.ears.acks.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends a text frame as it is, however malformed.
    pub fn sends_raw(&self, frame: &str) {
        self.wire.send_text(frame);
    }

    /// Sends a binary frame as it is.
    pub fn sends_raw_bytes(&self, frame: &[u8]) {
        self.wire.send(Message::binary(frame.to_vec()));
    }

    /// Leaves the namespace politely, and closes.
    pub fn leaves(&self) {
        self.wire.send_text(Packet::Disconnect(self.namespace.clone()).encode());
        self.wire.send(Message::Close(None));
    }

    fn send(&self, id: Option<u64>, event: &str, mut args: Args) {
        args.0.insert(0, event.into());
        self.wire.send_text(Packet::Event(self.namespace.clone(), id, args.0).encode());
    }
}

impl Deref for SocketIo {
    type Target = Mailbox;

    fn deref(&self) -> &Mailbox {
        &self.ears.mailbox
    }
}

/// The arguments of an event: usually one value; give a `Vec` for several or none.
#[derive(Debug)]
pub struct Args(Vec<Value>);

impl From<Value> for Args {
    fn from(one: Value) -> Self {
        Self(vec![one])
    }
}

impl From<&str> for Args {
    fn from(one: &str) -> Self {
        Self(vec![one.into()])
    }
}

impl From<Vec<Value>> for Args {
    fn from(all: Vec<Value>) -> Self {
        Self(all)
    }
}

/// An acknowledgement under way.
#[derive(Debug)]
pub struct PendingAck {
    /// Its number on the wire.
    pub id: u64,
    event: String,
    told: oneshot::Receiver<Value>,
}

impl PendingAck {
    /// Waits for it. The error says which event was never acknowledged.
    pub async fn answer(self) -> Result<Value> {
        let answer = timeout(PATIENCE, self.told).await;
        let answer = answer.with_context(|| {
            format!("\"{}\" was not acknowledged within {PATIENCE:?}", self.event)
        })?;
        answer.with_context(|| {
            format!("the connection ended before \"{}\" was acknowledged", self.event)
        })
    }
}

/// Who hears raw events.
#[derive(Clone)]
struct Listener(Arc<dyn Fn(&str) + Send + Sync>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

/// Sorts what comes in.
#[derive(Debug)]
struct Ears {
    mailbox: Mailbox,
    hello: Packet,
    answers_pings: bool,
    listener: Option<Listener>,
    connected: Mutex<Option<oneshot::Sender<Result<Value, Refused>>>>,
    pending: Mutex<HashMap<u64, oneshot::Sender<Value>>>,
    acks: Mutex<Vec<u64>>,
}

impl Ears {
    fn pending(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<Value>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, outcome: Result<Value, Refused>) {
        let waiting = self.connected.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(waiting) = waiting {
            let _ = waiting.send(outcome);
        }
    }

    fn acknowledged(&self, id: u64, args: Vec<Value>) {
        self.acks.lock().unwrap_or_else(PoisonError::into_inner).push(id);
        match self.pending().remove(&id) {
            Some(waiting) => drop(waiting.send(one_or_all(args))),
            None => self.mailbox.put("(an acknowledgement nobody asked for)", id.into()),
        }
    }
}

impl Hear for Ears {
    fn text(&self, frame: &str, outbox: &mpsc::UnboundedSender<Message>) {
        if let Some(Listener(hear)) = &self.listener
            && frame.starts_with("42")
        {
            return hear(frame);
        }
        let answer = |packet: &Packet| drop(outbox.send(Message::text(packet.encode())));
        match Packet::parse(frame) {
            Ok(Packet::Open(_)) => answer(&self.hello),
            Ok(Packet::Ping) if self.answers_pings => answer(&Packet::Pong),
            Ok(Packet::Connect(_, greeting)) => self.settle(Ok(greeting.unwrap_or_default())),
            Ok(Packet::ConnectError(_, why)) => self.settle(Err(Refused::ConnectError(why))),
            Ok(Packet::Ack(_, id, args)) => self.acknowledged(id, args),
            Ok(Packet::Event(_, _, mut args)) if !args.is_empty() => {
                let event = args.remove(0);
                self.mailbox.put(event.as_str().unwrap_or_default(), one_or_all(args));
            }
            Ok(Packet::Disconnect(_)) => self.mailbox.put("disconnect", Value::Null),
            Ok(Packet::Ping | Packet::Noop) => {}
            Ok(other) => self.mailbox.put("(out of place)", format!("{other:?}").into()),
            Err(e) => self.mailbox.put("(malformed)", format!("{frame}: {e:#}").into()),
        }
    }

    fn end(&self, reason: &str) {
        self.settle(Err(anyhow::anyhow!("the connection ended: {reason}").into()));
        self.pending().clear();
        self.mailbox.close(reason);
    }
}

fn one_or_all(mut args: Vec<Value>) -> Value {
    match args.len() {
        0 => Value::Null,
        1 => args.remove(0),
        _ => Value::Array(args),
    }
}
