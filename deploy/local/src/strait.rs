//! The waters between the parts: proxies that tests slow down, silence or cut.
//!
//! A stack made with [`Options::straits`](crate::Options::straits) lets every link between two of
//! its parts go through one of these.

use std::{
    collections::BTreeMap,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    time::Duration,
};

use anyhow::{Context, Result};
use chat_core::process::Shutdown;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{mpsc, watch},
    time::{Instant, sleep_until},
};

use crate::{addresses::Addresses, backing::Backing, options::Options, ports::loopback};

/// Bytes carried at once.
const CHUNK: usize = 16 * 1024;

/// Chunks under way in one direction.
const UNDER_WAY: usize = 64;

/// Who talks to whom; numbers count from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Link {
    /// A gateway to Redis.
    GatewayToRedis(usize),
    /// A gateway (the first number) to a message-api.
    GatewayToApi(usize, usize),
    /// A message-api to Redis.
    ApiToRedis(usize),
    /// A message-api to MySQL or MariaDB.
    ApiToDatabase(usize),
}

/// What becomes of the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weather {
    /// They pass.
    Fair,
    /// They pass so much later, each way.
    Slow(Duration),
    /// They wait, and nobody is told: like a lost route. Connecting works.
    Silent,
    /// Connections are reset, new ones too.
    Cut,
}

/// The proxy of one link. Dropping it cuts it.
#[derive(Debug)]
struct Strait {
    address: SocketAddr,
    target: SocketAddr,
    listener: Option<StdListener>,
    weather: watch::Sender<Weather>,
    tasks: Shutdown,
}

impl Strait {
    fn to(target: SocketAddr) -> Result<Self> {
        let listener = StdListener::bind(loopback(0)).context("a port for a strait")?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            address: listener.local_addr()?,
            target,
            listener: Some(listener),
            weather: watch::Sender::new(Weather::Fair),
            tasks: Shutdown::new(),
        })
    }

    fn open(&self) -> Result<()> {
        let listener = self.listener.as_ref().context("a strait listens")?.try_clone()?;
        let listener = TcpListener::from_std(listener)?;
        let (target, weather, tasks) = (self.target, self.weather.subscribe(), self.tasks.clone());
        self.tasks.spawn_until_stopped(async move {
            while let Ok((near, _)) = listener.accept().await {
                tasks.spawn_until_stopped(pass(near, target, weather.clone()));
            }
        });
        Ok(())
    }
}

impl Drop for Strait {
    fn drop(&mut self) {
        self.tasks.begin();
    }
}

/// All straits of one stack; none if it was made without.
#[derive(Debug, Default)]
pub struct Straits(BTreeMap<Link, Strait>);

impl Straits {
    pub(crate) fn plan(
        options: &Options,
        backing: &Backing,
        addresses: &Addresses,
    ) -> Result<Self> {
        let mut straits = BTreeMap::new();
        if !options.straits {
            return Ok(Self(straits));
        }
        let mut add = |link, target| Strait::to(target).map(|strait| straits.insert(link, strait));
        let (redis, database) = (address(&backing.redis_url)?, address(&backing.database_url)?);
        for gateway in 1..=options.gateways {
            add(Link::GatewayToRedis(gateway), redis)?;
            for (api, at) in (1..).zip(&addresses.apis) {
                add(Link::GatewayToApi(gateway, api), at.grpc)?;
            }
        }
        for api in 1..=options.apis {
            add(Link::ApiToRedis(api), redis)?;
            add(Link::ApiToDatabase(api), database)?;
        }
        Ok(Self(straits))
    }

    pub(crate) fn open(&self) -> Result<()> {
        self.0.values().try_for_each(Strait::open)
    }

    /// The URL as the link's near side shall see it.
    pub(crate) fn through(&self, link: Link, url: &str) -> Result<String> {
        let Some(strait) = self.0.get(&link) else { return Ok(url.to_owned()) };
        let mut url = url::Url::parse(url)?;
        url.set_host(Some(&strait.address.ip().to_string()))?;
        url.set_port(Some(strait.address.port())).ok().context("a URL with a port")?;
        Ok(url.into())
    }

    /// Changes the weather of one link.
    ///
    /// # Panics
    /// If the stack has no such link, or no straits.
    pub fn set(&self, link: Link, weather: Weather) {
        self.0[&link].weather.send_replace(weather);
    }

    /// Changes the weather of all links that fit.
    pub fn set_all(&self, fits: impl Fn(Link) -> bool, weather: Weather) {
        for (_, strait) in self.0.iter().filter(|(link, _)| fits(**link)) {
            strait.weather.send_replace(weather);
        }
    }
}

fn address(url: &str) -> Result<SocketAddr> {
    let url = url::Url::parse(url)?;
    let host = url.host_str().context("a URL with a host")?;
    let port = url.port().context("a URL with a port")?;
    format!("{host}:{port}").parse().context("straits need an address as host")
}

/// Carries one connection until either side ends it, or it is cut.
async fn pass(mut near: TcpStream, target: SocketAddr, mut weather: watch::Receiver<Weather>) {
    let mut cut = weather.clone();
    let carried = async {
        // While nothing passes nobody is told, not even that the other side is dead.
        let _ = weather.wait_for(|now| *now != Weather::Silent).await;
        let mut far = TcpStream::connect(target).await?;
        far.set_nodelay(true)?;
        near.set_nodelay(true)?;
        let (near_reads, near_writes) = near.split();
        let (far_reads, far_writes) = far.split();
        let there = carry(near_reads, far_writes, weather.clone());
        let back = carry(far_reads, near_writes, weather.clone());
        tokio::select! {
            done = async { tokio::try_join!(there, back) } => done.map(drop),
            _ = cut.wait_for(|now| *now == Weather::Cut) => reset(&far),
        }
    };
    if carried.await.is_err() || *cut.borrow() == Weather::Cut {
        let _ = reset(&near);
    }
}

/// Dropping it now tells the other side at once, whatever it waits for.
fn reset(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}

/// One direction. What is slow comes late, not less.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    weather: watch::Receiver<Weather>,
) -> io::Result<()> {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Vec<u8>)>(UNDER_WAY);
    let mut there = weather.clone();
    let leave = async move {
        loop {
            let mut chunk = vec![0; CHUNK];
            let length = from.read(&mut chunk).await?;
            chunk.truncate(length);
            let delay = match *weather.borrow() {
                Weather::Slow(delay) => delay,
                _ => Duration::ZERO,
            };
            if length == 0 || under_way.send((Instant::now() + delay, chunk)).await.is_err() {
                return Ok(());
            }
        }
    };
    let arrive = async move {
        while let Some((due, chunk)) = arriving.recv().await {
            sleep_until(due).await;
            let _ = there.wait_for(|now| *now != Weather::Silent).await;
            to.write_all(&chunk).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(leave, arrive).map(drop)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::time::timeout;

    use super::*;

    /// A strait before a server that sends back what it gets.
    async fn echo() -> (Strait, Shutdown) {
        let (server, tasks) = (TcpListener::bind(loopback(0)).await.unwrap(), Shutdown::new());
        let strait = Strait::to(server.local_addr().unwrap()).unwrap();
        strait.open().unwrap();
        let all = tasks.clone();
        tasks.spawn_until_stopped(async move {
            while let Ok((mut peer, _)) = server.accept().await {
                all.spawn_until_stopped(async move {
                    let (mut reads, mut writes) = peer.split();
                    let _ = tokio::io::copy(&mut reads, &mut writes).await;
                });
            }
        });
        (strait, tasks)
    }

    async fn ask(stream: &mut TcpStream) -> io::Result<[u8; 4]> {
        let mut answer = [0; 4];
        stream.write_all(b"ping").await?;
        stream.read_exact(&mut answer).await?;
        Ok(answer)
    }

    #[tokio::test]
    async fn what_is_slow_comes_late_and_what_is_silent_waits() {
        let (strait, _server) = echo().await;
        let mut stream = TcpStream::connect(strait.address).await.unwrap();
        assert_eq!(&ask(&mut stream).await.unwrap(), b"ping");

        strait.weather.send_replace(Weather::Slow(Duration::from_millis(60)));
        let asked = Instant::now();
        ask(&mut stream).await.unwrap();
        assert!(asked.elapsed() >= Duration::from_millis(120), "both ways");

        strait.weather.send_replace(Weather::Silent);
        let answer = ask(&mut stream);
        tokio::pin!(answer);
        assert!(timeout(Duration::from_millis(100), &mut answer).await.is_err());
        strait.weather.send_replace(Weather::Fair);
        assert_eq!(&answer.await.unwrap(), b"ping");
    }

    #[tokio::test]
    async fn a_cut_resets_connections_old_and_new_until_it_is_over() {
        let (strait, _server) = echo().await;
        let mut stream = TcpStream::connect(strait.address).await.unwrap();
        ask(&mut stream).await.unwrap();
        strait.weather.send_replace(Weather::Cut);
        assert!(ask(&mut stream).await.is_err());
        let mut stream = TcpStream::connect(strait.address).await.unwrap();
        assert!(ask(&mut stream).await.is_err());
        strait.weather.send_replace(Weather::Fair);
        let mut stream = TcpStream::connect(strait.address).await.unwrap();
        assert_eq!(&ask(&mut stream).await.unwrap(), b"ping");
    }
}
