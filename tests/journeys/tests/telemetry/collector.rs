//! A collector that goes away disturbs nobody; one that is there gets all.

use std::time::Duration;

use anyhow::Result;
use harness::collector::Sent;
use local_stack::Part;
use tokio::{
    net::TcpListener,
    time::{Instant, sleep},
};

use crate::{Trace, watched_with};

/// For so long batches fail one after the other.
const AWAY: Duration = Duration::from_secs(2);

/// Until then all has been noticed.
const NOTICED: Duration = Duration::from_secs(20);

fn has(spans: &[Sent], name: &str) -> Option<()> {
    Trace::beginning_with(spans, name, |_| true).map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_product_goes_on_while_the_collector_is_away_and_says_so_once() -> Result<()> {
    let mut watched = watched_with("collector-dies", &[]).await?;
    let arena = &watched.arena;
    let alice = arena.newcomer("alice").await?;
    let on_1 = alice.enters(1).await?;
    let room = on_1.makes_room(&arena.unique("room")).await?;
    on_1.joins(&room).await?;
    watched.collector.finds("join", |spans| has(spans, "chatto join room")).await?;

    watched.collector.dies().await;
    let arena = &watched.arena;
    let told = |part: &Part, what: &str| {
        part.log_lines().iter().filter(|line| line.contains(what)).count()
    };
    let parts = [arena.stack.gateway(1), arena.stack.api(1)];
    let is_told = || parts.iter().all(|part| told(part, "does not take traces") > 0);
    let (began, mut since) = (Instant::now(), None);
    let mut said = 0;
    // Until both have noticed, and then as long again as many batches take.
    while since.is_none_or(|since: Instant| since.elapsed() < AWAY) {
        anyhow::ensure!(began.elapsed() < NOTICED, "nobody says that the collector is away");
        if since.is_none() && is_told() {
            since = Some(Instant::now());
        }
        said += 1;
        let text = format!("line {said}");
        on_1.says(&room, &text).await?;
        on_1.reads(&text).await?;
        sleep(Duration::from_millis(50)).await;
    }
    for part in parts {
        assert_eq!(told(part, "does not take traces"), 1, "{:#?}", part.log_lines());
    }
    let lost = |text: &str| {
        text.lines().any(|line| {
            line.strip_prefix("switchboard_spans_lost_total ").is_some_and(|count| count != "0")
        })
    };
    let url = format!("{}/metrics", arena.stack.urls().gateway_admin(1));
    assert!(lost(&reqwest::get(url).await?.text().await?), "what was lost is counted");

    watched.collector.again().await?;
    on_1.leaves_room(&room).await?;
    watched.collector.finds("leaving", |spans| has(spans, "chatto leave room")).await?;
    // The collector has them before the gateway knows that it has.
    let gateway = watched.arena.stack.gateway(1);
    let began = Instant::now();
    while told(gateway, "takes traces again") == 0 {
        anyhow::ensure!(began.elapsed() < NOTICED, "nobody says so: {:#?}", gateway.log_lines());
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(told(gateway, "takes traces again"), 1, "{:#?}", gateway.log_lines());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_still_waits_goes_out_when_a_service_stops() -> Result<()> {
    // Nothing goes by itself.
    let watched = watched_with("flush", &[("OTEL_BSP_SCHEDULE_DELAY", "600000")]).await?;
    let arena = &watched.arena;
    let alice = arena.newcomer("alice").await?;
    alice.enters(1).await?.creates_room(&arena.unique("room")).await?;
    assert!(watched.collector.spans().is_empty());
    for part in [arena.stack.gateway(1), arena.stack.api(1)] {
        let status = part.stop().await?;
        assert!(status.success(), "{status}: {:#?}", part.log_lines());
    }
    let spans = watched.collector.spans();
    assert!(has(&spans, "chatto create room").is_some());
    assert!(spans.iter().any(|span| span.service == "message-api" && span.name == "CreateRoom"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_was_never_there_does_not_keep_a_service_from_stopping() -> Result<()> {
    runs_and_stops("no-collector", "http://127.0.0.1:9").await
}

#[tokio::test(flavor = "multi_thread")]
async fn nor_does_one_that_takes_connections_and_says_nothing() -> Result<()> {
    // Nobody accepts; the kernel does.
    let deaf = TcpListener::bind("127.0.0.1:0").await?;
    runs_and_stops("deaf-collector", &format!("http://{}", deaf.local_addr()?)).await
}

async fn runs_and_stops(name: &str, endpoint: &str) -> Result<()> {
    let watched = watched_with(name, &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)]).await?;
    let alice = watched.arena.newcomer("alice").await?.enters(1).await?;
    let began = Instant::now();
    for n in 0..20 {
        alice.creates_room(&watched.arena.unique(&format!("room {n}"))).await?;
    }
    assert!(began.elapsed() < Duration::from_secs(5), "it took {:?}", began.elapsed());
    for part in [watched.arena.stack.gateway(1), watched.arena.stack.api(1)] {
        let began = Instant::now();
        let status = part.stop().await?;
        assert!(status.success(), "{status}: {:#?}", part.log_lines());
        assert!(began.elapsed() < Duration::from_secs(20), "it took {:?}", began.elapsed());
    }
    Ok(())
}
