//! Private Redis: one server, a cluster, or one behind TLS and a password. It writes its log, so
//! that sessions outlive it, as in production.

use std::{fs, net::SocketAddr, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use redis::{InfoDict, aio::MultiplexedConnection};
use tokio::time::{Instant, sleep};

use crate::{
    certificates::Authority,
    home::Home,
    part::{Launch, Plan, Probe},
    ports::PortBook,
};

/// What a private Redis is like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RedisKind {
    /// One server, in the open.
    #[default]
    Server,
    /// A cluster of three masters: the parts `redis-1` to `redis-3`.
    Cluster,
    /// The same, each with a replica: the parts `redis-4` to `redis-6`, in any order.
    ReplicatedCluster,
    /// One server that speaks TLS only, with a certificate for `127.0.0.1`, and wants a password.
    Secured,
}

/// Masters of a cluster.
const MASTERS: usize = 3;

/// How long a cluster may take to come together.
const TOGETHER_WITHIN: Duration = Duration::from_secs(30);

/// After so long without an answer a master counts as failed, in milliseconds.
const NODE_TIMEOUT: &str = "2000";

/// How to start it and how to reach it.
pub(crate) struct RedisPlan {
    pub(crate) servers: Vec<Plan>,
    pub(crate) url: String,
    /// More settings of who talks to it.
    pub(crate) env: Vec<(String, String)>,
    /// Addresses of the cluster's nodes and of their bus; masters first.
    pub(crate) nodes: Vec<(SocketAddr, SocketAddr)>,
}

impl RedisPlan {
    /// One that runs already.
    pub(crate) fn given(url: &str) -> Self {
        Self { servers: Vec::new(), url: url.to_owned(), env: Vec::new(), nodes: Vec::new() }
    }
}

/// Chooses ports and makes directories; starts nothing.
pub(crate) fn plan(kind: RedisKind, home: &Home, ports: &mut PortBook) -> Result<RedisPlan> {
    match kind {
        RedisKind::Server => server(home, ports),
        RedisKind::Cluster => cluster(home, ports, MASTERS),
        RedisKind::ReplicatedCluster => cluster(home, ports, 2 * MASTERS),
        RedisKind::Secured => secured(home, ports),
    }
}

fn server(home: &Home, ports: &mut PortBook) -> Result<RedisPlan> {
    let address = ports.free()?;
    let directory = directory(home, "redis")?;
    let launch = launch(&directory).args(["--port", &address.port().to_string()]);
    let servers = vec![part("redis", launch, Probe::Redis(address))];
    let url = format!("redis://{address}");
    Ok(RedisPlan { servers, url, env: Vec::new(), nodes: Vec::new() })
}

fn secured(home: &Home, ports: &mut PortBook) -> Result<RedisPlan> {
    let address = ports.free()?;
    let directory = directory(home, "redis")?;
    let authority = Authority::new()?;
    let (certificate, key) = authority.vouch_for("127.0.0.1")?;
    let file = |name: &str, text: String| {
        let path = directory.join(name);
        fs::write(&path, text)?;
        anyhow::Ok(path.display().to_string())
    };
    let ca = file("ca.pem", authority.certificate())?;
    let (certificate, key) = (file("certificate.pem", certificate)?, file("key.pem", key)?);
    let launch = launch(&directory)
        .args(["--port", "0", "--tls-port", &address.port().to_string()])
        .args(["--tls-cert-file", &certificate, "--tls-key-file", &key])
        .args(["--tls-ca-cert-file", &ca, "--tls-auth-clients", "no"])
        .args(["--requirepass", "a password, with @ and :"]);
    let url = format!("rediss://:a%20password%2C%20with%20%40%20and%20%3A@{address}");
    let env = vec![("REDIS_CA_FILE".to_owned(), ca)];
    let servers = vec![part("redis", launch, Probe::Listens(address))];
    Ok(RedisPlan { servers, url, env, nodes: Vec::new() })
}

fn cluster(home: &Home, ports: &mut PortBook, count: usize) -> Result<RedisPlan> {
    let (mut servers, mut nodes) = (Vec::new(), Vec::new());
    for number in 1..=count {
        let (address, bus) = (ports.free()?, ports.free()?);
        let name = format!("redis-{number}");
        let launch = launch(&directory(home, &name)?)
            .args(["--port", &address.port().to_string()])
            .args(["--cluster-enabled", "yes", "--cluster-port", &bus.port().to_string()])
            .args(["--cluster-node-timeout", NODE_TIMEOUT, "--repl-diskless-sync-delay", "0"])
            .args(["--cluster-require-full-coverage", "no"]);
        servers.push(part(&name, launch, Probe::Redis(address)));
        nodes.push((address, bus));
    }
    let urls: Vec<_> =
        nodes[..MASTERS].iter().map(|(address, _)| format!("redis://{address}")).collect();
    let env = vec![("REDIS_CLUSTER".to_owned(), "true".to_owned())];
    Ok(RedisPlan { servers, url: urls.join(","), env, nodes })
}

fn directory(home: &Home, name: &str) -> Result<std::path::PathBuf> {
    let directory = home.path().join(name);
    fs::create_dir_all(&directory)?;
    Ok(directory)
}

fn launch(directory: &Path) -> Launch {
    Launch::new("redis-server")
        .args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--loglevel", "notice"])
        .directory(directory)
}

fn part(name: &str, launch: Launch, probe: Probe) -> Plan {
    let worth_showing = |line: &str| line.to_ascii_lowercase().contains("error");
    Plan { name: name.to_owned(), launch, probe, worth_showing }
}

/// Makes a cluster of nodes that run and know nothing of each other; returns once all agree.
pub(crate) async fn unite(nodes: &[(SocketAddr, SocketAddr)]) -> Result<()> {
    let Some((first, bus)) = nodes.first() else { return Ok(()) };
    let share = 16_384_usize.div_ceil(MASTERS);
    for (number, (address, _)) in nodes.iter().enumerate() {
        let mut node = connect(*address).await?;
        let (port, bus) = (first.port(), bus.port());
        cluster_command(&mut node, &["SET-CONFIG-EPOCH", &(number + 1).to_string()]).await?;
        if number < MASTERS {
            let (from, to) = (number * share, ((number + 1) * share).min(16_384) - 1);
            let range = ["ADDSLOTSRANGE", &from.to_string(), &to.to_string()];
            cluster_command(&mut node, &range).await?;
        }
        if number > 0 {
            let meet = ["MEET", "127.0.0.1", &port.to_string(), &bus.to_string()];
            cluster_command(&mut node, &meet).await?;
        }
    }
    let until = Instant::now() + TOGETHER_WITHIN;
    let known = [("cluster_known_nodes", &*nodes.len().to_string())];
    agree(nodes, until, &["CLUSTER", "INFO"], &known).await?;
    let replicas = &nodes[MASTERS..];
    for ((address, _), (master, _)) in replicas.iter().zip(nodes) {
        let id: String =
            redis::cmd("CLUSTER").arg("MYID").query_async(&mut connect(*master).await?).await?;
        cluster_command(&mut connect(*address).await?, &["REPLICATE", &id]).await?;
    }
    let whole = [("cluster_state", "ok"), ("cluster_slots_ok", "16384")];
    agree(nodes, until, &["CLUSTER", "INFO"], &whole).await?;
    agree(replicas, until, &["INFO", "replication"], &[("master_link_status", "up")]).await
}

async fn connect(address: SocketAddr) -> Result<MultiplexedConnection> {
    let client = redis::Client::open(format!("redis://{address}"))?;
    Ok(client.get_multiplexed_async_connection().await?)
}

async fn cluster_command(node: &mut MultiplexedConnection, words: &[&str]) -> Result<()> {
    let mut command = redis::cmd("CLUSTER");
    command.arg(words).exec_async(node).await.with_context(|| format!("CLUSTER {words:?}"))
}

/// Waits until every node says so when it is asked.
async fn agree(
    nodes: &[(SocketAddr, SocketAddr)],
    until: Instant,
    ask: &[&str],
    wanted: &[(&str, &str)],
) -> Result<()> {
    for (address, _) in nodes {
        let mut node = connect(*address).await?;
        loop {
            let mut command = redis::cmd(ask[0]);
            let info: String = command.arg(&ask[1..]).query_async(&mut node).await?;
            let said = InfoDict::new(&info);
            if wanted.iter().all(|(name, value)| said.get::<String>(name).as_deref() == Some(value))
            {
                break;
            }
            if Instant::now() > until {
                bail!("the Redis cluster did not come together: {wanted:?}, but {address}: {info}");
            }
            sleep(Duration::from_millis(20)).await;
        }
    }
    Ok(())
}
