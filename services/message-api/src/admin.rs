//! Health, readiness and metrics, on a port of their own.
//!
//! Healthy means that the process answers; it never depends on MySQL or Redis. Ready means that
//! requests should come here: the database is up to date and answers (a single late answer does
//! not count), and no shutdown has begun.
//! Redis is reported, but without it posting and reading still work.

use std::{sync::Arc, time::Duration};

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde::Serialize;
use status_board::{Condition, State as Expect};
use telemetry::metrics::Metrics;
use tokio::{sync::watch, time::timeout};

use crate::{sessions::Sessions, store::Store};

/// How often MySQL and Redis are asked.
const EVERY: Duration = Duration::from_secs(1);
/// How long they may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

const LATE: &str = "no answer in time";

/// Where in its life the process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting for the database.
    Starting,
    /// At work.
    Serving,
    /// Told to stop.
    Stopping,
}

/// What `/readyz` answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    ready: bool,
    phase: Phase,
    /// `ok`, or why not.
    mysql: String,
    /// `ok`, or why not; does not decide.
    redis: String,
}

/// What is known of the process's health. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    board: Arc<watch::Sender<Report>>,
    seen: watch::Receiver<Report>,
}

impl Default for Health {
    fn default() -> Self {
        let unknown = || "not asked yet".to_owned();
        let (board, seen) = watch::channel(Report {
            ready: false,
            phase: Phase::Starting,
            mysql: unknown(),
            redis: unknown(),
        });
        Self { board: Arc::new(board), seen }
    }
}

impl Health {
    /// Should requests come here?
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.board.borrow().ready
    }

    /// Waits until something is known that this clone has not waited for before.
    pub async fn changed(&mut self) {
        // The board lives as long as this does.
        let _ = self.seen.changed().await;
    }

    /// Enters the next phase.
    pub fn enter(&self, phase: Phase) {
        self.update(|report| report.phase = phase);
    }

    fn update(&self, change: impl FnOnce(&mut Report)) {
        self.board.send_if_modified(|report| {
            let before = report.clone();
            change(report);
            report.ready = report.phase == Phase::Serving && report.mysql == "ok";
            *report != before
        });
    }

    /// Notes what MySQL's state is.
    pub fn mysql(&self, outcome: Result<(), String>) {
        self.update(|report| report.mysql = outcome.err().unwrap_or_else(|| "ok".into()));
    }

    /// The same, for the status board.
    #[must_use]
    pub fn condition(&self) -> Condition {
        let report = self.board.borrow();
        let state = match report.phase {
            Phase::Stopping => Expect::Draining,
            Phase::Serving if report.ready => Expect::Ready,
            Phase::Serving | Phase::Starting => Expect::Unready,
        };
        let answers = [("mysql", &report.mysql), ("redis", &report.redis)];
        let lacks = answers.into_iter().filter(|(_, answer)| *answer != "ok");
        Condition { state, lacks: lacks.map(|(who, why)| format!("{who}: {why}")).collect() }
    }

    /// Asks MySQL and Redis again and again.
    pub async fn watch(self, store: Store, sessions: Sessions) {
        let mut late = false;
        loop {
            let mysql = timeout(PATIENCE, store.ping());
            let redis = timeout(PATIENCE, sessions.ping());
            let (mysql, redis) = tokio::join!(mysql, redis);
            // Once may be chance.
            let was_late = std::mem::replace(&mut late, mysql.is_err());
            match mysql {
                Ok(answer) => self.mysql(answer.map_err(|e| e.to_string())),
                Err(_) if was_late => self.mysql(Err(LATE.to_owned())),
                Err(_) => {}
            }
            let redis = redis.unwrap_or_else(|_| Err(LATE.to_owned()));
            self.update(|report| report.redis = redis.err().unwrap_or_else(|| "ok".into()));
            gauge_connections(&store, &sessions);
            tokio::time::sleep(EVERY).await;
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few connections")]
fn gauge_connections(store: &Store, sessions: &Sessions) {
    let (all, idle) = store.connections();
    metrics::gauge!("switchboard_mysql_connections").set(all);
    metrics::gauge!("switchboard_mysql_connections_idle").set(idle as f64);
    let (all, idle) = sessions.connections();
    metrics::gauge!("switchboard_redis_connections").set(all as f64);
    metrics::gauge!("switchboard_redis_connections_idle").set(idle as f64);
}

/// `/healthz`, `/readyz`, `/metrics`.
pub fn router(health: Health, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .with_state(health)
        .route("/metrics", get(async move || metrics.render()))
}

async fn readiness(State(health): State<Health>) -> impl IntoResponse {
    let report = health.board.borrow().clone();
    let status = if report.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ready_means_serving_with_mysql() {
        let health = Health::default();
        health.enter(Phase::Serving);
        assert!(!health.is_ready());
        health.mysql(Ok(()));
        assert!(health.is_ready());
        health.mysql(Err("gone".into()));
        assert!(!health.is_ready());
        health.mysql(Ok(()));
        health.enter(Phase::Stopping);
        assert!(!health.is_ready());
    }
}
