//! Puts the gateway together, runs it, and stops it in order.

use std::sync::Arc;

use axum::{Router, middleware};
use chat_core::{Chat, Feed, process::Shutdown};
use dialects::{
    chatto::socket::ChattoLeg,
    conversations,
    messenger::{self, socket::MessengerLeg},
    one_to_one::socket::OneToOneLeg,
    socket::{Leg, Ports, SocketKeys},
    tinychat::socket::TinychatLeg,
};
use metrics_exporter_prometheus::PrometheusBuilder;
use rand::RngExt;

use crate::{
    admin::{self, Health},
    chat_client::ChatClient,
    config::Settings,
    connections::Connections,
    feed::{FeedHandle, GatewayFeed},
    presence::{Presence, Registry},
    server,
    sessions::Sessions,
    sockets::{self, Mount},
    subscriber::Subscriber,
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

/// Runs until SIGTERM or SIGINT. The error is one sentence.
pub async fn run(settings: Settings) -> Result<(), String> {
    let config = &settings.config;
    #[cfg(feature = "sabotage")]
    crate::sabotage::choose(config.sabotage.as_deref());
    let listener = server::bind(config.http_addr)?;
    let admin_listener = server::bind(config.admin_addr)?;
    let metrics =
        PrometheusBuilder::new().install_recorder().map_err(|cause| format!("metrics: {cause}"))?;
    let shutdown = Shutdown::new();
    // The bus and the admin port live until the last socket is gone.
    let background = Shutdown::new();
    let connections = Connections::new(config.connections_max);

    let (ports, subscriber) = ports(&settings, &shutdown, &background)?;
    let router = router(&settings, ports, &connections, &shutdown);
    let health = Health { subscriber, shutdown: shutdown.clone(), metrics };
    let admin = axum::serve(admin_listener, admin::router(health));
    background.spawn_until_stopped(async move {
        if let Err(cause) = admin.await {
            tracing::error!(%cause, "the admin port failed");
        }
    });
    let accepting = server::serve(
        listener,
        router,
        Arc::clone(&connections),
        settings.write_deadline,
        shutdown.clone(),
    );
    shutdown.spawn(accepting);
    tracing::info!(http = %config.http_addr, admin = %config.admin_addr, "socket-gateway is up");

    Shutdown::signal().await.map_err(|cause| format!("signals: {cause}"))?;
    tracing::info!(connections = connections.count(), "stopping");
    // Presence says farewell before the first socket goes: who comes back elsewhere in time has
    // never left.
    shutdown.begin();
    connections.drain(settings.shutdown_grace / 2).await;
    let mut in_time = shutdown.finished(settings.shutdown_grace / 4).await;
    background.begin();
    in_time &= background.finished(settings.shutdown_grace / 4).await;
    tracing::info!(in_time, "stopped");
    Ok(())
}

/// The two ports, with everything behind them.
fn ports(
    settings: &Settings,
    shutdown: &Shutdown,
    background: &Shutdown,
) -> Result<(Ports, Arc<Subscriber>), String> {
    let config = &settings.config;
    let epoch = rand::rng().random::<u64>();
    let chat: Arc<dyn Chat> =
        Arc::new(ChatClient::new(&config.message_api_grpc_url, &settings.service_token)?);
    let redis =
        whisper::connection(settings.redis.clone()).map_err(|e| format!("REDIS_URL: {e}"))?;

    let (whisperer, whispers) = whisper::queue();
    background.spawn_until_stopped(whispers.publish(config.redis_prefix.clone(), redis.clone()));
    let (presence, moves) = Presence::new();
    let sessions = Arc::new(Sessions::default());
    background.spawn_until_stopped(Arc::clone(&sessions).run(Arc::clone(&chat)));
    let subscriber = Arc::new(Subscriber::new(&config.redis_prefix));
    let feed = GatewayFeed::new(
        Arc::clone(&chat),
        Arc::clone(&subscriber),
        whisperer.clone(),
        presence.clone(),
        sessions,
        background.clone(),
    );
    let roster = Arc::clone(&feed);
    shutdown.spawn(presence.run(
        moves,
        Registry::new(redis, &config.redis_prefix, epoch),
        whisperer,
        move |online| roster.compare_online(online),
        shutdown.clone(),
    ));
    background.spawn(Arc::clone(&subscriber).run(
        settings.redis.clone(),
        Arc::clone(&feed) as Arc<_>,
        background.clone(),
    ));
    let feed: Arc<dyn Feed> = Arc::new(FeedHandle(feed));
    let ports = Ports {
        tasks: shutdown.clone(),
        chat,
        feed,
        limits: settings.limits,
        guests: config.guests,
        keys: Arc::new(SocketKeys::new(epoch)),
        origins: config.allowed_origins.clone().into(),
    };
    Ok((ports, subscriber))
}

fn router(
    settings: &Settings,
    ports: Ports,
    connections: &Arc<Connections>,
    shutdown: &Shutdown,
) -> Router {
    let enabled = &settings.config.protocols;
    let mount = Mount {
        legs: legs(enabled).into(),
        ports: ports.clone(),
        connections: Arc::clone(connections),
        shutdown: shutdown.clone(),
    };
    let mut router = Router::new();
    if enabled.iter().any(|name| name == "conversations") {
        router = router.merge(conversations::socket::router(ports));
    }
    router
        .merge(sockets::own_path("/ws", &mount, messenger::plain_router(mount.ports.clone())))
        .layer(sockets::layer(&mount))
        .layer(middleware::from_fn(sockets::eio3::frame_in_binary))
        .layer(middleware::from_fn_with_state(Arc::clone(connections), server::note_upgrade))
}
