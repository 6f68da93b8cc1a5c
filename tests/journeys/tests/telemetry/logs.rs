//! Log lines within a trace carry its id.

use anyhow::{Context, Result};
use harness::SocketIo;
use serde_json::{Value, json};

use crate::{Trace, watched, watched_with};

/// The first line of a part that fits, as its fields.
fn line(lines: &[String], fits: impl Fn(&Value) -> bool) -> Option<Value> {
    lines.iter().filter_map(|line| serde_json::from_str(line).ok()).find(fits)
}

async fn is_refused(socket: &SocketIo) -> Result<()> {
    let wrong = json!({"roomId": "no-such-room", "user": "nobody-here", "text": "hi"});
    let ack = socket.asks("chat message", wrong).await?;
    anyhow::ensure!(ack["success"] == false, "{ack}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn json_lines_carry_the_ids_of_the_trace_that_the_collector_gets() -> Result<()> {
    let watched = watched().await?;
    let arena = &watched.arena;
    let alice = arena.newcomer("alice").await?;
    is_refused(&*alice.enters(1).await?).await?;
    // A refusal by REST too.
    arena.visitor()?.get("/api/conversations/").await?.expect(401)?;
    let refused = watched.collector.finds("refused event", |spans| {
        let refused = |trace: &Trace| {
            trace.0.iter().any(|span| span.attributes.contains_key("switchboard.refusal"))
        };
        Trace::beginning_with(spans, "chatto chat message", refused)
    });
    let refused = refused.await?;
    let request = watched.collector.finds("refused request", |spans| {
        spans
            .iter()
            .find(|span| {
                span.attributes.get("http.response.status_code").is_some_and(|code| code == "401")
            })
            .cloned()
    });
    let request = request.await?;

    let lines = arena.stack.gateway(1).log_lines();
    let told = line(&lines, |line| {
        line["trace_id"] == refused.0[0].trace.as_str() && line["message"] == "refused an event"
    });
    let told = told.with_context(|| format!("no line of the trace in {lines:#?}"))?;
    let root = refused.named("chatto chat message")[0];
    assert_eq!(told["span_id"], root.id.as_str());
    assert_eq!((&told["level"], &told["event"]), (&json!("INFO"), &json!("chat message")));

    let lines = arena.stack.api(1).log_lines();
    let told = line(&lines, |line| line["span_id"] == request.id.as_str());
    let told = told.with_context(|| format!("no line of the request in {lines:#?}"))?;
    assert_eq!(told["message"], "request refused");
    assert_eq!(told["trace_id"], request.trace.as_str());
    let outside = line(&lines, |line| line["message"] == "HTTP_ADDR").context("what was bound")?;
    assert_eq!(outside.get("trace_id"), None, "what is in no trace carries none");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_for_people_carry_them_too_and_traces_don_t_depend_on_what_is_logged() -> Result<()> {
    let watched = watched_with("text-logs", &[("LOG", "warn,socket_gateway=info")]).await?;
    let alice = watched.arena.newcomer("alice").await?;
    is_refused(&*alice.enters(1).await?).await?;
    let complete = |trace: &Trace| !trace.0.is_empty();
    let find = |spans: &[_]| Trace::beginning_with(spans, "chatto chat message", complete);
    let trace = watched.collector.finds("refused event", find).await?;
    let ids = format!(" trace_id={} span_id={}", trace.0[0].trace, trace.0[0].id);
    let lines = watched.arena.stack.gateway(1).log_lines();
    let told = lines.iter().find(|line| line.contains("refused an event") && line.ends_with(&ids));
    anyhow::ensure!(told.is_some(), "no line ends with{ids} in {lines:#?}");
    // message-api logs warnings only, and its requests are traced.
    let request = |spans: &[harness::collector::Sent]| {
        spans.iter().any(|span| span.service == "message-api").then_some(())
    };
    watched.collector.finds("span of message-api", request).await
}
