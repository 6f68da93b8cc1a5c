//! Health, readiness, metrics: a port of its own.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use chat_core::process::Shutdown;
use metrics_exporter_prometheus::PrometheusHandle;
use serde_json::json;

use crate::subscriber::Subscriber;

/// What readiness depends on. Liveness depends on nothing: sockets outlive Redis and message-api.
#[derive(Clone)]
pub struct Health {
    /// The connection to Redis.
    pub subscriber: Arc<Subscriber>,
    /// Has a stop begun?
    pub shutdown: Shutdown,
    /// The metrics.
    pub metrics: PrometheusHandle,
}

/// `/healthz`, `/readyz`, `/metrics`.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

#[expect(clippy::cast_precision_loss, reason = "far fewer tasks than 2^52")]
async fn metrics(State(health): State<Health>) -> String {
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    metrics::gauge!("switchboard_tasks").set(tasks as f64);
    health.metrics.render()
}

async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let hears_redis = health.subscriber.is_connected();
    let stopping = health.shutdown.is_begun();
    let ready = hears_redis && !stopping;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({"ready": ready, "hears_redis": hears_redis, "stopping": stopping})))
}
