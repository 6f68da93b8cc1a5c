//! Puts the gateway together, runs it, and stops it in order.

use std::{sync::Arc, time::Duration};

use axum::{Router, middleware};
use chat_core::{
    Chat, Feed,
    process::{Shutdown, open_as_many_files_as_allowed},
};
use dialects::{
    accept,
    allowance::Allowances,
    chatto::socket::ChattoLeg,
    conversations, edge,
    messenger::{self, socket::MessengerLeg},
    observe,
    one_to_one::socket::OneToOneLeg,
    places::Places,
    socket::{Leg, Ports, SocketKeys},
    tinychat::socket::TinychatLeg,
};
use rand::RngExt;
use redis_link::Line;
use status_board::{Board, Reporter};
use telemetry::Traces;
use tokio::time::sleep;

use crate::{
    admin::{self, Health},
    chat_client::ChatClient,
    config::Settings,
    connections::Connections,
    counts,
    feed::{FeedHandle, GatewayFeed},
    outbound::Flushers,
    polling::{self, Begun, Polling},
    presence::{Census, Presence, Registry},
    probe::Probe,
    server,
    sessions::Sessions,
    sockets::{self, Mount},
    stays::Stays,
    subscriber::Subscriber,
    visitors::{self, Visitors},
    whisper,
};

/// The legs on Socket.IO; one line for each protocol.
fn legs(enabled: &[String]) -> Vec<Arc<dyn Leg>> {
    let all: [Arc<dyn Leg>; 4] = [
        Arc::new(TinychatLeg),
        Arc::new(OneToOneLeg::default()),
        Arc::new(MessengerLeg),
        Arc::new(ChattoLeg),
    ];
    all.into_iter().filter(|leg| enabled.iter().any(|name| name == leg.protocol())).collect()
}

/// Files that may be open beside clients' connections: listeners, Redis, replicas of message-api.
const FILES_BESIDE: u64 = 256;

/// Runs until SIGTERM or SIGINT. The error is one sentence.
pub async fn run(settings: Settings, traces: &Traces) -> Result<(), String> {
    let config = &settings.config;
    let files = open_as_many_files_as_allowed();
    let wanted = config.connections_max as u64 + FILES_BESIDE;
    if let Some(files) = files.filter(|files| *files < wanted) {
        let most = config.connections_max;
        tracing::warn!("only {files} files may be open: too few for CONNECTIONS_MAX={most}");
    }
    #[cfg(feature = "sabotage")]
    crate::sabotage::choose(config.sabotage.as_deref());
    settings.redis.check().await?;
    let listener = accept::bind(config.http_addr)?;
    let admin_listener = accept::bind(config.admin_addr)?;
    // First only readiness goes, then what serves clients.
    let (leaving, shutdown) = (Shutdown::new(), Shutdown::new());
    // The bus and the admin port live until the last socket is gone.
    let background = Shutdown::new();
    let metrics = counts::start(&background).map_err(|cause| format!("metrics: {cause}"))?;
    let connections = Connections::new(config.connections_max, config.handshakes_max);

    let (ports, Behind { subscriber, chat, board }) = ports(&settings, &shutdown, &background)?;
    let router = router(&settings, ports, &connections, &shutdown);
    let me = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let reporter = Reporter::new(board, metrics.clone(), me, config.http_addr, observe::POSTS);
    let health = Health {
        subscriber,
        chat,
        shutdown: leaving.clone(),
        connections: Arc::clone(&connections),
        metrics,
    };
    let watched = health.clone();
    background.spawn(reporter.run(move || watched.condition(), background.clone()));
    let admin = accept::serve_newest(admin_listener, admin::router(health), background.clone());
    background.spawn_until_stopped(admin);
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let accepting = server::serve(
        listener,
        router,
        Arc::clone(&connections),
        Places::new(config.connections_per_peer(), "address"),
        Flushers::start(workers, &background),
        settings.write_deadline,
        shutdown.clone(),
    );
    shutdown.spawn(accepting);
    tracing::info!(http = %config.http_addr, admin = %config.admin_addr, "socket-gateway is up");

    Shutdown::signal().await.map_err(|cause| format!("signals: {cause}"))?;
    tracing::info!(connections = connections.count(), "stopping");
    leaving.begin();
    sleep(settings.drain_delay).await;
    let in_time = stop(&shutdown, &background, &connections, settings.shutdown_grace).await;
    traces.flush(settings.shutdown_grace / 16).await;
    tracing::info!(in_time, "stopped");
    Ok(())
}

/// Clients go first, then what carries their last words. Was it all done in time?
async fn stop(
    shutdown: &Shutdown,
    background: &Shutdown,
    connections: &Connections,
    grace: Duration,
) -> bool {
    // Presence says farewell before the first socket goes: who comes back elsewhere in time has
    // never left.
    shutdown.begin();
    connections.drain(grace / 2).await;
    let mut in_time = shutdown.finished(grace / 4).await;
    if !in_time {
        connections.cut();
        in_time = shutdown.finished(grace / 8).await;
    }
    background.begin();
    background.finished(grace / 16).await && in_time
}

/// What readiness and the status board look at.
struct Behind {
    subscriber: Arc<Subscriber>,
    chat: Arc<ChatClient>,
    board: Board,
}

/// The two ports, with everything behind them.
fn ports(
    settings: &Settings,
    shutdown: &Shutdown,
    background: &Shutdown,
) -> Result<(Ports, Behind), String> {
    let config = &settings.config;
    let epoch = rand::rng().random::<u64>();
    let client = Arc::new(ChatClient::new(
        &config.message_api_grpc_url,
        &settings.service_token,
        settings.message_api_tls.clone(),
        config.calls_max,
        background,
    )?);
    let chat: Arc<dyn Chat> = Arc::clone(&client) as Arc<_>;
    let redis = &settings.redis;
    background.spawn_until_stopped(redis.clone().keep_map());
    let lines = Line::steady(redis);
    let probes: Vec<_> =
        redis.lanes().iter().map(|lane| Arc::new(Probe::new(lane, epoch))).collect();

    let (whisperer, whispers) = whisper::queues(redis);
    for ((whispers, line), probe) in whispers.into_iter().zip(&lines).zip(&probes) {
        background.spawn_until_stopped(whispers.publish(line.clone(), Arc::clone(probe)));
    }
    let presence = Presence::default();
    let sessions = Arc::new(Sessions::default());
    background.spawn_until_stopped(Arc::clone(&sessions).run(Arc::clone(&chat)));
    let subscriber = Arc::new(Subscriber::new(redis, &probes));
    let feed = GatewayFeed::new(
        Arc::clone(&chat),
        Arc::clone(&subscriber),
        whisperer,
        presence.clone(),
        sessions,
        background.clone(),
    );
    let line = &lines[redis.presence().number()];
    let census = Census::new(redis, line.clone());
    background.spawn_until_stopped(Arc::clone(&feed).compare_rosters_now_and_then(census));
    let rosters = Arc::clone(&feed);
    shutdown.spawn(presence.run(
        Registry::new(redis, line.clone(), epoch),
        move || rosters.compare_rosters_soon(),
        shutdown.clone(),
    ));
    subscriber.start(&lines, &(Arc::clone(&feed) as Arc<_>), background);
    let feed: Arc<dyn Feed> = Arc::new(FeedHandle(feed));
    let ports = Ports {
        tasks: shutdown.clone(),
        chat,
        feed,
        limits: settings.limits,
        queue_bytes: config.queue_bytes,
        guests: config.guests,
        keys: Arc::new(SocketKeys::new(epoch)),
        origins: config.allowed_origins.clone().into(),
        allowances: Allowances::new(config.allowed()),
    };
    let board = Board::new(redis, &lines);
    Ok((ports, Behind { subscriber, chat: client, board }))
}

fn router(
    settings: &Settings,
    ports: Ports,
    connections: &Arc<Connections>,
    shutdown: &Shutdown,
) -> Router {
    let config = &settings.config;
    let enabled = &config.protocols;
    let stays = Stays::new(connections);
    shutdown.spawn_until_stopped(Arc::clone(&stays).watch());
    let visitors = Visitors::new(config.trusted_hops.into(), config.connections_per_address, stays);
    let mount = Mount {
        legs: legs(enabled).into(),
        ports: ports.clone(),
        connections: Arc::clone(connections),
        shutdown: shutdown.clone(),
    };
    let in_turn = middleware::from_fn_with_state(Arc::clone(connections), server::in_turn);
    let mut router = Router::new();
    if enabled.iter().any(|name| name == "conversations") {
        router = router.merge(conversations::socket::router(ports).layer(in_turn.clone()));
    }
    let plain = messenger::plain_router(mount.ports.clone()).layer(in_turn);
    let router = router.merge(sockets::own_path("/ws", &mount, plain));
    let begun = Begun::new(config.connections_max, config.connections_per_address);
    let polling = Polling::new(begun, connections, &settings.limits);
    let router = sockets::shared(router, &mount)
        .layer(middleware::from_fn_with_state(polling, polling::bounded))
        .layer(middleware::from_fn(sockets::eio3::frame_in_binary))
        .layer(middleware::from_fn_with_state(Arc::clone(connections), server::note_transport))
        .layer(middleware::from_fn_with_state(visitors, visitors::counted));
    let config = &settings.config;
    edge::around(router, &config.allowed_origins, config.hsts_seconds)
}
