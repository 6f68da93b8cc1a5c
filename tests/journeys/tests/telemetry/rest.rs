//! What comes in by REST or gRPC goes on with the trace of whoever asks.

use anyhow::{Context, Result};
use journeys::rest::Site;
use rand::RngExt;
use serde_json::json;
use switchboard_proto::v1::{ListRoomsRequest, chat_service_client::ChatServiceClient};
use tonic::{Request, metadata::MetadataValue};

use crate::{Trace, watched, watched_with};

/// Makes a conversation over REST; answers its id.
pub(crate) async fn conversation(site: &Site, token: &str, title: &str) -> Result<String> {
    let made = site.post("/api/conversations/").bearer(token).json(&json!({"title": title})).await;
    anyhow::ensure!(made.status == 200, "{made:?}");
    let url = made.text_of("url");
    url.trim_end_matches('/').rsplit('/').next().map(str::to_owned).context("an id")
}

fn new_trace() -> String {
    format!("{:032x}", rand::rng().random::<u128>())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_post_by_rest_is_part_of_its_callers_trace() -> Result<()> {
    let watched = watched().await?;
    let arena = &watched.arena;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let site = Site::at(arena.stack.urls().api(1));
    let room = conversation(&site, &alice.token, &arena.unique("room")).await?;
    let (on_1, on_2) = (alice.watches(1, &room).await?, bob.watches(2, &room).await?);
    let path = format!("/api/conversations/{room}");
    let (kept, dropped) = (new_trace(), new_trace());
    let contexts = [(&dropped, "00"), (&kept, "01")];
    for (trace, flag) in contexts {
        let context = format!("00-{trace}-00f067aa0ba902b7-{flag}");
        let said = json!({"text": format!("said in {trace}")});
        let ask = site.post(&path).bearer(&alice.token).header("traceparent", context).json(&said);
        assert_eq!(ask.await.status, 200);
    }
    for socket in [&on_1, &on_2] {
        socket.hears("message", |frame| frame.to_string().contains(&kept)).await?;
    }
    let trace = watched.collector.finds("post by REST", |spans| {
        let trace = Trace::of(spans, &kept);
        let stored = trace.named("store").first().map(|store| store.id.clone())?;
        let commit = spans.iter().find(|span| span.links.iter().any(|(_, id)| *id == stored))?;
        let is_complete = spans.iter().any(|span| span.parent == commit.id)
            && trace.named("deliver").len() == 2
            && !trace.named("POST /api/conversations/{id}").is_empty();
        is_complete.then_some(trace)
    });
    let trace = trace.await?;
    let request = trace.named("POST /api/conversations/{id}")[0];
    assert_eq!(request.parent, "00f067aa0ba902b7", "the caller's span");
    assert_eq!(request.attributes["http.response.status_code"], "200");
    trace.is_stored_and_delivered(request, &watched.collector.spans())?;
    // It was posted before, so its spans would have come before.
    assert!(watched.collector.spans().iter().all(|span| span.trace != dropped));
    assert!(!watched.collector.text().contains(&alice.token));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_by_grpc_is_part_of_its_callers_trace() -> Result<()> {
    let watched = watched().await?;
    let mut client = ChatServiceClient::connect(watched.arena.stack.urls().grpc(1)).await?;
    let trace = new_trace();
    let mut request = Request::new(ListRoomsRequest { after: String::new(), limit: 1 });
    let token = local_stack::Options::default().service_token;
    let bearer: MetadataValue<_> = format!("Bearer {token}").parse()?;
    request.metadata_mut().insert("authorization", bearer);
    let context = format!("00-{trace}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", context.parse()?);
    client.list_rooms(request).await?;
    let call = watched
        .collector
        .finds("call by gRPC", |spans| spans.iter().find(|span| span.trace == trace).cloned());
    let call = call.await?;
    assert_eq!((&*call.name, &*call.parent), ("ListRooms", "00f067aa0ba902b7"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_leaves_no_trace_but_a_caller_may_keep_one() -> Result<()> {
    let watched = watched_with("unsampled", &[("OTEL_TRACES_SAMPLER_ARG", "0")]).await?;
    let arena = &watched.arena;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (on_1, on_2) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = on_1.creates_room(&arena.unique("room")).await?;
    let room = room["_id"].as_str().context("a room has an id")?;
    on_1.joins(room).await?;
    on_2.joins(room).await?;
    for n in 0..20 {
        on_1.says(room, &format!("line {n}")).await?;
    }
    on_2.reads("line 19").await?;
    let (site, trace) = (Site::at(arena.stack.urls().api(1)), new_trace());
    let context = format!("00-{trace}-00f067aa0ba902b7-01");
    let asked = site.get("/api/conversations/").bearer(&alice.token).header("traceparent", context);
    assert_eq!(asked.await.status, 200);
    // What was before it would have come before it.
    let find = |spans: &[harness::collector::Sent]| (!spans.is_empty()).then_some(());
    watched.collector.finds("trace of a caller", find).await?;
    let spans = watched.collector.spans();
    assert!(spans.iter().all(|span| span.trace == trace), "{spans:?}");
    Ok(())
}
