//! The ports that strangers should not reach, reached by strangers: gRPC, and health and metrics.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, sleep, timeout},
};

use crate::{
    Stage, answer,
    http2::{Caller, END_HEADERS, HEADERS, HEALTH, PING, frame, head, message, preface, whole},
};

/// The longest that a stranger is borne.
const BORNE: Duration = Duration::from_secs(50);

/// A verb that costs nothing.
const VERB: &str = "/switchboard.v1.ChatService/GetHeads";

/// Connections that say nothing; more than there is room for.
const SILENT: usize = 400;

/// Connections of every other kind.
const EACH: usize = 10;

/// Says so much, then this every second. Answers when the connection has ended.
async fn strange(address: &str, start: &[u8], again: &[u8]) -> Result<()> {
    let mut stream = TcpStream::connect(address).await?;
    let _ = stream.write_all(start).await;
    let until = Instant::now() + BORNE;
    let mut heard = [0; 1024];
    loop {
        ensure!(
            Instant::now() < until,
            "still there: {} {:?} {:?}",
            start.escape_ascii(),
            stream.local_addr(),
            stream.peer_addr()
        );
        match timeout(Duration::from_secs(1), stream.read(&mut heard)).await {
            Ok(Ok(0) | Err(_)) => return Ok(()),
            Ok(Ok(_)) => {}
            // A reset is found by reading.
            Err(_) => drop(stream.write_all(again).await),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_shows_no_token_has_no_connection_for_long() -> Result<()> {
    let stage = Stage::set("strangers").await?;
    let (grpc, token) = (stage.grpc(), stage.token.clone());
    let known = Caller::at(&grpc).await?;
    let heads = whole(&[]);
    ensure!(known.with_token(&token, VERB, &heads).await?.code == Some(0), "the token opens");
    let begun = |start: &[u8]| [&preface(), start].concat();
    let call = frame(HEADERS, END_HEADERS, 1, &head(HEALTH));
    let announced = frame(0, 0, 1, &message(0, u32::MAX, b"x"));
    let kinds = [
        (preface()[..10].to_vec(), b"".to_vec()),
        (b"P".to_vec(), b"R".to_vec()),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(), b"x".to_vec()),
        (b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03".to_vec(), b"x".to_vec()),
        (begun(&[]), b"".to_vec()),
        (begun(&[]), frame(PING, 0, 0, &[0; 8])),
        (begun(&frame(HEADERS, 0, 1, &head(HEALTH))), b"".to_vec()),
        (begun(&call), frame(0, 0, 1, b"")),
        (begun(&[call.clone(), frame(0, 0, 1, b"\0\0")].concat()), b"".to_vec()),
        (begun(&[call, announced].concat()), frame(0, 0, 1, b"x")),
    ];
    let attack = async {
        let strangers = kinds.iter().flat_map(|kind| std::iter::repeat_n(kind, EACH));
        let strangers = strangers.map(|(start, again)| strange(&grpc, start, again));
        let silent = (0..SILENT).map(|_| strange(&grpc, b"", b""));
        let newcomers = async {
            for _ in 0..40 {
                let newcomer = timeout(Duration::from_secs(5), Caller::at(&grpc)).await??;
                let answer = newcomer.with_token(&token, VERB, &heads).await?;
                ensure!(answer.code == Some(0), "{answer:?}");
                sleep(Duration::from_millis(500)).await;
            }
            Ok(())
        };
        tokio::try_join!(try_join_all(strangers), try_join_all(silent), newcomers)?;
        Ok(())
    };
    stage.stands(attack).await?;
    let answer = known.with_token(&token, VERB, &heads).await.context("who is known stays")?;
    ensure!(answer.code == Some(0), "{answer:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn health_answers_however_many_connections_say_nothing() -> Result<()> {
    let stage = Stage::set("admin").await?;
    let urls = stage.arena.stack.urls();
    let admins = [urls.api_admin(1), urls.gateway_admin(1)];
    let admins = admins.map(|url| url.trim_start_matches("http://").to_owned());
    let kinds = [
        (&b""[..], &b""[..]),
        (b"G", b"E"),
        (b"GET /metrics HTTP/1.1\r\nx: ", b"x"),
        (b"POST /healthz HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n", b"x"),
    ];
    let attack = async {
        let both = admins.iter().map(async |admin| {
            let strangers = (0..200).flat_map(|_| kinds);
            let strangers = strangers.map(|(start, again)| strange(admin, start, again));
            let asked = async {
                for path in ["/healthz", "/readyz", "/metrics"].repeat(10) {
                    let ask =
                        format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
                    let mut heard = String::new();
                    // In the midst of a rush one may be lost, as probes allow for.
                    for _ in 0..3 {
                        heard = answer(admin, ask.as_bytes(), Duration::from_secs(5)).await?;
                        if !heard.is_empty() {
                            break;
                        }
                    }
                    ensure!(heard.starts_with("HTTP/1.1 200"), "{path}: {heard}");
                    sleep(Duration::from_millis(100)).await;
                }
                Ok(())
            };
            tokio::try_join!(try_join_all(strangers), asked).map(drop)
        });
        try_join_all(both).await.map(drop)
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_answered_slowly_and_the_right_one_at_once() -> Result<()> {
    let stage = Stage::set("tokens").await?;
    let (grpc, token) = (stage.grpc(), stage.token.clone());
    let heads = whole(&[]);
    let attack = async {
        let caller = Caller::at(&grpc).await?;
        let took = async |token: &str, code| {
            let began = Instant::now();
            let answer = caller.with_token(token, VERB, &heads).await?;
            ensure!(answer.code == Some(code), "{answer:?}");
            Ok(began.elapsed())
        };
        let guesses = (0..100).map(async |n| took(&format!("guess number {n}"), 16).await);
        let guessed = try_join_all(guesses).await?;
        let slow = guessed.iter().filter(|took| **took >= Duration::from_secs(1)).count();
        ensure!((60..=75).contains(&slow), "{slow} of 100 waited");
        ensure!(took("one more", 16).await? >= Duration::from_secs(1), "it did not wait");
        ensure!(took(&token, 0).await? < Duration::from_secs(1), "the right one waits");
        Ok(())
    };
    stage.stands(attack).await
}
