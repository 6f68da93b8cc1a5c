//! What a stack shall consist of.

use rand::RngExt;

use crate::{
    backing::Source,
    certificates::Identity,
    part::{LogSink, silent},
    ports::Ports,
    redis::RedisKind,
};

/// The choices; take [`Options::default`] and change what differs.
#[derive(Clone)]
pub struct Options {
    /// Its directory under `.local`.
    pub name: String,
    /// Does its data survive its end? Then only one of this name runs at a time.
    pub lasting: bool,
    /// Replicas of message-api. Gateways know all of them.
    pub apis: usize,
    /// Replicas of socket-gateway.
    pub gateways: usize,
    /// With HAProxy before them?
    pub front: bool,
    /// Does every link between two parts go through a proxy that tests can slow down or cut?
    pub straits: bool,
    /// Which ports.
    pub ports: Ports,
    /// Where MySQL or MariaDB is.
    pub database: Source,
    /// What a private MariaDB shows; it then speaks TLS only.
    pub database_tls: Option<Identity>,
    /// Where Redis is.
    pub redis: Source,
    /// What a private Redis is like.
    pub redis_kind: RedisKind,
    /// The database; made if need be. None: the one in the URL.
    pub database_name: Option<String>,
    /// Before every Redis key and channel.
    pub redis_prefix: String,
    /// On servers that stay: is the database dropped at the end, with all keys of the prefix?
    pub forget: bool,
    /// What message-api signs tokens with.
    pub jwt_secret: String,
    /// What services show each other.
    pub service_token: String,
    /// More settings of every message-api.
    pub api_env: Vec<(String, String)>,
    /// More settings of every gateway.
    pub gateway_env: Vec<(String, String)>,
    /// Who gets the log lines.
    pub logs: LogSink,
}

impl Options {
    /// A passing stack that shares nothing with any other, also not on shared servers.
    #[must_use]
    pub fn alone(name: &str) -> Self {
        let own = format!("switchboard_{name}_{:08x}", rand::rng().random::<u32>());
        Self {
            name: name.to_owned(),
            database_name: Some(own.clone()),
            redis_prefix: own,
            forget: true,
            ..Self::default()
        }
    }
}

impl Default for Options {
    /// One message-api and two gateways on free ports, nothing survives, nothing is logged.
    fn default() -> Self {
        Self {
            name: "stack".to_owned(),
            lasting: false,
            apis: 1,
            gateways: 2,
            front: false,
            straits: false,
            ports: Ports::Free,
            database: Source::Private,
            database_tls: None,
            redis: Source::Private,
            redis_kind: RedisKind::Server,
            database_name: None,
            redis_prefix: "switchboard".to_owned(),
            forget: false,
            jwt_secret: "a-secret-for-one-machine-only-never-in-production".to_owned(),
            service_token: "a-token-for-one-machine-only-never-in-production".to_owned(),
            api_env: Vec::new(),
            gateway_env: Vec::new(),
            logs: silent(),
        }
    }
}
