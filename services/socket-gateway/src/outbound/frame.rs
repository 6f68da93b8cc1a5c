//! Finished frames: a Socket.IO packet inside an Engine.IO packet inside a websocket frame, as
//! bytes that every socket of a room shares.

use bytes::{BufMut, Bytes, BytesMut};

/// First byte of a websocket frame: final, text.
const TEXT: u8 = 0x81;

/// Engine.IO's `ping`, as a whole frame.
pub(crate) const PING: &[u8] = b"\x81\x012";

/// Engine.IO's `message` and Socket.IO's `event`.
const EVENT: &str = "42";

/// Engine.IO's `message` and Socket.IO's `ack`.
const ACK: &str = "43";

/// A whole text.
#[must_use]
pub(crate) fn text(content: &str) -> Bytes {
    text_frame(&[content])
}

/// An event with one argument. `name` needs no escape in JSON, `body` is JSON.
#[must_use]
pub(crate) fn event(namespace: &str, name: &str, body: &str) -> Bytes {
    text_frame(&event_packet(namespace, name, body))
}

/// How long such a frame is.
#[must_use]
pub(crate) fn event_len(namespace: &str, name: &str, body: &str) -> usize {
    text_frame_len(&event_packet(namespace, name, body))
}

/// An acknowledgement with one argument, which is JSON.
#[must_use]
pub(crate) fn ack(namespace: &str, id: i64, body: &str) -> Bytes {
    text_frame(&ack_packet(namespace, &id.to_string(), body))
}

/// How long such a frame is.
#[must_use]
pub(crate) fn ack_len(namespace: &str, id: i64, body: &str) -> usize {
    text_frame_len(&ack_packet(namespace, &id.to_string(), body))
}

fn event_packet<'a>(namespace: &'a str, name: &'a str, body: &'a str) -> [&'a str; 8] {
    let [namespace, comma] = prefix(namespace);
    [EVENT, namespace, comma, "[\"", name, "\",", body, "]"]
}

fn ack_packet<'a>(namespace: &'a str, id: &'a str, body: &'a str) -> [&'a str; 7] {
    let [namespace, comma] = prefix(namespace);
    [ACK, namespace, comma, id, "[", body, "]"]
}

/// What stands before the payload for a namespace: nothing for `/`, else `/name,`.
fn prefix(namespace: &str) -> [&str; 2] {
    if namespace == "/" { ["", ""] } else { [namespace, ","] }
}

fn text_frame(packet: &[&str]) -> Bytes {
    let mut frame = BytesMut::with_capacity(text_frame_len(packet));
    put_header(&mut frame, content_len(packet));
    packet.iter().for_each(|piece| frame.put_slice(piece.as_bytes()));
    frame.freeze()
}

fn text_frame_len(packet: &[&str]) -> usize {
    let content = content_len(packet);
    header_len(content) + content
}

fn content_len(packet: &[&str]) -> usize {
    packet.iter().map(|piece| piece.len()).sum()
}

fn put_header(frame: &mut BytesMut, content: usize) {
    frame.put_u8(TEXT);
    match content {
        0..126 => frame.put_u8(content as u8),
        126..=0xffff => {
            frame.put_u8(126);
            frame.put_u16(content as u16);
        }
        _ => {
            frame.put_u8(127);
            frame.put_u64(content as u64);
        }
    }
}

/// Frames that go to a client are not masked.
const fn header_len(content: usize) -> usize {
    match content {
        0..126 => 2,
        126..=0xffff => 4,
        _ => 10,
    }
}

/// Where `wanted`, a whole frame, stands among the whole frames of `written`.
#[must_use]
pub(crate) fn find(written: &[u8], wanted: &[u8]) -> Option<usize> {
    let mut at = 0;
    while let Some(rest) = written.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(wanted) {
            return Some(at);
        }
        at += frame_len(rest)?;
    }
    None
}

/// The length of the frame that these bytes begin with.
fn frame_len(bytes: &[u8]) -> Option<usize> {
    let long =
        |range| bytes.get(range).map(|b: &[u8]| b.iter().fold(0, |n, b| n << 8 | *b as usize));
    match *bytes.get(1)? {
        short @ 0..126 => Some(2 + usize::from(short)),
        126 => Some(4 + long(2..4)?),
        127 => Some(10 + long(2..10)?),
        // Ours are never masked.
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_what_the_protocols_say() {
        assert_eq!(&*event("/", "hi", "{}"), b"\x81\x0b42[\"hi\",{}]");
        assert_eq!(&*event("/chat", "hi", "1"), b"\x81\x1042/chat,[\"hi\",1]");
        assert_eq!(&*ack("/", 7, "{}"), b"\x81\x0743\x37[{}]");
        assert_eq!(&*ack("/chat", 12, "1"), b"\x81\x0d43/chat,12[1]");
    }

    #[test]
    fn lengths_are_known_beforehand() {
        for namespace in ["/", "/chat"] {
            for length in [1, 100, 130, 65_500, 65_600] {
                let body = "1".repeat(length);
                assert_eq!(event_len(namespace, "x", &body), event(namespace, "x", &body).len());
                assert_eq!(ack_len(namespace, 12, &body), ack(namespace, 12, &body).len());
            }
        }
    }

    #[test]
    fn a_frame_is_found_among_others_of_all_lengths() {
        let wanted = event("/", "crossing", "17");
        for length in [0, 1, 125, 126, 200, 65_535, 65_536, 70_000] {
            let before = event("/", "x", &"1".repeat(length.max(1)));
            let written = [&*before, &*wanted, &*before].concat();
            assert_eq!(find(&written, &wanted), Some(before.len()), "after {length}");
            assert_eq!(find(&before, &wanted), None);
        }
    }

    #[test]
    fn what_only_looks_like_it_inside_another_is_not_found() {
        let wanted = event("/", "crossing", "17");
        let mut written = BytesMut::new();
        put_header(&mut written, wanted.len());
        written.put_slice(&wanted);
        assert_eq!(find(&written, &wanted), None);
    }
}
