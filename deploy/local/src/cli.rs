//! The command line; every option can be given in the environment as well.

use std::ffi::OsString;

use clap::{Args, Parser, Subcommand};
use local_stack::{FixedPorts, Options, Ports, RedisKind, Source, silent, terminal};

/// Switchboard on one machine, with private MariaDB and Redis.
#[derive(Debug, Parser)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Runs everything in the foreground until Ctrl-C; data survives in .local/run
    Run(Run),
    /// Runs a command with DATABASE_URL and REDIS_URL of private servers
    With(With),
    /// Runs a command with the URLs of a whole product on free ports
    Stack(StackFor),
    /// Forgets a database and keys once standard input ends
    #[command(hide = true)]
    TidyAfter(TidyAfter),
}

/// How much of the product.
#[derive(Debug, Args)]
pub(crate) struct Size {
    /// Replicas of socket-gateway
    #[arg(long, env = "GATEWAYS", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=50))]
    gateways: u8,
    /// Replicas of message-api
    #[arg(long, env = "APIS", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    apis: u8,
}

/// Servers that run already.
#[derive(Debug, Args)]
pub(crate) struct Given {
    /// A MySQL or MariaDB to use instead of a private one
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// A Redis to use instead of a private one
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    redis_url: Option<String>,
}

impl Given {
    pub(crate) fn sources(&self) -> (Source, Source) {
        (Source::given(self.database_url.clone()), Source::given(self.redis_url.clone()))
    }
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// Its directory under .local: one run of a name at a time
    #[arg(long, env = "RUN_NAME", default_value = "run")]
    name: String,
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    given: Given,
    /// The front door: everything on one origin
    #[arg(long, env = "FRONT_PORT", default_value_t = FixedPorts::default().front)]
    front_port: u16,
    /// The first gateway; the others follow
    #[arg(long, env = "GATEWAY_PORT", default_value_t = FixedPorts::default().gateway)]
    gateway_port: u16,
    /// The first gateway's health and metrics; the others follow
    #[arg(long, env = "GATEWAY_ADMIN_PORT", default_value_t = FixedPorts::default().gateway_admin)]
    gateway_admin_port: u16,
    /// The first message-api's REST; the others follow in steps of ten
    #[arg(long, env = "API_PORT", default_value_t = FixedPorts::default().api)]
    api_port: u16,
    /// The first message-api's gRPC; the others follow in steps of ten
    #[arg(long, env = "GRPC_PORT", default_value_t = FixedPorts::default().grpc)]
    grpc_port: u16,
    /// The first message-api's health and metrics; the others follow in steps of ten
    #[arg(long, env = "API_ADMIN_PORT", default_value_t = FixedPorts::default().api_admin)]
    api_admin_port: u16,
}

impl Run {
    pub(crate) fn options(&self, colour: bool) -> Options {
        let (database, redis) = self.given.sources();
        Options {
            name: self.name.clone(),
            lasting: true,
            apis: self.size.apis.into(),
            gateways: self.size.gateways.into(),
            front: true,
            ports: Ports::Fixed(FixedPorts {
                front: self.front_port,
                gateway: self.gateway_port,
                gateway_admin: self.gateway_admin_port,
                api: self.api_port,
                grpc: self.grpc_port,
                api_admin: self.api_admin_port,
            }),
            database,
            redis,
            logs: terminal(colour),
            ..Options::default()
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct With {
    #[command(flatten)]
    pub(crate) given: Given,
    /// The command and its arguments
    #[arg(required = true, last = true)]
    pub(crate) command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct StackFor {
    #[command(flatten)]
    size: Size,
    #[command(flatten)]
    given: Given,
    /// What a private Redis is like
    #[arg(long, env = "REDIS_KIND", value_enum, default_value = "server")]
    redis_kind: RedisKind,
    /// Show the services' log lines
    #[arg(long, env = "SHOW_LOGS")]
    show_logs: bool,
    /// Start parts again that end by themselves, as Kubernetes would
    #[arg(long)]
    pub(crate) revive: bool,
    /// The command and its arguments
    #[arg(required = true, last = true)]
    pub(crate) command: Vec<OsString>,
}

impl StackFor {
    pub(crate) fn options(&self) -> Options {
        let (database, redis) = self.given.sources();
        Options {
            apis: self.size.apis.into(),
            gateways: self.size.gateways.into(),
            front: true,
            database,
            redis,
            redis_kind: self.redis_kind,
            logs: if self.show_logs { terminal(false) } else { silent() },
            ..Options::alone("command")
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct TidyAfter {
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub(crate) database_url: String,
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub(crate) redis_url: String,
    #[arg(long, env = "REDIS_PREFIX")]
    pub(crate) redis_prefix: String,
}
