//! What is no JSON, no packet, no frame, or too much of it.

use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::value::RawValue;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{Stage, answer, frame, hears, post, rest, upgrade};

const PATIENCE: Duration = Duration::from_secs(20);

/// `{"username":"zipped","password":"open sesame"}`, compressed by gzip.
const ZIPPED: &[u8] = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xab\x56\x2a\x2d\x4e\x2d\xca\x4b\xcc\x4d\x55\xb2\x52\xaa\xca\x2c\x28\x48\x4d\x51\xd2\x51\x2a\x48\x2c\x2e\x2e\xcf\x2f\x4a\x01\x8a\xe5\x17\xa4\xe6\x29\x14\xa7\x16\x83\x54\xd4\x02\x00\x50\x3a\x5f\x70\x2e\x00\x00\x00";

/// JSON that is none, or more than anybody reads; each must be refused.
fn rubbish() -> Vec<Vec<u8>> {
    let user = |value: &str| format!(r#"{{"username":{value},"password":"open sesame"}}"#);
    let mut all: Vec<Vec<u8>> = [
        "[".repeat(100_000),
        r#"{"a":"#.repeat(20_000),
        "[[{\"a\":".repeat(15_000),
        user("1e999999"),
        user("-1e999999"),
        user("18446744073709551616"),
        user("-0"),
        user(r#""\ud800""#),
        user(r#""\udc00\ud800""#),
        user("NaN"),
        user(&"9".repeat(100_000)),
        user(&format!("\"{}\"", "x".repeat(100_000))),
        format!("{{{}\"username\":7}}", r#""a":1,"#.repeat(15_000)),
        "\u{feff}{}".to_owned(),
    ]
    .map(String::into_bytes)
    .into();
    all.push(b"{\"username\":\"\xff\xfe\xed\xa0\x80\",\"password\":\"open sesame\"}".to_vec());
    all.push(vec![0; 100_000]);
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_none_are_refused_in_words() -> Result<()> {
    let stage = Stage::set("bodies").await?;
    let api = stage.api();
    let attack = async {
        for path in ["/api/register", "/api/login", "/register", "/api/auth/register"] {
            for body in rubbish() {
                let heard = answer(&api, &post(path, "", &body), PATIENCE).await?;
                let shown = body.escape_ascii().take(60).collect::<Vec<_>>();
                let shown = String::from_utf8_lossy(&shown).into_owned();
                let status = heard.split(' ').nth(1).unwrap_or_default().to_owned();
                ensure!(
                    ["400", "401", "413", "422"].contains(&&*status),
                    "{path} {shown}: {heard}"
                );
                ensure!(heard.len() < 2_000, "{path} {shown}: {} bytes", heard.len());
            }
        }
        // Nothing is unpacked, so nothing can burst.
        let packed = post("/api/register", "content-encoding: gzip\r\n", ZIPPED);
        let heard = answer(&api, &packed, PATIENCE).await?;
        ensure!(heard.starts_with("HTTP/1.1 400") && heard.contains("UTF-8"), "{heard}");
        // More than is read, announced or in pieces without an end.
        let huge = post("/api/register", "", &vec![b' '; 3 * 1024 * 1024]);
        let heard = answer(&api, &huge, PATIENCE).await?;
        ensure!(heard.starts_with("HTTP/1.1 413"), "{heard}");
        Ok(())
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_addresses_have_an_end() -> Result<()> {
    let stage = Stage::set("heads").await?;
    let attack = async {
        for address in [stage.api(), stage.gateway()] {
            let long = |length: usize| "x".repeat(length);
            let heads = [
                format!("GET / HTTP/1.1\r\nhost: x\r\nx-long: {}\r\n\r\n", long(300_000)),
                format!("GET /{} HTTP/1.1\r\nhost: x\r\n\r\n", long(300_000)),
                format!("GET / HTTP/1.1\r\nhost: x\r\n{}\r\n", "a: b\r\n".repeat(10_000)),
                format!("{} / HTTP/1.1\r\nhost: x\r\n\r\n", long(300_000)),
                format!("GET / HTTP/1.1\r\n{}: x\r\n\r\n", long(300_000)),
            ];
            for head in heads {
                let heard = answer(&address, head.as_bytes(), PATIENCE).await?;
                let status = heard.split(' ').nth(1).unwrap_or_default();
                // Where the client still sends, the answer may be lost with the connection.
                ensure!(["", "400", "414", "431"].contains(&status), "{heard}");
            }
            for nonsense in [&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], b"\0\0\0\0\r\n\r\n"]
            {
                answer(&address, &[nonsense, b"\r\n\r\n"].concat(), PATIENCE * 2).await?;
            }
            // No one speaks HTTP/2 here.
            let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
            answer(&address, preface, PATIENCE * 2).await?;
            // Two lengths, or a length and pieces: a proxy may see another request than we do.
            for smuggled in [
                "POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nabcde",
                "POST /api/login HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
                "POST /api/login HTTP/1.1\r\nhost: x\r\ntransfer-encoding: gzip\r\n\r\n",
            ] {
                let heard = answer(&address, smuggled.as_bytes(), PATIENCE).await?;
                ensure!(heard.starts_with("HTTP/1.1 400") || heard.is_empty(), "{heard}");
            }
        }
        Ok(())
    };
    stage.stands(attack).await
}

/// A websocket of the default namespace, entered.
pub(crate) async fn entered(gateway: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(gateway).await?;
    let path = "/socket.io/?EIO=4&transport=websocket";
    stream.write_all(upgrade(path, "").as_bytes()).await?;
    hears(&mut stream, "pingInterval").await?;
    stream.write_all(&frame(0x81, b"40")).await?;
    hears(&mut stream, "40{").await?;
    Ok(stream)
}

#[tokio::test(flavor = "multi_thread")]
async fn packets_that_are_none_are_refused_or_end_their_socket() -> Result<()> {
    let stage = Stage::set("packets").await?;
    let gateway = stage.gateway();
    let attack = async {
        for body in rubbish() {
            let mut stream = entered(&gateway).await?;
            let packet = [&br#"421["chat message","#[..], &body, b"]"].concat();
            let _ = stream.write_all(&frame(0x81, &packet)).await;
            // What is not even an array with a name ends the socket, as any packet that is none.
            let is_array = serde_json::from_slice::<Vec<&RawValue>>(&packet[3..]).is_ok();
            if !is_array {
                rest(&mut stream, PATIENCE).await?;
                continue;
            }
            let heard = hears(&mut stream, r#""success":false"#).await?;
            ensure!(heard.contains("431[") && heard.contains(r#""code":"#), "{heard}");
            // The socket lives on.
            stream.write_all(&frame(0x81, br#"422["nothing",1]"#)).await?;
            hears(&mut stream, "432[").await?;
        }
        for end in [
            &br#"4510000-["a",{"_placeholder":true,"num":0}]"#[..],
            br#"4518446744073709551616-["a"]"#,
            br#"45-1-["a"]"#,
            b"49",
        ] {
            let mut stream = entered(&gateway).await?;
            stream.write_all(&frame(0x81, end)).await?;
            rest(&mut stream, PATIENCE).await?;
        }
        // A frame of 2^63 bytes is announced; control frames that are too long, or in pieces.
        let announced = [0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        let long = frame(0x81, &[b'4'; 1_200_000]);
        for bad in
            [&announced[..], &long, &frame(0x89, &[0; 200]), &frame(0x09, b"x"), &frame(0xc1, b"2")]
        {
            let mut stream = entered(&gateway).await?;
            // It may be closed before all is sent.
            let _ = stream.write_all(bad).await;
            rest(&mut stream, PATIENCE).await?;
        }
        Ok(())
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn plain_websockets_refuse_rubbish_in_words_and_live_on() -> Result<()> {
    let stage = Stage::set("plain").await?;
    let gateway = stage.gateway();
    let carol = stage.arena.newcomer("carol").await?;
    let attack = async {
        for path in ["/ws", "/ws/conversations/lobby"] {
            let mut stream = TcpStream::connect(&gateway).await?;
            let path = format!("{path}?token={}", carol.token);
            stream.write_all(upgrade(&path, "").as_bytes()).await?;
            hears(&mut stream, "101 ").await?;
            for body in rubbish().iter().filter(|body| std::str::from_utf8(body).is_ok()) {
                stream.write_all(&frame(0x81, body)).await?;
                let heard = hears(&mut stream, r#""code":""#).await?;
                ensure!(heard.len() < 2_000, "{} bytes", heard.len());
            }
            stream.write_all(&frame(0x82, b"binary")).await?;
            hears(&mut stream, "invalid_payload").await?;
            stream.write_all(&frame(0x81, b"{\"event\":\"\xff\"}")).await?;
            rest(&mut stream, PATIENCE).await?;
        }
        Ok(())
    };
    stage.stands(attack).await
}

#[tokio::test(flavor = "multi_thread")]
async fn no_websocket_agrees_to_compression() -> Result<()> {
    let stage = Stage::set("deflate").await?;
    let gateway = stage.gateway();
    let carol = stage.arena.newcomer("carol").await?;
    let offer = "sec-websocket-extensions: permessage-deflate; client_max_window_bits\r\n";
    let attack = async {
        for path in [
            "/socket.io/?EIO=4&transport=websocket",
            "/socket.io/?EIO=3&transport=websocket",
            "/ws?EIO=4&transport=websocket",
            &format!("/ws?token={}", carol.token),
            &format!("/ws/conversations/lobby?token={}", carol.token),
        ] {
            let mut stream = TcpStream::connect(&gateway).await?;
            stream.write_all(upgrade(path, offer).as_bytes()).await?;
            let heard = hears(&mut stream, "\r\n\r\n").await?;
            ensure!(heard.contains("101 "), "{path}: {heard}");
            ensure!(!heard.to_lowercase().contains("sec-websocket-extensions"), "{path}: {heard}");
            // A compressed frame all the same.
            stream.write_all(&frame(0xc1, b"\xcaH\xcd\xc9\xc9\x07\0")).await?;
            rest(&mut stream, PATIENCE).await?;
        }
        Ok(())
    };
    stage.stands(attack).await
}
