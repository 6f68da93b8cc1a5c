//! What strangers send, and a protocol that breaks: everybody else goes on.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use chat_core::{Result, process::Shutdown};
use dialects::socket::{Client, Conversing, Leg};
use proptest::{collection::vec, prelude::*};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    runtime::Runtime,
    time::timeout,
};

use super::guard::{Peer, gateway};

const PATIENCE: Duration = Duration::from_secs(20);

const TEXT: &str = "text/plain;charset=UTF-8";

/// A protocol that answers `echo` and panics at `boom`.
struct Brittle;

#[async_trait]
impl Leg for Brittle {
    fn protocol(&self) -> &'static str {
        "guard"
    }

    fn namespace(&self) -> &'static str {
        "/guard"
    }

    fn knows(&self, event: &str, _: &Value) -> bool {
        event == "echo" || event == "boom"
    }

    async fn open(&self, _: Client) -> Result<Box<dyn Conversing>> {
        Ok(Box::new(Self))
    }
}

#[async_trait]
impl Conversing for Brittle {
    async fn handle(&mut self, event: &str, payload: Value) -> Result<Value> {
        assert_ne!(event, "boom", "as it was told to");
        Ok(json!({ "echo": payload }))
    }

    async fn close(&mut self) {}
}

/// Reads until the connection ends.
async fn ends(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    // A reset is an end too.
    let _ = timeout(PATIENCE, stream.read_to_end(&mut rest)).await.expect("it ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_panics_takes_its_socket_and_nobody_elses() {
    let tasks = Shutdown::new();
    let address = gateway(Arc::new(Brittle), 10, &tasks);
    let (mut unlucky, mut other) = (Peer::connect(address).await, Peer::connect(address).await);
    for round in 1..=3 {
        unlucky.says(r#"42/guard,1["boom"]"#).await;
        ends(&mut unlucky.0).await;
        other.says(&format!(r#"42/guard,{round}["echo",{round}]"#)).await;
        other.hears(&format!(r#"43/guard,{round}[{{"echo":{round}}}]"#)).await;
        // Its place is free, and it may come back.
        unlucky = Peer::connect(address).await;
    }
    tasks.begin();
}

/// Sends a request, by its method and path, and answers its status and body.
async fn asks(address: SocketAddr, what: &str, kind: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).await.expect("connects");
    let head = format!(
        "{what} HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Type: {kind}\r\n\
         Content-Length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = Vec::new();
    let talk = async {
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        stream.read_to_end(&mut answer).await
    };
    timeout(PATIENCE, talk).await.expect("an answer in time").expect("an answer");
    let text = String::from_utf8_lossy(&answer);
    let status = text.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = text.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_default(), body.to_owned())
}

/// A new polling session; its sid.
async fn session(address: SocketAddr, version: u8) -> Option<String> {
    let url = format!("GET /socket.io/?EIO={version}&transport=polling");
    let (_, greeting) = asks(address, &url, TEXT, b"").await;
    let (_, rest) = greeting.split_once(r#""sid":""#)?;
    rest.split('"').next().map(str::to_owned)
}

/// Packets as they come in posts, and what only looks like them.
fn post() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        vec(any::<u8>(), 0..20),
        proptest::sample::select(vec![
            "2",
            "3",
            "40",
            "40/guard,{}",
            "41",
            "42[\"echo\",1]",
            "42/guard,1[\"echo\",1]",
            "42/guard,99999999999999999999[\"echo\"]",
            "451-[\"echo\",{\"_placeholder\":true,\"num\":0}]",
            "4510000-[\"echo\"]",
            "455",
            "45-",
            "4",
            "6",
            "0",
            "b",
            "bAAAA",
            "b4AAAA",
            "\u{1e}",
            "\u{1e}\u{1e}",
            "1:",
            "0:",
            "2:40",
            "18446744073709551615:40",
            "-1:",
            "3:👋",
            "€",
            "42[",
            "42[\"\\ud800\"]",
            "43/guard,1[]",
            "44",
            "461-[]",
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
        proptest::sample::select(vec![
            &b"\x00\x02\xff40"[..],
            b"\x01\x02\xff\x04x",
            b"\x00\x00\xff",
            b"\x00\xff",
            b"\x00\x09\x09\x09\x09\x09\x09\x09\x09\xff",
            b"\x01\x01\xff",
            b"\x02\x01\xff2",
            b"\x00\xd0\xd1\xff",
            b"\xff\xff",
        ])
        .prop_map(<[u8]>::to_vec),
    ];
    vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

#[test]
fn no_post_of_a_polling_client_breaks_the_gateway() {
    let runtime = Runtime::new().expect("a runtime");
    let tasks = Shutdown::new();
    let address = runtime.block_on(async { gateway(Arc::new(Brittle), 100_000, &tasks) });
    let mut observer = runtime.block_on(Peer::connect(address));
    let kinds = [TEXT, "application/octet-stream"];
    proptest!(ProptestConfig { failure_persistence: None, ..bounded() }, |(
        post in post(), version in 3_u8..=4, kind in 0_usize..2, enters: bool
    )| {
        let status = runtime.block_on(async {
            let sid = session(address, version).await.expect("a session");
            let url = format!("POST /socket.io/?EIO={version}&transport=polling&sid={sid}");
            if enters && version == 4 {
                assert_eq!(asks(address, &url, TEXT, b"40/guard,{}").await.0, 200);
            }
            asks(address, &url, kinds[kind], &post).await.0
        });
        prop_assert!(matches!(status, 200 | 400 | 413), "{status}");
    });
    runtime.block_on(async {
        observer.says(r#"42/guard,7["echo",7]"#).await;
        observer.hears(r#"43/guard,7[{"echo":7}]"#).await;
    });
    tasks.begin();
}

/// Frames of any kind, length and mask, and what is none.
fn frames() -> impl Strategy<Value = Vec<u8>> {
    let frame = (any::<u8>(), 0_u8..=127, post()).prop_map(|(first, length, payload)| {
        let mut frame = vec![first, 0x80 | length];
        match length {
            126 => frame.extend(u16::try_from(payload.len()).unwrap_or(9).to_be_bytes()),
            127 => frame.extend((payload.len() as u64).wrapping_sub(1).to_be_bytes()),
            _ => frame[1] = 0x80 | u8::try_from(payload.len().min(125)).unwrap_or_default(),
        }
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    });
    vec(prop_oneof![4 => frame, 1 => vec(any::<u8>(), 0..40)], 1..6)
        .prop_map(|frames| frames.concat())
}

#[test]
fn no_frames_of_a_websocket_break_the_gateway() {
    let runtime = Runtime::new().expect("a runtime");
    let tasks = Shutdown::new();
    let address = runtime.block_on(async { gateway(Arc::new(Brittle), 100_000, &tasks) });
    let mut observer = runtime.block_on(Peer::connect(address));
    proptest!(ProptestConfig { failure_persistence: None, ..bounded() }, |(frames in frames())| {
        runtime.block_on(async {
            let mut peer = Peer::connect(address).await;
            // It may be cut before all is sent.
            let _ = peer.0.write_all(&frames).await;
            let _ = peer.0.shutdown().await;
            ends(&mut peer.0).await;
        });
    });
    runtime.block_on(async {
        observer.says(r#"42/guard,7["echo",7]"#).await;
        observer.hears(r#"43/guard,7[{"echo":7}]"#).await;
    });
    tasks.begin();
}

/// Each case takes a connection or three; PROPTEST_CASES makes it more.
fn bounded() -> ProptestConfig {
    let given = ProptestConfig::default();
    let is_default = given.cases == 256;
    ProptestConfig { cases: if is_default { 100 } else { given.cases }, ..given }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_polling_sessions_than_there_is_room_for_are_put_off() {
    let tasks = Shutdown::new();
    let address = gateway(Arc::new(Brittle), 20, &tasks);
    for _ in 0..20 {
        assert!(session(address, 4).await.is_some());
    }
    let (status, _) = asks(address, "GET /socket.io/?EIO=4&transport=polling", TEXT, b"").await;
    assert_eq!(status, 503);
    let mut other = Peer::connect(address).await;
    other.says(r#"42/guard,1["echo",1]"#).await;
    other.hears(r#"43/guard,1[{"echo":1}]"#).await;
    tasks.begin();
}
