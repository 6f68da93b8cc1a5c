//! Who comes without a session.

use anyhow::Result;
use harness::{Arena, Refused, refused};
use serde_json::json;

#[tokio::test]
async fn in_the_shared_namespace_a_stranger_is_let_in_and_told_unauthorised() -> Result<()> {
    let arena = Arena::shared().await?;
    let stranger = arena.gateway(1).enters().await?;
    for event in ["chatHistory", "chatMessage", "typing", "doneTyping"] {
        let ack = stranger.asks(event, json!({"user": "bob"})).await?;
        assert_eq!(refused(&ack)?, "unauthorised", "{event}");
    }
    stranger.emit("chatMessage", "hi");
    let error = stranger.hears("error", |_| true).await?;
    assert_eq!(error["code"], "unauthorised");
    Ok(())
}

#[tokio::test]
async fn in_002s_own_namespace_a_stranger_is_refused() -> Result<()> {
    let arena = Arena::shared().await?;
    for cookie in ["", "session=dead"] {
        let knock = arena.gateway(2).namespace("/one-to-one").cookie(cookie);
        assert!(matches!(knock.enters().await, Err(Refused::ConnectError(_))), "{cookie}");
    }
    let alice = arena.newcomer("alice").await?;
    let own = arena.gateway(2).namespace("/one-to-one").token(&alice.token).enters().await?;
    own.hears("storeUsername", |welcome| welcome["username"] == *alice.name).await?;
    for event in ["join room", "send:message"] {
        assert_eq!(refused(&own.asks(event, json!({})).await?)?, "unknown_event", "{event}");
    }
    Ok(())
}
