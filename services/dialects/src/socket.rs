//! What a socket leg is, whatever carries it. The gateway drives it: it opens a session for each
//! socket, hands it that socket's events one at a time in the order in which they came, and
//! acknowledges with what it returns.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use async_trait::async_trait;
use chat_core::{
    Caller, Chat, ChatError, Feed, Limits, Listener, Render, Result, Session, Sink, SocketKey,
    process::Shutdown,
};
use serde_json::Value;

use crate::allowance::Allowances;

/// The two ports and the sizes that the settings decide.
#[derive(Clone)]
pub struct Ports {
    /// Ask.
    pub chat: Arc<dyn Chat>,
    /// Hear.
    pub feed: Arc<dyn Feed>,
    /// How long texts may be.
    pub limits: Limits,
    /// Bytes that may wait for one client before it counts as a slow reader.
    pub queue_bytes: usize,
    /// Are guests let in?
    pub guests: bool,
    /// Numbers the sockets of this process.
    pub keys: Arc<SocketKeys>,
    /// Owns the tasks that a dialect starts; they must end with the socket that they serve.
    pub tasks: Shutdown,
    /// Pages of these origins may open sockets with the visitor's cookie, beside our own.
    pub origins: Arc<[String]>,
    /// How much sockets may ask for.
    pub allowances: Arc<Allowances>,
}

/// Gives each socket of a process its key.
#[derive(Debug)]
pub struct SocketKeys {
    gateway: u64,
    next: AtomicU64,
}

impl SocketKeys {
    /// For the gateway process of this (random) number.
    #[must_use]
    pub const fn new(gateway: u64) -> Self {
        Self { gateway, next: AtomicU64::new(1) }
    }

    /// The key of one more socket.
    pub fn next(&self) -> SocketKey {
        SocketKey { gateway: self.gateway, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

/// One connected socket, as a dialect sees it.
#[derive(Clone)]
pub struct Client {
    /// Which socket.
    pub key: SocketKey,
    /// The session that it came with, if it came with one.
    pub session: Option<Session>,
    /// The way to it.
    pub sink: Arc<dyn Sink>,
    /// What it may ask and hear.
    pub ports: Ports,
}

impl Client {
    /// The authenticated user as a caller; `None` for those who came without a session.
    #[must_use]
    pub fn user(&self) -> Option<Caller> {
        self.session.as_ref().map(|session| Caller::User(session.user.clone()))
    }

    /// A listener that words events as `render` does and hands them to this socket.
    #[must_use]
    pub fn listener(&self, render: &'static dyn Render) -> Listener {
        let user = self.session.as_ref().map(|session| session.user.id);
        Listener { key: self.key, user, render, sink: Arc::clone(&self.sink) }
    }
}

/// A protocol's socket leg.
#[async_trait]
pub trait Leg: Send + Sync + 'static {
    /// The protocol's name, as in the setting that lists the enabled ones.
    fn protocol(&self) -> &'static str;

    /// The Socket.IO namespace where only this protocol is served.
    fn namespace(&self) -> &'static str;

    /// Is it served in the shared namespace `/` of `/socket.io` too? If not, it lives on a path of
    /// its own.
    fn is_shared(&self) -> bool {
        true
    }

    /// May a socket without a session come into the protocol's own namespace? In the shared one
    /// the setting for guests alone decides.
    fn takes_guests(&self) -> bool {
        true
    }

    /// Does this protocol have such an event? In the shared namespace the name tells which
    /// protocol is meant.
    fn knows(&self, event: &str, payload: &Value) -> bool;

    /// Begins with a socket that has just connected.
    async fn open(&self, client: Client) -> Result<Box<dyn Conversing>>;
}

/// A protocol's side of one socket.
#[async_trait]
pub trait Conversing: Send {
    /// Handles one event. What it returns is acknowledged; a refusal is acknowledged, or sent as
    /// an `error` event where the client asked for no acknowledgement.
    async fn handle(&mut self, event: &str, payload: Value) -> Result<Value>;

    /// Are events of this name handled together, by [`Self::handle_run`], when several wait?
    fn takes_runs(&self, _event: &str) -> bool {
        false
    }

    /// Handles events of one name, at most [`RUN_MAX`](chat_core::chat::RUN_MAX), and answers each,
    /// as if they had come one after the other.
    async fn handle_run(&mut self, event: &str, payloads: Vec<Value>) -> Vec<Result<Value>> {
        let mut answers = Vec::with_capacity(payloads.len());
        for payload in payloads {
            answers.push(self.handle(event, payload).await);
        }
        answers
    }

    /// The socket is gone.
    async fn close(&mut self);
}

/// The side of a socket without a session, in a protocol that is only for users.
pub(crate) struct Stranger;

#[async_trait]
impl Conversing for Stranger {
    async fn handle(&mut self, _: &str, _: Value) -> Result<Value> {
        Err(ChatError::unauthorised())
    }

    async fn close(&mut self) {}
}
