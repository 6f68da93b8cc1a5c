//! What comes in by gRPC goes on with the trace of whoever asks; by REST where that is set.

use std::{future::ready, sync::Mutex};

use anyhow::{Context, Result};
use futures_util::StreamExt;
use harness::collector::Sent;
use journeys::rest::Site;
use prost::Message as _;
use rand::RngExt;
use serde_json::json;
use switchboard_proto::v1::{self, ListRoomsRequest, chat_service_client::ChatServiceClient};
use tonic::{Request, metadata::MetadataValue};

use crate::{Trace, Watched, watched, watched_with};

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
    let dropped = new_trace();
    let post = async |trace: &str, flag: &str| {
        let context = format!("00-{trace}-00f067aa0ba902b7-{flag}");
        let said = json!({"text": format!("said in {trace}")});
        let ask = site.post(&path).bearer(&alice.token).header("traceparent", context).json(&said);
        assert_eq!(ask.await.status, 200);
    };
    post(&dropped, "00").await;
    let kept = Mutex::new(Vec::new());
    let keep = async || {
        let trace = new_trace();
        post(&trace, "01").await;
        for socket in [&on_1, &on_2] {
            socket.hears("message", |frame| frame.to_string().contains(&trace)).await?;
        }
        kept.lock().expect("not poisoned").push(trace);
        Ok(())
    };
    let find = |spans: &[Sent]| {
        let kept = kept.lock().expect("not poisoned");
        let traces = kept.iter().map(|kept| Trace::of(spans, kept));
        let is_complete = |trace: &Trace| {
            let stored = trace.named("store").first().map(|store| store.id.clone());
            let of = |span: &&Sent| span.links.iter().any(|(_, id)| stored.as_ref() == Some(id));
            let commit = spans.iter().find(of);
            commit.is_some_and(|commit| spans.iter().any(|span| span.parent == commit.id))
                && trace.gateways().len() == 2
                && !trace.named("POST /api/conversations/{id}").is_empty()
        };
        traces.into_iter().find(is_complete)
    };
    let trace = watched.collector.finds_after("post by REST", keep, find).await?;
    let request = trace.named("POST /api/conversations/{id}")[0];
    assert_eq!(request.parent, "00f067aa0ba902b7", "the caller's span");
    assert_eq!(request.attributes["http.response.status_code"], "200");
    trace.is_stored_and_delivered(request, &watched.collector.spans())?;
    // It was posted before, so its spans would have come before.
    assert!(watched.collector.spans().iter().all(|span| span.trace != dropped));
    assert!(!watched.collector.text().contains(&alice.token));
    Ok(())
}

/// Makes a call that goes on with this trace.
async fn calls_by_grpc(watched: &Watched, trace: &str) -> Result<()> {
    let mut client = ChatServiceClient::connect(watched.arena.stack.urls().grpc(1)).await?;
    let mut request = Request::new(ListRoomsRequest { after: String::new(), limit: 1 });
    let token = local_stack::Options::default().service_token;
    let bearer: MetadataValue<_> = format!("Bearer {token}").parse()?;
    request.metadata_mut().insert("authorization", bearer);
    let context = format!("00-{trace}-00f067aa0ba902b7-01");
    request.metadata_mut().insert("traceparent", context.parse()?);
    client.list_rooms(request).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_by_grpc_is_part_of_its_callers_trace() -> Result<()> {
    let watched = watched().await?;
    let trace = new_trace();
    calls_by_grpc(watched, &trace).await?;
    let call = watched
        .collector
        .finds("call by gRPC", |spans| spans.iter().find(|span| span.trace == trace).cloned());
    let call = call.await?;
    assert_eq!((&*call.name, &*call.parent), ("ListRooms", "00f067aa0ba902b7"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_sampled_leaves_no_trace_but_a_service_may_keep_one() -> Result<()> {
    let watched = watched_with("unsampled", &[("OTEL_TRACES_SAMPLER_ARG", "0")]).await?;
    let arena = &watched.arena;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (on_1, on_2) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = &on_1.makes_room(&arena.unique("room")).await?;
    on_1.joins(room).await?;
    on_2.joins(room).await?;
    let (redis, topics) = (redis::Client::open(arena.stack.urls().redis())?, "*:conversation:*");
    let mut bus = redis.get_async_pubsub().await?;
    bus.psubscribe(topics).await?;
    for n in 0..20 {
        on_1.says(room, &format!("line {n}")).await?;
    }
    on_2.reads("line 19").await?;
    let channel = format!(":conversation:{room}");
    let ours = bus.on_message().filter(|event| ready(event.get_channel_name().ends_with(&channel)));
    for event in ours.take(20).collect::<Vec<_>>().await {
        let event = v1::Event::decode(event.get_payload_bytes())?;
        assert_eq!(event.traceparent, "", "nothing of it travels");
        assert!(event.published_us > 0);
    }
    let site = Site::at(arena.stack.urls().api(1));
    let context = format!("00-{}-00f067aa0ba902b7-01", new_trace());
    let asked = site.get("/api/conversations/").bearer(&alice.token).header("traceparent", context);
    assert_eq!(asked.await.status, 200);
    // A stranger's word by REST is not heeded; its span would have come before this one.
    let trace = new_trace();
    calls_by_grpc(&watched, &trace).await?;
    let find = |spans: &[harness::collector::Sent]| (!spans.is_empty()).then_some(());
    watched.collector.finds("trace of a service", find).await?;
    let spans = watched.collector.spans();
    assert!(spans.iter().all(|span| span.trace == trace), "{spans:?}");
    Ok(())
}
