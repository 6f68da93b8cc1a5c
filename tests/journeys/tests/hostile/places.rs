//! Places that many want: whoever sends or reads slowly keeps nobody else from theirs.

use std::{pin::pin, time::Duration};

use anyhow::{Context, Result, ensure};
use futures_util::future::{join_all, try_join_all};
use harness::{Arena, Person};
use reqwest::Method;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::Stage;

/// How long anybody else may wait for an answer meanwhile.
const SOON: Duration = Duration::from_secs(5);

/// The smallest picture there is, as a file of a form.
const HEAD: &str = "--b\r\ncontent-disposition: form-data; name=\"files\"; filename=\"a\"\r\n\r\n";
const PICTURE: &[u8] =
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0\x1f\x15\xc4\x89\
    \0\0\0\rIDATx\x9cc`\0\0\0\x02\0\x01\xe2!\xbc3\0\0\0\0IEND\xaeB`\x82";

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_come_slowly_take_nobodys_place_at_the_front_door() -> Result<()> {
    /// More than any server takes at once.
    const SLOW: usize = 4_200;
    chat_core::process::open_as_many_files_as_allowed();
    let mut options = Arena::options("front")?;
    options.front = true;
    let stage = Stage::with(options).await?;
    let front = stage.arena.stack.urls().front().context("a front door")?;
    let address = front.trim_start_matches("http://").to_owned();
    let browser = reqwest::Client::new();
    let rooms = async || {
        let asked = timeout(SOON, browser.get(format!("{front}/api/rooms")).send());
        let status = asked.await.context("no answer")??.status();
        ensure!(status == 200, "{status}");
        Ok(())
    };
    let attack = async {
        rooms().await?;
        let mut held = Vec::new();
        for n in 0..SLOW {
            let mut stream = TcpStream::connect(&address).await?;
            let path = ["/api/login", "/socket.io/?EIO=4&transport=polling&sid=x"][n % 2];
            let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n{{");
            stream.write_all(head.as_bytes()).await?;
            held.push(stream);
        }
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(4) {
            rooms().await.with_context(|| format!("after {:?}", began.elapsed()))?;
            sleep(Duration::from_millis(100)).await;
        }
        // Nobody is waited for for ever.
        let mut heard = Vec::new();
        let first = &mut held[0];
        timeout(Duration::from_secs(20), first.read_to_end(&mut heard)).await??;
        ensure!(heard.starts_with(b"HTTP/1.1 408"), "{}", String::from_utf8_lossy(&heard));
        Ok(())
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_an_answer_slowly_is_not_waited_for() -> Result<()> {
    const READERS: usize = 40;
    let stage = Stage::set("paced").await?;
    let carol = stage.arena.newcomer("carol").await?;
    let text = "x".repeat(4_000);
    for _ in 0..20 {
        try_join_all((0..25).map(async |_| {
            let post = carol.http.request(Method::POST, "/api/conversations/lobby")?;
            carol.http.send(post.json(&json!({"text": text}))).await?.expect(200)
        }))
        .await?;
    }
    let api = stage.api();
    let attack = async {
        try_join_all((0..READERS).map(async |_| {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4 * 1024)?;
            let mut stream = socket.connect(api.parse()?).await?;
            stream.write_all(b"GET /api/v1/messages HTTP/1.1\r\nhost: x\r\n\r\n").await?;
            let (began, mut read, mut part) = (Instant::now(), 0, [0; 2_048]);
            // A reset is an end too.
            while let Ok(count @ 1..) = stream.read(&mut part).await {
                read += count;
                ensure!(began.elapsed() < Duration::from_secs(60), "{read} bytes, and no end");
                sleep(Duration::from_millis(500)).await;
            }
            ensure!(read > 0 && read < 1_000_000, "{read} bytes");
            Ok(())
        }))
        .await
        .map(drop)
    };
    stage.stands(attack).await
}

/// Sends a file piece by piece, a little faster than is too slow, until the connection ends.
async fn trickles(api: &str, whose: &Person<'_>) -> Result<()> {
    let mut stream = TcpStream::connect(api).await?;
    let head = format!(
        "POST /api/upload/files HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         content-type: multipart/form-data; boundary=b\r\ncontent-length: 9000000\r\n\r\n{HEAD}",
        whose.token
    );
    stream.write_all(&[head.as_bytes(), PICTURE].concat()).await?;
    while stream.write_all(&[b'x'; 36_000]).await.is_ok() {
        sleep(Duration::from_millis(500)).await;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_who_upload_slowly_keep_nobody_from_it() -> Result<()> {
    let stage = Stage::set("uploads").await?;
    let few = try_join_all((0..4).map(|_| stage.arena.newcomer("slow"))).await?;
    let carol = stage.arena.newcomer("carol").await?;
    let api = stage.api();
    let form = [HEAD.as_bytes(), PICTURE, b"\r\n--b--\r\n"].concat();
    let uploads = async {
        // Until they have all places.
        sleep(Duration::from_secs(2)).await;
        for _ in 0..5 {
            let request = carol.http.request(Method::POST, "/api/upload/files")?;
            let request = request.header("content-type", "multipart/form-data; boundary=b");
            let upload = carol.http.send(request.body(form.clone()));
            timeout(SOON, upload).await.context("no answer")??.expect(200)?;
            sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    };
    let attack = async {
        let slow = join_all((0..16).map(async |n: usize| {
            loop {
                if trickles(&api, &few[n % 4]).await.is_err() {
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }));
        let (slow, uploads) = (pin!(slow), pin!(uploads));
        tokio::select! { _ = slow => Ok(()), done = uploads => done }
    };
    stage.stands(attack).await
}
