//! MariaDB and Redis: private ones, or those the environment names.

use std::sync::Arc;

use anyhow::{Context, Result};
use futures_util::future::try_join_all;
use sqlx::{AssertSqlSafe, Connection, MySqlConnection};

use crate::{
    certificates::Identity,
    home::Home,
    mariadb,
    part::{LogSink, Part},
    place,
    ports::PortBook,
    redis::{self, ClusterNode, RedisKind, RedisPlan},
};

/// Where a server comes from.
#[derive(Clone, Debug, Default)]
pub enum Source {
    /// We start one of our own.
    #[default]
    Private,
    /// It runs already, at this URL.
    At(String),
}

impl Source {
    /// At the URL if there is one.
    #[must_use]
    pub fn given(url: Option<String>) -> Self {
        url.filter(|url| !url.is_empty()).map_or(Self::Private, Self::At)
    }
}

/// What message-api and the gateways stand on.
#[derive(Debug)]
pub(crate) struct Backing {
    pub(crate) mariadb: Option<Part>,
    /// Several in a cluster.
    pub(crate) redis: Vec<Part>,
    pub(crate) database_url: String,
    pub(crate) redis_url: String,
    /// More settings of who talks to Redis.
    pub(crate) redis_env: Vec<(String, String)>,
    /// The nodes of a cluster.
    redis_nodes: Vec<ClusterNode>,
}

impl Backing {
    /// Plans the private ones; starts nothing.
    pub(crate) fn prepare(
        (database, redis, kind): (&Source, &Source, RedisKind),
        database_tls: Option<&Identity>,
        home: &Arc<Home>,
        ports: &mut PortBook,
        logs: &LogSink,
    ) -> Result<Self> {
        let (mariadb, database_url) = match database {
            Source::At(url) => (None, url.clone()),
            Source::Private => {
                let (plan, url) = mariadb::plan(home, &place::local(), ports, database_tls)?;
                (Some(Part::new(plan, home, logs)), url)
            }
        };
        let plan = match redis {
            Source::At(url) => RedisPlan::given(url),
            Source::Private => redis::plan(kind, home, ports)?,
        };
        Ok(Self {
            mariadb,
            redis: plan.servers.into_iter().map(|plan| Part::new(plan, home, logs)).collect(),
            database_url,
            redis_url: plan.url,
            redis_env: plan.env,
            redis_nodes: plan.nodes,
        })
    }

    /// The private ones, in the order in which they start.
    pub(crate) fn parts(&self) -> impl DoubleEndedIterator<Item = &Part> {
        self.mariadb.iter().chain(&self.redis)
    }

    /// Starts the private ones; returns once they serve and the database exists.
    pub(crate) async fn start(&self) -> Result<()> {
        try_join_all(self.parts().map(Part::start)).await?;
        redis::unite(&self.redis_nodes).await?;
        self.create_database().await
    }

    /// Makes sure that the database exists.
    async fn create_database(&self) -> Result<()> {
        let (mut server, name) = open_server(&self.database_url).await?;
        let statement = format!("CREATE DATABASE IF NOT EXISTS `{name}` CHARACTER SET utf8mb4");
        sqlx::raw_sql(AssertSqlSafe(statement))
            .execute(&mut server)
            .await
            .with_context(|| format!("can't create the database {name}"))?;
        Ok(())
    }
}

/// MariaDB and Redis without the product.
#[derive(Debug)]
pub struct Servers {
    backing: Backing,
    _ports: PortBook,
}

impl Servers {
    /// Starts what is not given; returns once they are ready and the database exists.
    pub async fn up(database: &Source, redis: &Source, logs: &LogSink) -> Result<Self> {
        let home = Arc::new(Home::temporary(&place::local(), "servers")?);
        let mut ports = PortBook::default();
        let sources = (database, redis, RedisKind::Server);
        let backing = Backing::prepare(sources, None, &home, &mut ports, logs)?;
        backing.start().await?;
        Ok(Self { backing, _ports: ports })
    }

    /// May create databases.
    #[must_use]
    pub fn database_url(&self) -> &str {
        &self.backing.database_url
    }

    /// Where Redis is.
    #[must_use]
    pub fn redis_url(&self) -> &str {
        &self.backing.redis_url
    }

    /// The private MariaDB.
    #[must_use]
    pub const fn mariadb(&self) -> Option<&Part> {
        self.backing.mariadb.as_ref()
    }

    /// The private Redis.
    #[must_use]
    pub fn redis(&self) -> Option<&Part> {
        self.backing.redis.first()
    }

    /// Stops the private ones.
    pub async fn stop(&self) -> Result<()> {
        try_join_all(self.backing.parts().map(Part::stop)).await.map(drop)
    }
}

/// The same server, another database.
pub(crate) fn with_database(url: &str, name: &str) -> Result<String> {
    let mut url = url::Url::parse(url).context("DATABASE_URL")?;
    url.set_path(name);
    Ok(url.into())
}

/// Connects to the server of a database's URL. Also the database's name, safe in backquotes.
pub(crate) async fn open_server(database_url: &str) -> Result<(MySqlConnection, String)> {
    let url = url::Url::parse(database_url).context("DATABASE_URL")?;
    let name = url.path().trim_matches('/').replace('`', "");
    let server = MySqlConnection::connect(&mariadb::server_url(database_url)?)
        .await
        .context("can't connect to DATABASE_URL")?;
    Ok((server, name))
}
