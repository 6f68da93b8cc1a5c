//! Hostile bytes through real sockets: whatever strangers send, memory and time stay bounded, nothing
//! panics, and everybody else keeps chatting.

mod amounts;
mod bytes;
mod crowds;
mod frames;
mod http2;
mod places;
mod ports;
mod slow;

use std::{
    fs,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use harness::{Arena, Chatter};
use local_stack::{Options, Part};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

/// How much more memory an attack may cost one process while it lasts, in KiB.
const GROWTH: u64 = 192 * 1024;

/// How long a message may take to come round meanwhile.
const ROUND: Duration = Duration::from_secs(5);

/// A stack, and two who chat on it whatever happens.
struct Stage {
    arena: Arena,
    speaker: Chatter,
    listener: Chatter,
    room: String,
    token: String,
    before: Vec<(u32, u64)>,
}

impl Stage {
    async fn set(name: &str) -> Result<Self> {
        Self::with(Arena::options(name)?).await
    }

    async fn with(options: Options) -> Result<Self> {
        let token = options.service_token.clone();
        let arena = Arena::own(options).await?;
        let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
        let (speaker, listener) = (alice.enters(1).await?, bob.enters(2).await?);
        drop((alice, bob));
        let room = speaker.makes_room(&arena.unique("room")).await?;
        speaker.joins(&room).await?;
        listener.joins(&room).await?;
        let before = memory(&arena)?;
        Ok(Self { arena, speaker, listener, room, token, before })
    }

    /// Host and port of gateway 1.
    fn gateway(&self) -> String {
        self.arena.stack.urls().gateway(1).trim_start_matches("http://").to_owned()
    }

    /// Host and port of gRPC at message-api 1.
    fn grpc(&self) -> String {
        self.arena.stack.urls().grpc(1).trim_start_matches("http://").to_owned()
    }

    /// Host and port of message-api 1.
    fn api(&self) -> String {
        self.arena.stack.urls().api(1).trim_start_matches("http://").to_owned()
    }

    /// One says something, the other hears it: how long that takes.
    async fn round(&self, text: &str) -> Result<Duration> {
        let began = Instant::now();
        let round = async {
            self.speaker.says(&self.room, text).await?;
            self.listener.reads(text).await
        };
        timeout(ROUND, round).await.context("nobody hears the others")??;
        Ok(began.elapsed())
    }

    /// Lets an attack run while the two chat, and looks at what it has done.
    async fn stands<T>(&self, attack: impl Future<Output = Result<T>>) -> Result<T> {
        let (mut count, mut slowest, mut peak) = (0, Duration::ZERO, vec![0; self.before.len()]);
        let chat = async {
            loop {
                slowest = slowest.max(self.round(&format!("line {count}")).await?);
                count += 1;
                for (peak, now) in peak.iter_mut().zip(memory(&self.arena)?) {
                    *peak = now.1.max(*peak);
                }
                sleep(Duration::from_millis(50)).await;
            }
        };
        let outcome = tokio::select! {
            outcome = attack => outcome?,
            failed = chat => {
                let failed: Result<()> = failed;
                failed?;
                bail!("the chat ended")
            }
        };
        // However short it was, they go on.
        self.round("the last line").await?;
        let parts = [self.arena.stack.api(1), self.arena.stack.gateway(1)];
        let after = memory(&self.arena)?;
        for (n, part) in parts.into_iter().enumerate() {
            ensure!(self.before[n].0 == after[n].0, "{} has begun anew", part.name());
            let growth = peak[n].max(after[n].1).saturating_sub(self.before[n].1);
            println!("{}: {growth} KiB more; {count} lines, slowest {slowest:?}", part.name());
            ensure!(growth < GROWTH, "{} took {growth} KiB more", part.name());
            let panic = part.log_lines().into_iter().find(|line| line.contains("panicked"));
            ensure!(panic.is_none(), "{}: {panic:?}", part.name());
        }
        Ok(outcome)
    }
}

/// The id and the resident memory, in KiB, of message-api 1 and gateway 1.
fn memory(arena: &Arena) -> Result<Vec<(u32, u64)>> {
    let of = |part: &Part| {
        let pid = part.pid().with_context(|| format!("{} has ended", part.name()))?;
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        Ok((pid, kib.context("VmRSS")?))
    };
    [arena.stack.api(1), arena.stack.gateway(1)].into_iter().map(of).collect()
}

/// Sends bytes and answers all that comes back until the connection ends.
async fn answer(address: &str, bytes: &[u8], patience: Duration) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    // It may be closed before all is sent.
    let _ = stream.write_all(bytes).await;
    rest(&mut stream, patience).await
}

/// All that comes until the connection ends, which it must in this time.
async fn rest(stream: &mut TcpStream, patience: Duration) -> Result<String> {
    let mut heard = Vec::new();
    // A reset is an end too; what came before it counts.
    let _ = timeout(patience, stream.read_to_end(&mut heard)).await.context("it goes on")?;
    Ok(String::from_utf8_lossy(&heard).into_owned())
}

/// The head and body of a POST that is answered and closed.
fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n"
    );
    [head.as_bytes(), body].concat()
}

/// A request for a websocket.
fn upgrade(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

/// A websocket's frame under a mask of zeros; `first` is its first byte.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first, 0x80 | 127];
    frame.extend((payload.len() as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(payload);
    frame
}

/// Reads until a text comes.
async fn hears(stream: &mut TcpStream, wanted: &str) -> Result<String> {
    let mut heard = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&heard).contains(wanted) {
            ensure!(stream.read_buf(&mut heard).await? > 0, "the connection ended");
        }
        Ok(())
    };
    let outcome = timeout(harness::PATIENCE, reading).await.context("it did not come");
    let heard = String::from_utf8_lossy(&heard).into_owned();
    outcome.and_then(|read| read).with_context(|| format!("{wanted} after {heard}"))?;
    Ok(heard)
}
