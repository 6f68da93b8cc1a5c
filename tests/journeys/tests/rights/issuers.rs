//! Tokens of another issuer open what our own open, on every replica and by every protocol, until they
//! end; and nothing else.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use chat_core::process::Backoff;
use harness::{
    Arena, Http, PATIENCE,
    issuer::{Issuer, Server, Serves, SigningKey},
};
use local_stack::{Authority, Identity};
use reqwest::Method;
use serde_json::json;
use switchboard_proto::{
    status::is_token_refused,
    v1::{self, chat_service_client::ChatServiceClient},
};
use tonic::transport::Endpoint;

use crate::{Shows, live::Everywhere};

/// The issuers' file, which goes with the test.
struct IssuersFile(PathBuf);

impl IssuersFile {
    fn of(name: &str, issuers: &[&Issuer]) -> Result<Self> {
        let file = std::env::temp_dir().join(format!("issuers-{name}-{}", std::process::id()));
        let entries: Vec<_> = issuers.iter().map(|issuer| issuer.entry()).collect();
        std::fs::write(&file, json!(entries).to_string())?;
        Ok(Self(file))
    }

    fn setting(&self) -> (String, String) {
        ("ISSUERS_FILE".into(), self.0.display().to_string())
    }
}

impl Drop for IssuersFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// A browser that shows this token, at a message-api.
fn at(arena: &Arena, api: usize, token: &str) -> Result<Http> {
    Ok(Http::at(&arena.stack.urls().api(api))?.bearing(token))
}

async fn log_out(arena: &Arena, api: usize, token: &str) -> Result<()> {
    let browser = at(arena, api, token)?;
    browser.send(browser.request(Method::POST, "/logout")?).await?.expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_kind_of_token_opens_every_protocol_on_every_replica_until_it_ends() -> Result<()> {
    let issuer = Issuer::start("https://id.example/realms/one", SigningKey::rs256("r")?).await?;
    let keys = [issuer.key.clone(), SigningKey::es256("p")?, SigningKey::ed25519("e")?];
    issuer.server.serves(Serves::keys(&keys));
    let file = IssuersFile::of("every-kind", &[&issuer])?;
    let lines = Arc::new(Mutex::new(Vec::new()));
    let mut options = Arena::options("issuers")?;
    options.apis = 2;
    options.api_env.extend([file.setting(), ("LOG".into(), "debug".into())]);
    options.gateway_env.push(("LOG".into(), "debug".into()));
    let kept = Arc::clone(&lines);
    options.logs = Arc::new(move |_, line| {
        kept.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    });
    let arena = &Arena::own(options).await?;

    let mut shown = Vec::new();
    for key in &keys {
        let subject = format!("alice-{}", key.algorithm());
        let token =
            |id: &str| key.token(&harness::issuer::with(issuer.claims(&subject), "jti", json!(id)));
        let (spent, kept) = (token("spent")?, token("kept")?);
        for api in [1, 2] {
            let me = at(arena, api, &spent)?.get("/api/verify").await?.expect(200)?;
            ensure!(me.text.contains(&subject), "who is it? {}", me.text);
        }
        let (sockets, others) =
            (Everywhere::with(arena, &spent).await?, Everywhere::with(arena, &kept).await?);
        let text = json!({"text": format!("by {subject}")});
        at(arena, 2, &spent)?.post_json("/api/conversations/lobby", &text).await?.expect(200)?;

        log_out(arena, 2, &spent).await?;
        sockets.end(arena, Instant::now(), "logging out").await?;
        others.are_open("by another token's logging out");
        for api in [1, 2] {
            at(arena, api, &spent)?.get("/api/verify").await?.expect(401)?;
            at(arena, api, &kept)?.get("/api/verify").await?.expect(200)?;
        }
        for gateway in [1, 2] {
            let knock = arena.gateway(gateway).token(&spent);
            knock.enters().await.err().context("it was logged out")?;
        }
        at(arena, 1, &kept)?.delete("/api/auth/account").await?.expect(200)?;
        others.end(arena, Instant::now(), "the deletion of the account").await?;
        let unused = token("unused")?;
        for token in [&spent, &kept, &unused] {
            for api in [1, 2] {
                at(arena, api, token)?.get("/api/verify").await?.expect(401)?;
            }
        }
        shown.extend([spent, kept, unused]);
    }
    not_for_services(arena, &issuer.token("bob")?).await?;

    let forged = SigningKey::rs256("r")?.token(&issuer.claims("bob"))?;
    for api in [1, 2] {
        at(arena, api, &forged)?.get("/api/verify").await?.expect(401)?;
    }
    arena.gateway(1).token(&forged).enters().await.err().context("a forged token")?;
    shown.push(forged);
    let lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
    ensure!(lines.iter().any(|line| line.contains("a new user by a token")), "nothing is logged");
    for token in shown {
        let (_, signature) = token.rsplit_once('.').context("a signature")?;
        let told = lines.iter().find(|line| line.contains(signature));
        ensure!(told.is_none(), "a token is logged: {told:?}");
    }
    Ok(())
}

/// Whoever comes with such a token over gRPC is no service.
async fn not_for_services(arena: &Arena, token: &str) -> Result<()> {
    for api in [1, 2] {
        let channel = Endpoint::try_from(arena.stack.urls().grpc(api))?.connect_lazy();
        let shows = Shows(format!("Bearer {token}").parse()?);
        let mut grpc = ChatServiceClient::with_interceptor(channel, shows);
        let refused = grpc.list_users(v1::ListUsersRequest::default()).await;
        let refused = refused.err().context("a service's token is needed")?;
        ensure!(is_token_refused(&refused), "{refused}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_issuer_that_is_away_at_the_start_keeps_only_its_own_users_out() -> Result<()> {
    let issuer = Issuer::start("https://away.example", SigningKey::ed25519("k")?).await?;
    let other = Issuer::start("https://here.example", SigningKey::ed25519("k")?).await?;
    issuer.server.serves(Serves::Status(503));
    let file = IssuersFile::of("away", &[&issuer, &other])?;
    let mut options = Arena::options("issuer-away")?;
    options.api_env.push(file.setting());
    let arena = &Arena::own(options).await?;

    let own = arena.newcomer("alice").await?;
    own.http.get("/api/verify").await?.expect(200)?;
    at(arena, 1, &other.token("bob")?)?.get("/api/verify").await?.expect(200)?;
    let waiting = at(arena, 1, &issuer.token("carol")?)?;
    let refused = waiting.get("/api/verify").await?.expect(503)?;
    ensure!(refused.header("retry-after").parse::<u32>()? >= 1, "when to come again?");
    let stale = |is_stale: u8| {
        format!("switchboard_issuer_keys_stale{{issuer=\"https://away.example\"}} {is_stale}")
    };
    counts(arena, &stale(1)).await?;

    issuer.server.serves(Serves::keys([&issuer.key]));
    counts(arena, &stale(0)).await?;
    waiting.get("/api/verify").await?.expect(200)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_come_by_https_from_whom_the_systems_authorities_vouch_for() -> Result<()> {
    let key = SigningKey::es256("k")?;
    let (authority, stranger) = (Authority::new()?, Authority::new()?);
    let issuer = async |name: &str, host: &str, by: &Authority| -> Result<Issuer> {
        let identity = Identity::of(host, by)?;
        let server = Server::start_with_tls(Serves::keys([&key]), &identity).await?;
        Ok(Issuer { name: name.to_owned(), server, key: key.clone() })
    };
    let right = issuer("https://right.example", "127.0.0.1", &authority).await?;
    let unknown = issuer("https://unknown.example", "127.0.0.1", &stranger).await?;
    let other = issuer("https://other.example", "127.0.0.2", &authority).await?;
    let file = IssuersFile::of("https", &[&right, &unknown, &other])?;
    let ca = IssuersFile(file.0.with_extension("pem"));
    std::fs::write(&ca.0, authority.certificate())?;
    let mut options = Arena::options("issuers-https")?;
    options.api_env.extend([
        file.setting(),
        ("SSL_CERT_FILE".into(), ca.0.display().to_string()),
        ("ENVIRONMENT".into(), "production".into()),
    ]);
    let arena = &Arena::own(options).await?;
    at(arena, 1, &right.token("alice")?)?.get("/api/verify").await?.expect(200)?;
    for wrong in [&unknown, &other] {
        let refused = at(arena, 1, &wrong.token("alice")?)?.get("/api/verify").await?;
        refused.expect(503)?;
        ensure!(wrong.server.asked() == 0, "{} was asked", wrong.name);
    }
    Ok(())
}

/// Waits until a metric's line is there.
async fn counts(arena: &Arena, line: &str) -> Result<()> {
    let url = format!("{}/metrics", arena.stack.urls().api_admin(1));
    let (since, mut backoff) = (Instant::now(), Backoff::new(PATIENCE / 500, PATIENCE / 50));
    loop {
        let metrics = reqwest::get(&url).await?.text().await?;
        if metrics.lines().any(|counted| counted == line) {
            return Ok(());
        }
        ensure!(since.elapsed() < PATIENCE * 2, "never {line}");
        backoff.wait().await;
    }
}
