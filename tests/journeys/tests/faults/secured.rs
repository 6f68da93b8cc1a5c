//! Redis behind TLS and a password: all works, and who should not be trusted is not.

use anyhow::{Context, Result, ensure};
use harness::Arena;
use local_stack::{Authority, Options, RedisKind, Source};
use serde_json::json;

use crate::{cluster::fleeting_things_pass, presence::watcher, readiness_turns, two_in_a_room};

async fn arena(name: &str) -> Result<Arena> {
    let (redis, redis_kind) = (Source::Private, RedisKind::Secured);
    Arena::own(Options { redis, redis_kind, ..Arena::options(name)? }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_redis_is_for_works_by_tls_with_a_password() -> Result<()> {
    let arena = arena("secured").await?;
    let (alice, bob, room) = two_in_a_room(&arena).await?;
    alice.says(&room, "hi").await?;
    bob.reads("hi").await?;
    fleeting_things_pass(&arena, &alice, &bob, &room).await?;

    let browser = arena.visitor()?;
    let account = json!({"username": arena.unique("dave"), "password": "open sesame"});
    let answer = browser.post_json("/register", &account).await?.expect(200)?;
    let dave =
        arena.gateway(2).token(answer["token"].as_str().context("a token")?).enters().await?;
    browser.post_json("/logout", &json!({})).await?.expect(200)?;
    dave.sees_the_end().await?;

    let erin = arena.newcomer("erin").await?;
    let frank = arena.newcomer("frank").await?;
    let waits = watcher(&arena, &erin, 1, &[&frank.name]).await?;
    let franks = frank.enters(2).await?;
    waits.hears("user-online", |online| online["user"] == frank.name).await?;
    franks.leaves();
    waits.hears("user-offline", |offline| offline["user"] == frank.name).await?;

    let redis = arena.stack.redis().context("a private Redis")?;
    redis.kill().await?;
    readiness_turns(&arena, 1, false).await?;
    alice.says(&room, "while it was away").await?;
    redis.start().await?;
    bob.reads("while it was away").await?;
    readiness_turns(&arena, 1, true).await?;
    Ok(())
}

/// Starts a service with these settings of Redis. Why does it not come up?
async fn refusal(service: &str, url: &str, ca: &str) -> Result<String> {
    let env =
        vec![("REDIS_URL".to_owned(), url.to_owned()), ("REDIS_CA_FILE".to_owned(), ca.to_owned())];
    let mut options = Options { redis: Source::Private, gateways: 0, ..Arena::options("refused")? };
    if service == "message-api" {
        options.api_env = env;
    } else {
        options.gateways = 1;
        options.gateway_env = env;
    }
    match Arena::own(options).await {
        Ok(_) => Err(anyhow::anyhow!("{service} came up with {url}")),
        Err(why) => Ok(format!("{why:#}")),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_a_strange_authority_and_another_name_stop_the_start() -> Result<()> {
    let arena = arena("secured-refusals").await?;
    let url = arena.stack.urls().redis().to_owned();
    let (_, ca) = arena.stack.urls().redis_env().first().cloned().context("REDIS_CA_FILE")?;
    let (_, at) = url.rsplit_once('@').context("a password")?;
    let strange = std::env::temp_dir().join(arena.unique("strange") + ".pem");
    std::fs::write(&strange, Authority::new()?.certificate())?;
    let strange = strange.display().to_string();
    let name = url.replace("127.0.0.1", "localhost");
    let cases = [
        (format!("rediss://:wrong@{at}"), &ca, "REDIS_URL: Redis at", "refuses the password"),
        (format!("rediss://{at}"), &ca, "REDIS_URL: Redis at", "refuses the password"),
        (url.clone(), &strange, "REDIS_CA_FILE: the certificate", "not to be trusted"),
        (name, &ca, "REDIS_URL: the certificate", "another's"),
    ];
    for (url, ca, setting, why) in &cases {
        for service in ["socket-gateway", "message-api"] {
            let said = refusal(service, url, ca).await?;
            ensure!(said.contains(setting) && said.contains(why), "{service}, {url}: {said}");
            ensure!(!said.contains("wrong"), "the password is told: {said}");
        }
    }
    std::fs::remove_file(strange)?;
    Ok(())
}
