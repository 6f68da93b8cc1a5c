//! The settings: environment variables (or flags), read once, checked before any port is bound.

use std::{net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use chat_core::{
    Limits,
    process::{HealthCheck, ServiceToken},
};
use clap::Parser;
use dialects::allowance::Allowed;
use redis_link::{Redis, RedisSettings};
use secrecy::SecretString;
use telemetry::TelemetrySettings;
use tonic::transport::ClientTlsConfig;

use crate::chat_client::TlsFiles;

/// Holds Socket.IO and WebSocket clients and fans out what happens. Stateless: run as many as you
/// have connections for.
#[derive(Clone, Debug, Parser)]
#[command(name = "socket-gateway", version)]
pub struct Config {
    /// Where clients' sockets are accepted
    #[arg(long, env = "HTTP_ADDR", default_value = "0.0.0.0:3001")]
    pub http_addr: SocketAddr,

    /// Where health, readiness and metrics are served
    #[arg(long, env = "ADMIN_ADDR", default_value = "0.0.0.0:9001")]
    pub admin_addr: SocketAddr,

    /// Where message-api's replicas serve gRPC, with commas between. A host with several addresses
    /// (a headless Service) is several replicas
    #[arg(
        long,
        env = "MESSAGE_API_GRPC_URL",
        value_delimiter = ',',
        default_value = "http://127.0.0.1:3101"
    )]
    pub message_api_grpc_url: Vec<String>,

    /// Redis
    #[command(flatten)]
    pub redis: RedisSettings,

    /// What this service shows message-api, at least 16 characters
    #[arg(long, env = "SERVICE_TOKEN", hide_env_values = true)]
    pub service_token: Option<SecretString>,

    /// File that holds SERVICE_TOKEN, read again when it changes; while the token is rotated, two
    /// lines: the new one first
    #[arg(long, env = "SERVICE_TOKEN_FILE")]
    pub service_token_file: Option<PathBuf>,

    /// PEM file with the CA of message-api's certificates, for https:// in MESSAGE_API_GRPC_URL
    #[arg(long, env = "MESSAGE_API_CA_FILE")]
    pub message_api_ca_file: Option<PathBuf>,

    /// PEM file with the certificate that message-api is shown, if it asks for one
    #[arg(long, env = "MESSAGE_API_CERT_FILE")]
    pub message_api_cert_file: Option<PathBuf>,

    /// PEM file with the key of MESSAGE_API_CERT_FILE
    #[arg(long, env = "MESSAGE_API_KEY_FILE")]
    pub message_api_key_file: Option<PathBuf>,

    /// The enabled protocols; the same for all services
    #[arg(long, env = "PROTOCOLS", value_delimiter = ',', default_values = dialects::PROTOCOLS, value_parser = dialects::parse_protocol)]
    pub protocols: Vec<String>,

    /// Are sockets without a session or token let in as guests? The same for all services
    #[arg(long, env = "GUESTS", default_value_t = true, action = clap::ArgAction::Set)]
    pub guests: bool,

    /// Origins, beside our own, whose pages may use the visitor's cookie and read the answers, with
    /// commas between, e.g. `https://app.example`; the same for all services
    #[arg(long, env = "ALLOWED_ORIGINS", value_delimiter = ',', value_parser = dialects::origin::parse_origin)]
    pub allowed_origins: Vec<String>,

    /// Longest message, in characters; the same for all services
    #[arg(long, env = "TEXT_MAX", default_value_t = 4_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub text_max: u32,

    /// Most connections at once; more wait to be accepted
    #[arg(long, env = "CONNECTIONS_MAX", default_value_t = 50_000)]
    pub connections_max: usize,

    /// Seconds that a client may let written data wait before its connection is cut
    #[arg(long, env = "WRITE_DEADLINE", default_value_t = 15, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub write_deadline: u64,

    /// Most who may come in at the same time; more wait for their turn
    #[arg(long, env = "HANDSHAKES_MAX", default_value_t = 64, value_parser = at_least_one)]
    pub handshakes_max: usize,

    /// Most calls that may be under way to one replica of message-api, beside posts; more wait for
    /// their turn
    #[arg(long, env = "CALLS_MAX", default_value_t = 64, value_parser = at_least_one)]
    pub calls_max: usize,

    /// Bytes that may wait for one client; who reads more slowly than that is disconnected
    #[arg(long, env = "QUEUE_BYTES", default_value_t = 1_048_576, value_parser = queue_bytes)]
    pub queue_bytes: usize,

    /// Proxies before us whose X-Forwarded-For is believed: 1 behind one load balancer, 0 where
    /// clients reach us themselves
    #[arg(long, env = "TRUSTED_HOPS", default_value_t = 0, value_parser = clap::value_parser!(u8).range(0..=16))]
    pub trusted_hops: u8,

    /// Most websockets, and sessions that poll, from one address (of IPv6: one /64), at this replica;
    /// where TRUSTED_HOPS is 0, at most twice as many connections of any kind; 0: any number
    #[arg(long, env = "CONNECTIONS_PER_ADDRESS", default_value_t = 2_000)]
    pub connections_per_address: u32,

    /// Most sockets of one user at this replica; 0: any number
    #[arg(long, env = "SOCKETS_PER_USER", default_value_t = 200)]
    pub sockets_per_user: u32,

    /// Messages, edits, deletions and new rooms that one socket may send a second, over ten seconds;
    /// all sockets of a user here, and those of all guests of one address: four times that; 0: any
    /// number
    #[arg(long, env = "MESSAGES_PER_SECOND", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub messages_per_second: u32,

    /// The same for typing
    #[arg(long, env = "FLEETING_PER_SECOND", default_value_t = 20, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub fleeting_per_second: u32,

    /// The same for all other events: coming in, joins, history, lists, reads
    #[arg(long, env = "QUERIES_PER_SECOND", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub queries_per_second: u32,

    /// Seconds between readiness off and the first client sent away, so that a load balancer
    /// notices; before SHUTDOWN_GRACE
    #[arg(long, env = "DRAIN_DELAY", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=600))]
    pub drain_delay: u64,

    /// Seconds that a stop may take: clients are told to go, what is under way is finished
    #[arg(long, env = "SHUTDOWN_GRACE", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub shutdown_grace: u64,

    /// Seconds for which a browser that came by HTTPS, as `X-Forwarded-Proto` tells, shall come by
    /// nothing else; 0 tells it nothing
    #[arg(long, env = "HSTS_SECONDS", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=63_072_000))]
    pub hsts_seconds: u32,

    /// What to do wrong
    #[cfg(feature = "sabotage")]
    #[arg(long, env = "SABOTAGE", hide = true, value_parser = crate::sabotage::CHOICES)]
    pub sabotage: Option<String>,

    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: TelemetrySettings,

    /// Asking instead of serving
    #[command(flatten)]
    pub health: HealthCheck,
}

/// The settings once checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// As given.
    pub config: Config,
    /// Redis, not yet connected.
    pub redis: Redis,
    /// The service token.
    pub service_token: ServiceToken,
    /// What it takes to speak TLS with message-api; none over http://.
    pub message_api_tls: Option<ClientTlsConfig>,
    /// How long texts may be.
    pub limits: Limits,
    /// Most time that a client may let written data wait.
    pub write_deadline: Duration,
    /// Time between readiness off and the first client sent away.
    pub drain_delay: Duration,
    /// Most time that a stop may take.
    pub shutdown_grace: Duration,
}

impl Config {
    /// Checks what clap can't. The error is one sentence that names the setting.
    pub fn check(self) -> Result<Settings, String> {
        let token = (self.service_token.as_ref(), self.service_token_file.as_ref());
        Ok(Settings {
            redis: self.redis.check()?,
            service_token: ServiceToken::read(token.0, token.1)?,
            message_api_tls: TlsFiles {
                ca: self.message_api_ca_file.as_deref(),
                cert: self.message_api_cert_file.as_deref(),
                key: self.message_api_key_file.as_deref(),
            }
            .read(&self.message_api_grpc_url)?,
            limits: Limits { text_max: self.text_max as usize, ..Limits::default() },
            write_deadline: Duration::from_secs(self.write_deadline),
            drain_delay: Duration::from_secs(self.drain_delay),
            shutdown_grace: Duration::from_secs(self.shutdown_grace),
            config: self,
        })
    }

    /// Most connections with one address at their other end; 0: any number. Who polls has two, so
    /// that each session gets a sentence before a connection gets none.
    #[must_use]
    pub const fn connections_per_peer(&self) -> u32 {
        match self.trusted_hops {
            0 => self.connections_per_address.saturating_mul(2),
            _ => 0,
        }
    }

    /// What sockets may ask for.
    #[must_use]
    pub const fn allowed(&self) -> Allowed {
        Allowed {
            messages: self.messages_per_second,
            fleeting: self.fleeting_per_second,
            queries: self.queries_per_second,
            sockets: self.sockets_per_user,
        }
    }
}

fn at_least_one(given: &str) -> Result<usize, String> {
    bounded(given, 1..=100_000)
}

fn queue_bytes(given: &str) -> Result<usize, String> {
    bounded(given, 16 * 1_024..=256 * 1_024 * 1_024)
}

fn bounded(given: &str, range: RangeInclusive<usize>) -> Result<usize, String> {
    let number = given.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| format!("must be between {} and {}", range.start(), range.end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(arguments: &[&str]) -> String {
        let command = ["socket-gateway"].iter().chain(arguments);
        match Config::try_parse_from(command) {
            Ok(config) => config.check().expect_err("refused"),
            Err(error) => error.to_string(),
        }
    }

    const GOOD: [&str; 4] =
        ["--redis-url", "redis://127.0.0.1", "--service-token", "0123456789abcdef"];

    #[test]
    fn a_bad_value_is_refused_with_a_sentence_that_names_it() {
        // Not left out: the environment of a test run may have one.
        let no_redis = ["--redis-url", "", "--service-token", "0123456789abcdef"];
        assert!(refusal(&no_redis).contains("REDIS_URL"));
        assert!(
            refusal(&["--redis-url", "redis://h", "--service-token", "x"])
                .contains("SERVICE_TOKEN")
        );
        let with = |more: [&'static str; 2]| [&GOOD[..], &more[..]].concat();
        for file in ["--message-api-ca-file", "--message-api-cert-file", "--message-api-key-file"] {
            assert!(refusal(&with([file, "/nonexistent"])).contains("MESSAGE_API_GRPC_URL"));
        }
        let tls = ["--message-api-grpc-url", "https://host:3101"];
        assert!(refusal(&with(tls)).contains("MESSAGE_API_CA_FILE must"));
        let ca = ["--message-api-ca-file", "/nonexistent"];
        assert!(
            refusal(&[&with(tls)[..], &ca].concat()).contains("MESSAGE_API_CA_FILE: can't read")
        );
        let mixed = ["--message-api-grpc-url", "https://host:3101,http://host:3101"];
        assert!(refusal(&with(mixed)).contains("both"));
        assert!(refusal(&with(["--protocols", "chatto,irc"])).contains("irc"));
        assert!(refusal(&with(["--allowed-origins", "*"])).contains("ALLOWED_ORIGINS"));
        assert!(refusal(&with(["--hsts-seconds", "x"])).contains("hsts-seconds"));
        assert!(refusal(&with(["--text-max", "0"])).contains("text-max"));
        assert!(refusal(&with(["--queue-bytes", "100"])).contains("queue-bytes"));
        assert!(refusal(&with(["--handshakes-max", "0"])).contains("handshakes-max"));
        assert!(refusal(&with(["--calls-max", "0"])).contains("calls-max"));
        assert!(refusal(&with(["--trusted-hops", "17"])).contains("trusted-hops"));
        assert!(
            refusal(&with(["--messages-per-second", "100001"])).contains("messages-per-second")
        );
        assert!(refusal(&with(["--http-addr", "nowhere"])).contains("http-addr"));
    }

    #[test]
    fn the_defaults_need_only_redis_and_the_token() {
        let command = ["socket-gateway"].iter().chain(&GOOD);
        assert!(Config::try_parse_from(command).expect("parses").check().is_ok());
    }
}
