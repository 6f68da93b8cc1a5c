//! Spans go to a collector by OTLP over gRPC: in batches, from a bounded queue, by a thread of
//! their own. What does not fit is dropped; nobody ever waits.
//!
//! Whether a trace is kept was decided where it began (`chat_core::trace`), so every span that is
//! made is sent.

use std::time::Duration;

use chat_core::trace;
use clap::Args;
use opentelemetry::{KeyValue, trace::Tracer};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::{
    Resource,
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider},
};
use rand::RngExt;
use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{Layer, filter::filter_fn, registry::LookupSpan};

use crate::steady::Steady;

/// How long the collector may take to answer.
const ANSWER: Duration = Duration::from_secs(3);

/// Where traces go.
#[derive(Clone, Debug, Args)]
pub struct TraceSettings {
    /// The collector that traces go to, by OTLP over gRPC: `http://host:4317` or `https://…`
    /// [default: no traces]
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = endpoint)]
    pub otel_exporter_otlp_endpoint: Option<String>,

    /// The share of the traces that begin here that is kept, 0 to 1; one that another
    /// service keeps is always kept
    #[arg(long, env = "OTEL_TRACES_SAMPLER_ARG", default_value_t = 0.01, value_parser = share)]
    pub otel_traces_sampler_arg: f64,
}

fn endpoint(given: &str) -> Result<String, String> {
    let wrong = || format!("\"{given}\" is not like http://host:4317");
    let rest = given.strip_prefix("http://").or_else(|| given.strip_prefix("https://"));
    let host = rest.ok_or_else(wrong)?.trim_end_matches('/');
    let is_host = !host.is_empty() && !host.contains(['/', '?', '#', ' ']);
    if is_host { Ok(given.to_owned()) } else { Err(wrong()) }
}

fn share(given: &str) -> Result<f64, String> {
    let share = given.parse().ok().filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "must be a number between 0 and 1".to_owned())
}

/// The way to the collector, if there is one.
#[derive(Debug)]
pub struct Traces(Option<SdkTracerProvider>);

impl Traces {
    /// Needs a runtime. Whether the collector is there is seen later.
    pub(crate) fn start(
        settings: &TraceSettings,
        service: &'static str,
        version: &'static str,
    ) -> Result<Self, String> {
        let Some(endpoint) = &settings.otel_exporter_otlp_endpoint else { return Ok(Self(None)) };
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(ANSWER)
            .build()
            .map_err(|cause| format!("OTEL_EXPORTER_OTLP_ENDPOINT: {cause}"))?;
        let resource = Resource::builder()
            .with_service_name(service)
            .with_attribute(KeyValue::new("service.version", version))
            .with_attribute(KeyValue::new("service.instance.id", instance()))
            .build();
        let batches = BatchSpanProcessor::builder(Steady::new(exporter))
            .with_batch_config(BatchConfigBuilder::default().build())
            .build();
        let provider = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource)
            .with_span_processor(batches)
            .build();
        trace::keep(settings.otel_traces_sampler_arg);
        Ok(Self(Some(provider)))
    }

    pub(crate) const fn provider(&self) -> Option<&SdkTracerProvider> {
        self.0.as_ref()
    }

    /// Sends what still waits, `patience` at most.
    pub async fn flush(&self, patience: Duration) {
        let Some(provider) = self.0.clone() else { return };
        let flushing =
            tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(patience));
        match tokio::time::timeout(patience, flushing).await {
            Ok(Ok(Ok(()))) => {}
            _ => tracing::warn!("the last traces could not be sent"),
        }
    }
}

/// Makes spans of ours into OpenTelemetry's. Log lines don't go there.
pub(crate) fn layer<S, T>(tracer: T) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    T: Tracer + Send + Sync + 'static,
    T::Span: Send + Sync,
{
    let ours = filter_fn(|metadata| metadata.is_span() && metadata.target() == trace::TARGET);
    tracing_opentelemetry::layer()
        .with_tracer(tracer)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_tracked_inactivity(false)
        .with_filter(ours.with_max_level_hint(LevelFilter::INFO))
}

/// The host (in Kubernetes the pod) and a number, since a container may start there again.
fn instance() -> String {
    let host = rustix::system::uname();
    format!("{}-{:08x}", host.nodename().to_string_lossy(), rand::rng().random::<u32>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_make_no_sense_are_refused() {
        assert!(endpoint("http://collector:4317").is_ok() && endpoint("https://c:4317/").is_ok());
        for bad in ["collector:4317", "http://", "ftp://c:1", "http://c:4317/v1/traces", ""] {
            assert!(endpoint(bad).expect_err("refused").contains(bad), "{bad}");
        }
        assert_eq!((share("0"), share("0.01"), share("1")), (Ok(0.0), Ok(0.01), Ok(1.0)));
        for bad in ["-0.1", "1.5", "NaN", "1 %", ""] {
            assert!(share(bad).is_err(), "{bad}");
        }
    }
}
