//! A trace goes on in another process: its context as the text of W3C's header `traceparent`.

use chat_core::trace::is_on;
use opentelemetry::{
    Context,
    propagation::{Extractor, TextMapPropagator},
    trace::{SpanContext, TraceContextExt},
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The header (HTTP) or metadata key (gRPC) that carries the context.
pub const TRACEPARENT: &str = "traceparent";

/// The context of a trace that nobody keeps: whoever gets it need not draw again.
pub const NOT_KEPT: &str = "00-00000000000000000000000000000001-0000000000000001-00";

/// A span's context, for whoever goes on with its trace; empty where there is no span.
#[must_use]
pub fn of(span: &Span) -> String {
    if span.is_none() {
        return String::new();
    }
    let context = ids(span);
    if context.is_sampled() {
        format!("00-{}-{}-01", context.trace_id(), context.span_id())
    } else {
        String::new()
    }
}

/// The context of the span that we are in.
#[must_use]
pub fn here() -> String {
    if is_on() { of(&Span::current()) } else { String::new() }
}

/// A trace that others began.
#[derive(Debug)]
pub enum Begun {
    /// They keep it: here is where it goes on.
    Kept(Context),
    /// They don't.
    Dropped,
}

/// What a context says; `None` if it says nothing that can be understood.
#[must_use]
pub fn begun(traceparent: &str) -> Option<Begun> {
    if traceparent.is_empty() || !is_on() {
        return None;
    }
    let context = TraceContextPropagator::new().extract(&Header(traceparent));
    let span = context.span().span_context().clone();
    match (span.is_valid(), span.is_sampled()) {
        (true, true) => Some(Begun::Kept(context)),
        (true, false) => Some(Begun::Dropped),
        (false, _) => None,
    }
}

/// Goes on with a trace that others keep: `make` makes a span without a parent. None where they
/// keep none.
pub fn follow(traceparent: &str, make: impl FnOnce() -> Span) -> Span {
    match begun(traceparent) {
        Some(Begun::Kept(context)) => within(context, make()),
        Some(Begun::Dropped) | None => Span::none(),
    }
}

/// The same for what may begin here too: `root` then draws, and makes a span.
pub fn follow_or_begin(
    traceparent: &str,
    make: impl FnOnce() -> Span,
    root: impl FnOnce() -> Span,
) -> Span {
    match begun(traceparent) {
        Some(Begun::Kept(context)) => within(context, make()),
        Some(Begun::Dropped) => Span::none(),
        None => root(),
    }
}

fn within(context: Context, span: Span) -> Span {
    // It fails only for a span that has begun, or that nobody keeps.
    let _ = span.set_parent(context);
    span
}

/// Gives a span that has begun another name.
pub fn rename(span: &Span, name: &str) {
    if !span.is_none() {
        span.context().span().update_name(name.to_owned());
    }
}

/// Tells each of two spans of the other.
pub fn link(one: &Span, other: &Span) {
    if !one.is_none() && !other.is_none() {
        one.add_link(ids(other));
        other.add_link(ids(one));
    }
}

fn ids(span: &Span) -> SpanContext {
    span.context().span().span_context().clone()
}

struct Header<'a>(&'a str);

impl Extractor for Header<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        (key == TRACEPARENT).then_some(self.0)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT]
    }
}
