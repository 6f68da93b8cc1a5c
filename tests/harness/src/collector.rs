//! A collector of traces: takes what the product sends by OTLP, and keeps it for tests.

use std::{
    collections::HashMap,
    fmt::Write as _,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{ResourceSpans, Span, span::SpanKind},
};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    task::JoinHandle,
    time::{Instant, sleep},
};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::TcpIncoming},
};

/// How long spans may take to come.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often something is done in that time until they come.
const TRIES: u32 = 5;

/// A span, and who sent it. Ids are in hexadecimal.
#[derive(Clone, Debug)]
pub struct Sent {
    /// What kind of service.
    pub service: String,
    /// Its version.
    pub version: String,
    /// Which instance of it.
    pub instance: String,
    /// Its name.
    pub name: String,
    /// `Client`, `Server`, …
    pub kind: SpanKind,
    /// Its trace.
    pub trace: String,
    /// Itself.
    pub id: String,
    /// Its parent; empty for the first of a trace.
    pub parent: String,
    /// The spans that it is linked with, as (trace, span).
    pub links: Vec<(String, String)>,
    /// What else it says.
    pub attributes: HashMap<String, String>,
    /// From its beginning to its end, in nanoseconds since 1970.
    pub time: (u64, u64),
}

#[derive(Default)]
struct Kept {
    spans: Vec<Sent>,
    /// All that came, as text.
    text: String,
}

#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Kept>>);

/// A collector that takes everything. It is gone when this is dropped.
pub struct Collector {
    address: SocketAddr,
    shelf: Shelf,
    running: Option<Running>,
}

/// Of its own, so that it dies as a whole.
struct Running {
    runtime: Runtime,
    accepting: JoinHandle<()>,
}

impl Collector {
    /// Listens on a free port.
    pub async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        drop(listener);
        let mut collector = Self { address, shelf: Shelf::default(), running: None };
        collector.again().await?;
        Ok(collector)
    }

    /// What the product calls `OTEL_EXPORTER_OTLP_ENDPOINT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Dies: its port is closed, its connections break.
    pub async fn dies(&mut self) {
        if let Some(Running { runtime, accepting }) = self.running.take() {
            accepting.abort();
            // What it was aborted for, and not more.
            let _ = accepting.await;
            runtime.shutdown_background();
        }
    }

    /// Comes back where it was, with what it had.
    pub async fn again(&mut self) -> Result<()> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (address, service) = (self.address, TraceServiceServer::new(self.shelf.clone()));
        let (listens, listening) = tokio::sync::oneshot::channel();
        let accepting = runtime.spawn(async move {
            let incoming = TcpIncoming::bind(address);
            let _ = listens.send(incoming.as_ref().map(drop).map_err(ToString::to_string));
            if let Ok(incoming) = incoming {
                // Ends with its runtime.
                let _ = Server::builder().add_service(service).serve_with_incoming(incoming).await;
            }
        });
        self.running = Some(Running { runtime, accepting });
        match listening.await? {
            Ok(()) => Ok(()),
            Err(cause) => bail!("the collector can't listen on {address}: {cause}"),
        }
    }

    /// All spans that came so far.
    #[must_use]
    pub fn spans(&self) -> Vec<Sent> {
        self.shelf.kept().spans.clone()
    }

    /// All that came so far, as text.
    #[must_use]
    pub fn text(&self) -> String {
        self.shelf.kept().text.clone()
    }

    /// Waits until `find` finds what it looks for among the spans.
    pub async fn finds<T>(&self, what: &str, find: impl Fn(&[Sent]) -> Option<T>) -> Result<T> {
        self.look(PATIENCE, &find).await.with_context(|| self.lacks(what))
    }

    /// The same, after `act`, which is done again now and then as long as nothing is found.
    pub async fn finds_after<T>(
        &self,
        what: &str,
        act: impl AsyncFn() -> Result<()>,
        find: impl Fn(&[Sent]) -> Option<T>,
    ) -> Result<T> {
        for _ in 0..TRIES {
            act().await?;
            if let Some(found) = self.look(PATIENCE / TRIES, &find).await {
                return Ok(found);
            }
        }
        bail!(self.lacks(what))
    }

    async fn look<T>(&self, patience: Duration, find: &impl Fn(&[Sent]) -> Option<T>) -> Option<T> {
        let until = Instant::now() + patience;
        loop {
            let found = find(&self.spans());
            if found.is_some() || Instant::now() > until {
                return found;
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    fn lacks(&self, what: &str) -> String {
        let spans = self.spans();
        let mut all = format!("no {what} among {} spans:\n", spans.len());
        for Sent { service, name, trace, id, parent, .. } in &spans {
            let _ = writeln!(all, "{trace} {parent:>16} > {id} {service} {name}");
        }
        all
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        if let Some(Running { runtime, .. }) = self.running.take() {
            runtime.shutdown_background();
        }
    }
}

impl Shelf {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl TraceService for Shelf {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let request = request.into_inner();
        let text = format!("{request:?}\n");
        let spans = request.resource_spans.into_iter().map(sent).collect::<Result<Vec<_>>>();
        let spans = spans.map_err(|cause| Status::invalid_argument(format!("{cause:#}")))?;
        let mut kept = self.kept();
        kept.text.push_str(&text);
        kept.spans.extend(spans.into_iter().flatten());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// The spans of one service.
fn sent(from: ResourceSpans) -> Result<Vec<Sent>> {
    let resource = words(from.resource.context("spans without a resource")?.attributes);
    let says = |key: &str| resource.get(key).cloned().with_context(|| format!("no {key}"));
    let (service, version) = (says("service.name")?, says("service.version")?);
    let instance = says("service.instance.id")?;
    let of_span = |span: Span| Sent {
        service: service.clone(),
        version: version.clone(),
        instance: instance.clone(),
        kind: span.kind(),
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
        time: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: words(span.attributes),
        name: span.name,
    };
    let scopes = from.scope_spans.into_iter();
    Ok(scopes.flat_map(|scope| scope.spans).map(of_span).collect())
}

fn words(attributes: Vec<KeyValue>) -> HashMap<String, String> {
    let word = |KeyValue { key, value, .. }: KeyValue| {
        let word = match value.and_then(|AnyValue { value }| value) {
            Some(Value::StringValue(text)) => text,
            Some(Value::IntValue(number)) => number.to_string(),
            Some(Value::BoolValue(flag)) => flag.to_string(),
            other => format!("{other:?}"),
        };
        (key, word)
    };
    attributes.into_iter().map(word).collect()
}

fn hex(id: &[u8]) -> String {
    id.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
