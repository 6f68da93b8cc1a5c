//! Nothing that lets somebody in stands in a log line or a trace, even where all is logged.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use harness::{
    Arena, PlainSocket,
    collector::{Collector, Sent},
    granted,
};
use serde_json::json;

/// All that the parts write.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn all(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something goes wrong in each way in which a secret could be quoted.
#[tokio::test(flavor = "multi_thread")]
async fn no_password_token_or_cookie_is_written_down() -> Result<()> {
    let (collector, lines) = (Collector::start().await?, Lines::default());
    let mut options = Arena::options("secrets")?;
    let kept = lines.clone();
    options.logs = Arc::new(move |_, line| kept.all().push(line.to_owned()));
    let env: [(&str, &str); 4] = [
        ("LOG", "debug"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.endpoint()),
        ("OTEL_TRACES_SAMPLER_ARG", "1"),
        ("OTEL_BSP_SCHEDULE_DELAY", "100"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    options.api_env.extend(env.clone());
    options.gateway_env.extend(env);
    let (service_token, jwt_secret) = (options.service_token.clone(), options.jwt_secret.clone());
    let arena = &Arena::own(options).await?;
    let (browser, name) = (arena.visitor()?, arena.unique("alice"));
    let [password, typo, message] =
        ["pass", "typo", "said"].map(|word| format!("{word}-{:016x}", rand::random::<u64>()));
    let account = |password: &str| json!({"username": name, "password": password});
    let entered = browser.post_json("/register", &account(&password)).await?.expect(200)?;
    let token = entered["token"].as_str().context("a token")?.to_owned();
    let cookie = browser.cookie_header();
    let session = cookie.strip_prefix("session=").context("a cookie")?.to_owned();

    // Right and wrong, in every dialect.
    let elsewhere = arena.visitor()?;
    for path in ["/login", "/api/login", "/api/auth/login"] {
        elsewhere.post_json(path, &account(&password)).await?.expect(200)?;
        elsewhere.post_json(path, &account(&typo)).await?.expect(401)?;
        let broken = format!("{{\"username\": \"{name}\", \"password\": \"{typo}");
        elsewhere.post_raw(path, "application/json", &broken).await?.expect(400)?;
    }
    elsewhere
        .post_form("/login", &[("username", &name), ("password", &typo)])
        .await?
        .expect(401)?;
    let forged = format!("{}{typo}", &token[..token.len() - 20]);
    for (shown, status) in [(&token, 200), (&forged, 401)] {
        let bearer = arena.visitor()?.bearing(shown);
        bearer.get("/api/verify").await?.expect(status)?;
        bearer.get(&format!("/api/verify?token={shown}&password={typo}")).await?.expect(status)?;
        let body = json!({"token": shown});
        arena.visitor()?.post_json("/api/verify", &body).await?.expect(status)?;
    }
    sockets(arena, &name, (&token, &forged), &cookie, &message).await?;
    let said = browser.post_json("/api/conversations/lobby", &json!({"text": message})).await?;
    said.expect(200)?;
    browser.post_json("/logout", &json!({})).await?.expect(200)?;
    // The token died with its session.
    let late = arena.visitor()?.bearing(&token);
    late.get("/api/verify").await?.expect(401)?;

    let signature = token.rsplit('.').next().context("a signature")?.to_owned();
    let secrets = [
        ("the password", password),
        ("a wrong password", typo),
        ("the session", session),
        ("the token", signature),
        ("a message", message),
        ("the service token", service_token),
        ("the signing secret", jwt_secret),
    ];
    // The last span of it all has come, so those before it have.
    let has_ended =
        |spans: &[Sent]| spans.iter().any(|span| span.name.contains("/logout")).then_some(());
    collector.finds("logging out", has_ended).await?;
    let traces = collector.text();
    let lines = lines.all().clone();
    ensure!(lines.iter().any(|line| line.contains("DEBUG")), "nothing is logged at debug");
    ensure!(lines.iter().any(|line| line.contains("request refused")), "no refusal is logged");
    for (what, secret) in secrets {
        let told = lines.iter().find(|line| line.contains(&secret));
        ensure!(told.is_none(), "{what} is logged: {told:?}");
        ensure!(!traces.contains(&secret), "{what} stands in a trace");
    }
    Ok(())
}

/// Sockets that come in, and that don't, with all that can be shown.
async fn sockets(
    arena: &Arena,
    name: &str,
    (token, forged): (&str, &str),
    cookie: &str,
    message: &str,
) -> Result<()> {
    let gateway = arena.stack.urls().gateway(1);
    let one = arena.gateway(1).token(token).enters().await?;
    arena.gateway(2).query(&format!("token={token}")).enters().await?;
    arena.gateway(1).cookie(cookie).namespace("/one-to-one").enters().await?;
    arena.gateway(1).token(forged).enters().await.err().context("a forged token")?;
    let query = format!("token={forged}");
    arena.gateway(2).query(&query).enters().await.err().context("a forged token")?;
    let room = granted(one.asks("create room", json!({"name": arena.unique("room")})).await?)?;
    let room = room["room"]["_id"].as_str().context("a room")?.to_owned();
    granted(one.asks("join room", json!({"roomId": room, "user": name})).await?)?;
    let says = json!({"roomId": room, "user": name, "text": message});
    granted(one.asks("chat message", says).await?)?;
    let posing = json!({"roomId": room, "user": "somebody", "text": message});
    ensure!(one.asks("chat message", posing).await?["success"] == false, "somebody else");
    let live = format!("{gateway}/ws/conversations/{room}?token={token}");
    let live = PlainSocket::open(name, &live, &[]).await?;
    live.sends(&json!({"text": message}));
    live.hears("posted", |_| true).await?;
    live.sends_raw(&format!("{{\"text\": \"{message}"));
    live.hears("error", |_| true).await?;
    let bad = format!("{gateway}/ws/conversations/{room}?token={forged}");
    PlainSocket::open(name, &bad, &[]).await.err().context("a forged token")?;
    Ok(())
}
