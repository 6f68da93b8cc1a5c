//! What a client may rely on while parts of the product die, pause and come back.

mod bus;
mod cluster;
mod demoted;
mod gateway;
mod late;
mod many;
mod masters;
mod message_api;
mod presence;
mod presence_storm;
mod secured;
mod sessions;
mod silence;
mod stops;

use std::time::Duration;

use anyhow::Result;
use harness::{Arena, Chatter};
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// Two people in one new room, on two gateways.
async fn two_in_a_room(arena: &Arena) -> Result<(Chatter, Chatter, String)> {
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = alice.makes_room(&arena.unique("room")).await?;
    alice.joins(&room).await?;
    bob.joins(&room).await?;
    // Now Redis knows of Bob too, whatever becomes of his gateway.
    alice.hears("user joined room", |joined| joined["user"] == bob.name).await?;
    Ok((alice, bob, room))
}

/// The texts of everything that a socket heard as `chat message`, in order.
fn texts(chatter: &Chatter) -> Vec<String> {
    let text = |message: &Value| message["text"].as_str().unwrap_or_default().to_owned();
    chatter.all("chat message").iter().map(text).collect()
}

/// What a gateway's readiness says, and with which status.
async fn readiness(arena: &Arena, gateway: usize) -> Result<(bool, Value)> {
    let answer =
        reqwest::get(format!("{}/readyz", arena.stack.urls().gateway_admin(gateway))).await?;
    Ok((answer.status().is_success(), answer.json().await?))
}

/// Waits until a gateway is ready, or is not; answers what it says then.
async fn readiness_turns(arena: &Arena, gateway: usize, ready: bool) -> Result<Value> {
    let deadline = Instant::now() + Duration::from_secs(15);
    loop {
        let (now, body) = readiness(arena, gateway).await?;
        if now == ready {
            return Ok(body);
        }
        anyhow::ensure!(Instant::now() < deadline, "readiness never became {ready}: {body}");
        sleep(Duration::from_millis(50)).await;
    }
}

/// The sum of a gateway's metrics whose name, with labels, begins so.
async fn metric(arena: &Arena, gateway: usize, name: &str) -> Result<f64> {
    let url = format!("{}/metrics", arena.stack.urls().gateway_admin(gateway));
    let all = reqwest::get(url).await?.error_for_status()?.text().await?;
    let values = all.lines().filter(|line| line.starts_with(name));
    Ok(values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum())
}
