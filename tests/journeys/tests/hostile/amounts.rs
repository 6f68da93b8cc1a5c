//! What many send at once is bounded for all of them together, whatever each of them may send.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use tokio::{
    io::AsyncWriteExt,
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use crate::{Stage, answer, bytes::entered, frame, hears, post, rest, slow::session, upgrade};

const MIB: usize = 1024 * 1024;

/// The longest that anything here may be borne.
const BORNE: Duration = Duration::from_secs(75);

/// Those who do the same at once.
const CROWD: usize = 300;

/// Bodies of the same kind at once.
const BODIES: usize = 12;

/// JSON of so many bytes that takes a hundred times as many once it is parsed.
fn unfolding(size: usize) -> Vec<u8> {
    let start =
        r#"{"username":"nobody","password":"open sesame","author":"nobody","content":"hi","x":["#;
    let count = (size - start.len() - 3) / 7;
    let parts = vec![r#"{"":0}"#; count].join(",");
    format!("{start}{parts}]}}").into_bytes()
}

/// A form of about so many bytes with as many fields as fit.
fn many_fields(size: usize) -> Vec<u8> {
    let mut form = "username=nobody&password=open+sesame".to_owned();
    let mut count = 0;
    while form.len() + 12 < size {
        form += &format!("&{count:x}=");
        count += 1;
    }
    form.into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_unfold_cost_little() -> Result<()> {
    let stage = Stage::set("unfold").await?;
    let api = stage.api();
    let json = "content-type: application/json\r\n";
    let form = "content-type: application/x-www-form-urlencoded\r\n";
    let attack = async {
        for path in [
            "/api/login",
            "/api/register",
            "/api/verify",
            "/login",
            "/register",
            "/auth/register",
            "/api/auth/login",
            "/api/auth/register",
            "/api/v1/messages",
        ] {
            for size in [2 * MIB, 64 * 1024, 8 * 1024] {
                let mut bodies = vec![(json, unfolding(size))];
                if ["/login", "/register"].contains(&path) {
                    bodies.push((form, many_fields(size)));
                }
                for (kind, body) in bodies {
                    let request = post(path, kind, &body);
                    let asked = (0..BODIES).map(|_| answer(&api, &request, BORNE));
                    for heard in try_join_all(asked).await? {
                        let status = heard.split(' ').nth(1).unwrap_or_default();
                        // A form is read, whatever else is in it; so is what asks for nothing new.
                        let is_small_form = kind == form && size == 8 * 1024;
                        let is_fine = ["400", "413"].contains(&status)
                            || is_small_form && ["303", "401", "409", "429"].contains(&status);
                        ensure!(is_fine, "{path} {kind}{size}: {heard}");
                    }
                }
            }
        }
        Ok(())
    };
    stage.stands(attack).await
}

/// Sends as much as is taken, and waits until the connection ends.
async fn sent(stream: &mut TcpStream, bytes: &[u8]) -> Result<String> {
    let until = Instant::now() + BORNE;
    // It may end, or not be read, before all is sent.
    let _ = timeout(BORNE, stream.write_all(bytes)).await;
    rest(stream, until.saturating_duration_since(Instant::now())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn long_frames_that_lack_a_byte_cost_little_and_end() -> Result<()> {
    let stage = Stage::set("lacking").await?;
    let gateway = stage.gateway();
    // As long as an event may be and more, and longer than anything may be.
    let lacking = [128 * 1024, 2 * MIB].map(|size| {
        let mut whole = frame(0x81, &vec![b'4'; size]);
        whole.pop();
        whole
    });
    let attack = async {
        let crowd = (0..2 * CROWD).map(async |n| {
            let mut stream = entered(&gateway).await?;
            sent(&mut stream, &lacking[n % 2]).await.map(drop)
        });
        try_join_all(crowd).await.map(drop)
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_pieces_ends_though_pongs_come_between() -> Result<()> {
    let stage = Stage::set("pieces").await?;
    let gateway = stage.gateway();
    let carol = stage.arena.newcomer("carol").await?;
    let attack = async {
        let paths = ["/ws", "/ws/conversations/lobby"];
        try_join_all(paths.map(async |path| {
            let mut stream = TcpStream::connect(&gateway).await?;
            let path = format!("{path}?token={}", carol.token);
            stream.write_all(upgrade(&path, "").as_bytes()).await?;
            hears(&mut stream, "101 ").await?;
            stream.write_all(&frame(0x01, &[b'x'; 10_000])).await?;
            let (mut reading, mut writing) = stream.split();
            let pongs = async {
                while writing.write_all(&frame(0x8a, b"")).await.is_ok() {
                    sleep(Duration::from_secs(1)).await;
                }
                std::future::pending::<()>().await;
            };
            let mut heard = Vec::new();
            let read = tokio::io::AsyncReadExt::read_to_end(&mut reading, &mut heard);
            let ends = async {
                tokio::select! { _ = read => {}, () = pongs => {} }
            };
            timeout(BORNE, ends).await.with_context(|| format!("{path} goes on"))
        }))
        .await
        .map(drop)
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_those_who_do_not_read_cost_little() -> Result<()> {
    let stage = Stage::set("unread").await?;
    let gateway = stage.gateway();
    let join = |more: &str| {
        let event = format!(
            r#"42["join room",{{"roomId":"lobby","user":"guest1","quiet":true,"x":"{more}"}}]"#
        );
        frame(0x81, event.as_bytes())
    };
    let flood = [join("").repeat(40), join(&"y".repeat(60_000)).repeat(138)].concat();
    let attack = async {
        let crowd = (0..60).map(async |_| {
            let socket = TcpSocket::new_v4()?;
            socket.set_recv_buffer_size(4 * 1024)?;
            let mut stream = socket.connect(gateway.parse()?).await?;
            let path = "/socket.io/?EIO=4&transport=websocket";
            stream.write_all(upgrade(path, "").as_bytes()).await?;
            hears(&mut stream, "pingInterval").await?;
            stream.write_all(&frame(0x81, b"40")).await?;
            hears(&mut stream, "40{").await?;
            // It may be cut before all is sent.
            let _ = timeout(Duration::from_secs(10), stream.write_all(&flood)).await;
            Ok::<_, anyhow::Error>(stream)
        });
        let held = try_join_all(crowd).await?;
        sleep(Duration::from_secs(3)).await;
        drop(held);
        Ok(())
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn posts_of_sessions_that_nobody_began_are_not_read() -> Result<()> {
    let stage = Stage::set("nobodys").await?;
    let gateway = stage.gateway();
    let begun = |path: &str, size: usize| {
        let mut request = post(path, "", &vec![b' '; size]);
        request.pop();
        request
    };
    let attack = async {
        let request =
            begun("/socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAAAA", 2 * MIB);
        let crowd = (0..CROWD).map(async |_| {
            let mut stream = TcpStream::connect(&gateway).await?;
            let heard = sent(&mut stream, &request).await?;
            // The answer may be lost to who still sends.
            ensure!(heard.is_empty() || heard.contains("Session ID unknown"), "{heard}");
            Ok::<_, anyhow::Error>(())
        });
        try_join_all(crowd).await?;
        let crowd = (0..CROWD).map(async |_| {
            let sid = session(&gateway).await?;
            let path = format!("/socket.io/?EIO=4&transport=polling&sid={sid}");
            for size in [MIB, 128 * 1024] {
                let mut stream = TcpStream::connect(&gateway).await?;
                let heard = sent(&mut stream, &begun(&path, size)).await?;
                let status = heard.split(' ').nth(1).unwrap_or_default();
                ensure!(["", "408", "413", "503"].contains(&status), "{heard}");
            }
            Ok::<_, anyhow::Error>(())
        });
        try_join_all(crowd).await.map(drop)
    };
    stage.stands(attack).await
}
