//! A collector that counts spans and throws them away. It runs on the generator's core, since a
//! real one runs elsewhere.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use anyhow::{Context, Result, anyhow};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
    trace_service_server::{TraceService, TraceServiceServer},
};
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

use crate::cores;

/// The share of traces that is kept.
const SHARE: &str = "0.01";

#[derive(Clone, Default)]
struct Count(Arc<AtomicU64>);

#[tonic::async_trait]
impl TraceService for Count {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.get_ref().resource_spans.iter();
        let spans = resources.flat_map(|resource| &resource.scope_spans);
        let count: usize = spans.map(|scope| scope.spans.len()).sum();
        self.0.fetch_add(count as u64, Ordering::Relaxed);
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// A running sink. It ends with this.
pub(crate) struct Sink {
    address: SocketAddr,
    count: Count,
    runtime: Option<Runtime>,
}

impl Sink {
    /// Listens on a free port, with a thread of its own on this core.
    pub(crate) fn start(core: usize) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .on_thread_start(move || {
                // Without it the figures would only be worse.
                let _ = cores::pin(core);
            })
            .enable_all()
            .build()?;
        let guard = runtime.enter();
        let incoming = TcpIncoming::bind((Ipv4Addr::LOCALHOST, 0).into());
        let incoming = incoming.map_err(|cause| anyhow!("the sink can't listen: {cause}"))?;
        drop(guard);
        let address = incoming.local_addr().context("the sink's address")?;
        let count = Count::default();
        let service = TraceServiceServer::new(count.clone());
        runtime.spawn(async move {
            // Ends with its runtime.
            let _ = Server::builder().add_service(service).serve_with_incoming(incoming).await;
        });
        Ok(Self { address, count, runtime: Some(runtime) })
    }

    /// The settings with which services send their traces here.
    pub(crate) fn env(&self) -> Vec<(String, String)> {
        vec![
            ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("http://{}", self.address)),
            ("OTEL_TRACES_SAMPLER_ARG".to_owned(), SHARE.to_owned()),
        ]
    }

    /// How many spans came.
    pub(crate) fn spans(&self) -> u64 {
        self.count.0.load(Ordering::Relaxed)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
