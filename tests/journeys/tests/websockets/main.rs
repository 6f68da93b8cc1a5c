//! Socket.IO 5 on a websocket, frame by frame: what a client may rely on, and what ends it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use harness::{Arena, PATIENCE};
use serde_json::{Value, json};
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{
        Bytes, Message,
        protocol::frame::{
            Frame,
            coding::{Data, OpCode},
        },
    },
};

/// A websocket that says only what it is told to, and reads only when it is asked.
struct Raw(WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Raw {
    /// Opened, and greeted.
    async fn opens(arena: &Arena) -> Result<Self> {
        let url = arena.stack.urls().gateway(1).replacen("http", "ws", 1);
        let (stream, _) =
            connect_async(format!("{url}/socket.io/?EIO=4&transport=websocket")).await?;
        let mut raw = Self(stream);
        raw.hears("0{").await?;
        Ok(raw)
    }

    async fn sends(&mut self, message: Message) -> Result<()> {
        timeout(PATIENCE, self.0.send(message)).await.context("nobody reads")??;
        Ok(())
    }

    async fn says(&mut self, text: &str) -> Result<()> {
        self.sends(Message::text(text)).await
    }

    /// The next message; `None` at the end of the connection.
    async fn next(&mut self) -> Result<Option<Message>> {
        let next = timeout(PATIENCE, self.0.next()).await.context("nothing came")?;
        Ok(next.and_then(Result::ok))
    }

    /// Waits for a text that begins so.
    async fn hears(&mut self, beginning: &str) -> Result<String> {
        while let Some(message) = self.next().await? {
            if let Message::Text(text) = message
                && text.starts_with(beginning)
            {
                return Ok(text.as_str().to_owned());
            }
        }
        bail!("the connection ended before {beginning}")
    }

    /// Reads until the connection ends. Answers the texts that came before.
    async fn ends(&mut self) -> Result<Vec<String>> {
        let mut texts = Vec::new();
        while let Some(message) = self.next().await? {
            if let Message::Text(text) = message {
                texts.push(text.as_str().to_owned());
            }
        }
        Ok(texts)
    }
}

async fn small(name: &str, setting: &str, value: &str) -> Result<Arena> {
    let mut options = Arena::options(name)?;
    options.gateway_env.push((setting.to_owned(), value.to_owned()));
    Arena::own(options).await
}

/// What gateway 1 says of a metric.
async fn metric(arena: &Arena, name: &str) -> Result<f64> {
    let url = format!("{}/metrics", arena.stack.urls().gateway_admin(1));
    let text = reqwest::get(&url).await?.text().await?;
    let line = text.lines().find(|line| line.starts_with(name));
    Ok(line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_packet_tells_how_to_go_on() -> Result<()> {
    let arena = Arena::shared().await?;
    let url = arena.stack.urls().gateway(1).replacen("http", "ws", 1);
    let (stream, _) = connect_async(format!("{url}/socket.io/?EIO=4&transport=websocket")).await?;
    let mut raw = Raw(stream);
    let greeting = raw.hears("0").await?;
    let greeting: Value = serde_json::from_str(&greeting[1..])?;
    let sid = greeting["sid"].as_str().context("a sid")?;
    let expected = json!({
        "sid": sid, "upgrades": [], "pingInterval": 25_000, "pingTimeout": 20_000,
        "maxPayload": 1_152 * 1024,
    });
    assert_eq!(greeting, expected);
    raw.says("40").await?;
    assert!(raw.hears("40{").await?.contains("sid"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn fragments_pings_and_closes_of_the_websocket_itself_are_understood() -> Result<()> {
    let arena = Arena::shared().await?;
    let mut raw = Raw::opens(arena).await?;
    let part = |text: &'static str, code, last| {
        Message::Frame(Frame::message(
            Bytes::from_static(text.as_bytes()),
            OpCode::Data(code),
            last,
        ))
    };
    raw.sends(part("4", Data::Text, false)).await?;
    raw.sends(Message::Ping(Bytes::from_static(b"there?"))).await?;
    raw.sends(part("0", Data::Continue, true)).await?;
    assert_eq!(raw.next().await?, Some(Message::Pong(Bytes::from_static(b"there?"))));
    raw.hears("40{").await?;
    raw.sends(Message::Close(None)).await?;
    while let Some(message) = raw.next().await? {
        if let Message::Close(_) = message {
            return Ok(());
        }
    }
    bail!("it was not answered")
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_is_in_several_namespaces_whatever_becomes_of_others() -> Result<()> {
    let arena = Arena::shared().await?;
    let mut raw = Raw::opens(arena).await?;
    for (says, hears) in [
        ("40/chatto,", "40/chatto,{"),
        ("40/nowhere,", r#"44/nowhere,{"message":"Invalid namespace"}"#),
        ("40/one-to-one,", "44/one-to-one,{"),
        (r#"40/tinychat,{"token":"bad"}"#, "44/tinychat,{"),
        ("40/tinychat", "40/tinychat,{"),
        ("40", "40{"),
        (r#"42/chatto,1["nothing",1]"#, "43/chatto,1["),
        ("41/chatto,", ""),
        (r#"422["nothing",1]"#, "432["),
        (r#"42/nowhere,3["nothing",1]"#, ""),
        (r#"42/tinychat,4["nothing",1]"#, "43/tinychat,4["),
        ("40/chatto,", "40/chatto,{"),
        (r#"42/chatto,5["nothing",1]"#, "43/chatto,5["),
    ] {
        raw.says(says).await?;
        if !hears.is_empty() {
            raw.hears(hears).await.with_context(|| format!("after {says}"))?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_socket_io_ends_the_connection() -> Result<()> {
    let arena = Arena::shared().await?;
    for bad in ["", "x", "4", "49", "44", "1", "6", "42", "42nonsense", "45x[]", "43[]"] {
        let mut raw = Raw::opens(arena).await?;
        raw.says("40").await?;
        raw.hears("40{").await?;
        raw.says(bad).await?;
        raw.ends().await.with_context(|| format!("after {bad:?}"))?;
    }
    for early in [r#"42["early"]"#, "41"] {
        let mut raw = Raw::opens(arena).await?;
        raw.says(early).await?;
        raw.ends().await.with_context(|| format!("after {early}"))?;
    }
    let mut raw = Raw::opens(arena).await?;
    raw.sends(Message::binary(b"of no packet".to_vec())).await?;
    raw.ends().await?;
    let mut raw = Raw::opens(arena).await?;
    // It may be cut while this is still being sent.
    let _ = raw.says(&format!("42[\"{}\"]", "x".repeat(1_152 * 1024))).await;
    raw.ends().await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_good_websocket_ends_the_connection() -> Result<()> {
    let arena = Arena::shared().await?;
    let frame = |bytes: &'static [u8], code, last| {
        Message::Frame(Frame::message(Bytes::from_static(bytes), OpCode::Data(code), last))
    };
    for bad in [
        // Not UTF-8; the rest of a message that never began; a new one within another.
        vec![frame(b"42[\"\xff\xfe\"]", Data::Text, true)],
        vec![frame(b"0", Data::Continue, true)],
        vec![frame(b"4", Data::Text, false), frame(b"40", Data::Text, true)],
        // A text where an attachment must come, and more attachments than are taken.
        vec![Message::text(r#"451-["a",{"_placeholder":true,"num":0}]"#), Message::text("42[1]")],
        vec![Message::text(r#"455-["a",{"_placeholder":true,"num":0}]"#)],
    ] {
        let mut raw = Raw::opens(arena).await?;
        raw.says("40").await?;
        raw.hears("40{").await?;
        let shown = format!("after {bad:?}");
        for message in bad {
            raw.sends(message).await?;
        }
        raw.ends().await.context(shown)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_event_is_refused_unread_and_a_binary_one_is_an_event() -> Result<()> {
    let arena = Arena::shared().await?;
    let mut raw = Raw::opens(arena).await?;
    raw.says("40").await?;
    raw.hears("40{").await?;
    raw.says(&format!(r#"427["chat message","{}"]"#, "x".repeat(100_000))).await?;
    assert!(raw.hears("437[").await?.contains("payload_too_large"));
    raw.says(r#"451-8["nothing",{"_placeholder":true,"num":0}]"#).await?;
    raw.sends(Message::binary(b"attached".to_vec())).await?;
    assert!(raw.hears("438[").await?.contains("unknown_event"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_enters_no_namespace_is_not_kept() -> Result<()> {
    let arena = Arena::shared().await?;
    let (mut silent, mut refused) = (Raw::opens(arena).await?, Raw::opens(arena).await?);
    let began = Instant::now();
    refused.says("40/nowhere,").await?;
    refused.hears("44/nowhere,").await?;
    let end = async |raw: &mut Raw| {
        while let Some(Ok(message)) = raw.0.next().await {
            ensure!(!message.is_text(), "heard {message}");
        }
        Ok(())
    };
    let both = async { tokio::try_join!(end(&mut silent), end(&mut refused)) };
    timeout(Duration::from_secs(25), both).await??;
    assert!(began.elapsed() > Duration::from_secs(14), "after {:?}", began.elapsed());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_answer_pings_is_given_up() -> Result<()> {
    let arena = Arena::shared().await?;
    let mut raw = Raw::opens(arena).await?;
    let began = Instant::now();
    raw.says("40").await?;
    // Whatever else it says.
    let mut pinged = None;
    let talking = async {
        loop {
            match timeout(Duration::from_secs(1), raw.0.next()).await {
                Ok(Some(Ok(message))) if message == Message::text("2") => {
                    pinged = Some(began.elapsed());
                }
                Ok(Some(Ok(_))) => {}
                Ok(_) => return,
                Err(_) => drop(raw.0.send(Message::text(r#"429["nothing"]"#)).await),
            }
        }
    };
    timeout(Duration::from_secs(60), talking).await?;
    let (pinged, ended) = (pinged.context("never pinged")?, began.elapsed());
    assert!(pinged >= Duration::from_millis(24_500), "pinged after {pinged:?}");
    assert!(ended >= Duration::from_millis(44_500) && ended < Duration::from_secs(50), "{ended:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_replica_cuts_and_refuses_nobody() -> Result<()> {
    let arena = small("full", "CONNECTIONS_MAX", "1").await?;
    let mut raw = Raw::opens(&arena).await?;
    raw.says("40").await?;
    raw.hears("40{").await?;
    raw.says("40/chatto,").await?;
    let heard = raw.ends().await?;
    assert!(!heard.iter().any(|text| text.starts_with("44")), "a refusal is final: {heard:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_goes_while_it_is_looked_at_leaves_nothing_behind() -> Result<()> {
    let arena = small("goes", "CONNECTIONS_MAX", "1").await?;
    for round in 0..20 {
        let mut raw = Raw::opens(&arena).await?;
        raw.says("40").await?;
        if round % 2 == 0 {
            raw.says("41").await?;
        }
    }
    // Its place is free again: there is only one.
    let until = Instant::now() + PATIENCE;
    loop {
        let mut raw = Raw::opens(&arena).await?;
        raw.says("40").await?;
        if raw.hears("40{").await.is_ok() {
            break;
        }
        ensure!(Instant::now() < until, "somebody is still there");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_floods_with_connects_and_does_not_read_is_cut_off() -> Result<()> {
    let arena = small("floods", "WRITE_DEADLINE", "600").await?;
    let mut raw = Raw::opens(&arena).await?;
    let connect = format!("40/{},", "x".repeat(60_000));
    let mut said = 0;
    while raw.says(&connect).await.is_ok() {
        said += 1;
        ensure!(said < 2_000, "all of it was taken");
    }
    let slow = r#"switchboard_closed_total{reason="slow_reader"}"#;
    assert_eq!(metric(&arena, slow).await?, 1.0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_connection_asks_to_enter_only_so_often_and_is_told_when_to_go_on() -> Result<()> {
    let mut raw = Raw::opens(Arena::shared().await?).await?;
    let (mut asked, mut put_off) = (0, Vec::new());
    for _ in 0..60 {
        raw.says("40/chatto,{\"token\":\"bad\"}").await?;
        let told = raw.hears("44/chatto,").await?;
        let told: Value = serde_json::from_str(&told["44/chatto,".len()..])?;
        match told["data"]["code"].as_str() {
            Some("invalid_token") => asked += 1,
            Some("rate_limited") => put_off.push(told["data"]["retryAfterMs"].as_u64()),
            _ => bail!("{told}"),
        }
    }
    ensure!((40..55).contains(&asked), "{asked} were looked at");
    let known = |wait: &Option<u64>| wait.is_some_and(|ms| (1..=250).contains(&ms));
    ensure!(put_off.iter().all(known), "{put_off:?}");
    Ok(())
}
