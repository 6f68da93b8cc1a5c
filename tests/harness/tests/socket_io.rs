//! The Socket.IO client against a server that follows a script.

use anyhow::{Context, Result};
use futures_util::{SinkExt, StreamExt};
use harness::{Refused, SocketIo};
use serde_json::json;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_tungstenite::{accept_async, tungstenite::Message};

/// One line of the script.
#[derive(Clone, Copy)]
enum Line {
    Says(&'static str),
    Expects(&'static str),
}
use Line::{Expects, Says};

/// Serves one connection by the script. The task's outcome is what went wrong, if anything.
async fn server(script: &'static [Line]) -> Result<(String, JoinSet<Result<()>>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let mut task = JoinSet::new();
    task.spawn(async move {
        let mut socket = accept_async(listener.accept().await?.0).await?;
        for line in script {
            match line {
                Says(frame) => socket.send(Message::text(*frame)).await?,
                Expects(frame) => {
                    let got = socket.next().await.context("the client is gone")??;
                    anyhow::ensure!(got.to_text()? == *frame, "{got} is not {frame}");
                }
            }
        }
        Ok(())
    });
    Ok((url, task))
}

async fn played_through(mut task: JoinSet<Result<()>>) -> Result<()> {
    task.join_next().await.context("no script")??
}

#[tokio::test]
async fn it_enters_a_namespace_answers_pings_and_hears() -> Result<()> {
    let script = &[
        Says(r#"0{"sid":"e"}"#),
        Expects(r#"40/chat,{"token":"t"}"#),
        Says(r#"40/chat,{"sid":"s"}"#),
        Says("2"),
        Expects("3"),
        Says(r#"42/chat,["news",{"n":1}]"#),
        Expects(r#"42/chat,["read",{"n":1}]"#),
    ];
    let (url, server) = server(script).await?;
    let alice = SocketIo::at(&url).namespace("/chat").token("t").enters().await?;
    assert_eq!(alice.greeting()["sid"], "s");
    let news = alice.hears("news", |news| news["n"] == 1).await?;
    alice.emit("read", news);
    played_through(server).await?;
    alice.sees_the_end().await?;
    Ok(())
}

#[tokio::test]
async fn acknowledgements_find_their_events_in_whatever_order_they_come() -> Result<()> {
    let script = &[
        Says("0{}"),
        Expects("40"),
        Says("40"),
        Expects(r#"420["a",1]"#),
        Expects(r#"421["b"]"#),
        Says(r#"431["second"]"#),
        Says(r#"430["first",2]"#),
    ];
    let (url, server) = server(script).await?;
    let alice = SocketIo::at(&url).enters().await?;
    let first = alice.emit_with_ack("a", json!(1));
    let second = alice.emit_with_ack("b", vec![]);
    assert_eq!(first.answer().await?, json!(["first", 2]));
    assert_eq!(second.answer().await?, "second");
    assert_eq!(alice.acks_in_order(), [1, 0]);
    played_through(server).await
}

#[tokio::test]
async fn a_refusal_comes_with_its_payload() -> Result<()> {
    let script = &[Says("0{}"), Expects("40"), Says(r#"44{"message":"Invalid token"}"#)];
    let (url, server) = server(script).await?;
    let refused = SocketIo::at(&url).enters().await.expect_err("refused");
    assert!(matches!(refused, Refused::ConnectError(why) if why["message"] == "Invalid token"));
    played_through(server).await
}

#[tokio::test]
async fn an_unanswered_event_fails_when_the_connection_ends() -> Result<()> {
    let script = &[Says("0{}"), Expects("40"), Says("40"), Expects(r#"420["a",null]"#)];
    let (url, server) = server(script).await?;
    let alice = SocketIo::at(&url).enters().await?;
    let pending = alice.emit_with_ack("a", json!(null));
    played_through(server).await?;
    let error = pending.answer().await.expect_err("cut").to_string();
    assert!(error.contains("before \"a\" was acknowledged"), "{error}");
    Ok(())
}
