//! Asks a part whether it is ready to serve.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Result, bail};
use sqlx::Connection;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// How long one question may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// The question that a part must answer.
#[derive(Clone, Debug)]
pub(crate) enum Probe {
    /// GET the path; any 2xx will do.
    Http(SocketAddr, &'static str),
    /// PING.
    Redis(SocketAddr),
    /// Let us connect.
    Listens(SocketAddr),
    /// Log in.
    Mysql(String),
}

impl Probe {
    /// Asks once. The error says what was wrong.
    pub(crate) async fn ask(&self) -> Result<()> {
        match timeout(PATIENCE, self.answer()).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer within {PATIENCE:?}"),
        }
    }

    async fn answer(&self) -> Result<()> {
        match self {
            Self::Http(addr, path) => {
                let request = format!("GET {path} HTTP/1.0\r\nhost: {addr}\r\n\r\n");
                let reply = exchange(*addr, &request).await?;
                let status = reply.split(' ').nth(1).unwrap_or_default();
                if !status.starts_with('2') {
                    bail!("GET {path} says {}", reply.lines().next().unwrap_or_default());
                }
            }
            Self::Redis(addr) => {
                let reply = exchange(*addr, "PING\r\nQUIT\r\n").await?;
                if !reply.starts_with("+PONG") {
                    bail!("PING is answered by {reply:?}");
                }
            }
            Self::Listens(addr) => drop(TcpStream::connect(addr).await?),
            Self::Mysql(url) => sqlx::MySqlConnection::connect(url).await?.close().await?,
        }
        Ok(())
    }
}

/// Sends the request and reads until the other side closes.
async fn exchange(addr: SocketAddr, request: &str) -> Result<String> {
    let mut stream = TcpStream::connect(addr).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut reply = Vec::new();
    stream.take(4_096).read_to_end(&mut reply).await?;
    Ok(String::from_utf8_lossy(&reply).into_owned())
}
