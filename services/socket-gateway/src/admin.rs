//! Health, readiness, metrics: a port of its own.

use std::sync::Arc;

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use chat_core::process::Shutdown;
use serde_json::json;
use status_board::{Condition, State as Expect};
use telemetry::metrics::Metrics;

use crate::{chat_client::ChatClient, connections::Connections, subscriber::Subscriber};

/// What readiness depends on. Liveness depends on nothing: sockets outlive Redis and message-api.
#[derive(Clone)]
pub struct Health {
    /// The connection to Redis.
    pub subscriber: Arc<Subscriber>,
    /// The way to message-api.
    pub chat: Arc<ChatClient>,
    /// Has a stop begun?
    pub shutdown: Shutdown,
    /// Whose bytes wait.
    pub connections: Arc<Connections>,
    /// The metrics.
    pub metrics: Metrics,
}

impl Health {
    /// How this gateway is, for the status board: as readiness says, and whether message-api
    /// answers, on which readiness does not depend.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let mut lacks = Vec::new();
        let silent = self.subscriber.silent_servers().join(", ");
        if !self.subscriber.hears() {
            lacks.push(format!("redis: not heard: {silent}"));
        } else if !self.subscriber.is_repaired() {
            lacks.push("redis: what was missed is not made good yet".to_owned());
        }
        let state = match lacks.is_empty() {
            _ if self.shutdown.is_begun() => Expect::Draining,
            true => Expect::Ready,
            false => Expect::Unready,
        };
        let (known, serving) = self.chat.replicas();
        if serving == 0 {
            lacks.push(format!("message-api: none of {known} replicas answers"));
        }
        Condition { state, lacks }
    }
}

/// `/healthz`, `/readyz`, `/metrics`.
pub fn router(health: Health) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(health)
}

#[expect(clippy::cast_precision_loss, reason = "far less than 2^52")]
async fn metrics(State(health): State<Health>) -> String {
    metrics::gauge!("switchboard_bus_probe_age_seconds").set(health.subscriber.silent_for());
    let waiting = health.connections.waiting_bytes();
    metrics::gauge!("switchboard_waiting_bytes").set(waiting as f64);
    health.metrics.render()
}

/// One field for each cause: no connection to Redis or silence on it (and of which server), what
/// was missed not yet made good, a stop.
async fn ready(State(health): State<Health>) -> impl IntoResponse {
    let silent = health.subscriber.silent_for();
    let hears_redis = health.subscriber.hears();
    let repaired = health.subscriber.is_repaired();
    let stopping = health.shutdown.is_begun();
    let ready = hears_redis && repaired && !stopping;
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready,
        "hears_redis": hears_redis,
        "silent_redis": health.subscriber.silent_servers(),
        "bus_silent_ms": u64::try_from(silent.as_millis()).unwrap_or(u64::MAX),
        "repaired": repaired,
        "stopping": stopping,
    });
    (status, Json(body))
}
