//! Where tests take place: a running stack, shared by a test binary or a test's own.

use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context, Result};
use clap::Parser;
use local_stack::{Options, Source, Stack, silent, terminal};
use tokio::sync::OnceCell;

use crate::{
    http::Http,
    person::Person,
    socket_io::{Knock, SocketIo},
};

/// What the environment says.
#[derive(Debug, Parser)]
struct Settings {
    /// A server to make databases on, instead of a private one
    #[arg(env = "DATABASE_URL", long)]
    database_url: Option<String>,
    /// A Redis to use, instead of a private one
    #[arg(env = "REDIS_URL", long)]
    redis_url: Option<String>,
    /// Show the services' log lines
    #[arg(env = "SHOW_LOGS", long)]
    show_logs: bool,
}

/// A running stack and its guests.
#[derive(Debug)]
pub struct Arena {
    /// Its parts, for tests that hurt them.
    pub stack: Stack,
    names: AtomicU32,
}

impl Arena {
    /// The one that all tests of this binary share: two gateways, one message-api, no front door.
    /// Use names from [`Self::unique`], and hurt nothing.
    pub async fn shared() -> Result<&'static Self> {
        static SHARED: OnceCell<Arena> = OnceCell::const_new();
        SHARED.get_or_try_init(|| async { Self::own(Self::options("shared")?).await }).await
    }

    /// One for a test that kills, pauses or configures. It ends with the value.
    pub async fn own(options: Options) -> Result<Self> {
        let stack = Stack::up(&options).await.context("the stack did not come up")?;
        Ok(Self { stack, names: AtomicU32::new(1) })
    }

    /// Options of a stack with a database and Redis prefix of its own, on the servers that the
    /// environment names or else on private ones.
    pub fn options(name: &str) -> Result<Options> {
        let settings = Settings::try_parse_from(["tests"])?;
        Ok(Options {
            database: Source::given(settings.database_url),
            redis: Source::given(settings.redis_url),
            logs: if settings.show_logs { terminal(false) } else { silent() },
            ..Options::alone(name)
        })
    }

    /// The same, but with private servers, for tests that hurt those.
    pub fn options_with_own_servers(name: &str) -> Result<Options> {
        let (database, redis) = (Source::Private, Source::Private);
        Ok(Options { database, redis, ..Self::options(name)? })
    }

    /// A name that no other test of this arena has: `alice-7`.
    pub fn unique(&self, name: &str) -> String {
        format!("{name}-{}", self.names.fetch_add(1, Ordering::Relaxed))
    }

    /// A browser without cookies, at message-api 1.
    pub fn visitor(&self) -> Result<Http> {
        Http::at(&self.stack.urls().api(1))
    }

    /// Somebody newly registered with a password (004), whose name begins like this.
    pub async fn newcomer(&self, name: &str) -> Result<Person<'_>> {
        Person::register(self, &self.unique(name)).await
    }

    /// Begins to knock at gateway `n`, from 1.
    #[must_use]
    pub fn gateway(&self, n: usize) -> Knock {
        SocketIo::at(&self.stack.urls().gateway(n))
    }
}
