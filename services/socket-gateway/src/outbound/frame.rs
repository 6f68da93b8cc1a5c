//! Finished frames: a Socket.IO packet inside an Engine.IO packet inside a websocket frame, as
//! bytes that every socket of a room shares.

use bytes::{BufMut, Bytes, BytesMut};

/// First byte of a websocket frame: final, text.
const TEXT: u8 = 0x81;

/// Longest header of a frame that goes to a client: such frames are not masked.
const HEADER_MAX: usize = 10;

/// Engine.IO's `message` and Socket.IO's `event`.
const EVENT: &[u8] = b"42";

/// Engine.IO's `message` and Socket.IO's `ack`.
const ACK: &[u8] = b"43";

/// A text frame of so many bytes of content.
fn text_frame(content: usize) -> BytesMut {
    let mut frame = BytesMut::with_capacity(HEADER_MAX + content);
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
    frame
}

/// What stands before the payload for a namespace: nothing for `/`, else `/name,`.
fn put_namespace(frame: &mut BytesMut, namespace: &str) {
    if namespace != "/" {
        frame.put_slice(namespace.as_bytes());
        frame.put_u8(b',');
    }
}

const fn namespace_len(namespace: &str) -> usize {
    if namespace.len() == 1 { 0 } else { namespace.len() + 1 }
}

/// An event with one argument. `name` needs no escape in JSON, `body` is JSON.
#[must_use]
pub(crate) fn event(namespace: &str, name: &str, body: &str) -> Bytes {
    let content =
        EVENT.len() + namespace_len(namespace) + name.len() + body.len() + "[\"\",]".len();
    let mut frame = text_frame(content);
    frame.put_slice(EVENT);
    put_namespace(&mut frame, namespace);
    frame.put_slice(b"[\"");
    frame.put_slice(name.as_bytes());
    frame.put_slice(b"\",");
    frame.put_slice(body.as_bytes());
    frame.put_u8(b']');
    frame.freeze()
}

/// An acknowledgement with one argument, which is JSON.
#[must_use]
pub(crate) fn ack(namespace: &str, id: i64, body: &str) -> Bytes {
    let id = id.to_string();
    let content = ACK.len() + namespace_len(namespace) + id.len() + body.len() + "[]".len();
    let mut frame = text_frame(content);
    frame.put_slice(ACK);
    put_namespace(&mut frame, namespace);
    frame.put_slice(id.as_bytes());
    frame.put_u8(b'[');
    frame.put_slice(body.as_bytes());
    frame.put_u8(b']');
    frame.freeze()
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
        let inside = text_frame(wanted.len());
        let written = [&*inside, &*wanted].concat();
        assert_eq!(find(&written, &wanted), None);
    }
}
