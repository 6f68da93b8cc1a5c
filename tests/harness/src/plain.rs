//! A plain WebSocket client for JSON frames.

use std::{ops::Deref, sync::Arc};

use serde_json::Value;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;

use crate::{
    mailbox::Mailbox,
    wire::{Hear, Refused, Wire},
};

/// A connected client. What it hears is in its [`Mailbox`]: a frame counts as the event that its
/// `type` or `event` names, and comes whole.
#[derive(Debug)]
pub struct PlainSocket {
    wire: Wire,
    ears: Arc<Ears>,
}

impl PlainSocket {
    /// Connects to a URL such as `http://127.0.0.1:3001/ws/conversations/1`; `name` is who errors
    /// speak of.
    pub async fn open(
        name: &str,
        url: &str,
        headers: &[(String, String)],
    ) -> Result<Self, Refused> {
        let ears = Arc::new(Ears(Mailbox::new(name)));
        let wire = Wire::open(url, headers, Arc::clone(&ears)).await?;
        Ok(Self { wire, ears })
    }

    /// Sends a frame.
    pub fn sends(&self, frame: &Value) {
        self.wire.send_text(frame.to_string());
    }

    /// Sends a text frame as it is, however malformed.
    pub fn sends_raw(&self, frame: &str) {
        self.wire.send_text(frame);
    }

    /// Sends a binary frame as it is.
    pub fn sends_raw_bytes(&self, frame: &[u8]) {
        self.wire.send(Message::binary(frame.to_vec()));
    }

    /// Closes politely.
    pub fn leaves(&self) {
        self.wire.send(Message::Close(None));
    }
}

impl Deref for PlainSocket {
    type Target = Mailbox;

    fn deref(&self) -> &Mailbox {
        &self.ears.0
    }
}

#[derive(Debug)]
struct Ears(Mailbox);

impl Hear for Ears {
    fn text(&self, frame: &str, _: &mpsc::UnboundedSender<Message>) {
        match serde_json::from_str::<Value>(frame) {
            Ok(frame) => {
                let event = frame["type"].as_str().or(frame["event"].as_str()).map(str::to_owned);
                self.0.put(event.as_deref().unwrap_or("(unnamed)"), frame);
            }
            Err(e) => self.0.put("(malformed)", format!("{frame}: {e}").into()),
        }
    }

    fn end(&self, reason: &str) {
        self.0.close(reason);
    }
}
