//! What the product tells of itself: traces, log lines, metrics.

mod collector;
mod logs;
mod metrics;
mod rest;
mod sockets;

use anyhow::{Context, Result};
use harness::{
    Arena, Person, SocketIo,
    collector::{Collector, Sent},
    granted,
};
use serde_json::json;
use tokio::sync::OnceCell;

/// The product, and the collector that all its traces go to.
struct Watched {
    arena: Arena,
    collector: Collector,
}

/// One that all tests of this file share. Log lines are JSON.
async fn watched() -> Result<&'static Watched> {
    static SHARED: OnceCell<Watched> = OnceCell::const_new();
    SHARED
        .get_or_try_init(|| {
            watched_with("telemetry", &[("LOG_FORMAT", "json"), ("TRACE_FROM_CALLERS", "true")])
        })
        .await
}

/// One of a test's own, whose services have more settings.
async fn watched_with(name: &str, settings: &[(&str, &str)]) -> Result<Watched> {
    let collector = Collector::start().await?;
    let mut options = Arena::options(name)?;
    let mut env: Vec<(String, String)> = vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT".into(), collector.endpoint()),
        ("OTEL_TRACES_SAMPLER_ARG".into(), "1".into()),
        ("OTEL_BSP_SCHEDULE_DELAY".into(), "100".into()),
    ];
    env.retain(|(name, _)| settings.iter().all(|(other, _)| other != name));
    env.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    options.api_env.extend(env.clone());
    options.gateway_env.extend(env);
    Ok(Watched { arena: Arena::own(options).await?, collector })
}

/// The spans of one trace.
struct Trace(Vec<Sent>);

impl Trace {
    fn of(spans: &[Sent], trace: &str) -> Self {
        Self(spans.iter().filter(|span| span.trace == trace).cloned().collect())
    }

    /// The trace that begins with a span of this name, once it is complete.
    fn beginning_with(
        spans: &[Sent],
        name: &str,
        is_complete: impl Fn(&Self) -> bool,
    ) -> Option<Self> {
        let first = spans.iter().filter(|span| span.name == name && span.parent.is_empty());
        first.map(|first| Self::of(spans, &first.trace)).find(is_complete)
    }

    fn named(&self, name: &str) -> Vec<&Sent> {
        self.0.iter().filter(|span| span.name == name).collect()
    }

    /// The one span of this name within another one.
    fn within(&self, parent: &Sent, name: &str) -> Result<&Sent> {
        let fits = |span: &&Sent| span.parent == parent.id && span.name == name;
        let mut found = self.0.iter().filter(fits);
        let first = found.next().with_context(|| format!("no {name} within {}", parent.name))?;
        anyhow::ensure!(found.next().is_none(), "two {name} within {}", parent.name);
        Ok(first)
    }

    /// The gateways that delivered it, each once.
    fn gateways(&self) -> Vec<&str> {
        let mut all: Vec<_> = self.named("deliver").iter().map(|span| &*span.instance).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// From the server's side of a post to the deliveries on both gateways, and the commit beside
    /// it. `post` is the span in message-api that stores it.
    fn is_stored_and_delivered(&self, post: &Sent, all: &[Sent]) -> Result<()> {
        anyhow::ensure!(post.service == "message-api", "{post:?}");
        let store = self.within(post, "store")?;
        let publish = self.within(store, "publish")?;
        anyhow::ensure!(publish.time.0 >= store.time.0, "published before it was stored");
        let linked = |span: &&Sent| span.links.contains(&(store.trace.clone(), store.id.clone()));
        let commit = all.iter().find(linked).context("no commit is linked with the post")?;
        assert_eq!((&*commit.name, &*commit.parent), ("commit", ""), "a trace of its own");
        assert!(store.links.contains(&(commit.trace.clone(), commit.id.clone())), "both ways");
        let commits = Self::of(all, &commit.trace);
        assert_eq!(commits.within(commit, "transaction")?.attributes["db.system.name"], "mysql");
        let deliveries = self.named("deliver");
        assert!(deliveries.iter().all(|span| span.parent == publish.id), "{deliveries:?}");
        assert!(deliveries.iter().all(|span| span.service == "socket-gateway"));
        assert_eq!(self.gateways().len(), 2, "both gateways delivered it");
        Ok(())
    }
}

/// Posts, which each time begins a trace with a span of this name, until the bus has brought a post
/// to both gateways: one that subscribed a moment late has it by a repair, without a span. Then
/// checks the trace from its first span to the last: frame, gRPC, commit, publish, delivery on both
/// gateways.
async fn one_trace(
    collector: &Collector,
    name: &str,
    post: impl AsyncFn() -> Result<()>,
) -> Result<Trace> {
    let is_complete = |trace: &Trace| trace.gateways().len() == 2;
    let find = |spans: &[Sent]| {
        let trace = Trace::beginning_with(spans, name, is_complete)?;
        let stored = trace.named("store").first().map(|store| store.id.clone())?;
        // The commit's own trace has come too, and what the gateway waited for.
        let is_linked = |span: &Sent| span.links.iter().any(|(_, id)| *id == stored);
        let commit = spans.iter().find(|span| span.name == "commit" && is_linked(span))?;
        let has_committed = spans.iter().any(|span| span.parent == commit.id);
        (has_committed && trace.named("PostMessages").len() == 2).then_some(trace)
    };
    let trace = collector.finds_after(name, post, find).await?;
    let all = collector.spans();
    let root = trace.named(name)[0];
    assert_eq!((&*root.service, &*root.version), ("socket-gateway", env!("CARGO_PKG_VERSION")));
    let call = trace.within(root, "PostMessages")?;
    assert_eq!(call.instance, root.instance);
    let post = trace.within(call, "PostMessages")?;
    trace.is_stored_and_delivered(post, &all)?;
    assert!(post.time.0 >= root.time.0 && post.time.1 <= root.time.1, "within the event's time");
    Ok(trace)
}

/// Opens a 002 socket of somebody at gateway `n`, and waits until it has been welcomed.
async fn enters_002(arena: &Arena, who: &Person<'_>, n: usize) -> Result<SocketIo> {
    let socket = arena.gateway(n).named(&who.name).token(&who.token).enters().await?;
    socket.hears("storeUsername", |_| true).await?;
    Ok(socket)
}

/// Opens a 002 channel with somebody.
async fn opens(socket: &SocketIo, peer: &Person<'_>) -> Result<()> {
    granted(socket.asks("chatHistory", json!({"user": peer.name})).await?)?;
    socket.hears("chatHistory", |_| true).await.map(drop)
}
