//! Somebody with an account, a browser and sockets.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::{arena::Arena, http::Http, plain::PlainSocket, socket_io::SocketIo, wire::Refused};

/// Somebody registered.
#[derive(Debug)]
pub struct Person<'a> {
    /// The name.
    pub name: String,
    /// The token that registration gave.
    pub token: String,
    /// A browser that shows the token, at message-api 1.
    pub http: Http,
    arena: &'a Arena,
}

impl<'a> Person<'a> {
    /// The password of every newcomer.
    pub const PASSWORD: &'static str = "open sesame";

    pub(crate) async fn register(arena: &'a Arena, name: &str) -> Result<Self> {
        let http = arena.visitor()?;
        let body = json!({ "username": name, "password": Self::PASSWORD });
        let answer = http.post_json("/api/register", &body).await?.expect(201)?;
        let token = answer["token"].as_str().context("registration gives a token")?.to_owned();
        Ok(Self { name: name.to_owned(), http: http.bearing(&token), token, arena })
    }

    /// Opens a socket at gateway `n`, default namespace, with the token (004).
    pub async fn enters(&self, n: usize) -> Result<Chatter, Refused> {
        let socket = self.arena.gateway(n).named(&self.name).token(&self.token).enters().await?;
        Ok(Chatter { name: self.name.clone(), socket })
    }

    /// Opens the live WebSocket of a conversation at gateway `n` (001).
    pub async fn watches(&self, n: usize, conversation: &str) -> Result<PlainSocket, Refused> {
        let gateway = self.arena.stack.urls().gateway(n);
        let url = format!("{gateway}/ws/conversations/{conversation}?token={}", self.token);
        PlainSocket::open(&self.name, &url, &[]).await
    }
}

/// A socket that speaks Chatto (004). It dereferences to the [`SocketIo`] below.
#[derive(Debug)]
pub struct Chatter {
    /// Who speaks.
    pub name: String,
    socket: SocketIo,
}

impl Chatter {
    /// Creates a room; returns `{_id, name, createdAt}`.
    pub async fn creates_room(&self, name: &str) -> Result<Value> {
        let ack = self.socket.asks("create room", json!({ "name": name })).await?;
        granted(ack).map(|mut ack| ack["room"].take())
    }

    /// Creates a room; returns its id.
    pub async fn makes_room(&self, name: &str) -> Result<String> {
        let room = self.creates_room(name).await?;
        Ok(room["_id"].as_str().context("a room has an id")?.to_owned())
    }

    /// Joins a room; returns its history.
    pub async fn joins(&self, room: &str) -> Result<Value> {
        let request = json!({ "roomId": room, "user": self.name });
        granted(self.socket.asks("join room", request).await?)?;
        self.socket.hears("message history", |_| true).await
    }

    /// Leaves a room.
    pub async fn leaves_room(&self, room: &str) -> Result<Value> {
        granted(self.socket.asks("leave room", json!({ "roomId": room })).await?)
    }

    /// Says something; returns the message as acknowledged.
    pub async fn says(&self, room: &str, text: &str) -> Result<Value> {
        let ack = self.socket.asks("chat message", self.line(room, text)).await?;
        granted(ack).map(|mut ack| ack["message"].take())
    }

    /// The payload of `chat message`.
    #[must_use]
    pub fn line(&self, room: &str, text: &str) -> Value {
        json!({ "roomId": room, "user": self.name, "text": text })
    }

    /// Waits for the message with this text.
    pub async fn reads(&self, text: &str) -> Result<Value> {
        self.socket.hears("chat message", |message| message["text"] == text).await
    }
}

impl std::ops::Deref for Chatter {
    type Target = SocketIo;

    fn deref(&self) -> &SocketIo {
        &self.socket
    }
}

/// The acknowledgement, if it says success.
pub fn granted(ack: Value) -> Result<Value> {
    anyhow::ensure!(ack["success"] == true, "not granted: {ack}");
    Ok(ack)
}

/// The stable code of an acknowledgement that says no.
pub fn refused(ack: &Value) -> Result<&str> {
    anyhow::ensure!(ack["success"] == false, "not refused: {ack}");
    ack["code"].as_str().with_context(|| format!("a refusal has a code: {ack}"))
}
