//! The bare limit: one thread, epoll, finished frames, one write for each delivery. It knows just
//! enough of Socket.IO for the generator, keeps nothing and checks nothing.
//!
//! `bench-bare 127.0.0.1:4000`

use std::{
    collections::HashMap,
    io::{self, Read, Write},
    net::SocketAddr,
};

use bench::wire::{self, Packet};
use mio::{
    Events, Interest, Poll, Token,
    net::{TcpListener, TcpStream},
};

const LISTENER: Token = Token(usize::MAX);
/// The answer to the one key that the generator sends.
const UPGRADED: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
const OPEN: &[u8] = br#"0{"sid":"bare","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#;

struct Conn {
    stream: TcpStream,
    is_upgraded: bool,
    rest: Vec<u8>,
    out: Vec<u8>,
}

#[derive(Default)]
struct Server {
    conns: HashMap<usize, Conn>,
    rooms: HashMap<Vec<u8>, Vec<usize>>,
}

fn main() -> io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_default();
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind(address)?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    let (mut server, mut events) = (Server::default(), Events::with_capacity(1_024));
    let (mut buffer, mut next) = (vec![0; 64 * 1024], 0);
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() != LISTENER {
                server.serve(event.token().0, &mut buffer);
                continue;
            }
            while let Ok((mut stream, _)) = listener.accept() {
                stream.set_nodelay(true)?;
                let both = Interest::READABLE | Interest::WRITABLE;
                poll.registry().register(&mut stream, Token(next), both)?;
                let (rest, out) = (Vec::new(), Vec::new());
                server.conns.insert(next, Conn { stream, is_upgraded: false, rest, out });
                next += 1;
            }
        }
    }
}

impl Server {
    fn serve(&mut self, who: usize, buffer: &mut [u8]) {
        if let Some(conn) = self.conns.get_mut(&who) {
            conn.send(&[]);
        }
        loop {
            let Some(conn) = self.conns.get_mut(&who) else { return };
            match conn.stream.read(buffer) {
                Ok(count) if count > 0 => {
                    conn.rest.extend_from_slice(&buffer[..count]);
                    self.take(who);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                _ => return self.forget(who),
            }
        }
    }

    fn forget(&mut self, who: usize) {
        self.conns.remove(&who);
        self.rooms.values_mut().for_each(|room| room.retain(|member| *member != who));
    }

    fn take(&mut self, who: usize) {
        let Some(conn) = self.conns.get_mut(&who) else { return };
        if !conn.is_upgraded {
            if !conn.rest.ends_with(b"\r\n\r\n") {
                return;
            }
            conn.rest.clear();
            conn.is_upgraded = true;
            conn.send(UPGRADED);
            return conn.send(&wire::server_frame(OPEN));
        }
        let mut bytes = std::mem::take(&mut conn.rest);
        let mut at = 0;
        while let Some(span) = wire::first_frame(&bytes[at..]) {
            let (start, end) = (at + span.start, at + span.end);
            if span.is_masked {
                unmask(&mut bytes[start - 4..end]);
            }
            self.hear(who, &bytes[start..end]);
            at = end;
        }
        bytes.drain(..at);
        if let Some(conn) = self.conns.get_mut(&who) {
            conn.rest = bytes;
        }
    }

    fn hear(&mut self, who: usize, payload: &[u8]) {
        match wire::packet(payload) {
            Packet::Connected => self.answer(who, br#"40{"sid":"bare"}"#),
            Packet::Event(name, rest) => {
                let body = rest.get(1..rest.len() - 1).unwrap_or_default();
                let room = quoted_after(body, b"\"roomId\":\"").to_vec();
                match name {
                    b"join room" => {
                        self.rooms.entry(room).or_default().push(who);
                        self.answer(who, br#"431[{"success":true}]"#);
                    }
                    b"chat message" => {
                        let head = br#"42["chat message",{"_id":"1","#;
                        let frame = wire::server_frame(&[head, &body[1..], b"]"].concat());
                        self.fan_out(&room, None, &frame);
                    }
                    b"typing" => {
                        let frame = wire::server_frame(&[b"42[\"typing\",", body, b"]"].concat());
                        self.fan_out(&room, Some(who), &frame);
                    }
                    _ => {}
                }
            }
            _ => {}
        }
    }

    fn answer(&mut self, who: usize, payload: &[u8]) {
        if let Some(conn) = self.conns.get_mut(&who) {
            conn.send(&wire::server_frame(payload));
        }
    }

    fn fan_out(&mut self, room: &[u8], except: Option<usize>, frame: &[u8]) {
        for member in self.rooms.get(room).into_iter().flatten() {
            if Some(*member) != except
                && let Some(conn) = self.conns.get_mut(member)
            {
                conn.send(frame);
            }
        }
    }
}

impl Conn {
    /// What the kernel does not take now goes when it does.
    fn send(&mut self, frame: &[u8]) {
        if !self.out.is_empty() {
            self.out.extend_from_slice(frame);
            let written = self.stream.write(&self.out).unwrap_or(0);
            self.out.drain(..written);
        } else if !frame.is_empty() {
            let written = self.stream.write(frame).unwrap_or(0);
            self.out.extend_from_slice(&frame[written..]);
        }
    }
}

/// The key and the payload.
fn unmask(masked: &mut [u8]) {
    let (key, payload) = masked.split_at_mut(4);
    if key != [0; 4] {
        payload.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
    }
}

fn quoted_after<'a>(body: &'a [u8], name: &[u8]) -> &'a [u8] {
    let Some(at) = memchr::memmem::find(body, name) else { return &[] };
    let value = &body[at + name.len()..];
    &value[..memchr::memchr(b'"', value).unwrap_or(value.len())]
}
