//! The generator's core: thousands of Socket.IO clients on one thread. It reads what comes in,
//! answers pings, and hands the rest to a [`Script`], which decides what is sent when.

use std::{
    io::{ErrorKind, Read, Write},
    net::SocketAddr,
    rc::Rc,
    sync::OnceLock,
    time::{Duration, Instant},
};

use anyhow::Result;
use bench::wire::{self, Packet};
use mio::{Events, Interest, Poll, Registry, Token, net::TcpStream};
use socket2::SockRef;

/// Closer than this to the next action it polls without sleeping: epoll counts in milliseconds.
const SPIN: u64 = 1_500_000;
/// Longest sleep, so that scripts can look at the clock.
const NAP: u64 = 20_000_000;
const BUFFER: usize = 256 * 1024;

/// Nanoseconds since the bench began.
pub(crate) fn now() -> u64 {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    u64::try_from(BEGAN.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// Where a client goes in.
#[derive(Debug)]
pub(crate) struct Door {
    pub(crate) address: SocketAddr,
    /// `/socket.io/`
    pub(crate) path: &'static str,
    /// `/` or `/chat`
    pub(crate) namespace: &'static str,
    /// What CONNECT carries: JSON, or nothing.
    pub(crate) auth: String,
}

impl Door {
    /// The payload of an event, with the number of the acknowledgement that it asks for.
    pub(crate) fn event(&self, ack: Option<u64>, event: &str, body: &str) -> String {
        let ack = ack.map(|n| n.to_string()).unwrap_or_default();
        format!("42{}{ack}[\"{event}\",{body}]", self.prefix())
    }

    fn prefix(&self) -> String {
        if self.namespace == "/" { String::new() } else { format!("{},", self.namespace) }
    }

    fn upgrade(&self) -> String {
        format!(
            "GET {}?EIO=4&transport=websocket HTTP/1.1\r\nHost: {}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
            self.path, self.address
        )
    }
}

/// What a client hears.
pub(crate) enum Heard<'a> {
    /// It is in.
    Connected,
    /// Name, and what follows it.
    Event(&'a [u8], &'a [u8]),
    /// Number, and arguments.
    Ack(u64, &'a [u8]),
    /// Refused, or the connection is gone.
    Closed(&'a str),
}

/// When a script wants to be asked again.
pub(crate) enum Next {
    At(u64),
    Done,
}

/// Decides what clients do.
pub(crate) trait Script {
    /// A client heard something.
    fn heard(&mut self, who: usize, heard: Heard<'_>, io: &mut Io);
    /// Time has passed.
    fn tick(&mut self, now: u64, io: &mut Io) -> Result<Next>;
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Closed,
    Connecting,
    Upgrading,
    Opening,
    Connected,
}

#[derive(Debug)]
struct Conn {
    door: Rc<Door>,
    stream: Option<TcpStream>,
    state: State,
    /// The beginning of a frame that is not there whole.
    rest: Vec<u8>,
    /// What the kernel did not take yet.
    out: Vec<u8>,
}

/// The clients, as scripts see them.
#[derive(Debug)]
pub(crate) struct Io {
    registry: Registry,
    conns: Vec<Conn>,
    /// When the bytes now at hand were read.
    pub(crate) read_at: u64,
    /// Bytes read so far, by all clients.
    pub(crate) bytes_in: u64,
}

impl Io {
    /// A new client, which begins to connect. Its number.
    pub(crate) fn open(&mut self, door: Rc<Door>) -> Result<usize> {
        let (rest, out) = (Vec::new(), Vec::new());
        self.conns.push(Conn { door, stream: None, state: State::Closed, rest, out });
        let who = self.conns.len() - 1;
        self.reopen(who)?;
        Ok(who)
    }

    /// A client that was closed comes back.
    pub(crate) fn reopen(&mut self, who: usize) -> Result<()> {
        let conn = &mut self.conns[who];
        let mut stream = TcpStream::connect(conn.door.address)?;
        let both = Interest::READABLE | Interest::WRITABLE;
        self.registry.register(&mut stream, Token(who), both)?;
        (conn.stream, conn.state) = (Some(stream), State::Connecting);
        Ok(())
    }

    /// Cuts a client off without a word; leaves no port waiting.
    pub(crate) fn close(&mut self, who: usize) {
        let conn = &mut self.conns[who];
        if let Some(stream) = conn.stream.take() {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        }
        conn.state = State::Closed;
        conn.rest = Vec::new();
        conn.out = Vec::new();
    }

    /// The door that it went through.
    pub(crate) fn door(&self, who: usize) -> Rc<Door> {
        Rc::clone(&self.conns[who].door)
    }

    /// How many clients there have been.
    pub(crate) fn len(&self) -> usize {
        self.conns.len()
    }

    /// How many are connected, or about to be.
    pub(crate) fn open_ones(&self) -> usize {
        self.conns.iter().filter(|conn| conn.state != State::Closed).count()
    }

    /// Sends a finished frame.
    pub(crate) fn send(&mut self, who: usize, frame: &[u8]) {
        let conn = &mut self.conns[who];
        let Some(stream) = &mut conn.stream else { return };
        let written = match conn.out.is_empty() {
            true => stream.write(frame).unwrap_or(0),
            false => 0,
        };
        conn.out.extend_from_slice(&frame[written..]);
    }

    fn flush(&mut self, who: usize) {
        let conn = &mut self.conns[who];
        if let Some(stream) = &mut conn.stream
            && !conn.out.is_empty()
            && let Ok(written) = stream.write(&conn.out)
        {
            conn.out.drain(..written);
        }
    }

    /// Is the connection made? Then asks for the upgrade.
    fn begin(&mut self, who: usize) -> Result<(), String> {
        let conn = &mut self.conns[who];
        let Some(stream) = &conn.stream else { return Ok(()) };
        if let Ok(Some(error)) | Err(error) = stream.take_error() {
            return Err(error.to_string());
        }
        if stream.peer_addr().is_err() {
            return Ok(());
        }
        let _ = stream.set_nodelay(true);
        conn.state = State::Upgrading;
        let upgrade = conn.door.upgrade();
        self.send(who, upgrade.as_bytes());
        Ok(())
    }
}

/// All clients of a workload. Dropping it cuts them off.
#[derive(Debug)]
pub(crate) struct Swarm {
    poll: Poll,
    events: Events,
    buffer: Vec<u8>,
    pub(crate) io: Io,
}

impl Drop for Swarm {
    fn drop(&mut self) {
        (0..self.io.len()).for_each(|who| self.io.close(who));
    }
}

impl Swarm {
    pub(crate) fn new() -> Result<Self> {
        let poll = Poll::new()?;
        let registry = poll.registry().try_clone()?;
        let io = Io { registry, conns: Vec::new(), read_at: 0, bytes_in: 0 };
        Ok(Self { poll, events: Events::with_capacity(1_024), buffer: vec![0; BUFFER], io })
    }

    /// Plays a script to its end.
    pub(crate) fn play(&mut self, script: &mut impl Script) -> Result<()> {
        loop {
            let now = now();
            let Next::At(next) = script.tick(now, &mut self.io)? else { return Ok(()) };
            let wait = next.saturating_sub(now);
            let sleep = if wait < SPIN { 0 } else { (wait - SPIN / 2).min(NAP) };
            match self.poll.poll(&mut self.events, Some(Duration::from_nanos(sleep))) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error.into()),
                _ => {}
            }
            let ready: Vec<_> = self
                .events
                .iter()
                .map(|event| {
                    let is_over = event.is_read_closed() || event.is_error();
                    (event.token().0, event.is_writable(), is_over)
                })
                .collect();
            for (who, is_writable, is_over) in ready {
                self.serve(who, is_writable, is_over, script);
            }
        }
    }

    fn serve(&mut self, who: usize, is_writable: bool, is_over: bool, script: &mut impl Script) {
        if self.io.conns[who].state == State::Connecting
            && let Err(why) = self.io.begin(who)
        {
            self.io.close(who);
            return script.heard(who, Heard::Closed(&why), &mut self.io);
        }
        if is_writable {
            self.io.flush(who);
        }
        loop {
            let Some(stream) = &mut self.io.conns[who].stream else { return };
            let read = stream.read(&mut self.buffer);
            self.io.read_at = now();
            match read {
                Ok(0) => break self.lost(who, "the server closed", script),
                Ok(count) => {
                    self.io.bytes_in += count as u64;
                    if !self.take(who, count, script) {
                        break self.lost(who, "the server said goodbye", script);
                    }
                    // A short read has emptied the socket.
                    if count < BUFFER && !is_over {
                        break;
                    }
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock | ErrorKind::NotConnected => break,
                    ErrorKind::Interrupted => {}
                    _ => break self.lost(who, &error.to_string(), script),
                },
            }
        }
    }

    fn lost(&mut self, who: usize, why: &str, script: &mut impl Script) {
        self.io.close(who);
        script.heard(who, Heard::Closed(why), &mut self.io);
    }

    /// Handles what was read. False once the connection ends.
    fn take(&mut self, who: usize, count: usize, script: &mut impl Script) -> bool {
        let mut kept = std::mem::take(&mut self.io.conns[who].rest);
        let bytes = if kept.is_empty() {
            &self.buffer[..count]
        } else {
            kept.extend_from_slice(&self.buffer[..count]);
            &kept
        };
        let Some((used, is_open)) = consume(&mut self.io, who, bytes, script) else { return false };
        if is_open && used < bytes.len() {
            let rest = bytes[used..].to_vec();
            self.io.conns[who].rest = rest;
        }
        true
    }
}

/// Handles whole frames. How many bytes they took, and is the client still open? None once the
/// server has said that it ends.
fn consume(
    io: &mut Io,
    who: usize,
    bytes: &[u8],
    script: &mut impl Script,
) -> Option<(usize, bool)> {
    let mut at = 0;
    if io.conns[who].state == State::Upgrading {
        let Some(head) = memchr::memmem::find(bytes, b"\r\n\r\n") else { return Some((0, true)) };
        if !bytes.starts_with(b"HTTP/1.1 101") {
            return None;
        }
        io.conns[who].state = State::Opening;
        at = head + 4;
    }
    while let Some(span) = wire::first_frame(&bytes[at..]) {
        let payload = &bytes[at + span.start..at + span.end];
        at += span.end;
        match span.opcode {
            wire::TEXT if !hear(io, who, payload, script) => return None,
            wire::CLOSE => return None,
            _ => {}
        }
        if io.conns[who].stream.is_none() || io.conns[who].state == State::Connecting {
            return Some((at, false)); // The script closed it.
        }
    }
    Some((at, true))
}

fn hear(io: &mut Io, who: usize, payload: &[u8], script: &mut impl Script) -> bool {
    match wire::packet(payload) {
        Packet::Event(name, body) => script.heard(who, Heard::Event(name, body), io),
        Packet::Ack(number, body) => script.heard(who, Heard::Ack(number, body), io),
        Packet::Ping => io.send(who, &wire::client_frame("3")),
        Packet::Open => {
            let door = io.door(who);
            let knock = format!("40{}{}", door.prefix(), door.auth);
            io.send(who, &wire::client_frame(&knock));
        }
        Packet::Connected => {
            io.conns[who].state = State::Connected;
            script.heard(who, Heard::Connected, io);
        }
        Packet::Refused(why) => {
            let why = String::from_utf8_lossy(why).into_owned();
            io.close(who);
            script.heard(who, Heard::Closed(&why), io);
        }
        Packet::Other => return !payload.starts_with(b"41"),
    }
    true
}
