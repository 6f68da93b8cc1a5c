//! Hop 10 of 10, for old browsers that poll: text framing becomes binary framing. From the
//! Socket.IO library; next the client.
//!
//! Engine.IO 3 has two framings of a polling answer. In text, a packet is its length in UTF-16
//! units, `:`, and the text. In binary, it is a byte 0, the decimal digits of its length in bytes
//! as one byte each, a byte 255, and the text in UTF-8. The library answers in text unless a
//! packet is binary. In browsers, socket.io-client 1.2 doesn't read an answer in text at all, and
//! later 1.x takes its bytes for characters, so that lengths don't agree once there is more than
//! ASCII. All 1.x and 2.x read binary framing right. Clients without binary ask with `b64=1` for
//! text.
//!
//! The way in needs nothing: the library tells the framings of a POST apart by `Content-Type`. (In
//! POSTs of text framing, 1.7 writes UTF-8 twice and 2.x once. Nothing in the request tells
//! who sent it, so it counts as written once: 1.7 needs websocket, or ASCII.)

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderValue, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

/// Largest answer that is translated; the library's own bound is far below, but for one packet
/// that is larger alone.
const ANSWER_MAX: usize = 16 * 1024 * 1024;

/// What comes after a length, in text framing and in binary framing.
const TEXT_MARK: char = ':';
const BINARY_MARK: u8 = 0xff;

/// A packet of text, in binary framing.
const STRING: u8 = 0;

/// Answers an Engine.IO 3 poll in binary framing, unless the client asked for text.
pub async fn frame_in_binary(request: Request, next: Next) -> Response {
    let is_wanted = request.method() == Method::GET && wants_binary(request.uri());
    let response = next.run(request).await;
    if is_wanted && is_text(&response) { translate(response).await } else { response }
}

fn wants_binary(uri: &Uri) -> bool {
    let is_ours = ["/socket.io", "/ws"].contains(&uri.path().trim_end_matches('/'));
    let Some(query) = uri.query().filter(|_| is_ours) else { return false };
    let has = |wanted: &str| query.split('&').any(|pair| pair == wanted);
    has("EIO=3") && has("transport=polling") && !has("b64=1") && !has("b64=true")
}

fn is_text(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    response.status() == StatusCode::OK && kind.is_some_and(|kind| kind.starts_with(b"text/plain"))
}

async fn translate(response: Response) -> Response {
    let (mut parts, body) = response.into_parts();
    let answer = match to_bytes(body, ANSWER_MAX).await {
        Ok(answer) => answer,
        Err(cause) => {
            tracing::warn!(%cause, "a polling answer could not be read");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let Some(framed) = std::str::from_utf8(&answer).ok().and_then(in_binary) else {
        return Response::from_parts(parts, Body::from(answer));
    };
    let kind = HeaderValue::from_static("application/octet-stream");
    parts.headers.insert(header::CONTENT_TYPE, kind);
    parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(framed.len()));
    Response::from_parts(parts, Body::from(framed))
}

/// The same packets in binary framing; none if this is not text framing, or empty.
fn in_binary(mut text: &str) -> Option<Vec<u8>> {
    if text.is_empty() {
        return None;
    }
    let mut framed = Vec::with_capacity(text.len() + 16);
    while !text.is_empty() {
        let (length, rest) = text.split_once(TEXT_MARK)?;
        let (packet, rest) = rest.split_at(units(rest, length.parse().ok()?)?);
        framed.push(STRING);
        framed.extend(packet.len().to_string().bytes().map(|digit| digit - b'0'));
        framed.push(BINARY_MARK);
        framed.extend_from_slice(packet.as_bytes());
        text = rest;
    }
    Some(framed)
}

/// How many bytes the first so many UTF-16 units take; none if they end within a character.
fn units(text: &str, count: usize) -> Option<usize> {
    let mut missing = count;
    for (at, character) in text.char_indices() {
        if missing == 0 {
            return Some(at);
        }
        missing = missing.checked_sub(character.len_utf16())?;
    }
    (missing == 0).then_some(text.len())
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::any};
    use tower::ServiceExt;

    use super::*;

    const POLL: &str = "/socket.io/?EIO=3&transport=polling&sid=a";

    /// What a server whose every answer is this text answers to a request.
    async fn answer(method: Method, uri: &str, text: &'static str) -> (String, Vec<u8>) {
        let server = Router::new()
            .fallback(any(move || async move { text }))
            .layer(middleware::from_fn(frame_in_binary));
        let request = Request::builder().method(method).uri(uri).body(Body::empty());
        let response = server.oneshot(request.expect("a request")).await.expect("an answer");
        let kind = response.headers()[header::CONTENT_TYPE].to_str().expect("text").to_owned();
        let declared = response.headers().get(header::CONTENT_LENGTH).cloned();
        let body = to_bytes(response.into_body(), ANSWER_MAX).await.expect("a body").to_vec();
        assert_eq!(declared, Some(HeaderValue::from(body.len())));
        (kind, body)
    }

    #[test]
    fn a_packet_gets_its_length_in_bytes_digit_by_digit() {
        assert_eq!(in_binary("6:4hello"), Some(b"\x00\x06\xff4hello".to_vec()));
        let long = format!("123:4{}", "x".repeat(122));
        let framed = in_binary(&long).expect("text framing");
        assert_eq!(framed[..5], [0, 1, 2, 3, 255]);
        assert_eq!(framed.len(), 5 + 123);
    }

    #[test]
    fn characters_are_counted_in_utf16_and_written_in_utf8() {
        // One unit and three bytes; two units and four bytes.
        assert_eq!(in_binary("2:4€"), Some(mark("\x00\x044€".into())));
        assert_eq!(in_binary("3:4👋"), Some(mark("\x00\x054👋".into())));
    }

    /// Puts the mark after a length of one digit.
    fn mark(mut framed: Vec<u8>) -> Vec<u8> {
        framed.insert(2, BINARY_MARK);
        framed
    }

    #[test]
    fn packets_follow_each_other_whatever_their_text_looks_like() {
        let framed = in_binary("4:4👋:1:65:47:2x").expect("text framing");
        let mut expected = b"\x00\x06\xff".to_vec();
        expected.extend("4👋:".bytes());
        expected.extend(b"\x00\x01\xff6\x00\x05\xff47:2x");
        assert_eq!(framed, expected);
    }

    #[test]
    fn what_is_not_text_framing_stays_as_it_is() {
        for text in ["", "ok", "5:4abc", "x:4", ":4", "3:👋", "1:👋", "1:6 "] {
            assert_eq!(in_binary(text), None, "{text:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_answer_is_translated_whole_or_left(text: String, packets: Vec<String>) {
            let _ = in_binary(&text);
            let framed: String = packets
                .iter()
                .map(|packet| format!("{}:{packet}", packet.encode_utf16().count()))
                .collect();
            let bytes: usize = packets.iter().map(String::len).sum();
            let binary = in_binary(&framed);
            assert_eq!(binary.is_none(), packets.is_empty());
            assert!(binary.is_none_or(|binary| binary.len() > bytes));
        }
    }

    #[tokio::test]
    async fn a_poll_is_answered_in_binary() {
        for uri in [POLL, "/socket.io?transport=polling&EIO=3", "/ws/?EIO=3&transport=polling"] {
            let (kind, body) = answer(Method::GET, uri, "3:4👋").await;
            assert_eq!(kind, "application/octet-stream", "{uri}");
            assert_eq!(body, mark("\x00\x054👋".into()), "{uri}");
        }
    }

    #[tokio::test]
    async fn other_answers_are_left_alone() {
        let asked_for_text = format!("{POLL}&b64=1");
        let others = [
            (Method::POST, POLL),
            (Method::GET, &asked_for_text),
            (Method::GET, "/socket.io/?EIO=4&transport=polling"),
            (Method::GET, "/socket.io/?EIO=3&transport=websocket"),
            (Method::GET, "/elsewhere?EIO=3&transport=polling"),
            (Method::GET, "/socket.io/"),
        ];
        for (method, uri) in others {
            let (kind, body) = answer(method.clone(), uri, "1:6").await;
            assert!(kind.starts_with("text/plain"), "{method} {uri}");
            assert_eq!(body, b"1:6", "{method} {uri}");
        }
    }
}
