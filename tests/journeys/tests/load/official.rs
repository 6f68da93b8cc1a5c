//! Official clients at a gateway that cannot take them now: however they connect, none is refused
//! for good.

use std::{path::Path, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use harness::Arena;
use local_stack::{Link, Options, Weather};
use serde_json::Value;
use tokio::{
    process::Command,
    time::{Instant, sleep},
};

use crate::metric;

/// How many come at once: by websocket, by polling, and by polling that goes over to a websocket.
const CLIENTS: usize = 200;

/// So slow is message-api that their turns don't come in time.
const SLOW: Duration = Duration::from_millis(500);

/// In which all are in, once it is fast again.
const ALL_IN: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn official_clients_that_must_wait_come_back_by_themselves() -> Result<()> {
    let mut options = Arena::options("official")?;
    options.gateway_env.push(("HANDSHAKES_MAX".to_owned(), "1".to_owned()));
    let arena = Arena::own(Options { straits: true, ..options }).await?;
    let who = arena.newcomer("official").await?;
    let weather = |weather| {
        let is_to_api = |link| matches!(link, Link::GatewayToApi(..));
        arena.stack.straits().set_all(is_to_api, weather);
    };
    weather(Weather::Slow(SLOW));
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../clients/load/crowd.mjs");
    let crowd = Command::new("node")
        .arg(script)
        .args([&arena.stack.urls().gateway(1), &who.token, &CLIENTS.to_string()])
        .arg(ALL_IN.as_secs().to_string())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("node, which `make setup` looks for")?;
    let began = Instant::now();
    let put_off = "switchboard_handshakes_put_off_total";
    while metric(&arena, put_off).await? < CLIENTS as f64 / 2.0 {
        ensure!(began.elapsed() < ALL_IN, "too few had to wait too long");
        sleep(Duration::from_millis(100)).await;
    }
    weather(Weather::Fair);
    let output = crowd.wait_with_output().await?;
    let books: Value = serde_json::from_slice(&output.stdout).context("the crowd's books")?;
    println!("{} put off; {books}; {:?}", metric(&arena, put_off).await?, began.elapsed());
    assert_eq!(books["final"], serde_json::json!([]), "nobody is refused for good");
    assert_eq!(books["inside"], CLIENTS, "all are in");
    Ok(())
}
