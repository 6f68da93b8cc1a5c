//! Connections from one address, and sockets of one user.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use harness::{Arena, Refused, SocketIo};
use serde_json::json;
use tokio::time::{sleep, timeout};

use super::{Behind, arena, limited};

const PATIENCE: Duration = Duration::from_secs(20);

async fn enters(arena: &Arena, n: usize, from: &str) -> Result<SocketIo, Refused> {
    arena.gateway(n).header("x-forwarded-for", from).enters().await
}

/// Comes in as soon as somebody else has gone.
async fn enters_soon(arena: &Arena, from: &str) -> Result<SocketIo> {
    let enter = async {
        loop {
            match enters(arena, 1, from).await {
                Ok(socket) => return socket,
                Err(_) => sleep(Duration::from_millis(50)).await,
            }
        }
    };
    timeout(PATIENCE, enter).await.context("it never came in")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_has_so_many_connections_whatever_it_claims() -> Result<()> {
    let arena = arena("crowded", &[], &[("CONNECTIONS_PER_ADDRESS", "3")]).await?;
    let mut here = Vec::new();
    for claimed in ["203.0.113.7", "192.0.2.1, 203.0.113.7", "192.0.2.2,203.0.113.7"] {
        here.push(enters(&arena, 1, claimed).await?);
    }
    for claimed in ["203.0.113.7", "192.0.2.9, 203.0.113.7"] {
        match enters(&arena, 1, claimed).await {
            Err(Refused::Http { status: 429, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    let upgrade = |path: &str| {
        let site = journeys::rest::Site::at(arena.stack.urls().gateway(1));
        let ask = site.get(path).behind("203.0.113.7").header("connection", "Upgrade");
        ask.header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==")
    };
    for path in ["/ws", "/ws/conversations/lobby", "/socket.io/?EIO=3&transport=websocket"] {
        let answer = upgrade(path).await;
        assert_eq!(answer.text_of("code"), "rate_limited", "{path}");
        super::too_much(&answer);
    }
    // Others, and other gateways, have their own count.
    enters(&arena, 1, "203.0.113.8").await?;
    enters(&arena, 2, "203.0.113.7").await?;
    drop(here.pop());
    here.push(enters_soon(&arena, "203.0.113.7").await?);
    assert!(limited(&arena.stack.urls().gateway_admin(1), "address").await? >= 5);

    // One customer has a whole network of IPv6.
    let mut network = Vec::new();
    for n in 0..3 {
        network.push(enters(&arena, 1, &format!("2001:db8:1:2:{n}::1")).await?);
    }
    ensure!(enters(&arena, 1, "2001:db8:1:2:ffff::1").await.is_err(), "one too many");
    enters(&arena, 1, "2001:db8:1:3::1").await?;
    Ok(())
}

/// Enters the default namespace by polling. Answers what came back, if a session may begin.
async fn polls(arena: &Arena, from: &str) -> Result<Option<String>> {
    let gateway = journeys::rest::Site::at(arena.stack.urls().gateway(1));
    let path = "/socket.io/?EIO=4&transport=polling";
    let opened = gateway.get(path).behind(from).await;
    if opened.status == 429 {
        super::too_much(&opened);
        return Ok(None);
    }
    assert_eq!(opened.status, 200, "{}", opened.text);
    let sid = opened.text.split('"').nth(3).context("a sid")?.to_owned();
    let path = format!("{path}&sid={sid}");
    gateway.post(&path).behind(from).body("40").await;
    // Pings come by polls too.
    let poll = async {
        loop {
            let answer = gateway.get(&path).behind(from).await;
            if answer.status != 200 || answer.text.contains("40{") {
                return answer;
            }
        }
    };
    let answer = timeout(PATIENCE, poll).await?;
    Ok((answer.status == 200).then_some(answer.text))
}

#[tokio::test(flavor = "multi_thread")]
async fn sockets_that_poll_are_counted_too() -> Result<()> {
    let arena = arena("polling", &[], &[("CONNECTIONS_PER_ADDRESS", "2")]).await?;
    for _ in 0..2 {
        let heard = polls(&arena, "203.0.113.7").await?.context("it is in")?;
        ensure!(heard.contains("sid"), "{heard}");
    }
    ensure!(polls(&arena, "203.0.113.7").await?.is_none(), "one too many");
    ensure!(enters(&arena, 1, "203.0.113.7").await.is_err(), "one too many");
    ensure!(polls(&arena, "203.0.113.8").await?.is_some(), "it is somebody else");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_has_so_many_sockets_at_a_gateway() -> Result<()> {
    let arena = arena("many-tabs", &[], &[("SOCKETS_PER_USER", "3")]).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let room = alice.enters(2).await?.makes_room(&arena.unique("room")).await?;
    let (first, _second) = (alice.enters(1).await?, alice.enters(1).await?);
    let _live = alice.watches(1, &room).await?;
    match alice.enters(1).await {
        Err(Refused::ConnectError(why)) => {
            ensure!(why["message"].as_str().is_some_and(|m| m.contains("3 sockets open")), "{why}");
            ensure!(
                why["data"] == json!({"code": "rate_limited", "retryAfterMs": 10_000}),
                "{why}"
            );
        }
        other => panic!("{other:?}"),
    }
    match alice.watches(1, &room).await {
        Err(Refused::Http { status: 429, body }) => {
            ensure!(body.contains("rate_limited"), "{body}")
        }
        other => panic!("{other:?}"),
    }
    bob.enters(1).await?;
    alice.enters(2).await?;
    drop(first);
    let again = async {
        while alice.enters(1).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, again).await.context("a closed socket makes no room")?;
    Ok(())
}
