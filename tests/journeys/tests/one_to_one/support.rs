//! What these tests share.

use anyhow::{Context, Result};
use harness::{Arena, Person, SocketIo, granted};
use serde_json::{Value, json};

/// Opens a socket of somebody at gateway `n`, and waits until it has been welcomed.
pub(crate) async fn enters(who: &Person<'_>, n: usize) -> Result<SocketIo> {
    let arena = Arena::shared().await?;
    let socket = arena.gateway(n).named(&who.name).token(&who.token).enters().await?;
    socket.hears("storeUsername", |_| true).await?;
    Ok(socket)
}

/// Asks for a history, and returns its rows.
pub(crate) async fn history(socket: &SocketIo, ask: Value) -> Result<Vec<Value>> {
    granted(socket.asks("chatHistory", ask).await?)?;
    let rows = socket.hears("chatHistory", |_| true).await?;
    rows.as_array().cloned().context("a history is an array")
}

/// Opens the channel with somebody.
pub(crate) async fn opens(socket: &SocketIo, peer: &Person<'_>) -> Result<Vec<Value>> {
    history(socket, json!({"user": peer.name})).await
}

/// Says something, and returns the message as acknowledged.
pub(crate) async fn says(socket: &SocketIo, text: &str) -> Result<Value> {
    granted(socket.asks("chatMessage", text).await?).map(|mut ack| ack["message"].take())
}

/// Waits for the message with this text.
pub(crate) async fn reads(socket: &SocketIo, text: &str) -> Result<Value> {
    socket.hears("chatMessage", |message| message["msg"] == text).await
}

/// The texts of rows, in their order.
pub(crate) fn texts(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["msg"].as_str().unwrap_or_default()).collect()
}
