//! The gRPC server: the service behind its token, health and reflection in the open.

use std::time::Duration;

use chat_core::process::Shutdown;
use switchboard_proto::{DESCRIPTORS, v1::chat_service_server::ChatServiceServer};
use tokio::net::TcpListener;
use tonic::{
    service::interceptor::InterceptedService,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::server::HealthReporter;

use super::{Service, ServiceToken, spans, timing::Timing};
use crate::admin::Health;

/// The longest that a call may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request: 10,000 ids of conversations, or one message of any length we accept.
const REQUEST_MAX: usize = 1 << 20;
/// A peer that does not answer a ping in this time is dead.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// Serves until shutdown begins and the last call has been answered.
pub async fn serve(
    listener: TcpListener,
    service: Service,
    token: ServiceToken,
    health: Health,
    tasks: Shutdown,
) -> anyhow::Result<()> {
    let service = ChatServiceServer::new(service).max_decoding_message_size(REQUEST_MAX);
    let (reporter, health_service) = tonic_health::server::health_reporter();
    tasks.spawn_until_stopped(report(reporter.clone(), health));
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let stopping = tasks.clone();
    Server::builder()
        .trace_fn(spans::of_call)
        .timeout(TIMEOUT)
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE))
        .layer(Timing)
        .add_service(InterceptedService::new(service, token))
        .add_service(health_service)
        .add_service(reflection)
        .serve_with_incoming_shutdown(
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            async move {
                stopping.begun().await;
                reporter.set_not_serving::<ChatServiceServer<Service>>().await;
            },
        )
        .await?;
    Ok(())
}

/// Tells the health service what readiness says.
async fn report(reporter: HealthReporter, mut health: Health) {
    loop {
        if health.is_ready() {
            reporter.set_serving::<ChatServiceServer<Service>>().await;
        } else {
            reporter.set_not_serving::<ChatServiceServer<Service>>().await;
        }
        health.changed().await;
    }
}
