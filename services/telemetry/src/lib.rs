//! What a service tells of itself: log lines, metrics, traces.
//!
//! | module | what it does |
//! |---|---|
//! | [`logs`] | lines on standard error; those within a trace carry its id |
//! | [`metrics`] | Prometheus: what every service counts, and tables of what each counts |
//! | [`traces`] | spans go to a collector by OTLP |
//! | [`context`] | a trace goes on in another process |
//!
//! A crate of its own, so that the model and the dialects, which only make spans
//! ([`chat_core::trace`]), don't carry the exporter along.

pub mod context;
#[cfg(test)]
mod guard;
pub mod logs;
pub mod metrics;
mod steady;
pub mod traces;

use clap::Args;
use opentelemetry::trace::TracerProvider;
use tracing_subscriber::{layer::SubscriberExt, util::SubscriberInitExt};

pub use self::{
    logs::{LogFormat, LogSettings},
    traces::{TraceSettings, Traces},
};

/// The settings that every service shares.
#[derive(Clone, Debug, Args)]
pub struct TelemetrySettings {
    /// Logs.
    #[command(flatten)]
    pub logs: LogSettings,

    /// Traces.
    #[command(flatten)]
    pub traces: TraceSettings,
}

/// Starts logs, and traces if there is a collector. Needs a runtime. The error is one sentence that
/// names the setting.
pub fn start(
    settings: &TelemetrySettings,
    service: &'static str,
    version: &'static str,
) -> Result<Traces, String> {
    let traces = Traces::start(&settings.traces, service, version)?;
    let spans = traces.provider().map(|provider| traces::layer(provider.tracer("switchboard")));
    tracing_subscriber::registry()
        .with(spans)
        .with(logs::layer(&settings.logs)?)
        .try_init()
        .map_err(|cause| format!("logs: {cause}"))?;
    Ok(traces)
}
