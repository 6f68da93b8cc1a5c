//! Events by sockets of all protocols that have their own, at two gateways.

use std::time::Duration;

use anyhow::{Context, Result};
use harness::{PlainSocket, refused};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{arena, limited};

/// Two a second for a socket, kept over ten seconds.
const SOCKET: usize = 20;
const SLOW: [(&str, &str); 3] =
    [("MESSAGES_PER_SECOND", "2"), ("FLEETING_PER_SECOND", "3"), ("QUERIES_PER_SECOND", "50")];

/// When a refusal says that there is room again. It is never longer than one event takes to come back.
fn when(refusal: &Value) -> Result<Duration> {
    let ms = refusal["retryAfterMs"].as_u64();
    let ms = ms.with_context(|| format!("it says no time: {refusal}"))?;
    anyhow::ensure!((1..=500).contains(&ms), "{refusal}");
    Ok(Duration::from_millis(ms))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_floods_is_told_when_to_go_on_and_its_other_events_are_taken() -> Result<()> {
    let arena = arena("flooding", &[], &SLOW).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = bob.makes_room(&arena.unique("room")).await?;
    alice.joins(&room).await?;
    bob.joins(&room).await?;

    let texts: Vec<_> = (0..3 * SOCKET).map(|n| format!("flood {n}")).collect();
    let sent: Vec<_> = texts
        .iter()
        .map(|text| alice.emit_with_ack("chat message", alice.line(&room, text)))
        .collect();
    let (mut stored, mut refusals) = (Vec::new(), Vec::new());
    for (ack, text) in sent.into_iter().zip(&texts) {
        let ack = ack.answer().await?;
        if ack["success"] == true {
            stored.push(text.clone());
        } else {
            assert_eq!(refused(&ack)?, "rate_limited");
            refusals.push(ack);
        }
    }
    let acks = alice.acks_in_order();
    assert!(acks.is_sorted(), "{acks:?}");
    // A slow machine gives some back meanwhile.
    assert!((SOCKET..SOCKET + 10).contains(&stored.len()), "{} stored", stored.len());
    assert_eq!(stored[..SOCKET], texts[..SOCKET]);

    // Others are counted apart; whoever asks for no acknowledgement hears it as well.
    let line = json!({"roomId": room, "user": alice.name});
    anyhow::ensure!(alice.asks("typing", line.clone()).await?["success"] == true);
    alice.leaves_room(&room).await?;
    alice.joins(&room).await?;
    loop {
        alice.emit("chat message", alice.line(&room, "more"));
        alice.emit("chat message", alice.line(&room, "more"));
        alice.emit("chat message", alice.line(&room, "more"));
        let told = alice.hears("error", |_| true).await?;
        assert_eq!(
            (&told["event"], &told["code"]),
            (&json!("chat message"), &json!("rate_limited"))
        );
        // Whoever waits that long gets through.
        sleep(when(&told)?).await;
        if alice.says(&room, "at last").await.is_ok() {
            break;
        }
    }
    bob.reads("at last").await?;
    let heard =
        bob.all("chat message").into_iter().filter_map(|m| m["text"].as_str().map(String::from));
    let heard: Vec<_> = heard.filter(|text| text.starts_with("flood")).collect();
    assert_eq!(heard, stored);
    for refusal in &refusals {
        when(refusal)?;
    }
    let counted = limited(&arena.stack.urls().gateway_admin(1), "messages").await?;
    assert!(counted as usize > refusals.len(), "{counted}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sockets_of_a_user_share_and_typing_has_its_own_share() -> Result<()> {
    let arena = arena("sharing", &[], &SLOW).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let hears = bob.enters(2).await?;
    let room = hears.makes_room(&arena.unique("room")).await?;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let socket = alice.enters(1).await?;
        socket.joins(&room).await?;
        sockets.push(socket);
    }
    let mut sent = Vec::new();
    for socket in &sockets {
        for _ in 0..SOCKET {
            sent.push(socket.emit_with_ack("chat message", socket.line(&room, "hi")));
        }
    }
    let mut stored = 0;
    for ack in sent {
        stored += usize::from(ack.answer().await?["success"] == true);
    }
    // Eight a second come back meanwhile.
    assert!((4 * SOCKET..7 * SOCKET).contains(&stored), "{stored} stored");
    let typing = json!({"roomId": room, "user": alice.name});
    let typed: Vec<_> =
        (0..60).map(|_| sockets[0].emit_with_ack("typing", typing.clone())).collect();
    let mut refusals = 0;
    for ack in typed {
        let ack = ack.answer().await?;
        if ack["success"] != true {
            assert_eq!(refused(&ack)?, "rate_limited");
            refusals += 1;
        }
    }
    assert!((1..=30).contains(&refusals), "{refusals} refused");
    // Somebody else is not held up.
    let other = bob.enters(1).await?;
    other.joins(&room).await?;
    other.says(&room, "hello").await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_websockets_are_told_in_their_own_words() -> Result<()> {
    let arena = arena("plain-flood", &[], &SLOW).await?;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let room = alice.enters(1).await?.makes_room(&arena.unique("room")).await?;

    let live = alice.watches(1, &room).await?;
    for n in 0..3 * SOCKET {
        live.sends(&json!({"text": format!("{n}")}));
    }
    let told = live.hears("error", |_| true).await?;
    assert_eq!((&told["status"], &told["code"]), (&json!("rate limited"), &json!("rate_limited")));
    when(&told)?;

    let url = format!("{}/ws?token={}", arena.stack.urls().gateway(2), alice.token);
    let messenger = PlainSocket::open("alice", &url, &[]).await?;
    for n in 0..3 * SOCKET {
        let chat = json!({"user": bob.name, "message": format!("{n}")});
        messenger.sends(&json!({"event": "send-message", "data": chat, "id": n}));
    }
    let refused = |frame: &Value| frame["error"]["code"] == "rate_limited";
    let told = messenger.hears("send-message", refused).await?;
    when(&told["error"])?;
    Ok(())
}
