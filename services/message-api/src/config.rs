//! Every setting, read once in `main`. `--help` is the reference.

use std::{
    net::SocketAddr, path::PathBuf, sync::Arc, thread::available_parallelism, time::Duration,
};

use chat_core::{
    Limits, Password,
    chat::HISTORY_MAX,
    process::{HealthCheck, Secret, ServiceToken},
};
use clap::{ArgAction, Parser, ValueEnum, value_parser};
use redis_link::{Redis, RedisSettings};
use rustls::ServerConfig;
use secrecy::{ExposeSecret, SecretString};
use sqlx::mysql::MySqlConnectOptions;
use telemetry::TelemetrySettings;

use crate::{
    doorkeeper::Knocks,
    grpc::{self, TokensFile},
    issuers::{self, Issuer},
    media::Place,
    store::database,
    tokens::JwtSecrets,
};

/// message-api: users, sessions, conversations and messages, over REST and gRPC.
#[derive(Clone, Debug, Parser)]
#[command(name = "message-api", version)]
pub struct Config {
    /// MySQL or MariaDB: `mysql://user:password@host:3306/database`
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,

    /// A file that holds DATABASE_URL
    #[arg(long, env = "DATABASE_URL_FILE")]
    pub database_url_file: Option<PathBuf>,

    /// Most connections to the database
    #[arg(long, env = "DATABASE_CONNECTIONS", default_value_t = 16, value_parser = value_parser!(u32).range(6..=1_000))]
    pub database_connections: u32,

    /// Redis
    #[command(flatten)]
    pub redis: RedisSettings,

    /// Where REST is served
    #[arg(long, env = "HTTP_ADDR", default_value = "0.0.0.0:3100")]
    pub http_addr: SocketAddr,

    /// Where gRPC is served
    #[arg(long, env = "GRPC_ADDR", default_value = "0.0.0.0:3101")]
    pub grpc_addr: SocketAddr,

    /// Where health, readiness and metrics are served
    #[arg(long, env = "ADMIN_ADDR", default_value = "0.0.0.0:9100")]
    pub admin_addr: SocketAddr,

    /// Signs the tokens; at least 32 bytes, the same for all replicas
    #[arg(long, env = "JWT_SECRET", hide_env_values = true)]
    pub jwt_secret: Option<SecretString>,

    /// A file that holds JWT_SECRET, read again when it changes; while the secret is rotated, two
    /// lines: the first signs, both are believed
    #[arg(long, env = "JWT_SECRET_FILE")]
    pub jwt_secret_file: Option<PathBuf>,

    /// What gateways must show; at least 16 characters, the same for all gateways
    #[arg(long, env = "SERVICE_TOKEN", hide_env_values = true)]
    pub service_token: Option<SecretString>,

    /// A file that holds SERVICE_TOKEN, read again when it changes; while the token is rotated, two
    /// lines: the new one first
    #[arg(long, env = "SERVICE_TOKEN_FILE")]
    pub service_token_file: Option<PathBuf>,

    /// A file with the tokens of other services, `name token` a line, read again when it changes;
    /// a name may have several lines, # begins a comment
    #[arg(long, env = "SERVICE_TOKENS_FILE")]
    pub service_tokens_file: Option<PathBuf>,

    /// A PEM file with gRPC's certificate and those between it and its CA; with it gRPC is served
    /// over TLS only
    #[arg(long, env = "GRPC_TLS_CERT_FILE")]
    pub grpc_tls_cert_file: Option<PathBuf>,

    /// A PEM file with the key of GRPC_TLS_CERT_FILE
    #[arg(long, env = "GRPC_TLS_KEY_FILE")]
    pub grpc_tls_key_file: Option<PathBuf>,

    /// A PEM file with the CA of the certificates that callers must show then
    #[arg(long, env = "GRPC_TLS_CLIENT_CA_FILE")]
    pub grpc_tls_client_ca_file: Option<PathBuf>,

    /// Most streams of WatchEvents that one service may have open to one replica
    #[arg(long, env = "WATCHES_MAX", default_value_t = 16, value_parser = value_parser!(u32).range(1..=1_000))]
    pub watches_max: u32,

    /// In production session cookies are sent over HTTPS only
    #[arg(long, env = "ENVIRONMENT", value_enum, default_value_t = Environment::Production)]
    pub environment: Environment,

    /// Are guests let in? The same for all services
    #[arg(long, env = "GUESTS", default_value_t = true, action = ArgAction::Set)]
    pub guests: bool,

    /// Most messages that `GET /api/v1/messages` lists at once
    #[arg(long, env = "LOBBY_MAX", default_value_t = HISTORY_MAX, value_parser = value_parser!(u32).range(1..=i64::from(HISTORY_MAX)))]
    pub lobby_max: u32,

    /// The protocols that are served, with commas between; the same for all services
    #[arg(long, env = "PROTOCOLS", value_delimiter = ',', default_values = dialects::PROTOCOLS, value_parser = dialects::parse_protocol)]
    pub protocols: Vec<String>,

    /// Where uploads are kept: `file:///a/directory` or `s3://bucket/prefix` (with the usual AWS_… variables); the same for all replicas [default in development: a temporary directory]
    #[arg(long, env = "MEDIA_URL")]
    pub media_url: Option<String>,

    /// Bytes that the uploads of one user may take together, each at least 4096; 0: any number
    #[arg(long, env = "MEDIA_QUOTA", default_value_t = 1_073_741_824)]
    pub media_quota: u64,

    /// Longest message, in characters; the same for all services
    #[arg(long, env = "TEXT_MAX", default_value_t = 4_000, value_parser = value_parser!(u32).range(1..=100_000))]
    pub text_max: u32,

    /// Shortest password, in characters
    #[arg(long, env = "PASSWORD_MIN", default_value_t = 4, value_parser = value_parser!(u32).range(1..=64))]
    pub password_min: u32,

    /// Seconds for which a session lives after its last use, and a token after it was issued
    #[arg(long, env = "SESSION_TTL", default_value_t = 2_592_000, value_parser = value_parser!(u64).range(1..=315_360_000))]
    pub session_ttl: u64,

    /// Passwords hashed at once, 19 MiB each; 64 times as many may wait [default: half the number of
    /// cores]
    #[arg(long, env = "HASH_PARALLEL", value_parser = value_parser!(u32).range(1..=256))]
    pub hash_parallel: Option<u32>,

    /// Proxies before REST whose X-Forwarded-For is believed: 1 behind one load balancer, 0 where
    /// clients reach us themselves
    #[arg(long, env = "TRUSTED_HOPS", default_value_t = 0, value_parser = value_parser!(u8).range(0..=16))]
    pub trusted_hops: u8,

    /// Tries to log in, right or wrong, from one address (of IPv6: one /64) in a quarter of an hour;
    /// 0: any number. This and what follows hold for all replicas together
    #[arg(long, env = "LOGINS_PER_ADDRESS", default_value_t = 300, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub logins_per_address: u32,

    /// Registrations from one address in a quarter of an hour; 0: any number
    #[arg(long, env = "REGISTRATIONS_PER_ADDRESS", default_value_t = 100, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub registrations_per_address: u32,

    /// Wrong passwords for one account from one address in a quarter of an hour; 0: any number
    #[arg(long, env = "WRONG_PASSWORDS", default_value_t = 10, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub wrong_passwords: u32,

    /// Wrong passwords for one account from all addresses from which its owner has not yet logged in;
    /// beyond it each of them may try once, until that is worn off. 0: any number
    #[arg(long, env = "WRONG_PASSWORDS_PER_ACCOUNT", default_value_t = 100, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub wrong_passwords_per_account: u32,

    /// Seconds between readiness off and the last request accepted, so that a load balancer
    /// notices; before SHUTDOWN_GRACE
    #[arg(long, env = "DRAIN_DELAY", default_value_t = 0, value_parser = value_parser!(u64).range(0..=600))]
    pub drain_delay: u64,

    /// Seconds that requests under way get to end after SIGTERM
    #[arg(long, env = "SHUTDOWN_GRACE", default_value_t = 25, value_parser = value_parser!(u64).range(1..=600))]
    pub shutdown_grace: u64,

    /// Logs and traces.
    #[command(flatten)]
    pub telemetry: TelemetrySettings,

    /// Does the `traceparent` of a REST request decide whether its trace is kept? Only behind a
    /// proxy that takes off what strangers send
    #[arg(long, env = "TRACE_FROM_CALLERS", default_value_t = false, action = ArgAction::Set)]
    pub trace_from_callers: bool,

    /// Origins, beside our own, whose pages may use the visitor's cookie and read the answers, with
    /// commas between, e.g. `https://app.example`; the same for all services
    #[arg(long, env = "ALLOWED_ORIGINS", value_delimiter = ',', value_parser = dialects::origin::parse_origin)]
    pub allowed_origins: Vec<String>,

    /// Seconds for which a browser that came by HTTPS, as `X-Forwarded-Proto` tells, shall come by
    /// nothing else; 0 tells it nothing
    #[arg(long, env = "HSTS_SECONDS", default_value_t = 0, value_parser = value_parser!(u32).range(0..=63_072_000))]
    pub hsts_seconds: u32,

    /// A PEM file with the CA of the database's certificate; with it the connection is by TLS, and to
    /// the host of DATABASE_URL only
    #[arg(long, env = "DATABASE_CA_FILE")]
    pub database_ca_file: Option<PathBuf>,

    /// A JSON file with those whose tokens are believed beside our own: a list of `{"issuer", "jwksUrl",
    /// "audience", "nameClaim"}`, the last one optional
    #[arg(long, env = "ISSUERS_FILE")]
    pub issuers_file: Option<PathBuf>,

    /// Most connections for REST from one address (of IPv6: one /64) at this replica, where
    /// TRUSTED_HOPS is 0; 0: any number
    #[arg(long, env = "CONNECTIONS_PER_ADDRESS", default_value_t = 2_000)]
    pub connections_per_address: u32,
    /// Messages, uploads, edits, deletions and new rooms that a user may send a second by REST, over
    /// ten seconds, at this replica; the guests of one address together: as many; 0: any number
    #[arg(long, env = "MESSAGES_PER_SECOND", default_value_t = 20, value_parser = value_parser!(u32).range(0..=100_000))]
    pub messages_per_second: u32,

    /// The same for all other requests
    #[arg(long, env = "QUERIES_PER_SECOND", default_value_t = 50, value_parser = value_parser!(u32).range(0..=100_000))]
    pub queries_per_second: u32,

    /// Rooms that one user may make in an hour, in whatever way, at all replicas together; 0: any
    /// number
    #[arg(long, env = "ROOMS_PER_HOUR", default_value_t = 100, value_parser = value_parser!(u32).range(0..=1_000_000))]
    pub rooms_per_hour: u32,

    /// Bring the database up to date, say so, and exit with 0; needs DATABASE_URL only
    #[arg(long)]
    pub migrate: bool,

    /// Asking instead of serving
    #[command(flatten)]
    pub health: HealthCheck,
}

/// Where it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Environment {
    /// On a developer's machine, over plain HTTP.
    Development,
    /// Behind HTTPS.
    Production,
}

/// The settings that must be read or parsed further. Never printed.
#[derive(Clone)]
pub struct Settings {
    /// From DATABASE_URL.
    pub database: MySqlConnectOptions,
    /// From REDIS_URL and its like; not yet connected.
    pub redis: Redis,
    /// From JWT_SECRET.
    pub jwt_secrets: JwtSecrets,
    /// From SERVICE_TOKEN.
    pub service_token: Option<ServiceToken>,
    /// From SERVICE_TOKENS_FILE.
    pub service_tokens: Option<TokensFile>,
    /// From GRPC_TLS_….
    pub grpc_tls: Option<Arc<ServerConfig>>,
    /// From MEDIA_URL.
    pub media: Place,
    /// From ISSUERS_FILE.
    pub issuers: Vec<Issuer>,
}

impl Config {
    /// Reads the secrets, parses the URLs. The error is one sentence that names the setting.
    pub fn settings(&self) -> Result<Settings, String> {
        Ok(Settings {
            database: self.database()?,
            redis: self.redis.check()?,
            jwt_secrets: JwtSecrets::read(self.jwt_secret.as_ref(), self.jwt_secret_file.as_ref())?,
            service_token: self.service_token()?,
            service_tokens: self
                .service_tokens_file
                .as_deref()
                .map(TokensFile::read)
                .transpose()?,
            grpc_tls: grpc::tls(
                self.grpc_tls_cert_file.as_deref(),
                self.grpc_tls_key_file.as_deref(),
                self.grpc_tls_client_ca_file.as_deref(),
            )?,
            media: Place::open(&self.media_url()?).map_err(|e| format!("MEDIA_URL: {e}"))?,
            issuers: self.issuers()?,
        })
    }

    /// The database, from DATABASE_URL. The error is one sentence that names the setting.
    pub fn database(&self) -> Result<MySqlConnectOptions, String> {
        let (value, file) = (self.database_url.as_ref(), self.database_url_file.as_ref());
        let url = Secret { name: "DATABASE_URL", value, file }.read()?;
        if url.expose_secret().is_empty() {
            return Err("DATABASE_URL is empty".into());
        }
        let options =
            database::options(url.expose_secret()).map_err(|e| format!("DATABASE_URL: {e}"))?;
        match &self.database_ca_file {
            None => Ok(options),
            Some(ca) => {
                database::verified(options, ca).map_err(|e| format!("DATABASE_CA_FILE: {e}"))
            }
        }
    }

    /// Most connections for REST with one address at their other end; 0: any number.
    #[must_use]
    pub const fn connections_per_peer(&self) -> u32 {
        match self.trusted_hops {
            0 => self.connections_per_address,
            _ => 0,
        }
    }

    /// None where only SERVICE_TOKENS_FILE says who may call.
    fn service_token(&self) -> Result<Option<ServiceToken>, String> {
        let (value, file) = (self.service_token.as_ref(), self.service_token_file.as_ref());
        if value.is_none() && file.is_none() && self.service_tokens_file.is_some() {
            return Ok(None);
        }
        ServiceToken::read(value, file).map(Some)
    }

    fn issuers(&self) -> Result<Vec<Issuer>, String> {
        let plain_http = self.environment == Environment::Development;
        let file = self.issuers_file.as_deref();
        file.map_or_else(|| Ok(Vec::new()), |file| issuers::read(file, plain_http))
    }

    /// How long texts and passwords may be.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            text_max: self.text_max as usize,
            password_min: (self.password_min as usize).min(Password::MAX),
        }
    }

    /// The protocols that are served, each once.
    #[must_use]
    pub fn protocols(&self) -> Arc<[String]> {
        let is_enabled = |name: &&&str| self.protocols.iter().any(|enabled| enabled == **name);
        dialects::PROTOCOLS.iter().filter(is_enabled).map(ToString::to_string).collect()
    }

    /// Where uploads are kept. The error is one sentence.
    fn media_url(&self) -> Result<String, String> {
        match (&self.media_url, self.environment) {
            (Some(url), _) => Ok(url.clone()),
            (None, Environment::Production) => Err("MEDIA_URL is not set".into()),
            (None, Environment::Development) => {
                let directory = std::env::temp_dir().join("switchboard-media");
                let url = url::Url::from_directory_path(directory);
                url.map(String::from).map_err(|()| "MEDIA_URL is not set".into())
            }
        }
    }

    /// Bytes that the uploads of one user may take together.
    #[must_use]
    pub const fn media_quota(&self) -> u64 {
        if self.media_quota == 0 { u64::MAX } else { self.media_quota }
    }

    /// How long a session lives after its last use.
    #[must_use]
    pub const fn session_ttl(&self) -> Duration {
        Duration::from_secs(self.session_ttl)
    }

    /// How often somebody may knock.
    #[must_use]
    pub const fn knocks(&self) -> Knocks {
        Knocks {
            logins: self.logins_per_address,
            registrations: self.registrations_per_address,
            wrong: self.wrong_passwords,
            wrong_for_account: self.wrong_passwords_per_account,
            rooms: self.rooms_per_hour,
        }
    }

    /// Passwords hashed at once.
    #[must_use]
    pub fn hash_parallel(&self) -> usize {
        // The other half is for the chat, however many log in.
        let cores = || available_parallelism().map_or(1, usize::from);
        self.hash_parallel.map_or_else(|| (cores() / 2).max(1), |n| n as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(change: &[&str]) -> Result<Settings, String> {
        let mut arguments = vec![
            "message-api",
            "--database-url=mysql://u:p@localhost/chat",
            "--redis-url=redis://localhost",
            "--jwt-secret=0123456789abcdef0123456789abcdef",
            "--service-token=0123456789abcdef",
            "--media-url=file:///tmp",
        ];
        arguments.retain(|a| !change.iter().any(|c| c.split('=').next() == a.split('=').next()));
        arguments.extend(change);
        Config::try_parse_from(arguments).map_err(|e| e.to_string())?.settings()
    }

    #[test]
    fn good_settings_are_taken() {
        assert!(settings(&[]).is_ok());
    }

    #[test]
    fn a_bad_setting_is_named() {
        for (change, name) in [
            ("--database-url=postgres://x/y", "DATABASE_URL"),
            ("--database-url=mysql://u:p@localhost/chat?tls=1", "DATABASE_URL"),
            ("--database-ca-file=/nonexistent", "DATABASE_CA_FILE"),
            ("--database-ca-file=/dev/null", "DATABASE_CA_FILE"),
            ("--redis-url=http://x", "REDIS_URL"),
            ("--redis-prefix=", "REDIS_PREFIX"),
            ("--jwt-secret=short", "JWT_SECRET"),
            ("--service-token=short", "SERVICE_TOKEN"),
            ("--service-tokens-file=/nonexistent", "SERVICE_TOKENS_FILE"),
            ("--grpc-tls-cert-file=/nonexistent", "GRPC_TLS_KEY_FILE"),
            ("--grpc-tls-key-file=/nonexistent", "GRPC_TLS_CERT_FILE"),
            ("--grpc-tls-client-ca-file=/nonexistent", "GRPC_TLS_CERT_FILE"),
            ("--watches-max=0", "WATCHES_MAX"),
            ("--http-addr=nowhere", "HTTP_ADDR"),
            ("--guests=perhaps", "GUESTS"),
            ("--lobby-max=1001", "LOBBY_MAX"),
            ("--text-max=0", "TEXT_MAX"),
            ("--environment=moon", "ENVIRONMENT"),
            ("--protocols=chatto,irc", "PROTOCOLS"),
            ("--protocols=", "PROTOCOLS"),
            ("--media-url=media", "MEDIA_URL"),
            ("--allowed-origins=https://app.example/chat", "ALLOWED_ORIGINS"),
            ("--allowed-origins=*", "ALLOWED_ORIGINS"),
            ("--hsts-seconds=x", "HSTS_SECONDS"),
            ("--media-quota=-1", "MEDIA_QUOTA"),
            ("--issuers-file=/nonexistent", "ISSUERS_FILE"),
            ("--issuers-file=/dev/null", "ISSUERS_FILE"),
            ("--messages-per-second=100001", "MESSAGES_PER_SECOND"),
            ("--queries-per-second=-1", "QUERIES_PER_SECOND"),
            ("--rooms-per-hour=x", "ROOMS_PER_HOUR"),
        ] {
            let error = settings(&[change]).err().expect(change);
            assert!(error.contains(name), "{change}: {error}");
        }
    }
}
