//! Puts the parts together, runs them, and stops them in order.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use chat_core::{
    Chat,
    process::{Backoff, Shutdown, open_as_many_files_as_allowed},
};
use dialects::{
    accept,
    places::Places,
    rest::{RestState, budget::Budget},
};
use futures_util::FutureExt;
use redis_link::Line;
use sqlx::mysql::MySqlConnectOptions;
use status_board::{Board, Reporter};
use telemetry::{Traces, metrics::Metrics};
use tokio::{net::TcpListener, task::JoinHandle, time::Instant};

use crate::{
    admin::{self, Health, Phase},
    chat::Rules,
    config::{Config, Environment, Settings},
    counts,
    doorkeeper::Doorkeeper,
    grpc::{self, ServiceTokens},
    http,
    issuers::{Issuers, Pace},
    media::Library,
    passwords::Passwords,
    publisher::Publisher,
    sessions::Sessions,
    status::{Guests, Status},
    store::{Store, StoreError, database, group_commit::GroupCommit, migrate::migrate},
    tokens::Tokens,
    watch::Watches,
    web::{self, Web},
};

/// How long MySQL may be away at the start.
const DATABASE_PATIENCE: Duration = Duration::from_secs(60);

/// Requests end within this time of their own accord. A connection that is open for longer after
/// the shutdown began has none under way, and is cut.
const REQUESTS: Duration = Duration::from_secs(13);

/// What runs, in the order in which it stops: each feeds the next.
#[derive(Default)]
struct Stages {
    /// REST and gRPC, and the changes that their clients asked for.
    servers: Shutdown,
    /// Group commit.
    commits: Shutdown,
    /// Publishing what was committed.
    publishing: Shutdown,
}

impl Stages {
    async fn stop(&self, grace: Duration) -> Result<()> {
        let until = Instant::now() + grace;
        self.servers.begin();
        if !self.servers.finished(REQUESTS.min(grace * 3 / 4)).await {
            tracing::info!("cutting connections that have no request under way");
        }
        for stage in [&self.commits, &self.publishing] {
            stage.begin();
            if !stage.finished(until - Instant::now()).await {
                bail!("not everything ended within SHUTDOWN_GRACE");
            }
        }
        Ok(())
    }
}

/// Runs until SIGTERM or SIGINT, and then until all that was under way has ended.
pub async fn run(config: &Config, settings: &Settings, traces: &Traces) -> Result<()> {
    open_as_many_files_as_allowed();
    let (health, stages) = (Health::default(), Stages::default());
    // Until the very end, so that a shutdown can be watched.
    let admin = Shutdown::new();
    let metrics = serve_admin(config.admin_addr, &health, &admin).await?;
    let mut signal = std::pin::pin!(Shutdown::signal());
    tokio::select! {
        ready = database_ready(&settings.database, &health) => ready?,
        stop = &mut signal => return Ok(stop?),
    }
    let (http, grpc) = start(config, settings, &health, metrics, &stages).await?;
    health.enter(Phase::Serving);
    let stopped = tokio::select! {
        stop = &mut signal => stop.context("waiting for signals"),
        early = http => early?.and(Err(anyhow::anyhow!("REST stopped by itself"))),
        early = grpc => early?.and(Err(anyhow::anyhow!("gRPC stopped by itself"))),
    };
    tracing::info!("stopping");
    health.enter(Phase::Stopping);
    tokio::time::sleep(Duration::from_secs(config.drain_delay)).await;
    let grace = Duration::from_secs(config.shutdown_grace);
    let stop = stages.stop(grace * 15 / 16).await;
    traces.flush(grace / 16).await;
    stop?;
    admin.begin();
    tracing::info!("stopped");
    stopped
}

/// Brings the database up to date, says so, and serves nothing. A signal ends the wait for MySQL.
pub async fn migrate_only(database: &MySqlConnectOptions) -> Result<()> {
    let health = Health::default();
    tokio::select! {
        ready = database_ready(database, &health) => ready?,
        _ = Shutdown::signal() => bail!("stopped before the database was up to date"),
    }
    println!("message-api: the database is up to date");
    Ok(())
}

type Serving = JoinHandle<Result<()>>;

async fn start(
    config: &Config,
    settings: &Settings,
    health: &Health,
    metrics: Metrics,
    stages: &Stages,
) -> Result<(Serving, Serving)> {
    let door = Arc::new(Doorkeeper::new(&settings.redis, config.knocks()));
    let rules = rules(config, settings, health, stages, &door).await?;
    let (store, place) = (rules.store.clone(), settings.media.clone());
    let library = Library::new(store, place, config.media_quota(), &stages.servers);
    stages.servers.spawn_until_stopped(library.clone().keep_clean());
    let watches = Watches::start(rules.store.clone(), config.watches_max, &stages.servers);
    let chat: Arc<dyn Chat> = Arc::new(rules);
    let limits = config.limits();
    let tasks = &stages.servers;
    let listener = bind("GRPC_ADDR", config.grpc_addr)?;
    let (gateways, others) = (settings.service_token.as_ref(), settings.service_tokens.as_ref());
    let tokens = ServiceTokens::new(gateways, others).map_err(anyhow::Error::msg)?;
    tokens.follow(gateways, others, tasks);
    let guests = Guests::new(tokens.clone(), Arc::clone(&door), config.trusted_hops.into());
    let status = status(config, settings, health, metrics, guests, &stages.publishing);
    let service =
        grpc::Service { chat: Arc::clone(&chat), limits, tokens, watches, stop: tasks.clone() };
    let tls = settings.grpc_tls.clone();
    let grpc = tasks.spawn(grpc::serve(listener, service, tls, health.clone(), tasks.clone()));
    let protocols = config.protocols();
    let web = Arc::new(Web::new(&protocols, limits.password_min));
    let legs = dialects::rest::router(RestState {
        chat,
        media: Arc::new(library),
        pages: web.clone(),
        protocols,
        limits,
        secure_cookies: config.environment == Environment::Production,
        session_ttl: config.session_ttl(),
        guests: config.guests,
        lobby_max: config.lobby_max,
        origins: config.allowed_origins.clone().into(),
        door,
        budget: Arc::new(Budget::new(config.messages_per_second, config.queries_per_second)),
        trusted_hops: config.trusted_hops.into(),
    });
    let legs = legs.merge(status.router().into());
    let listener = bind("HTTP_ADDR", config.http_addr)?;
    let router = http::router(legs, web::routes(web), config);
    let peers = Places::new(config.connections_per_peer(), "connections");
    let serving = accept::serve(listener, router, peers, tasks.clone());
    let http = tasks.spawn(serving.map(Ok));
    Ok((http, grpc))
}

/// What `/status.json` answers from. This replica beats until the last event is published.
fn status(
    config: &Config,
    settings: &Settings,
    health: &Health,
    metrics: Metrics,
    guests: Guests,
    tasks: &Shutdown,
) -> Status {
    let board = Board::new(&settings.redis, &Line::steady(&settings.redis));
    let me = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let reporter = Reporter::new(board.clone(), metrics, me, config.http_addr, &[]);
    let is_open = config.environment == Environment::Development;
    let status = Status::new(board, reporter.latest(), guests, is_open);
    let health = health.clone();
    tasks.spawn(reporter.run(move || health.condition(), tasks.clone()));
    status
}

async fn rules(
    config: &Config,
    settings: &Settings,
    health: &Health,
    stages: &Stages,
    door: &Arc<Doorkeeper>,
) -> Result<Rules> {
    let pool = database::pool(settings.database.clone(), config.database_connections);
    database::check_durability(&pool).await.context("asking MySQL how durable it is")?;
    let store = Store::new(pool);
    let redis = &settings.redis;
    redis.check().await.map_err(anyhow::Error::msg)?;
    // Until the last event is published.
    stages.publishing.spawn_until_stopped(redis.clone().keep_map());
    let sessions = Sessions::new(redis, config.session_ttl());
    let publisher = Publisher::start(redis, &stages.publishing);
    let tokens = Tokens::new(&settings.jwt_secrets, config.session_ttl());
    tokens.follow(&settings.jwt_secrets, &stages.servers);
    stages.servers.spawn_until_stopped(health.clone().watch(store.clone(), sessions.clone()));
    Ok(Rules {
        group_commit: GroupCommit::start(&store, &publisher, &stages.commits),
        tokens,
        issuers: Issuers::start(&settings.issuers, Pace::default(), &stages.servers)?,
        passwords: Passwords::new(config.hash_parallel())?,
        door: Arc::clone(door),
        guests: config.guests,
        store,
        sessions,
        publisher,
        tasks: stages.servers.clone(),
    })
}

async fn serve_admin(address: SocketAddr, health: &Health, tasks: &Shutdown) -> Result<Metrics> {
    let listener = bind("ADMIN_ADDR", address)?;
    let metrics = counts::start(tasks)?;
    let router = admin::router(health.clone(), metrics.clone());
    tasks.spawn_until_stopped(accept::serve_newest(listener, router, tasks.clone()));
    Ok(metrics)
}

fn bind(name: &str, address: SocketAddr) -> Result<TcpListener> {
    let listener = accept::bind(address).map_err(|e| anyhow::anyhow!("{name}: {e}"))?;
    tracing::info!(address = %listener.local_addr()?, "{name}");
    Ok(listener)
}

/// May it pass? A server that goes away in the middle is an error of input or output, however
/// deep in the chain. One that is not to be trusted stays so.
fn is_passing(error: &anyhow::Error) -> bool {
    if is_distrust(error) {
        return false;
    }
    error.chain().any(|cause| {
        cause.downcast_ref::<StoreError>().is_some_and(StoreError::is_passing)
            || cause.is::<std::io::Error>()
    })
}

/// Was there no TLS to be had, or with a certificate that is refused? TLS calls that invalid data.
fn is_distrust(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        let sql = match cause.downcast_ref::<StoreError>() {
            Some(StoreError::Sql(sql) | StoreError::NotBegun(sql)) => Some(sql),
            _ => cause.downcast_ref::<sqlx::Error>(),
        };
        match sql {
            Some(sqlx::Error::Tls(_)) => true,
            Some(sqlx::Error::Io(io)) => io.kind() == std::io::ErrorKind::InvalidData,
            _ => false,
        }
    })
}

/// Waits for MySQL, a bounded time, and brings the database up to date.
async fn database_ready(options: &MySqlConnectOptions, health: &Health) -> Result<()> {
    let until = Instant::now() + DATABASE_PATIENCE;
    let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(3));
    loop {
        let error = match migrate(options).await {
            Ok(()) => {
                health.mysql(Ok(()));
                return Ok(());
            }
            Err(error) => error,
        };
        if !is_passing(&error) || Instant::now() >= until {
            let why = match is_distrust(&error) {
                true => "DATABASE_URL: the database is not to be trusted",
                false => "DATABASE_URL: the database can't be used",
            };
            return Err(error.context(why));
        }
        tracing::warn!(%error, "waiting for the database");
        health.mysql(Err(format!("{error:#}")));
        backoff.wait().await;
    }
}
