//! `/status.json`: what it tells of replicas that work, die, stop and lose Redis, and whom.

mod figures;
mod outages;
mod tokens;

use std::time::Duration;

use harness::Arena;
use journeys::rest::Site;
use serde_json::Value;
use tokio::time::{Instant, sleep};

/// How long until what is true shows.
const PATIENCE: Duration = Duration::from_secs(15);

/// What message-api 1 of a stack in development tells anybody.
async fn status(arena: &Arena) -> Value {
    let answer = Site::at(arena.stack.urls().api(1)).get("/status.json").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    answer.json
}

/// Asks until it is so, `patience` at most; answers how it is then.
async fn status_turns(
    arena: &Arena,
    patience: Duration,
    is_so: impl Fn(&Value) -> bool,
) -> (Value, Duration) {
    let began = Instant::now();
    loop {
        let now = status(arena).await;
        if is_so(&now) {
            return (now, began.elapsed());
        }
        assert!(began.elapsed() < patience, "it never became so: {now:#}");
        sleep(Duration::from_millis(100)).await;
    }
}

/// How many replicas of a service are in a state, by the sums.
fn count(status: &Value, service: &str, state: &str) -> u64 {
    status["sums"]["replicas"][service][state].as_u64().unwrap_or(0)
}

/// Are two gateways and so many message-apis at work, and nobody else known?
fn is_whole(status: &Value, apis: u64) -> bool {
    let replicas = status["replicas"].as_array().map_or(0, Vec::len);
    count(status, "socket-gateway", "ready") == 2
        && count(status, "message-api", "ready") == apis
        && replicas as u64 == 2 + apis
        && status["redis"] == "ok"
}

/// A number that must be there.
#[track_caller]
fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

/// The replica that listens at this URL.
#[track_caller]
fn replica(status: &Value, url: &str) -> Option<Value> {
    let port = url.rsplit(':').next().expect("a port");
    let end = format!(":{port}");
    let replicas = status["replicas"].as_array().expect("replicas");
    let at = |one: &&Value| one["name"].as_str().is_some_and(|name| name.ends_with(&end));
    replicas.iter().find(at).cloned()
}
