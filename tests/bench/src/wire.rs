//! Websocket frames and Socket.IO 5 packets, as few bytes touched as can be. The generator masks
//! with a key of zeros, which is legal and leaves the payload as it is, so that a frame made once
//! can be patched in place and sent again.

/// Of a frame: text.
pub const TEXT: u8 = 1;
/// Of a frame: the end.
pub const CLOSE: u8 = 8;

/// Digits of a stamp's time and number.
const TIME: usize = 16;
const NUMBER: usize = 8;

/// A text frame of a client.
#[must_use]
pub fn client_frame(payload: &str) -> Vec<u8> {
    frame(payload.as_bytes(), 0x80, &[0; 4])
}

/// A text frame of a server.
#[must_use]
pub fn server_frame(payload: &[u8]) -> Vec<u8> {
    frame(payload, 0, &[])
}

fn frame(payload: &[u8], mask: u8, key: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(payload.len() + 14);
    frame.push(0x80 | TEXT);
    match u16::try_from(payload.len()) {
        Ok(len) if len < 126 => frame.push(mask | len.to_le_bytes()[0]),
        Ok(len) => {
            frame.push(mask | 126);
            frame.extend(len.to_be_bytes());
        }
        Err(_) => {
            frame.push(mask | 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    frame.extend(key);
    frame.extend(payload);
    frame
}

/// Where the parts of a frame are in the bytes that begin with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// What kind of frame.
    pub opcode: u8,
    /// First byte of the payload.
    pub start: usize,
    /// First byte after the frame.
    pub end: usize,
    /// The key is the four bytes before the payload.
    pub is_masked: bool,
}

/// The frame that the bytes begin with; none while it is not there whole.
#[must_use]
pub fn first_frame(bytes: &[u8]) -> Option<Span> {
    let (&head, &length) = (bytes.first()?, bytes.get(1)?);
    let is_masked = length & 0x80 != 0;
    let (len, after): (usize, usize) = match length & 0x7f {
        126 => (u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize, 4),
        127 => {
            let long = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (usize::try_from(long).ok()?, 10)
        }
        short => (short as usize, 2),
    };
    let start = after + if is_masked { 4 } else { 0 };
    let end = start.checked_add(len)?;
    (end <= bytes.len()).then_some(Span { opcode: head & 0x0f, start, end, is_masked })
}

/// A server's packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Engine.IO is there.
    Open,
    /// Answer at once.
    Ping,
    /// In the namespace.
    Connected,
    /// Not in the namespace, and why.
    Refused(&'a [u8]),
    /// Its name, and all that follows the name.
    Event(&'a [u8], &'a [u8]),
    /// Its number, and its arguments.
    Ack(u64, &'a [u8]),
    /// Whatever else.
    Other,
}

/// Reads a packet, its namespace skipped.
#[must_use]
pub fn packet(payload: &[u8]) -> Packet<'_> {
    match payload {
        [b'0', ..] => Packet::Open,
        [b'2', ..] => Packet::Ping,
        [b'4', kind, rest @ ..] => {
            let rest = match rest {
                [b'/', ..] => {
                    memchr::memchr(b',', rest).map_or(&[][..], |comma| &rest[comma + 1..])
                }
                _ => rest,
            };
            message(*kind, rest)
        }
        _ => Packet::Other,
    }
}

fn message(kind: u8, rest: &[u8]) -> Packet<'_> {
    match kind {
        b'0' => Packet::Connected,
        b'2' => event(rest).unwrap_or(Packet::Other),
        b'3' => {
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let number = rest[..digits].iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0'));
            Packet::Ack(number, &rest[digits..])
        }
        b'4' => Packet::Refused(rest),
        _ => Packet::Other,
    }
}

fn event(rest: &[u8]) -> Option<Packet<'_>> {
    let begin = memchr::memchr(b'"', rest)? + 1;
    let length = memchr::memchr(b'"', &rest[begin..])?;
    Some(Packet::Event(&rest[begin..begin + length], &rest[begin + length + 1..]))
}

/// Text of this many bytes (26 at least) with room for a stamp at its beginning.
#[must_use]
pub fn blank_text(len: usize) -> String {
    let stamp = format!("@{}.{}", "0".repeat(TIME), "0".repeat(NUMBER));
    format!("{stamp}{}", "x".repeat(len.saturating_sub(stamp.len())))
}

/// A frame with a stamp in it, to be sent again and again.
#[derive(Clone, Debug)]
pub struct Template {
    frame: Vec<u8>,
    at: Option<usize>,
}

impl Template {
    /// The frame of this payload. Without a [`blank_text`] in it, nothing is stamped.
    #[must_use]
    pub fn new(payload: &str) -> Self {
        let frame = client_frame(payload);
        let at = memchr::memchr(b'@', &frame).map(|at| at + 1);
        Self { frame, at }
    }

    /// The frame, saying when (in nanoseconds) it was meant to be sent, and its number.
    pub fn stamped(&mut self, time: u64, number: u32) -> &[u8] {
        if let Some(at) = self.at {
            write_hex(&mut self.frame[at..at + TIME], time);
            write_hex(&mut self.frame[at + TIME + 1..at + TIME + 1 + NUMBER], number.into());
        }
        &self.frame
    }
}

fn write_hex(into: &mut [u8], mut value: u64) {
    for place in into.iter_mut().rev() {
        *place = b"0123456789abcdef"[(value & 15) as usize];
        value >>= 4;
    }
}

/// All stamps in a text.
pub fn stamps(text: &[u8]) -> impl Iterator<Item = (u64, u32)> + '_ {
    memchr::memchr_iter(b'@', text).filter_map(|at| {
        let time = text.get(at + 1..at + 1 + TIME).and_then(read_hex)?;
        let number = text.get(at + 2 + TIME..at + 2 + TIME + NUMBER).and_then(read_hex)?;
        Some((time, u32::try_from(number).ok()?))
    })
}

fn read_hex(digits: &[u8]) -> Option<u64> {
    digits
        .iter()
        .try_fold(0, |value, &digit| Some(value << 4 | u64::from(char::from(digit).to_digit(16)?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_read_as_it_was_written_once_it_is_whole() {
        for len in [5, 125, 126, 70_000] {
            let frame = server_frame(&vec![b'x'; len]);
            let span = first_frame(&frame).expect("whole");
            assert_eq!((span.opcode, span.end - span.start, span.end), (TEXT, len, frame.len()));
            assert_eq!(first_frame(&frame[..frame.len() - 1]), None);
        }
        assert!(first_frame(&client_frame("hi")).expect("whole").is_masked);
    }

    #[test]
    fn packets_are_told_apart_in_any_namespace() {
        assert_eq!(packet(b"0{}"), Packet::Open);
        assert_eq!(packet(b"2"), Packet::Ping);
        assert_eq!(packet(b"40/chat,{\"sid\":\"x\"}"), Packet::Connected);
        assert_eq!(packet(b"42[\"hi\",1]"), Packet::Event(b"hi", b",1]"));
        assert_eq!(packet(b"42/chat,[\"hi\"]"), Packet::Event(b"hi", b"]"));
        assert_eq!(packet(b"43/chat,12[1]"), Packet::Ack(12, b"[1]"));
    }

    #[test]
    fn a_stamp_comes_back() {
        let mut template = Template::new(&format!("42[\"hi\",\"{}\"]", blank_text(60)));
        let frame = template.stamped(0x1234_5678_9abc, 77).to_vec();
        assert_eq!(stamps(&frame).collect::<Vec<_>>(), [(0x1234_5678_9abc, 77)]);
    }
}
