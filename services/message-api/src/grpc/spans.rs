//! The spans of what comes in by gRPC: of each call, and of each run of posts on a stream.

use axum::http::Request;
use chat_core::{kept_span, root_span};
use switchboard_proto::v1;
use telemetry::context::{self, TRACEPARENT};
use tracing::Span;

/// What calls of the product's own service begin with.
const SERVICE: &str = "/switchboard.v1.ChatService/";

/// The span of a call. A stream of posts has none, since it outlives all traces: each of its posts
/// says where it belongs.
pub(super) fn of_call<B>(request: &Request<B>) -> Span {
    let method = match request.uri().path().strip_prefix(SERVICE) {
        None | Some("PostMessages") => return Span::none(),
        Some(method) => method,
    };
    let context = request.headers().get(TRACEPARENT).and_then(|value| value.to_str().ok());
    context::follow_or_begin(
        context.unwrap_or_default(),
        || {
            kept_span!(
                parent: None, "call", otel.kind = "server", otel.name = method,
                rpc.system = "grpc", rpc.method = method
            )
        },
        || {
            root_span!(
                "call",
                otel.kind = "server",
                otel.name = method,
                rpc.system = "grpc",
                rpc.method = method
            )
        },
    )
}

/// The span of posts that follow one another on a stream.
pub(super) fn of_run(run: &[v1::PostMessageRequest]) -> Span {
    let context = run.first().map_or("", |post| &post.traceparent);
    context::follow(context, || {
        kept_span!(
            parent: None, "PostMessages", otel.kind = "server", rpc.system = "grpc",
            switchboard.posts = run.len()
        )
    })
}
