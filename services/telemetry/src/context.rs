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

#[cfg(test)]
mod tests {
    use chat_core::{child_span, kept_span, root_span, trace};
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    const OTHERS: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_goes_on_where_its_context_says_and_nowhere_else() {
        let provider = SdkTracerProvider::builder().build();
        let layer = crate::traces::layer(provider.tracer("tests"));
        let subscriber = tracing_subscriber::registry().with(layer);
        tracing::subscriber::with_default(subscriber, || {
            assert!(begun(OTHERS).is_none(), "off until spans are kept");
            trace::keep(0.0);
            let make = || kept_span!(parent: None, "made");
            let (trace, parent) = (&OTHERS[3..35], &OTHERS[36..52]);
            let span = follow(OTHERS, make);
            let within = of(&span);
            assert!(within.contains(trace) && !within.contains(parent), "{within}");
            assert_eq!(span.in_scope(here), within);
            assert!(span.in_scope(|| of(&child_span!("child"))).contains(trace));
            for wrong in ["", "00-", "what?", NOT_KEPT, &OTHERS.replace("-01", "-00"), "00-0-0-01"]
            {
                assert!(follow(wrong, make).is_none(), "{wrong}");
            }
            assert_eq!((here(), of(&root_span!("root"))), Default::default());
            let begins = |traceparent| !follow_or_begin(traceparent, make, make).is_none();
            assert!(begins("") && begins("what?") && begins(OTHERS) && !begins(NOT_KEPT));
        });
    }
}
