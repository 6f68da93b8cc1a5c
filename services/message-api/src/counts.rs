//! What message-api counts: the words that `/metrics` shows beside each name.

use chat_core::process::Shutdown;
use telemetry::metrics::{
    self, BuildError,
    Kind::{Counter, Gauge, Histogram},
    Metric, Metrics, SECONDS,
};

/// Buckets of how many posts share a commit.
const POSTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// All of it. No label has more values than the code has names.
#[rustfmt::skip]
pub const TABLE: &[Metric] = &[
    ("switchboard_commit_posts", Histogram(POSTS), &[], "Posts in one commit."),
    ("switchboard_commit_seconds", Histogram(SECONDS), &[], "How long a commit of posts takes."),
    ("switchboard_grpc_call_seconds", Histogram(SECONDS), &["method"], "How long a call takes; of `PostMessages`, each run of posts on a stream."),
    ("switchboard_grpc_calls_total", Counter, &["service", "method", "code"], "Calls by gRPC, by whose token was shown."),
    ("switchboard_http_request_seconds", Histogram(SECONDS), &["method", "route"], "How long a request to REST takes."),
    ("switchboard_http_requests_total", Counter, &["status"], "Requests to REST."),
    ("switchboard_issuer_keys_stale", Gauge, &["issuer"], "1 while the keys of an issuer of ISSUERS_FILE can't be fetched."),
    ("switchboard_jwt_secrets_stale", Gauge, &[], "1 while JWT_SECRET_FILE can't be read or makes no sense."),
    ("switchboard_limited_total", Counter, &["what"], "Refused since there were too many: connections (`connections`), log-ins (`address`, `password`), registrations (`registrations`), new rooms (`rooms`), hashing (`hashing`), requests to REST by class (`messages`, `queries`), tokens of services for `/status.json` (`token`). `account`: tries narrowed for strangers since an account is being guessed at."),
    ("switchboard_media_removed_total", Counter, &[], "Files removed: no message names them any more, or their upload was cut off."),
    ("switchboard_media_stored_total", Counter, &[], "Uploads stored."),
    ("switchboard_mysql_connections", Gauge, &[], "Connections to MySQL."),
    ("switchboard_mysql_connections_idle", Gauge, &[], "Connections to MySQL that nobody uses."),
    ("switchboard_pool_wait_seconds", Histogram(SECONDS), &["pool"], "How long a connection is waited for; the pools are those of `mysql` and `redis`."),
    ("switchboard_posts_refused_total", Counter, &[], "Posts refused because too many waited."),
    ("switchboard_posts_total", Counter, &[], "Posts stored."),
    ("switchboard_publications_lost_total", Counter, &[], "Events that Redis did not get; gateways repair them."),
    ("switchboard_publications_total", Counter, &[], "Events published."),
    ("switchboard_publications_waiting", Gauge, &[], "Events that wait to be published."),
    ("switchboard_publications_waiting_bytes", Gauge, &[], "About how many bytes these take."),
    ("switchboard_publisher_up", Gauge, &["lane"], "1 while Redis takes events; on Redis Cluster for each lane."),
    ("switchboard_redis_connections", Gauge, &[], "Connections to Redis for sessions."),
    ("switchboard_redis_connections_idle", Gauge, &[], "Connections to Redis for sessions that nobody uses."),
    ("switchboard_refusals_total", Counter, &["code"], "Calls and posts refused over gRPC."),
    ("switchboard_requests_under_way", Gauge, &[], "Requests, calls and runs of posts under way."),
    ("switchboard_runs_waiting", Gauge, &["lane"], "Runs of posts that wait for the next commit."),
    ("switchboard_service_tokens_stale", Gauge, &["setting"], "1 while a file of service tokens can't be read or makes no sense."),
    ("switchboard_transactions_repeated_total", Counter, &[], "Transactions tried again since another was in the way."),
    ("switchboard_watched_changes_total", Counter, &[], "Changes told to services that watch."),
    ("switchboard_watches", Gauge, &["service"], "Watches that services keep open."),
];

/// Begins to count.
pub fn start(tasks: &Shutdown) -> Result<Metrics, BuildError> {
    metrics::start(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), TABLE, tasks)
}
