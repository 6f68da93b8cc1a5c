//! A gateway and message-api with certificates of both sides, a service token that is rotated while
//! people talk, and another service: the example of `proto/examples`.

use std::{path::PathBuf, process::Stdio, time::Duration};

use anyhow::{Context, Result, ensure};
use harness::{Arena, Chatter, PATIENCE};
use local_stack::{Options, Part};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
    time::{Instant, sleep, timeout},
};

/// A directory that goes with its test.
struct Files(PathBuf);

impl Files {
    fn new(options: &Options) -> Result<Self> {
        let directory = std::env::temp_dir().join(&options.redis_prefix);
        std::fs::create_dir(&directory)?;
        Ok(Self(directory))
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn write(&self, name: &str, text: &str) -> Result<String> {
        std::fs::write(self.0.join(name), text)?;
        Ok(self.path(name))
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn set(settings: &mut Vec<(String, String)>, name: &str, value: &str) {
    settings.push((name.to_owned(), value.to_owned()));
}

/// An authority's certificate, and one of it for each side.
fn certificates(files: &Files) -> Result<()> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    files.write("ca.pem", &authority.pem())?;
    for (name, usage) in [
        ("127.0.0.1", ExtendedKeyUsagePurpose::ServerAuth),
        ("gateway", ExtendedKeyUsagePurpose::ClientAuth),
    ] {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.extended_key_usages = vec![usage];
        files.write(&format!("{name}.pem"), &params.signed_by(&key, &authority)?.pem())?;
        files.write(&format!("{name}.key"), &key.serialize_pem())?;
    }
    Ok(())
}

/// Two who can hear each other.
struct Tea {
    alice: Chatter,
    bob: Chatter,
    room: String,
}

impl Tea {
    async fn at(arena: &Arena) -> Result<Self> {
        let (alice, bob) = (arena.newcomer("alice").await?, arena.newcomer("bob").await?);
        let (alice, bob) = (alice.enters(1).await?, bob.enters(2).await?);
        let room = alice.makes_room("tea").await?;
        alice.joins(&room).await?;
        bob.joins(&room).await?;
        Ok(Self { alice, bob, room })
    }

    /// Each says this, and hears the other.
    async fn goes_on(&self, text: &str) -> Result<()> {
        for (one, other) in [(&self.alice, &self.bob), (&self.bob, &self.alice)] {
            let text = format!("{text} from {}", one.name);
            one.says(&self.room, &text).await?;
            other.reads(&text).await?;
        }
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_talk_while_the_services_know_each_other_by_certificates() -> Result<()> {
    let mut options = Arena::options("mtls")?;
    let files = Files::new(&options)?;
    certificates(&files)?;
    let api = &mut options.api_env;
    set(api, "GRPC_TLS_CERT_FILE", &files.path("127.0.0.1.pem"));
    set(api, "GRPC_TLS_KEY_FILE", &files.path("127.0.0.1.key"));
    set(api, "GRPC_TLS_CLIENT_CA_FILE", &files.path("ca.pem"));
    let gateway = &mut options.gateway_env;
    set(gateway, "MESSAGE_API_CA_FILE", &files.path("ca.pem"));
    set(gateway, "MESSAGE_API_CERT_FILE", &files.path("gateway.pem"));
    set(gateway, "MESSAGE_API_KEY_FILE", &files.path("gateway.key"));
    let arena = Arena::own(options).await?;
    let tea = Tea::at(&arena).await?;
    tea.goes_on("hi").await?;
    arena.stack.api(1).restart().await?;
    tea.goes_on("again").await
}

/// Waits until a service has read its token so many times again.
async fn has_read(part: &Part, times: usize) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    loop {
        let lines = part.log_lines();
        if lines.iter().filter(|line| line.contains("read again")).count() >= times {
            return Ok(());
        }
        ensure!(Instant::now() < until, "{} has not read its token again", part.name());
        sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn people_talk_while_the_service_token_is_rotated_whoever_reads_it_first() -> Result<()> {
    const OLD: &str = "the old service token";
    const BOTH: &str = "the new service token\nthe old service token\n";
    const NEW: &str = "the new service token";
    let mut options = Arena::options("rotation")?;
    let files = Files::new(&options)?;
    set(&mut options.api_env, "SERVICE_TOKEN_FILE", &files.write("api", OLD)?);
    set(&mut options.gateway_env, "SERVICE_TOKEN_FILE", &files.write("gateways", OLD)?);
    let arena = Arena::own(options).await?;
    let (api, gateways) = (arena.stack.api(1), [arena.stack.gateway(1), arena.stack.gateway(2)]);
    let tea = Tea::at(&arena).await?;
    tea.goes_on("with the old").await?;

    files.write("gateways", BOTH)?;
    for gateway in gateways {
        has_read(gateway, 1).await?;
    }
    tea.goes_on("where message-api knows only the old").await?;
    // Every connection is made anew.
    api.restart().await?;
    tea.goes_on("where it has started like that").await?;

    files.write("api", BOTH)?;
    has_read(api, 1).await?;
    files.write("gateways", NEW)?;
    for gateway in gateways {
        has_read(gateway, 2).await?;
    }
    tea.goes_on("where both are known").await?;
    files.write("api", NEW)?;
    has_read(api, 2).await?;
    api.restart().await?;
    tea.goes_on("with the new").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_of_a_service_posts_and_hears_what_it_posted() -> Result<()> {
    let options = Arena::options("example")?;
    let token = options.service_token.clone();
    let arena = Arena::own(options).await?;
    let us = std::env::current_exe()?;
    let example = us.ancestors().nth(2).context("a target")?.join("examples/service");
    let mut service = Command::new(example)
        .args([arena.stack.urls().grpc(1), token])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .context("the example is built with --all-targets")?;
    let mut said = BufReader::new(service.stdout.take().context("what it says")?).lines();
    let mut line = async || {
        timeout(PATIENCE, said.next_line()).await.context("it says nothing")??.context("it ended")
    };
    let (posted, heard) = (line().await?, line().await?);
    ensure!(posted.starts_with("message ") && posted.ends_with(" is durable"), "{posted}");
    ensure!(heard.starts_with("lobby ") && heard.contains("hello from a service"), "{heard}");

    // What is said later it hears too, however it is said.
    let alice = arena.newcomer("alice").await?.enters(1).await?;
    let room = &alice.makes_room(&arena.unique("room")).await?;
    alice.joins(room).await?;
    alice.says(room, "and from a socket").await?;
    let heard = line().await?;
    ensure!(heard.starts_with(room) && heard.contains("and from a socket"), "{heard}");
    Ok(())
}
