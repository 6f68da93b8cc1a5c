//! What every answer of both services tells the browser.

use anyhow::{Context, Result, ensure};
use harness::{Answer, Http};
use reqwest::Method;

use crate::arena;

/// On every answer, whatever its status.
fn is_told(what: &str, answer: &Answer) -> Result<()> {
    for (name, value) in [("x-content-type-options", "nosniff"), ("x-frame-options", "DENY")] {
        ensure!(answer.header(name) == value, "{what}: {name} is {:?}", answer.header(name));
    }
    let policy = answer.header("content-security-policy");
    ensure!(policy.contains("default-src 'none'"), "{what}: {policy}");
    for name in ["referrer-policy", "cross-origin-resource-policy"] {
        ensure!(!answer.header(name).is_empty(), "{what}: no {name}");
    }
    let hsts = answer.header("strict-transport-security");
    ensure!(hsts == "max-age=86400", "{what}: {hsts:?}");
    Ok(())
}

/// Asks as a browser behind a proxy that speaks HTTPS.
async fn ask(site: &Http, method: &str, path: &str) -> Result<Answer> {
    let request = site.request(Method::from_bytes(method.as_bytes())?, path)?;
    site.send(request.header("x-forwarded-proto", "https").body("rubbish")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_message_api() -> Result<()> {
    let site = arena().await?.visitor()?;
    let document = site.get("/openapi.json").await?.expect(200)?;
    let paths = document["paths"].as_object().context("paths")?;
    let mut asked = 0;
    for (path, item) in paths {
        let at = path.replace("{id}", "lobby").replace("{messageid}", "1");
        let documented =
            item.as_object().into_iter().flatten().map(|(name, _)| name.to_uppercase());
        // And one that it does not take.
        for method in documented.chain(["TRACE".to_owned()]) {
            is_told(&format!("{method} {at}"), &ask(&site, &method, &at).await?)?;
            asked += 1;
        }
    }
    ensure!(asked > 40, "{asked} is not every route");
    for path in ["/", "/io", "/login", "/register", "/status", "/status.json", "/openapi.json"] {
        is_told(path, &ask(&site, "GET", path).await?)?;
    }
    for path in ["/nowhere", "/socket.io/socket.io.js", "/web/x/app.js", "/web/x/none"] {
        is_told(path, &ask(&site, "GET", path).await?)?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_route_of_the_gateway() -> Result<()> {
    let site = Http::at(&arena().await?.stack.urls().gateway(1))?;
    for path in [
        "/socket.io/?EIO=4&transport=polling",
        "/socket.io/?EIO=4&transport=polling&sid=none",
        "/socket.io/?EIO=3&transport=polling",
        "/socket.io/?EIO=9",
        "/socket.io/",
        "/ws/?EIO=4&transport=polling",
        "/ws",
        "/ws/conversations/lobby",
        "/nowhere",
        "/",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            is_told(&format!("{method} {path}"), &ask(&site, method, path).await?)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_may_embed_says_so() -> Result<()> {
    let site = arena().await?.visitor()?;
    let policy = "cross-origin-resource-policy";
    let client = site.get("/socket.io/socket.io.js").await?.expect(200)?;
    assert_eq!(client.header(policy), "cross-origin");
    assert_eq!(site.get("/api/rooms").await?.header(policy), "same-origin");
    assert_eq!(site.get("/api/rooms").await?.header("strict-transport-security"), "");
    Ok(())
}
