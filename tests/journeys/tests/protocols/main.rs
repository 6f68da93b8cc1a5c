//! The list of enabled protocols can be narrowed: what belongs to the others is refused clearly,
//! and nothing of theirs is pushed.

use anyhow::Result;
use harness::{Arena, PlainSocket, Refused, SocketIo};
use serde_json::{Value, json};

/// A product that serves only these.
async fn serving(protocols: &str) -> Result<Arena> {
    let mut options = Arena::options("narrowed")?;
    for settings in [&mut options.api_env, &mut options.gateway_env] {
        settings.push(("PROTOCOLS".to_owned(), protocols.to_owned()));
    }
    Arena::own(options).await
}

/// Refused as an event of no enabled protocol, with an acknowledgement and without.
async fn knows_no(socket: &SocketIo, event: &str, payload: Value) -> Result<()> {
    let ack = socket.asks(event, payload.clone()).await?;
    let sentence = "no enabled protocol has such an event";
    assert_eq!(ack, json!({"success": false, "code": "unknown_event", "error": sentence}));
    socket.emit(event, payload);
    let told = socket.hears("error", |error| error["event"] == event).await?;
    assert_eq!(told, json!({"event": event, "code": "unknown_event", "error": sentence}));
    Ok(())
}

/// Is there no such route at message-api?
async fn is_no_route(arena: &Arena, method: &str, path: &str) -> Result<()> {
    let http = arena.visitor()?;
    let answer = http.send(http.request(method.parse()?, path)?.json(&json!({}))).await?;
    assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text);
    Ok(())
}

fn status(refused: &Refused) -> u16 {
    match refused {
        Refused::Http { status, .. } => *status,
        other => panic!("not refused by HTTP: {other}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_004_alone_the_others_have_neither_events_nor_routes_nor_pushes() -> Result<()> {
    let arena = serving("chatto").await?;
    let alice = arena.newcomer("alice").await?;
    let socket = alice.enters(1).await?;
    socket.joins("lobby").await?;

    knows_no(&socket, "send:message", json!({"author": alice.name, "content": "hi"})).await?;
    knows_no(&socket, "chatHistory", json!({"user": "bob"})).await?;
    knows_no(&socket, "chatMessage", json!("hi")).await?;
    knows_no(&socket, "typing", json!(null)).await?;
    knows_no(&socket, "doneTyping", json!(null)).await?;
    knows_no(&socket, "fetch-users", json!({})).await?;

    for (method, path) in [
        ("GET", "/api/v1/messages"),
        ("POST", "/api/v1/messages"),
        ("POST", "/auth/register"),
        ("GET", "/api/conversations"),
        ("POST", "/register"),
        ("POST", "/login"),
        ("GET", "/"),
        ("GET", "/io"),
        ("POST", "/api/auth/register"),
        ("POST", "/api/upload/files"),
    ] {
        is_no_route(&arena, method, path).await?;
    }
    let page = arena.visitor()?.get("/").await?;
    let missing = "PROTOCOLS leaves out conversations, one-to-one, messenger.";
    assert!(page.text.contains(missing), "{}", page.text);
    for path in ["/ws/conversations/lobby", "/ws"] {
        let url = format!("{}{path}?token={}", arena.stack.urls().gateway(1), alice.token);
        let refused = PlainSocket::open("alice", &url, &[]).await.expect_err("no such path");
        assert_eq!(status(&refused), 404, "{path}");
    }
    for namespace in ["/tinychat", "/one-to-one"] {
        let knock = arena.gateway(1).namespace(namespace).token(&alice.token);
        let refused = knock.enters().await.expect_err("no such namespace");
        assert!(matches!(refused, Refused::ConnectError(_)), "{namespace}: {refused}");
    }

    // 004 goes on, and only it was heard of.
    arena.gateway(2).namespace("/chatto").token(&alice.token).enters().await?;
    let bob = arena.newcomer("bob").await?;
    let other = bob.enters(2).await?;
    other.joins("lobby").await?;
    other.says("lobby", "hello").await?;
    socket.reads("hello").await?;
    for event in ["broadcast:message", "storeUsername", "updateUsers"] {
        assert_eq!(socket.all(event), Vec::<Value>::new(), "{event}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_004_its_events_are_refused_and_the_others_go_on() -> Result<()> {
    let arena = serving("tinychat,conversations").await?;
    let here = arena.gateway(1).enters().await?;
    let there = arena.gateway(2).enters().await?;

    knows_no(&here, "join room", json!({"roomId": "lobby", "user": "alice"})).await?;
    knows_no(&here, "chat message", json!({"roomId": "lobby", "text": "hi"})).await?;
    knows_no(&here, "create room", json!({"name": "Sports"})).await?;
    knows_no(&here, "typing", json!({"roomId": "lobby"})).await?;
    is_no_route(&arena, "POST", "/api/register").await?;
    is_no_route(&arena, "GET", "/api/rooms").await?;
    let refused = arena.gateway(1).namespace("/chatto").enters().await;
    assert!(matches!(refused, Err(Refused::ConnectError(_))), "{refused:?}");

    let line = json!({"author": "alice", "content": "hi", "timestamp": 1});
    here.emit("send:message", line.clone());
    assert_eq!(there.hears("broadcast:message", |_| true).await?, line);
    arena.visitor()?.register("bob").await?.expect(200)?;
    Ok(())
}
