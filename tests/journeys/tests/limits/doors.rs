//! Every way in is counted: websockets of any kind, sessions that poll, and connections that are
//! neither.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use harness::Arena;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::{Instant, sleep, timeout},
};

use super::{arena, limited};

const PATIENCE: Duration = Duration::from_secs(20);

/// A client that is in no namespace is cut within this time, on a busy machine too.
const CUT: Duration = Duration::from_secs(60);

/// Somebody with a connection of their own, as a proxy tells of them.
struct Caller {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Caller {
    async fn at(address: &str) -> Result<Self> {
        Self::from("127.0.0.1", address).await
    }

    /// From an address of this machine.
    async fn from(own: &str, address: &str) -> Result<Self> {
        let address: SocketAddr = address.parse()?;
        let socket = TcpSocket::new_v4()?;
        socket.bind(format!("{own}:0").parse()?)?;
        Ok(Self { stream: socket.connect(address).await?, heard: Vec::new() })
    }

    async fn says(&mut self, bytes: impl AsRef<[u8]>) -> Result<()> {
        Ok(self.stream.write_all(bytes.as_ref()).await?)
    }

    async fn asks(&mut self, method: &str, path: &str, headers: &str, body: &str) -> Result<()> {
        let length = body.len();
        self.says(format!(
            "{method} {path} HTTP/1.1\r\nhost: x\r\nx-forwarded-for: 203.0.113.7\r\n\
             content-length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    async fn upgrades(&mut self, path: &str) -> Result<u16> {
        let headers = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n\
                       sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        self.asks("GET", path, headers, "").await?;
        self.status().await
    }

    /// Sends a short text on its websocket.
    async fn frame(&mut self, text: &str) -> Result<()> {
        let mut frame = vec![0x81, 0x80 | u8::try_from(text.len())?, 0, 0, 0, 0];
        frame.extend(text.bytes());
        self.says(frame).await
    }

    /// Reads until this comes.
    async fn hears(&mut self, wanted: &str) -> Result<String> {
        let reading = async {
            loop {
                let heard = String::from_utf8_lossy(&self.heard).into_owned();
                if heard.contains(wanted) {
                    self.heard.clear();
                    return Ok(heard);
                }
                ensure!(self.stream.read_buf(&mut self.heard).await? > 0, "it ended: {heard}");
            }
        };
        let outcome = timeout(PATIENCE, reading).await;
        outcome.with_context(|| {
            format!("{wanted} did not come after {}", String::from_utf8_lossy(&self.heard))
        })?
    }

    /// The status of the next answer.
    async fn status(&mut self) -> Result<u16> {
        let head = self.hears("\r\n\r\n").await?;
        head.get(9..12).with_context(|| head.clone())?.parse().context("a status")
    }

    /// Answers pings until the connection ends.
    async fn ends(mut self) -> Result<()> {
        let reading = async {
            while let Ok(1..) = self.stream.read_buf(&mut self.heard).await {
                if self.heard.ends_with(b"\x81\x012") && self.frame("3").await.is_err() {
                    return;
                }
            }
        };
        timeout(CUT, reading).await.context("the connection stays")
    }
}

fn host(url: &str) -> String {
    url.trim_start_matches("http://").to_owned()
}

fn gateway(arena: &Arena) -> String {
    host(&arena.stack.urls().gateway(1))
}

const POLLING: &str = "/socket.io/?EIO=4&transport=polling";

/// Begins a session by polling.
async fn begins(gateway: &str, query: &str) -> Result<Result<String, u16>> {
    let mut caller = Caller::at(gateway).await?;
    caller.asks("GET", &format!("/socket.io/?{query}"), "connection: close\r\n", "").await?;
    let answer = caller.hears("}").await?;
    let sid = answer.split_once("\"sid\":\"").and_then(|(_, rest)| rest.split('"').next());
    Ok(sid.map(str::to_owned).ok_or(answer[9..12].parse()?))
}

/// Enters the default namespace by polling.
async fn enters(gateway: &str, sid: &str) -> Result<()> {
    let path = format!("{POLLING}&sid={sid}");
    let mut caller = Caller::at(gateway).await?;
    caller.asks("POST", &path, "", "40").await?;
    ensure!(caller.status().await? == 200, "the post is refused");
    // Pings come by polls too.
    for _ in 0..5 {
        let mut caller = Caller::at(gateway).await?;
        caller.asks("GET", &path, "connection: close\r\n", "").await?;
        let mut heard = String::new();
        timeout(PATIENCE, caller.stream.read_to_string(&mut heard)).await??;
        if heard.contains("40{") {
            return Ok(());
        }
    }
    bail!("it is not let in")
}

/// Goes over from polling to a websocket.
async fn goes_over(gateway: &str, sid: &str) -> Result<Caller> {
    let mut caller = Caller::at(gateway).await?;
    let path = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
    ensure!(caller.upgrades(&path).await? == 101, "no websocket");
    caller.frame("2probe").await?;
    caller.hears("3probe").await?;
    caller.frame("5").await?;
    Ok(caller)
}

/// Waits until there is a place again.
async fn place(gateway: &str) -> Result<Caller> {
    let until = Instant::now() + PATIENCE;
    loop {
        let mut caller = Caller::at(gateway).await?;
        if caller.upgrades("/socket.io/?EIO=4&transport=websocket").await? == 101 {
            return Ok(caller);
        }
        ensure!(Instant::now() < until, "there is no place");
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_id_in_the_query_hides_no_websocket() -> Result<()> {
    let arena = arena("hidden", &[], &[("CONNECTIONS_PER_ADDRESS", "3")]).await?;
    let (gateway, alice) = (gateway(&arena), arena.newcomer("alice").await?);
    let plain = format!("/ws/conversations/lobby?token={}&sid=x", alice.token);
    let mut here = Vec::new();
    for path in [&plain; 3] {
        let mut caller = Caller::at(&gateway).await?;
        assert_eq!(caller.upgrades(path).await?, 101, "{path}");
        here.push(caller);
    }
    let hiding = [
        &plain,
        "/ws?sid=x",
        "/ws?EIO=4&sid=x",
        "/socket.io/?EIO=4&transport=websocket",
        "/socket.io/?EIO=4&transport=websocket&sid=AAAAAAAAAAAAAAAA",
        "/socket.io/?EIO=3&transport=websocket=",
        "/socket.io/?EIO=4=&transport=websocket&sid",
    ];
    for path in hiding {
        assert_eq!(Caller::at(&gateway).await?.upgrades(path).await?, 429, "{path}");
    }
    drop(here.pop());
    place(&gateway).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_polls_counts_from_its_first_request_and_once() -> Result<()> {
    let arena = arena("begun", &[], &[("CONNECTIONS_PER_ADDRESS", "2")]).await?;
    let gateway = gateway(&arena);
    let sid = begins(&gateway, "EIO=4&transport=polling").await?.expect("the first");
    let other = begins(&gateway, "EIO=3&transport=polling").await?.expect("the second");
    for query in ["EIO=4&transport=polling", "EIO=4&transport=polling=", "EIO=3&transport=polling"]
    {
        assert_eq!(begins(&gateway, query).await?, Err(429), "{query}");
    }
    // Its websocket has the place of the session; a second one would need its own.
    enters(&gateway, &sid).await?;
    let first = goes_over(&gateway, &sid).await?;
    let path = format!("/socket.io/?EIO=4&transport=websocket&sid={sid}");
    assert_eq!(Caller::at(&gateway).await?.upgrades(&path).await?, 429);
    drop(first);
    place(&gateway).await?;
    drop(other);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn who_leaves_the_last_namespace_keeps_its_place_until_it_is_cut() -> Result<()> {
    let arena = arena("outside", &[], &[("CONNECTIONS_PER_ADDRESS", "3")]).await?;
    let gateway = gateway(&arena);
    let sid = begins(&gateway, "EIO=4&transport=polling").await?.expect("it begins");
    enters(&gateway, &sid).await?;
    let mut over = goes_over(&gateway, &sid).await?;
    let mut newest = place(&gateway).await?;
    newest.frame("40").await?;
    newest.hears("40{").await?;
    let mut old = Caller::at(&gateway).await?;
    assert_eq!(old.upgrades("/socket.io/?EIO=3&transport=websocket").await?, 101);
    old.hears("40").await?;
    for caller in [&mut over, &mut newest, &mut old] {
        caller.frame("41").await?;
    }
    let path = "/socket.io/?EIO=4&transport=websocket";
    for _ in 0..20 {
        assert_eq!(Caller::at(&gateway).await?.upgrades(path).await?, 429);
        sleep(Duration::from_millis(50)).await;
    }
    let (over, newest, old) = tokio::join!(over.ends(), newest.ends(), old.ends());
    over.context("it came over from polling")?;
    newest.context("a websocket of today")?;
    old.context("a websocket of old")?;
    let mut all = Vec::new();
    for _ in 0..3 {
        all.push(place(&gateway).await?);
    }
    Ok(())
}

/// Connections that ask for nothing that counts: as many as there are places, then how many are
/// still served?
async fn idlers(address: &str, count: usize) -> Result<Vec<Caller>> {
    let mut served = Vec::new();
    for _ in 0..count {
        let mut caller = Caller::at(address).await?;
        // It may be closed before it has said anything.
        let asked = caller.asks("GET", "/nothing", "", "").await;
        if asked.is_ok() && caller.status().await.is_ok() {
            served.push(caller);
        }
    }
    Ok(served)
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_any_kind_are_counted_by_who_is_at_their_other_end() -> Result<()> {
    let settings = [("CONNECTIONS_PER_ADDRESS", "3"), ("CONNECTIONS_MAX", "12")];
    let direct = ("TRUSTED_HOPS", "0");
    let api = [settings[0], direct];
    let gateway_settings = [settings[0], settings[1], direct];
    let arena = arena("idle", &api, &gateway_settings).await?;
    let urls = arena.stack.urls();
    for (url, most) in [(urls.gateway(1), 6), (urls.api(1), 3)] {
        let served = idlers(&host(&url), 20).await?;
        assert_eq!(served.len(), most, "{url}");
        let mut other = Caller::from("127.0.0.2", &host(&url)).await?;
        other.asks("GET", "/nothing", "", "").await?;
        other.status().await.context("somebody else")?;
        drop(served);
        let until = Instant::now() + PATIENCE;
        while idlers(&host(&url), 1).await?.is_empty() {
            ensure!(Instant::now() < until, "a closed connection leaves no place");
            sleep(Duration::from_millis(50)).await;
        }
    }
    assert!(limited(&urls.gateway_admin(1), "address").await? >= 14);
    assert!(limited(&urls.api_admin(1), "connections").await? >= 17);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn when_places_get_scarce_who_was_answered_goes() -> Result<()> {
    let arena = arena("scarce", &[], &[("CONNECTIONS_MAX", "20")]).await?;
    let gateway = gateway(&arena);
    let mut idle = idlers(&gateway, 20).await?;
    for caller in &mut idle {
        // Each asks again and again, so that none of them is ever idle for long.
        let _ = caller.asks("GET", "/nothing", "", "").await;
    }
    let began = Instant::now();
    let sid = begins(&gateway, "EIO=4&transport=polling").await?.expect("it is served");
    enters(&gateway, &sid).await?;
    ensure!(began.elapsed() < Duration::from_secs(10), "it waited {:?}", began.elapsed());
    Ok(())
}
