//! A collector that is away is told of once, not for each batch.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};

/// An exporter that counts what it sends, and logs when that begins to fail and works again.
#[derive(Debug)]
pub(crate) struct Steady<E> {
    exporter: E,
    is_away: AtomicBool,
}

impl<E> Steady<E> {
    pub(crate) const fn new(exporter: E) -> Self {
        Self { exporter, is_away: AtomicBool::new(false) }
    }

    fn note(&self, outcome: &OTelSdkResult, spans: u64) {
        let was_away = self.is_away.swap(outcome.is_err(), Ordering::Relaxed);
        match outcome {
            Ok(()) => {
                metrics::counter!("switchboard_spans_sent_total").increment(spans);
                if was_away {
                    tracing::info!("the collector takes traces again");
                }
            }
            Err(cause) => {
                metrics::counter!("switchboard_spans_lost_total").increment(spans);
                if !was_away {
                    tracing::warn!(%cause, "the collector does not take traces: they are dropped");
                }
            }
        }
    }
}

impl<E: SpanExporter> SpanExporter for Steady<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len() as u64;
        let outcome = self.exporter.export(batch).await;
        self.note(&outcome, spans);
        // It was told of; the SDK need not do so again.
        outcome
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
