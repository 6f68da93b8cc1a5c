//! REST, and the pages that may use the visitor's cookie, or log the visitor in.

use anyhow::{Result, ensure};
use harness::{Arena, Http};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::{LISTED, arena};

const PASSWORD: &str = "open sesame";
const EVIL: &str = "https://evil.example";

/// Somebody's browser, logged in by 002.
async fn visitor(arena: &Arena) -> Result<(Http, String)> {
    let (browser, name) = (arena.visitor()?, arena.unique("alice"));
    let account = json!({"username": name, "password": PASSWORD});
    browser.post_json("/register", &account).await?.expect(200)?;
    Ok((browser, name))
}

async fn is_logged_in(browser: &Http) -> Result<bool> {
    Ok(browser.get("/api/verify").await?.status == 200)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_changed_by_another_sites_page_and_programs_go_on() -> Result<()> {
    let arena = arena().await?;
    let (browser, name) = visitor(arena).await?;
    let post = |headers: &[(&str, &str)]| {
        let request = browser.request(Method::POST, "/api/conversations/lobby")?;
        // As a page sends it without asking first.
        let request = request.header("content-type", "text/plain");
        let request = headers.iter().fold(request, |r, (name, value)| r.header(*name, *value));
        anyhow::Ok(request.body(json!({"text": "hi", "user": name}).to_string()))
    };
    let own = arena.stack.urls().api(1);
    let cases: [(&[(&str, &str)], u16); 8] = [
        (&[], 200),
        (&[("origin", &own)], 200),
        (&[("origin", LISTED), ("sec-fetch-site", "cross-site")], 200),
        (&[("sec-fetch-site", "none")], 200),
        (&[("origin", EVIL)], 403),
        (&[("origin", "null"), ("sec-fetch-site", "cross-site")], 403),
        (&[("origin", &own), ("sec-fetch-site", "same-site")], 403),
        (&[("origin", EVIL), ("x-forwarded-host", "evil.example")], 403),
    ];
    for (headers, status) in cases {
        let answer = browser.send(post(headers)?).await?;
        ensure!(answer.status == status, "{headers:?}: {} {}", answer.status, answer.text);
    }
    let lobby = browser.get("/api/conversations/lobby?N=1000").await?.expect(200)?;
    let rows = lobby["messages"]
        .as_array()
        .map_or(0, |rows| rows.iter().filter(|row| row["user"] == name.as_str()).count());
    assert_eq!(rows, 4, "only what was answered by 200 is there");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_logs_nobody_in_or_out_and_deletes_no_account() -> Result<()> {
    let arena = arena().await?;
    let (attacker, (browser, name)) = (visitor(arena).await?.1, visitor(arena).await?);
    let foreign = |request: RequestBuilder| request.header("origin", EVIL);
    let account = [("username", &*attacker), ("password", PASSWORD)];
    let form = |path: &str| anyhow::Ok(foreign(browser.request(Method::POST, path)?));
    for path in ["/login", "/register"] {
        let page = form(path)?.form(&account).header("accept", "text/html").header("origin", EVIL);
        let answer = browser.send(page).await?.expect(403)?;
        assert_eq!(answer.header("set-cookie"), "");
        assert!(answer.header("content-type").starts_with("text/html"), "{}", answer.text);
        let program = form(path)?.json(&json!({"username": attacker, "password": PASSWORD}));
        let answer = browser.send(program).await?.expect(403)?;
        assert_eq!((answer.header("set-cookie"), &answer["status"]), ("", &json!("forbidden")));
    }
    let without_password = form("/auth/register")?.json(&json!({"username": arena.unique("eve")}));
    let answer = browser.send(without_password).await?.expect(403)?;
    assert_eq!(answer.header("set-cookie"), "");
    assert_eq!(answer.json, json!({"status": "unauthorised"}));
    let delete = foreign(browser.request(Method::DELETE, "/api/auth/account")?);
    browser.send(delete).await?.expect(403)?;
    browser.send(form("/logout")?).await?.expect(403)?;
    let me = browser.get("/api/verify").await?.expect(200)?;
    assert_eq!(me["username"], Value::from(name));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_or_a_link_elsewhere_does_not_log_out_and_our_own_link_does() -> Result<()> {
    let browser = visitor(arena().await?).await?.0;
    let link = |site: &str, accept: &str| {
        let request = browser.request(Method::GET, "/logout")?;
        anyhow::Ok(request.header("sec-fetch-site", site).header("accept", accept))
    };
    for site in ["cross-site", "same-site"] {
        browser.send(link(site, "image/*")?).await?.expect(403)?;
        let page = browser.send(link(site, "text/html,*/*")?).await?.expect(403)?;
        assert!(page.text.contains("action=\"/logout\""), "a page that asks: {}", page.text);
        let head = browser.request(Method::HEAD, "/logout")?.header("sec-fetch-site", site);
        browser.send(head).await?.expect(403)?;
    }
    assert!(is_logged_in(&browser).await?);
    browser.send(link("same-origin", "text/html")?).await?.expect(200)?;
    assert!(!is_logged_in(&browser).await?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_page_may_read_what_it_asks_with_credentials() -> Result<()> {
    let browser = visitor(arena().await?).await?.0;
    let ask = |method, path: &str, origin: &str| {
        anyhow::Ok(browser.request(method, path)?.header("origin", origin))
    };
    for (path, method) in [
        ("/api/conversations/lobby", "POST"),
        ("/api/conversations/lobby/1", "DELETE"),
        ("/api/v1/messages/1", "PATCH"),
        ("/api/upload/files", "POST"),
        ("/login", "POST"),
    ] {
        let preflight = |origin| {
            let ask = ask(Method::OPTIONS, path, origin)?;
            anyhow::Ok(ask.header("access-control-request-method", method))
        };
        let listed = browser.send(preflight(LISTED)?).await?.expect(200)?;
        assert_eq!(listed.header("access-control-allow-origin"), LISTED);
        assert_eq!(listed.header("access-control-allow-credentials"), "true");
        assert!(listed.header("access-control-allow-methods").contains(method));
        let foreign = browser.send(preflight(EVIL)?).await?;
        assert_eq!(foreign.header("access-control-allow-origin"), "");
    }
    let read = browser.send(ask(Method::GET, "/api/verify", LISTED)?).await?.expect(200)?;
    assert_eq!(read.header("access-control-allow-origin"), LISTED);
    let refused = browser.send(ask(Method::GET, "/nowhere", LISTED)?).await?.expect(404)?;
    assert_eq!(refused.header("access-control-allow-origin"), LISTED);
    let foreign = browser.send(ask(Method::GET, "/api/verify", EVIL)?).await?.expect(200)?;
    assert_eq!(foreign.header("access-control-allow-origin"), "");
    assert!(foreign.header("vary").to_lowercase().contains("origin"));
    Ok(())
}
