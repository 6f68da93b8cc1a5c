//! Prometheus: a table of what is counted gives each metric its words and its buckets.

use std::time::Duration;

use chat_core::process::Shutdown;
use metrics::{counter, describe_counter, describe_gauge, describe_histogram};
pub use metrics_exporter_prometheus::BuildError;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// It only grows.
    Counter,
    /// It comes and goes.
    Gauge,
    /// How many were at most so large.
    Histogram(&'static [f64]),
}

/// A metric: its name, what it is, its labels, what it means.
pub type Metric = (&'static str, Kind, &'static [&'static str], &'static str);

/// Buckets of what takes from half a millisecond to seconds, in seconds.
pub const SECONDS: &[f64] =
    &[0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// What every service counts.
pub const COMMON: &[Metric] = &[
    ("switchboard_build_info", Kind::Gauge, &["service", "version"], "Always 1: what runs here."),
    ("switchboard_tasks", Kind::Gauge, &[], "Tasks alive."),
    (
        "switchboard_beats_lost_total",
        Kind::Counter,
        &[],
        "Beats for the status page that Redis did not take.",
    ),
    ("switchboard_spans_sent_total", Kind::Counter, &[], "Spans that the collector took."),
    (
        "switchboard_spans_lost_total",
        Kind::Counter,
        &[],
        "Spans in batches that the collector did not take.",
    ),
];

/// Metrics of this process, as Prometheus's own libraries name them.
#[derive(Clone)]
pub struct Metrics {
    recorder: PrometheusHandle,
    process: metrics_process::Collector,
}

/// Begins to count, and keeps the counts small whether or not anybody asks for them.
pub fn start(
    service: &'static str,
    version: &'static str,
    table: &[Metric],
    tasks: &Shutdown,
) -> Result<Metrics, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for (name, kind, _, _) in table.iter().chain(COMMON) {
        if let Kind::Histogram(buckets) = kind {
            builder = builder.set_buckets_for_metric(Matcher::Full((*name).into()), buckets)?;
        }
    }
    let recorder = builder.install_recorder()?;
    for &(name, kind, _, meaning) in table.iter().chain(COMMON) {
        match kind {
            Kind::Counter => describe_counter!(name, meaning),
            Kind::Gauge => describe_gauge!(name, meaning),
            Kind::Histogram(_) => describe_histogram!(name, meaning),
        }
    }
    metrics::gauge!("switchboard_build_info", "service" => service, "version" => version).set(1);
    // Prometheus sees no increase where a series begins.
    for &(name, kind, labels, _) in table.iter().chain(COMMON) {
        if kind == Kind::Counter && labels.is_empty() {
            counter!(name).increment(0);
        }
    }
    let process = metrics_process::Collector::default();
    process.describe();
    let upkeep = recorder.clone();
    tasks.spawn_until_stopped(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(5)).await;
            upkeep.run_upkeep();
        }
    });
    Ok(Metrics { recorder, process })
}

impl Metrics {
    /// All of them, as text.
    #[expect(clippy::cast_precision_loss, reason = "far fewer tasks than 2^52")]
    #[must_use]
    pub fn render(&self) -> String {
        self.process.collect();
        let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
        metrics::gauge!("switchboard_tasks").set(tasks as f64);
        self.recorder.render()
    }
}
