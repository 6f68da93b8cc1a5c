//! 003 against two real gateways: every event on Socket.IO, the main ones on the plain WebSocket,
//! accounts and files.

mod accounts;
mod chats;
mod concurrency;
mod faults;
mod files;
mod plain;
mod presence;
mod refusals;

use std::time::Duration;

use anyhow::{Context, Result};
use harness::{Arena, Person, PlainSocket, SocketIo};
use serde_json::{Value, json};

/// How long nothing must come, where nothing must come.
const SILENCE: Duration = Duration::from_millis(400);

/// Opens a 003 socket at gateway `n`, and waits until it hears what happens.
async fn enters(arena: &Arena, who: &Person<'_>, n: usize) -> Result<SocketIo> {
    let knock = arena.gateway(n).named(&who.name).path("/ws").namespace("/chat");
    let socket = knock.token(&who.token).enters().await?;
    socket.asks("fetch-users", json!({"limit": 1})).await?;
    Ok(socket)
}

/// Opens a plain WebSocket at gateway `n`, and waits until it hears what happens.
async fn enters_plainly(arena: &Arena, who: &Person<'_>, n: usize) -> Result<PlainSocket> {
    let url = format!("{}/ws?token={}", arena.stack.urls().gateway(n), who.token);
    let socket = PlainSocket::open(&who.name, &url, &[]).await?;
    asks(&socket, "fetch-users", json!({"limit": 1}), "begin").await?;
    Ok(socket)
}

/// Asks over a plain WebSocket; returns the whole answer.
async fn asks(socket: &PlainSocket, event: &str, data: Value, id: &str) -> Result<Value> {
    socket.sends(&json!({"event": event, "data": data, "id": id}));
    socket.hears(event, |frame| frame["id"] == id).await
}

/// Sends a message; returns the chat as acknowledged.
async fn sends(socket: &SocketIo, to: &str, text: &str) -> Result<Value> {
    let ack = socket.asks("send-message", json!({"user": to, "message": text})).await?;
    ack.get("chat").cloned().with_context(|| format!("not sent: {ack}"))
}

/// The unread that a user has of another, as told when asked.
async fn unread(socket: &SocketIo, of: &str) -> Result<Value> {
    let ack = socket.asks("fetch-unread-chats-count", json!({"user": of})).await?;
    Ok(ack["unreadChatsCount"].clone())
}
