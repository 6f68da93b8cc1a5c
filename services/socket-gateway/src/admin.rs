//! Health, readiness, metrics: a port of its own.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use chat_core::process::Shutdown;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::{connections::Connections, subscriber::Subscriber};

/// What readiness depends on. Liveness depends on nothing: sockets outlive Redis and message-api.
#[derive(Clone)]
pub struct Health {
    /// The connection to Redis.
    pub subscriber: Arc<Subscriber>,
    /// Has a stop begun?
    pub shutdown: Shutdown,
    /// Whose bytes wait.
    pub connections: Arc<Connections>,
    /// The metrics.
    pub metrics: PrometheusHandle,
}

/// `/healthz`, `/readyz`, `/metrics`.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(measured))
        .with_state(health)
}

#[expect(clippy::cast_precision_loss, reason = "a metric")]
async fn measured(State(health): State<Health>) -> String {
    let waiting = health.connections.waiting_bytes();
    metrics::gauge!("switchboard_waiting_bytes").set(waiting as f64);
    health.metrics.render()
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let hears_redis = health.subscriber.is_connected();
    let stopping = health.shutdown.is_begun();
    let ready = hears_redis && !stopping;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready, "hears_redis": hears_redis, "stopping": stopping})))
}
