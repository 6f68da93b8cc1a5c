//! The gRPC server: the verbs and reflection behind the services' tokens, health in the open.

use std::sync::Arc;

use axum::middleware::from_fn_with_state;
use chat_core::process::Shutdown;
use rustls::ServerConfig;
use switchboard_proto::{DESCRIPTORS, v1::chat_service_server::ChatServiceServer};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tonic::{server::NamedService, service::Routes};
use tonic_health::{ServingStatus, server::HealthReporter};

use super::{
    Service,
    gate::{self, Gate},
    listen::Listener,
    timing::Timing,
};
use crate::admin::Health;

/// Largest request: 10,000 ids of conversations, or one message of any length we accept.
const REQUEST_MAX: usize = 1 << 20;
/// Largest question of a probe, which needs no token: the name of a service.
const PROBE_MAX: usize = 1 << 10;

/// Serves until shutdown begins and the last call has been answered. Over TLS if that is configured.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    tls: Option<Arc<ServerConfig>>,
    health: Health,
    tasks: Shutdown,
) -> anyhow::Result<()> {
    let tokens = service.tokens.clone();
    let service = ChatServiceServer::new(service).max_decoding_message_size(REQUEST_MAX);
    let (reporter, health_service) = tonic_health::server::health_reporter();
    let health_service = health_service.max_decoding_message_size(PROBE_MAX);
    tasks.spawn_until_stopped(report(reporter.clone(), health));
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            // What refusals carry.
            .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
    };
    let router = Routes::new(service)
        .add_service(health_service)
        .add_service(reflection().build_v1()?)
        // Of the clients in use, many ask this way.
        .add_service(reflection().build_v1alpha()?)
        .into_axum_router()
        .layer(from_fn_with_state(Gate::new(tokens), gate::pass))
        .layer(Timing);
    let leaving = CancellationToken::new();
    let tls = tls.map(TlsAcceptor::from);
    let serving = Listener { router, tls, leaving: leaving.clone(), tasks: tasks.clone() };
    let stopping = async {
        tasks.begun().await;
        // Who watches hears it before the connection ends.
        tell(&reporter, ServingStatus::NotServing).await;
        leaving.cancel();
    };
    tokio::join!(serving.serve(listener), stopping);
    Ok(())
}

/// Tells the health service what readiness says.
async fn report(reporter: HealthReporter, mut health: Health) {
    loop {
        let is_ready = health.is_ready();
        let status = if is_ready { ServingStatus::Serving } else { ServingStatus::NotServing };
        tell(&reporter, status).await;
        health.changed().await;
    }
}

/// Also to those who ask for no service by name, as most probes do.
async fn tell(reporter: &HealthReporter, status: ServingStatus) {
    for service in [ChatServiceServer::<Service>::NAME, ""] {
        reporter.set_service_status(service, status).await;
    }
}
