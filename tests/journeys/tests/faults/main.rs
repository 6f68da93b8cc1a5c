//! What a client may rely on while parts of the product die, pause and come back.

mod bus;
mod gateway;
mod message_api;
mod presence;
mod presence_storm;
mod sessions;

use anyhow::{Context, Result};
use harness::{Arena, Chatter};
use serde_json::Value;

/// Two people in one new room, on two gateways.
async fn two_in_a_room(arena: &Arena) -> Result<(Chatter, Chatter, String)> {
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = alice.creates_room(&arena.unique("room")).await?;
    let room = room["_id"].as_str().context("a room has an id")?.to_owned();
    alice.joins(&room).await?;
    bob.joins(&room).await?;
    Ok((alice, bob, room))
}

/// The texts of everything that a socket heard as `chat message`, in order.
fn texts(chatter: &Chatter) -> Vec<String> {
    let text = |message: &Value| message["text"].as_str().unwrap_or_default().to_owned();
    chatter.all("chat message").iter().map(text).collect()
}
