//! What people would pick instead, as our own small servers on the published packages, and the
//! bare server that shows what the kernel allows.

use std::{
    env::current_exe,
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use local_stack::Servers;
use sqlx::{Connection, MySqlConnection};
use tokio::runtime::Runtime;

use super::{Kind, Target, backing};
use crate::usage::{Process, Role};

/// How long a peer may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Where peers store durable messages.
const TABLE: &str = "CREATE DATABASE IF NOT EXISTS bench_peer; \
    CREATE TABLE IF NOT EXISTS bench_peer.messages ( \
    id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY, room VARCHAR(64) NOT NULL, \
    author VARCHAR(32) NOT NULL, text MEDIUMTEXT NOT NULL, created_at DATETIME(3) NOT NULL, \
    KEY room_id (room, id)) ENGINE = InnoDB DEFAULT CHARSET = utf8mb4 COLLATE = utf8mb4_bin";

/// A process that ends with this value, or with us.
#[derive(Debug)]
pub(crate) struct Child(process::Child);

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Why eiows may be missing.
const NO_EIOWS: &str = "it is compiled against the sources of Node 22 or newer, which it fetches while \
    it is installed";

/// Starts a peer: two processes, so that Redis is in the path; the bare server is one.
pub(crate) fn start(kind: Kind, servers: &Servers, runtime: &Runtime) -> Result<Target> {
    if kind == Kind::Eiows && !node_directory().join("node_modules/eiows").exists() {
        bail!("eiows is not installed: {NO_EIOWS}");
    }
    runtime.block_on(make_table(servers.database_url()))?;
    let count = if kind == Kind::Bare { 1 } else { 2 };
    let (mut processes, mut addresses, mut children) = (backing(servers), Vec::new(), Vec::new());
    if kind == Kind::Bare {
        processes.clear(); // It uses neither.
    }
    for _ in 0..count {
        let address = free_address()?;
        let mut child = Child(command(kind, servers, address)?.spawn().context("setpriv")?);
        await_listening(kind, &mut child, address)?;
        processes.push(Process { role: Role::Front, pid: child.0.id() });
        addresses.push(address);
        children.push(child);
    }
    Ok(Target {
        kind,
        processes,
        addresses,
        accounts: None,
        rooms_made: 0,
        stack: None,
        sink: None,
        _children: children,
    })
}

/// Where the Node peer is.
fn node_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node")
}

fn command(kind: Kind, servers: &Servers, address: SocketAddr) -> Result<Command> {
    let beside = |name: &str| -> Result<PathBuf> {
        Ok(current_exe()?.parent().context("a program lies in a directory")?.join(name))
    };
    // The kernel kills it when we end; doing so ourselves would take unsafe code.
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]);
    match kind {
        Kind::Node | Kind::Eiows => {
            command.arg("node").arg(node_directory().join("server.mjs"));
            command.env("ENGINE", if kind == Kind::Eiows { "eiows" } else { "ws" });
        }
        Kind::Socketioxide => drop(command.arg(beside("bench-socketioxide")?)),
        Kind::Bare => drop(command.arg(beside("bench-bare")?)),
        Kind::Switchboard | Kind::Traced => bail!("Switchboard is no peer"),
    }
    command.arg(address.to_string());
    command.env("NODE_ENV", "production");
    command.env("REDIS_URL", servers.redis_url());
    command.env("DATABASE_URL", at_peers_database(servers.database_url()));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    Ok(command)
}

fn at_peers_database(url: &str) -> String {
    let server = url.rsplit_once('/').map_or(url, |(server, _)| server);
    format!("{server}/bench_peer")
}

async fn make_table(database_url: &str) -> Result<()> {
    let mut server = MySqlConnection::connect(database_url).await?;
    sqlx::raw_sql(TABLE).execute(&mut server).await?;
    Ok(())
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

fn await_listening(kind: Kind, child: &mut Child, address: SocketAddr) -> Result<()> {
    let began = Instant::now();
    while TcpStream::connect(address).is_err() {
        if let Some(status) = child.0.try_wait()? {
            bail!("{} has ended: {status}", kind.name());
        }
        if began.elapsed() > READY_WITHIN {
            bail!("{} does not listen", kind.name());
        }
        sleep(Duration::from_millis(20));
    }
    Ok(())
}
