//! Connecting: where, into which namespace, as whom.

use std::sync::{Arc, Mutex, atomic::AtomicU64};

use anyhow::Context;
use serde_json::Value;
use tokio::{sync::oneshot, time::timeout};

use super::{Ears, Listener, Packet, SocketIo};
use crate::{
    mailbox::{Mailbox, PATIENCE},
    wire::{Refused, Wire},
};

/// A connection to be made.
#[derive(Clone, Debug)]
pub struct Knock {
    url: String,
    path: String,
    namespace: String,
    auth: Option<Value>,
    headers: Vec<(String, String)>,
    query: String,
    name: String,
    answers_pings: bool,
    listener: Option<Listener>,
}

impl Knock {
    pub(super) fn new(url: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            path: "/socket.io".to_owned(),
            namespace: "/".to_owned(),
            auth: None,
            headers: Vec::new(),
            query: String::new(),
            name: "the client".to_owned(),
            answers_pings: true,
            listener: None,
        }
    }

    /// Who errors speak of.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Another path than `/socket.io`.
    #[must_use]
    pub fn path(mut self, path: &str) -> Self {
        path.trim_end_matches('/').clone_into(&mut self.path);
        self
    }

    /// Another namespace than `/`.
    #[must_use]
    pub fn namespace(mut self, namespace: &str) -> Self {
        namespace.clone_into(&mut self.namespace);
        self
    }

    /// The `auth` object of the CONNECT packet.
    #[must_use]
    pub fn auth(mut self, auth: Value) -> Self {
        self.auth = Some(auth);
        self
    }

    /// `auth: {token}`.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.auth(serde_json::json!({ "token": token }))
    }

    /// A Cookie header.
    #[must_use]
    pub fn cookie(self, cookie: &str) -> Self {
        self.header("cookie", cookie)
    }

    /// Any header of the upgrade, e.g. Origin.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// More of the query, e.g. `token=…`.
    #[must_use]
    pub fn query(mut self, query: &str) -> Self {
        self.query.push('&');
        self.query.push_str(query);
        self
    }

    /// Never answers pings, like a client that hangs.
    #[must_use]
    pub const fn plays_dead(mut self) -> Self {
        self.answers_pings = false;
        self
    }

    /// Hands the raw text of every event to this and keeps none: for thousands of clients.
    #[must_use]
    pub fn listens(mut self, hear: impl Fn(&str) + Send + Sync + 'static) -> Self {
        self.listener = Some(Listener(Arc::new(hear)));
        self
    }

    /// Connects.
    pub async fn enters(self) -> Result<SocketIo, Refused> {
        let Self { url, path, query, .. } = &self;
        let url = format!("{url}{path}/?EIO=4&transport=websocket{query}");
        let (settle, settled) = oneshot::channel();
        let ears = Arc::new(Ears {
            mailbox: Mailbox::new(&self.name),
            hello: Packet::Connect(self.namespace.clone(), self.auth),
            answers_pings: self.answers_pings,
            listener: self.listener,
            connected: Mutex::new(Some(settle)),
            pending: Mutex::default(),
            acks: Mutex::default(),
        });
        let wire = Wire::open(&url, &self.headers, Arc::clone(&ears)).await?;
        let greeting = timeout(PATIENCE, settled)
            .await
            .with_context(|| format!("CONNECT was not answered within {PATIENCE:?}"))?
            .context("the connection ended")??;
        let next_ack = AtomicU64::new(0);
        Ok(SocketIo { wire, ears, namespace: self.namespace, next_ack, greeting })
    }
}
