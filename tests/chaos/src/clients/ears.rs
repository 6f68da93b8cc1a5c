//! A socket, while there is one, and how much of what it heard has been written down.

use std::ops::Deref;

use anyhow::{Result, bail};
use harness::{Heard, Mailbox, PlainSocket, SocketIo};
use serde_json::Value;
use tokio::time::timeout;

use super::ANSWER_WITHIN;

/// A kind of socket.
pub(super) trait Socket: Deref<Target = Mailbox> {
    /// Leaves politely.
    fn leaves(&self);
}

impl Socket for SocketIo {
    fn leaves(&self) {
        self.leaves();
    }
}

impl Socket for PlainSocket {
    fn leaves(&self) {
        self.leaves();
    }
}

/// A socket that is read bit by bit.
#[derive(Debug)]
pub(super) struct Ears<S> {
    socket: Option<S>,
    read: usize,
    broken: Option<String>,
}

impl<S> Default for Ears<S> {
    fn default() -> Self {
        Self { socket: None, read: 0, broken: None }
    }
}

impl<S: Socket> Ears<S> {
    /// From now on it is this socket, of which nothing is read yet.
    pub(super) fn open(&mut self, socket: S) {
        *self = Self { socket: Some(socket), ..Self::default() };
    }

    /// The socket.
    pub(super) fn socket(&self) -> Result<&S> {
        match &self.socket {
            Some(socket) => Ok(socket),
            None => bail!("no socket"),
        }
    }

    /// What has come since the last call.
    pub(super) fn news(&mut self) -> Vec<Heard> {
        let news = self.socket.as_ref().map(|socket| socket.heard_after(self.read));
        let news = news.unwrap_or_default();
        self.read += news.len();
        news
    }

    /// Gives the connection up.
    pub(super) fn give_up(&mut self, why: &str) {
        self.broken.get_or_insert_with(|| why.to_owned());
    }

    /// Why it is of no use any more.
    pub(super) fn end(&self) -> Option<String> {
        let Some(socket) = &self.socket else { return Some("no socket".to_owned()) };
        self.broken.clone().or_else(|| socket.end())
    }

    /// Leaves: politely, or without a word.
    pub(super) fn close(&mut self, politely: bool) {
        if let Some(socket) = self.socket.take()
            && politely
        {
            socket.leaves();
        }
    }
}

impl Ears<SocketIo> {
    /// Asks and waits; whoever does not answer in time is given up.
    pub(super) async fn asks(&mut self, event: &str, data: Value) -> Result<Value> {
        let socket = self.socket()?;
        let pending = socket.emit_with_ack(event, data);
        let answered = tokio::select! {
            answered = timeout(ANSWER_WITHIN, pending.answer()) => answered,
            _ = socket.sees_the_end() => bail!("the connection ended"),
        };
        let Ok(Ok(answer)) = answered else {
            self.give_up("no answer");
            bail!("no answer");
        };
        Ok(answer)
    }
}
