//! Who sends byte by byte, or does not take what it is answered, is not waited for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use reqwest::Method;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::{Stage, answer, rest};

/// The longest that any of them is borne.
const BORNE: Duration = Duration::from_secs(50);

/// Connections of each kind at once.
const EACH: usize = 40;

/// Says so much, then a byte a second; answers what comes back, once the connection ends.
async fn drips(address: &str, start: &str) -> Result<String> {
    let stream = TcpStream::connect(address).await?;
    let mut stream = stream;
    stream.write_all(start.as_bytes()).await?;
    let (mut reading, mut writing) = stream.split();
    let drip = async {
        loop {
            sleep(Duration::from_secs(1)).await;
            if writing.write_all(b"x").await.is_err() {
                return std::future::pending::<()>().await;
            }
        }
    };
    let mut heard = Vec::new();
    let read = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut heard);
    let read = async {
        tokio::select! { read = read => read.map(drop), () = drip => Ok(()) }
    };
    let _ = timeout(BORNE, read).await.with_context(|| format!("still there: {start}"))?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

/// The sid of a new polling session.
pub(crate) async fn session(gateway: &str) -> Result<String> {
    let ask =
        b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    let heard = answer(gateway, ask, BORNE).await?;
    let (_, rest) = heard.split_once(r#""sid":""#).with_context(|| heard.clone())?;
    Ok(rest.split('"').next().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_drips_is_not_waited_for() -> Result<()> {
    let stage = Stage::set("drips").await?;
    let (api, gateway) = (stage.api(), stage.gateway());
    let polled = session(&gateway).await?;
    let body =
        |path: &str| format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{{");
    let upload = "POST /api/upload/files HTTP/1.1\r\nhost: x\r\ncontent-length: 9000\r\n\
                  content-type: multipart/form-data; boundary=b\r\n\r\n--b\r\n";
    let post = body(&format!("/socket.io/?EIO=4&transport=polling&sid={polled}"));
    let kinds = [
        (&api, "GET / HTTP/1.1\r\nx: ".to_owned(), &[""][..]),
        (&gateway, "GET / HTTP/1.1\r\nx: ".to_owned(), &[""]),
        (&api, "G".to_owned(), &[""]),
        (&gateway, "G".to_owned(), &[""]),
        (&api, body("/api/register"), &["503"]),
        (&api, body("/nowhere"), &["404"]),
        (&api, upload.to_owned(), &["401"]),
        (&gateway, post, &["408"]),
        (&gateway, body("/nowhere"), &["404"]),
    ];
    let attack = async {
        let dripping = kinds.iter().flat_map(|kind| std::iter::repeat_n(kind, EACH));
        try_join_all(dripping.map(async |(address, start, statuses)| {
            let heard = drips(address, start).await?;
            let status = heard.split(' ').nth(1).unwrap_or_default();
            let is_known = statuses.contains(&status) || status == "408" || status.is_empty();
            ensure!(is_known, "{start}: {heard}");
            Ok(())
        }))
        .await
    };
    stage.stands(attack).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_says_nothing_or_reads_nothing_is_not_waited_for() -> Result<()> {
    let stage = Stage::set("silent").await?;
    let carol = stage.arena.newcomer("carol").await?;
    let mut file = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01".to_vec();
    file.resize(10 * 1024 * 1024, 0);
    let size = file.len();
    let head = "--b\r\ncontent-disposition: form-data; name=\"files\"; filename=\"a\"\r\n\r\n";
    let form = [head.as_bytes(), &file, b"\r\n--b--\r\n"].concat();
    let request = carol.http.request(Method::POST, "/api/upload/files")?;
    let request = request.header("content-type", "multipart/form-data; boundary=b").body(form);
    let answer = carol.http.send(request).await?.expect(200)?;
    let url = answer["files"][0].as_str().context("a URL")?.to_owned();
    let (api, gateway) = (stage.api(), stage.gateway());
    let attack = async {
        let mut silent = Vec::new();
        for _ in 0..EACH {
            silent.push(TcpStream::connect(&api).await?);
            silent.push(TcpStream::connect(&gateway).await?);
        }
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(4 * 1024)?;
        let mut deaf = socket.connect(api.parse()?).await?;
        let ask = format!("GET {url} HTTP/1.1\r\nhost: x\r\n\r\n");
        deaf.write_all(ask.as_bytes()).await?;
        let until = Instant::now() + BORNE;
        for stream in &mut silent {
            let heard = rest(stream, until.saturating_duration_since(Instant::now())).await?;
            ensure!(heard.is_empty() || heard.contains(" 408 "), "{heard}");
        }
        let heard = rest(&mut deaf, Duration::from_secs(20)).await?;
        ensure!(heard.len() < size, "all of it was kept for who did not read it");
        Ok(())
    };
    stage.stands(attack).await
}
