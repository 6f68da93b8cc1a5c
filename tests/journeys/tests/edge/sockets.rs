//! Sockets, and the pages that may open them with the visitor's cookie: every protocol, by
//! websocket, by polling and without Socket.IO.

use anyhow::{Context, Result, ensure};
use harness::{Arena, PlainSocket, Refused};
use reqwest::Method;

use crate::{LISTED, arena};

/// Where Socket.IO is spoken: path and namespace.
const PLACES: [(&str, &str); 5] = [
    ("/socket.io", "/"),
    ("/socket.io", "/tinychat"),
    ("/socket.io", "/one-to-one"),
    ("/socket.io", "/chatto"),
    ("/ws", "/chat"),
];

/// Where it is not.
const PLAIN: [&str; 3] = ["/ws", "/ws/", "/ws/conversations/lobby"];

type Headers = Vec<(String, String)>;

/// What browsers and others send beside the cookie, and whether the cookie may then be used. `own`
/// is the gateway's address, without scheme.
fn pages(own: &str) -> Vec<(Headers, bool)> {
    let ours = format!("http://{own}");
    let other_port = format!("http://{}:1", own.split(':').next().unwrap_or_default());
    let cases: [(&[(&str, &str)], bool); 14] = [
        (&[], true),
        (&[("origin", &ours)], true),
        (&[("origin", LISTED)], true),
        (&[("origin", LISTED), ("sec-fetch-site", "cross-site")], true),
        (&[("origin", "https://outside.example"), ("sec-fetch-site", "same-origin")], true),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("origin", &other_port)], false),
        (&[("origin", "http://app.example")], false),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("origin", &ours), ("sec-fetch-site", "same-site")], false),
        (&[("origin", &ours), ("x-forwarded-proto", "https")], false),
        (&[("origin", "https://evil.example"), ("x-forwarded-host", "evil.example")], false),
        (&[("origin", "https://evil.example"), ("x-forwarded-proto", "https")], false),
    ];
    let owned = |headers: &[(&str, &str)]| {
        headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    cases.iter().map(|(headers, may)| (owned(headers), *may)).collect()
}

/// A visitor with a session: the Cookie header.
async fn cookie(arena: &Arena) -> Result<String> {
    let visitor = arena.visitor()?;
    visitor.register(&arena.unique("alice")).await?.expect(200)?;
    Ok(visitor.cookie_header())
}

fn own(arena: &Arena) -> String {
    arena.stack.urls().gateway(1).replace("http://", "")
}

#[tokio::test(flavor = "multi_thread")]
async fn socket_io_by_websocket() -> Result<()> {
    let arena = arena().await?;
    let cookie = cookie(arena).await?;
    for (path, namespace) in PLACES {
        for (headers, may) in pages(&own(arena)) {
            let knock = arena.gateway(1).path(path).namespace(namespace).cookie(&cookie);
            let knock =
                headers.iter().fold(knock, |knock, (name, value)| knock.header(name, value));
            let entered = knock.enters().await;
            ensure!(entered.is_ok() == may, "{path} {namespace} {headers:?}: {entered:?}");
            if let Err(refused) = entered {
                ensure!(refused.to_string().contains("may not connect"), "{refused}");
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn socket_io_by_polling() -> Result<()> {
    let arena = arena().await?;
    let cookie = cookie(arena).await?;
    for (path, namespace) in PLACES {
        for (headers, may) in pages(&own(arena)) {
            let told = polls(arena, path, namespace, &cookie, &headers).await?;
            let refused = told.starts_with("44") && told.contains("may not connect");
            let entered = told.starts_with("40") && told.contains("sid");
            ensure!(if may { entered } else { refused }, "{path} {namespace} {headers:?}: {told}");
        }
    }
    Ok(())
}

/// Opens a session, enters the namespace; what is the answer?
async fn polls(
    arena: &Arena,
    path: &str,
    namespace: &str,
    cookie: &str,
    headers: &Headers,
) -> Result<String> {
    let browser = harness::Http::at(&arena.stack.urls().gateway(1))?;
    let ask = |method: Method, more: &str| {
        let request = browser.request(method, &format!("{path}/?EIO=4&transport=polling{more}"))?;
        let request = request.header("cookie", cookie);
        anyhow::Ok(headers.iter().fold(request, |r, (name, value)| r.header(name, value)))
    };
    let open = browser.send(ask(Method::GET, "")?).await?.expect(200)?;
    let hello: serde_json::Value = serde_json::from_str(open.text.trim_start_matches('0'))?;
    let sid = format!("&sid={}", hello["sid"].as_str().context("a sid")?);
    let connect = if namespace == "/" { "40".to_owned() } else { format!("40{namespace},") };
    browser.send(ask(Method::POST, &sid)?.body(connect)).await?.expect(200)?;
    loop {
        let polled = browser.send(ask(Method::GET, &sid)?).await?.expect(200)?.text;
        // Between the packets may be pings.
        if let Some(told) = polled.split('\u{1e}').find(|packet| packet.starts_with('4')) {
            return Ok(told.to_owned());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn websockets_without_socket_io() -> Result<()> {
    let arena = arena().await?;
    let cookie = ("cookie".to_owned(), cookie(arena).await?);
    for path in PLAIN {
        let url = format!("{}{path}", arena.stack.urls().gateway(1));
        for (mut headers, may) in pages(&own(arena)) {
            headers.push(cookie.clone());
            match PlainSocket::open("alice", &url, &headers).await {
                Ok(_) => ensure!(may, "{path} {headers:?}"),
                Err(Refused::Http { status: 403, .. }) => ensure!(!may, "{path} {headers:?}"),
                Err(other) => return Err(other.into()),
            }
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_counts_wherever_the_page_is_from_and_a_guest_brings_nothing() -> Result<()> {
    let arena = arena().await?;
    let alice = arena.newcomer("alice").await?;
    let knock = || arena.gateway(1).header("origin", "https://evil.example");
    knock().token(&alice.token).enters().await?;
    knock().enters().await?;
    let refused = knock().namespace("/one-to-one").enters().await.expect_err("no session");
    ensure!(refused.to_string().contains("Authentication required"), "{refused}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listed_page_may_poll_with_credentials_and_no_other_may_read_anything() -> Result<()> {
    let arena = arena().await?;
    let browser = harness::Http::at(&arena.stack.urls().gateway(1))?;
    for path in ["/socket.io/", "/ws/"] {
        let ask = |method, origin: &str| {
            let request = browser.request(method, &format!("{path}?EIO=4&transport=polling"))?;
            anyhow::Ok(request.header("origin", origin))
        };
        let open = browser.send(ask(Method::GET, LISTED)?).await?.expect(200)?;
        assert_eq!(open.header("access-control-allow-origin"), LISTED);
        assert_eq!(open.header("access-control-allow-credentials"), "true");
        let preflight = ask(Method::OPTIONS, LISTED)?
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "content-type");
        let preflight = browser.send(preflight).await?.expect(200)?;
        assert_eq!(preflight.header("access-control-allow-origin"), LISTED);
        assert!(preflight.header("access-control-allow-headers").contains("content-type"));
        let foreign = browser.send(ask(Method::GET, "https://evil.example")?).await?;
        assert_eq!(foreign.header("access-control-allow-origin"), "");
        assert!(foreign.header("vary").to_lowercase().contains("origin"));
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_browser_adds_by_itself_is_as_good_as_a_cookie_and_a_token_is_a_pages_own()
-> Result<()> {
    let arena = arena().await?;
    let alice = arena.newcomer("alice").await?;
    for kind in ["Basic", "basic", "Bearer"] {
        let shown = ("authorization".to_owned(), format!("{kind} {}", alice.token));
        for (mut headers, may) in pages(&own(arena)) {
            let may = may || kind == "Bearer";
            headers.push(shown.clone());
            let url = format!("{}/ws/conversations/lobby", arena.stack.urls().gateway(1));
            match PlainSocket::open("alice", &url, &headers).await {
                Ok(_) => ensure!(may, "{headers:?}"),
                Err(Refused::Http { status: 403, .. }) => ensure!(!may, "{headers:?}"),
                Err(other) => return Err(other.into()),
            }
            let knock =
                headers.iter().fold(arena.gateway(1), |k, (name, value)| k.header(name, value));
            let entered = knock.enters().await;
            ensure!(entered.is_ok() == may, "{headers:?}: {entered:?}");
        }
    }
    Ok(())
}
