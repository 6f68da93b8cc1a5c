//! What `make guard` counts of traces: what one costs that is not kept.

use ::guard::measure;
use chat_core::{child_span, root_span, trace};
use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing_subscriber::layer::SubscriberExt;

use crate::{context, traces};

/// What an event of a client comes to on its way through both services.
fn event() -> String {
    let root = root_span!("event", otel.kind = "server", switchboard.events = 1);
    root.in_scope(|| {
        let spans = [child_span!("call"), child_span!("store"), child_span!("publish")];
        let server = context::follow("", || child_span!("served"));
        spans.iter().chain([&server]).for_each(|span| assert!(span.is_none()));
        context::here()
    })
}

#[test]
#[ignore = "counted by `make guard`"]
fn guard() {
    let provider = SdkTracerProvider::builder().build();
    let layer = traces::layer(provider.tracer("guard"));
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        trace::keep(1.0);
        assert!(!root_span!("event").is_none(), "spans are kept");
        trace::keep(0.0);
        event();
        assert_eq!(measure("traces: an event that is not kept", event), "");
    });
}
