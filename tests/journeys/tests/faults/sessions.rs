//! Ending a session reaches its sockets, wherever they are.

use anyhow::{Context, Result};
use harness::Arena;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn logging_out_closes_the_sessions_sockets_on_every_gateway_and_no_others() -> Result<()> {
    let arena = Arena::shared().await?;
    let browser = arena.visitor()?;
    let account = json!({"username": arena.unique("alice"), "password": "open sesame"});
    let answer = browser.post_json("/register", &account).await?.expect(200)?;
    let token = answer["token"].as_str().context("a token")?.to_owned();
    let other = arena.visitor()?.post_json("/login", &account).await?.expect(200)?;
    let other = other["token"].as_str().context("a token")?.to_owned();

    let by_token = arena.gateway(1).token(&token).enters().await?;
    let by_cookie = arena.gateway(2).cookie(&browser.cookie_header()).enters().await?;
    let live = format!("{}/ws/conversations/lobby?token={token}", arena.stack.urls().gateway(2));
    let live = harness::PlainSocket::open("live", &live, &[]).await?;
    let stays = arena.gateway(1).token(&other).enters().await?;

    browser.post_json("/logout", &json!({})).await?.expect(200)?;
    by_token.sees_the_end().await?;
    by_cookie.sees_the_end().await?;
    live.sees_the_end().await?;
    assert!(stays.is_open(), "another session of the same user is not touched");
    Ok(())
}
