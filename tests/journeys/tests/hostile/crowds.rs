//! Connections and sessions begun by the thousand, and left.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::{StreamExt, stream};
use tokio::{
    io::AsyncWriteExt,
    net::TcpStream,
    time::{Instant, sleep},
};

use crate::{Stage, answer, hears, rest, upgrade};

/// Websockets that are opened and say nothing.
const HALF_OPEN: usize = 1_000;

/// Polling sessions that are begun and left.
const ABANDONED: usize = 3_000;

/// How long anything of them may last: the time to enter, and a busy machine.
const GONE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_half_open_websockets_are_closed_in_time() -> Result<()> {
    let stage = Stage::set("half").await?;
    let gateway = stage.gateway();
    let attack = async {
        let paths = [
            "/socket.io/?EIO=4&transport=websocket",
            "/socket.io/?EIO=4&transport=websocket&token=x",
            "/ws?EIO=4&transport=websocket",
            "/ws",
        ];
        let opening = paths.into_iter().cycle().take(HALF_OPEN).map(async |path| {
            let mut stream = TcpStream::connect(&gateway).await?;
            stream.write_all(upgrade(path, "").as_bytes()).await?;
            hears(&mut stream, "101 ").await?;
            Ok::<_, anyhow::Error>(stream)
        });
        let opened: Vec<_> = stream::iter(opening).buffer_unordered(50).collect().await;
        for stream in opened {
            rest(&mut stream?, GONE).await?;
        }
        Ok(())
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn polling_sessions_that_are_left_leave_nothing() -> Result<()> {
    let stage = Stage::set("left").await?;
    let gateway = stage.gateway();
    let attack = async {
        let begin = b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let beginning = (0..ABANDONED).map(async |_| answer(&gateway, begin, GONE).await);
        let begun: Vec<_> = stream::iter(beginning).buffer_unordered(50).collect().await;
        for heard in &begun {
            let heard = heard.as_ref().map_err(|error| anyhow::anyhow!("{error:#}"))?;
            ensure!(heard.contains(r#""sid":""#), "{heard}");
        }
        let last = begun.last().and_then(|heard| heard.as_ref().ok()).cloned().unwrap_or_default();
        let sid = last.split_once(r#""sid":""#).and_then(|(_, rest)| rest.split('"').next());
        let post = format!(
            "POST /socket.io/?EIO=4&transport=polling&sid={} HTTP/1.1\r\nhost: x\r\n\
             connection: close\r\ncontent-length: 1\r\n\r\n3",
            sid.unwrap_or_default()
        );
        let until = Instant::now() + GONE;
        while !answer(&gateway, post.as_bytes(), GONE).await?.starts_with("HTTP/1.1 400") {
            ensure!(Instant::now() < until, "the session is still there");
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    };
    stage.stands(attack).await
}
