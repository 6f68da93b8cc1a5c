//! The servers that the settings name, and how to reach the others of their cluster.

use std::{fmt, sync::Arc, time::Duration};

use redis::{
    Client, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError,
    TlsCertificates, Value, aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use tokio::time::timeout;

use crate::slots::{self, Owned};

/// How long Redis' machine may leave what we wrote unacknowledged.
const UNTAKEN_MAX: Duration = Duration::from_secs(5);

/// How long a server may take to let us in, and to answer.
const ANSWER: Duration = Duration::from_secs(2);

/// A server.
pub struct Node {
    name: String,
    client: Client,
}

impl Node {
    fn new(client: Client) -> Self {
        let name = client.get_connection_info().addr().to_string();
        Self { name, client }
    }

    /// Host and port, for people.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) const fn client(&self) -> &Client {
        &self.client
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        self.name == other.name
    }

    pub(crate) fn host(&self) -> &str {
        self.name.rsplit_once(':').map_or(&self.name, |(host, _)| host)
    }

    /// Asks for something, on a connection of its own.
    pub(crate) async fn ask(&self, command: &redis::Cmd) -> redis::RedisResult<Value> {
        let mut connection = self.connect().await?;
        command.query_async(&mut connection).await
    }

    async fn connect(&self) -> redis::RedisResult<MultiplexedConnection> {
        let connecting = self.client.get_multiplexed_async_connection();
        let late = || RedisError::from(std::io::Error::from(std::io::ErrorKind::TimedOut));
        timeout(ANSWER, connecting).await.unwrap_or_else(|_| Err(late()))
    }
}

impl fmt::Debug for Node {
    /// The URL may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// The servers that the settings name. All are reached in the same way: the same password, the
/// same certificates.
#[derive(Debug)]
pub struct Nodes(Vec<Arc<Node>>);

impl Nodes {
    /// From URLs with commas between, and the certificates (PEM) to trust instead of the system's.
    /// The error is a sentence that names the setting.
    pub fn parse(urls: &str, authorities: Option<Vec<u8>>) -> Result<Self, String> {
        let infos: Vec<_> = urls
            .split(',')
            .map(|url| url.trim().into_connection_info())
            .collect::<Result<_, _>>()
            .map_err(|cause| format!("REDIS_URL: {cause}"))?;
        for info in &infos {
            agree(&infos[0], info, infos.len() > 1).map_err(|why| format!("REDIS_URL: {why}"))?;
        }
        let is_tls = matches!(infos[0].addr(), ConnectionAddr::TcpTls { .. });
        if is_tls {
            // Another part of the process may have chosen already, and rightly.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        if authorities.as_ref().is_some_and(|pem| !holds_certificate(pem)) {
            return Err("REDIS_CA_FILE: holds no certificate in PEM".into());
        }
        if authorities.is_some() && !is_tls {
            return Err(
                "REDIS_CA_FILE: is for TLS only, so REDIS_URL must begin with rediss://".into()
            );
        }
        let open = |info| client(info, authorities.as_ref()).map(Node::new).map(Arc::new);
        let nodes: Result<Vec<_>, _> = infos.into_iter().map(open).collect();
        nodes.map(Self).map_err(|cause| match authorities {
            Some(_) => format!("REDIS_CA_FILE: {cause}"),
            None => format!("REDIS_URL: {cause}"),
        })
    }

    pub(crate) fn count(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn first(&self) -> Arc<Node> {
        Arc::clone(&self.0[0])
    }

    pub(crate) fn all(&self) -> &[Arc<Node>] {
        &self.0
    }

    pub(crate) fn database(&self) -> i64 {
        self.info().redis_settings().db()
    }

    fn info(&self) -> &ConnectionInfo {
        self.0[0].client.get_connection_info()
    }

    /// Can these be nodes of a cluster? The error is a sentence that names the setting.
    pub(crate) fn can_be_cluster(&self) -> Result<(), String> {
        if matches!(self.info().addr(), ConnectionAddr::Unix(_)) {
            return Err("REDIS_URL: a cluster needs hosts, not a unix socket".into());
        }
        if self.database() != 0 {
            return Err("REDIS_URL: a cluster has no database but 0".into());
        }
        Ok(())
    }

    /// Another server of the same cluster.
    pub(crate) fn sibling(&self, host: &str, port: u16) -> redis::RedisResult<Node> {
        let host = host.to_owned();
        let address = match self.info().addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host,
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host, port),
        };
        Client::open(self.info().clone().set_addr(address)).map(Node::new)
    }

    /// See [`Redis::check`](crate::Redis::check). Answers the map of the cluster's slots, if a node
    /// has told it.
    pub(crate) async fn check(&self, is_cluster: bool) -> Result<Vec<Owned>, String> {
        for node in &self.0 {
            let map = node.ask(redis::cmd("CLUSTER").arg("SLOTS")).await;
            if let Some(sentence) = map.as_ref().err().and_then(|cause| hopeless(node, cause)) {
                return Err(sentence);
            }
            match (map, is_cluster) {
                (Ok(map), true) => return Ok(slots::parse(&map, self, node)),
                (Err(cause), true) if cause.to_string().contains("cluster support disabled") => {
                    return Err(format!("REDIS_CLUSTER: Redis at {} is no cluster", node.name));
                }
                (Err(cause), _) if cause.is_io_error() => {
                    tracing::warn!(node = node.name, %cause, "can't reach Redis yet");
                }
                (Ok(map), false) if slots::parse(&map, self, node).len() > 1 => {
                    let name = &node.name;
                    return Err(format!(
                        "REDIS_CLUSTER: Redis at {name} is a cluster, so it must be true"
                    ));
                }
                _ => break,
            }
        }
        Ok(Vec::new())
    }
}

/// What no waiting mends.
fn hopeless(node: &Node, cause: &RedisError) -> Option<String> {
    let (name, said) = (&node.name, cause.to_string());
    if cause.kind() == ErrorKind::AuthenticationFailed
        || matches!(cause.code(), Some("NOAUTH" | "WRONGPASS"))
    {
        return Some(format!("REDIS_URL: Redis at {name} refuses the password: {said}"));
    }
    if said.contains("invalid peer certificate") && said.contains("not valid for") {
        return Some(format!("REDIS_URL: the certificate of Redis at {name} is another's: {said}"));
    }
    said.contains("invalid peer certificate").then(|| {
        format!("REDIS_CA_FILE: the certificate of Redis at {name} is not to be trusted: {said}")
    })
}

fn agree(first: &ConnectionInfo, other: &ConnectionInfo, many: bool) -> Result<(), &'static str> {
    if matches!(other.addr(), ConnectionAddr::TcpTls { insecure: true, .. }) {
        return Err(
            "#insecure is not supported; give the authority's certificate in REDIS_CA_FILE",
        );
    }
    let is_tls = |info: &ConnectionInfo| matches!(info.addr(), ConnectionAddr::TcpTls { .. });
    let login = |info: &ConnectionInfo| {
        let settings = info.redis_settings();
        (settings.username().map(str::to_owned), settings.password().map(str::to_owned))
    };
    match many && (is_tls(first) != is_tls(other) || login(first) != login(other)) {
        true => Err("all addresses must have the same scheme, user and password"),
        false => Ok(()),
    }
}

/// Batches go out at once, whatever their size. A lost route ends the connection, else publishing
/// would wait for the kernel to give up: a quarter of an hour.
fn client(info: ConnectionInfo, authorities: Option<&Vec<u8>>) -> redis::RedisResult<Client> {
    let tcp = TcpSettings::default().set_nodelay(true).set_user_timeout(UNTAKEN_MAX);
    let info = info.set_tcp_settings(tcp);
    match authorities {
        Some(pem) => Client::build_with_tls(
            info,
            TlsCertificates { client_tls: None, root_cert: Some(pem.clone()) },
        ),
        None => Client::open(info),
    }
}

fn holds_certificate(pem: &[u8]) -> bool {
    String::from_utf8_lossy(pem).contains("-----BEGIN CERTIFICATE-----")
}
