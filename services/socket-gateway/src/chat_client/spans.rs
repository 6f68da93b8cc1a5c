//! A call's span goes with it.

use chat_core::trace::is_on;
use telemetry::context::{NOT_KEPT, TRACEPARENT, here, rename};
use tonic::{GrpcMethod, Request, metadata::MetadataValue};
use tracing::{Span, field::Empty};

/// The span of one call to one replica; the call names it.
pub(super) fn call() -> Span {
    chat_core::child_span!(
        "call",
        otel.kind = "client",
        rpc.system = "grpc",
        rpc.service = Empty,
        rpc.method = Empty,
        rpc.grpc.status_code = Empty,
    )
}

/// Names the span that we are in by the request's method, and gives the request its context. One
/// of no trace says so: message-api then begins none in the middle.
pub(super) fn in_span(request: &mut Request<()>) {
    if !is_on() {
        return;
    }
    let traceparent = here();
    if traceparent.is_empty() {
        request.metadata_mut().insert(TRACEPARENT, MetadataValue::from_static(NOT_KEPT));
        return;
    }
    if let Some(method) = request.extensions().get::<GrpcMethod<'static>>() {
        let span = Span::current();
        rename(&span, method.method());
        span.record("rpc.service", method.service()).record("rpc.method", method.method());
    }
    if let Ok(value) = traceparent.parse() {
        request.metadata_mut().insert(TRACEPARENT, value);
    }
}
