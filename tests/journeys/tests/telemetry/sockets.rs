//! What a client sends by a socket is one trace, through both services, to both gateways.

use anyhow::Result;
use harness::granted;
use journeys::rest::Site;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::json;

use crate::{Trace, enters_002, one_trace, opens, watched};

/// What must stand in no trace.
const SAID: &str = "a-word-for-bob-alone";

#[tokio::test(flavor = "multi_thread")]
async fn a_message_to_a_room_of_004() -> Result<()> {
    let watched = watched().await?;
    let arena = &watched.arena;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (on_1, on_2) = (alice.enters(1).await?, bob.enters(2).await?);
    let room = &on_1.makes_room(&arena.unique("room")).await?;
    on_1.joins(room).await?;
    on_2.joins(room).await?;
    let post = async || {
        on_1.says(room, SAID).await?;
        on_2.reads(SAID).await.map(drop)
    };
    let trace = one_trace(&watched.collector, "chatto chat message", post).await?;
    let kinds = ["chatto chat message", "publish", "deliver"].map(|name| trace.named(name)[0].kind);
    assert_eq!(kinds, [SpanKind::Server, SpanKind::Producer, SpanKind::Consumer]);
    assert_eq!(trace.named("deliver")[0].attributes["switchboard.topic"], "conversation");

    // Typing does not touch message-api: one gateway tells the others.
    on_1.emit("typing", json!({"roomId": room, "user": alice.name, "isTyping": true}));
    on_2.hears("typing", |_| true).await?;
    let heard = |trace: &Trace| trace.gateways().len() == 2;
    let typing = watched
        .collector
        .finds("typing", |spans| Trace::beginning_with(spans, "chatto typing", heard));
    let typing = typing.await?;
    assert!(typing.0.iter().all(|span| span.service == "socket-gateway"));

    // A call of its own, under its method's name.
    let created = watched.collector.finds("create room", |spans| {
        Trace::beginning_with(spans, "chatto create room", |trace| {
            trace.named("CreateRoom").len() == 2
        })
    });
    let created = created.await?;
    let call = created.within(created.named("chatto create room")[0], "CreateRoom")?;
    assert_eq!((call.kind, &*call.attributes["rpc.method"]), (SpanKind::Client, "CreateRoom"));
    let served = created.within(call, "CreateRoom")?;
    assert_eq!((served.kind, &*served.service), (SpanKind::Server, "message-api"));

    let all = watched.collector.text();
    for secret in [SAID, &alice.token, &bob.token, harness::Person::PASSWORD] {
        assert!(!all.contains(secret), "{secret} stands in a trace");
    }
    let options = local_stack::Options::default();
    for secret in [options.jwt_secret, options.service_token] {
        assert!(!all.contains(&secret), "{secret} stands in a trace");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_direct_of_002() -> Result<()> {
    let watched = watched().await?;
    let arena = &watched.arena;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let on_1 = enters_002(arena, &alice, 1).await?;
    let on_2 = enters_002(arena, &bob, 2).await?;
    opens(&on_1, &bob).await?;
    opens(&on_2, &alice).await?;
    let post = async || {
        granted(on_1.asks("chatMessage", SAID).await?)?;
        on_2.hears("chatMessage", |message| message["msg"] == SAID).await.map(drop)
    };
    one_trace(&watched.collector, "one-to-one chatMessage", post).await?;
    assert!(!watched.collector.text().contains(SAID));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_of_003_goes_by_the_topics_of_its_users() -> Result<()> {
    let watched = watched().await?;
    let arena = &watched.arena;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let (mut sockets, sides) = (Vec::new(), [(&alice, 1), (&bob, 2)]);
    for (who, n) in sides {
        let knock = arena.gateway(n).named(&who.name).path("/ws").namespace("/chat");
        let socket = knock.token(&who.token).enters().await?;
        socket.asks("fetch-users", json!({"limit": 1})).await?;
        sockets.push(socket);
    }
    let post = async || {
        let message = json!({"user": bob.name, "message": SAID});
        let ack = sockets[0].asks("send-message", message).await?;
        assert_eq!(ack["chat"]["message"], SAID);
        sockets[1].hears("chat", |_| true).await.map(drop)
    };
    let trace = one_trace(&watched.collector, "messenger send-message", post).await?;
    let topics =
        trace.named("deliver").into_iter().map(|span| &*span.attributes["switchboard.topic"]);
    assert_eq!(topics.collect::<Vec<_>>(), ["user", "user"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frame_of_001() -> Result<()> {
    let watched = watched().await?;
    let arena = &watched.arena;
    let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
    let site = Site::at(arena.stack.urls().api(1));
    let room = crate::rest::conversation(&site, &alice.token, &arena.unique("room")).await?;
    let (on_1, on_2) = (alice.watches(1, &room).await?, bob.watches(2, &room).await?);
    let post = async || {
        on_1.sends(&json!({"text": SAID}));
        on_2.hears("message", |frame| frame["message"]["text"] == SAID).await.map(drop)
    };
    one_trace(&watched.collector, "conversations post", post).await?;
    Ok(())
}
