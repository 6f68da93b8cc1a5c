//! HTTP/2 as no library would speak it: frames written by hand, calls with any bytes as their body.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use h2::client::SendRequest;
use reqwest::header::{AUTHORIZATION, HeaderMap};
use tokio::{net::TcpStream, time::timeout};

pub(crate) const HEADERS: u8 = 1;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;

/// Of HEADERS: all of them are here.
pub(crate) const END_HEADERS: u8 = 4;

/// What probes ask.
pub(crate) const HEALTH: &str = "/grpc.health.v1.Health/Check";

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a connection begins with.
pub(crate) fn preface() -> Vec<u8> {
    [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat()
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    let mut frame = length[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The head of a call, nothing of it indexed nor compressed.
pub(crate) fn head(path: &str) -> Vec<u8> {
    let fields = [
        (":method", "POST"),
        (":scheme", "http"),
        (":authority", "x"),
        (":path", path),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    ];
    fields.iter().flat_map(|(name, value)| field(name, value.as_bytes())).collect()
}

/// One field; each part has at most 126 bytes.
pub(crate) fn field(name: &str, value: &[u8]) -> Vec<u8> {
    let length = |part: &[u8]| u8::try_from(part.len()).unwrap_or(126).min(126);
    let mut field = vec![0, length(name.as_bytes())];
    field.extend(name.as_bytes());
    field.push(length(value));
    field.extend(value);
    field
}

/// Is there a frame of this kind among what came?
pub(crate) fn has_frame(mut heard: &[u8], kind: u8) -> bool {
    while let [a, b, c, found, ..] = *heard {
        if found == kind {
            return true;
        }
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        heard = heard.get(9 + length..).unwrap_or_default();
    }
    false
}

/// A message of gRPC, with the length that is claimed.
pub(crate) fn message(flag: u8, claimed: u32, bytes: &[u8]) -> Vec<u8> {
    [&[flag][..], &claimed.to_be_bytes(), bytes].concat()
}

/// The same, with the length that it has.
pub(crate) fn whole(bytes: &[u8]) -> Vec<u8> {
    message(0, u32::try_from(bytes.len()).unwrap_or(u32::MAX), bytes)
}

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) http: u16,
    /// gRPC's code; none where a stream goes on.
    pub(crate) code: Option<u8>,
    pub(crate) sentence: String,
}

/// A connection that speaks as it should.
pub(crate) struct Caller(SendRequest<Bytes>);

impl Caller {
    pub(crate) async fn at(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        let (sender, connection) = h2::client::handshake(stream).await?;
        #[expect(clippy::disallowed_methods, reason = "it ends with its connection")]
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Calls with this body. Of a stream that goes on only the beginning is looked at.
    pub(crate) async fn call(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        timeout(PATIENCE, self.ask(path, headers, body)).await.context("no answer")?
    }

    /// The same, with the token of a service.
    pub(crate) async fn with_token(&self, token: &str, path: &str, body: &[u8]) -> Result<Answer> {
        let bearer = format!("Bearer {token}");
        self.call(path, &[(AUTHORIZATION.as_str(), &bearer)], body).await
    }

    async fn ask(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
        body: &[u8],
    ) -> Result<Answer> {
        let mut request = http::Request::post(format!("http://x{path}"))
            .header("te", "trailers")
            .header("content-type", "application/grpc");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut ready = self.0.clone().ready().await?;
        let (answer, mut sending) = ready.send_request(request.body(())?, false)?;
        // It may be answered before it is read.
        let _ = sending.send_data(Bytes::copy_from_slice(body), true);
        let (head, mut body) = answer.await?.into_parts();
        let mut end = head.headers;
        let is_stream = path.ends_with("/WatchEvents");
        if !end.contains_key("grpc-status") && !is_stream {
            while let Some(data) = body.data().await {
                body.flow_control().release_capacity(data?.len())?;
            }
            end.extend(body.trailers().await?.unwrap_or_default());
        }
        let text = |name| text(&end, name);
        Ok(Answer {
            http: head.status.as_u16(),
            code: text("grpc-status").and_then(|code| code.parse().ok()),
            sentence: text("grpc-message").unwrap_or_default(),
        })
    }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    Some(String::from_utf8_lossy(headers.get(name)?.as_bytes()).into_owned())
}
