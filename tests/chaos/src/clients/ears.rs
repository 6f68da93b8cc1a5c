//! A socket and how much of what it heard has been written down.

use std::ops::Deref;

use harness::{Heard, Mailbox, SocketIo};
use serde_json::Value;
use tokio::time::timeout;

use super::ANSWER_WITHIN;

/// A socket that is read bit by bit.
#[derive(Debug)]
pub(super) struct Ears<S> {
    /// The socket.
    pub(super) socket: S,
    read: usize,
    broken: Option<String>,
}

impl<S: Deref<Target = Mailbox>> Ears<S> {
    /// Nothing is read yet.
    pub(super) const fn new(socket: S) -> Self {
        Self { socket, read: 0, broken: None }
    }

    /// What has come since the last call.
    pub(super) fn news(&mut self) -> Vec<Heard> {
        let news = self.socket.heard_after(self.read);
        self.read += news.len();
        news
    }

    /// Gives the connection up.
    pub(super) fn give_up(&mut self, why: &str) {
        self.broken.get_or_insert_with(|| why.to_owned());
    }

    /// Why it is of no use any more.
    pub(super) fn end(&self) -> Option<String> {
        self.broken.clone().or_else(|| self.socket.end())
    }
}

impl Ears<SocketIo> {
    /// Asks and waits; whoever does not answer in time is given up.
    pub(super) async fn asks(&mut self, event: &str, data: Value) -> Result<Value, String> {
        let pending = self.socket.emit_with_ack(event, data);
        let answered = tokio::select! {
            answered = timeout(ANSWER_WITHIN, pending.answer()) => answered,
            _ = self.socket.sees_the_end() => return Err("the connection ended".to_owned()),
        };
        match answered {
            Ok(Ok(answer)) => Ok(answer),
            _ => {
                self.give_up("no answer");
                Err("no answer".to_owned())
            }
        }
    }
}
