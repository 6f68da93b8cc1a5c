//! The way to MySQL: by TLS to the right server, or not at all.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, ensure};
use harness::Arena;
use local_stack::{Authority, Identity, Source, Stack};
use serde_json::json;
use tokio::{process::Command, time::timeout};

/// A refusal that would not pass by itself is told at once.
const AT_ONCE: Duration = Duration::from_secs(20);

/// Brings a database up to date with these settings: did it work, and what was said?
async fn migrates(url: &str, ca: Option<&PathBuf>) -> Result<(bool, String)> {
    let program = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../target/debug/message-api");
    let mut command = Command::new(program);
    command.arg("--migrate").env_clear().env("DATABASE_URL", url).kill_on_drop(true);
    command.envs(ca.map(|ca| ("DATABASE_CA_FILE", ca)));
    let output = timeout(AT_ONCE, command.output()).await.context("nothing is said")??;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

/// A product whose MariaDB speaks TLS only, and whose message-api checks its certificate.
async fn secured(authority: &Authority, ca: &PathBuf) -> Result<Arena> {
    fs::write(ca, authority.certificate())?;
    let mut options = Arena::options_with_own_servers("database-tls")?;
    options.database = Source::Private;
    options.database_tls = Some(Identity::of("127.0.0.1", authority)?);
    options.gateways = 0;
    options.api_env.push(("DATABASE_CA_FILE".to_owned(), ca.display().to_string()));
    Arena::own(options).await
}

fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("switchboard-edge-{}-{name}.pem", std::process::id()))
}

fn database(stack: &Stack) -> String {
    stack.urls().database().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_server_with_the_right_certificate_is_believed() -> Result<()> {
    let (authority, ca, strange) = (Authority::new()?, file("ca"), file("strange"));
    let arena = secured(&authority, &ca).await?;
    let newcomer = json!({"username": arena.unique("alice"), "password": "open sesame"});
    arena.visitor()?.post_json("/register", &newcomer).await?.expect(200)?;

    fs::write(&strange, Authority::new()?.certificate())?;
    let url = database(&arena.stack);
    let name = url.replace("127.0.0.1", "localhost");
    let with = |mode: &str| format!("{url}?ssl-mode={mode}");
    let in_url = format!("{}&ssl-ca={}", with("VERIFY_IDENTITY"), ca.display());
    for (url, ca) in [(&url, Some(&ca)), (&with("VERIFY_IDENTITY"), Some(&ca)), (&in_url, None)] {
        let (came_up, said) = migrates(url, ca).await?;
        ensure!(came_up, "{said}");
    }
    let distrust = "DATABASE_URL: the database is not to be trusted";
    for (url, ca, why) in [
        (&url, Some(&strange), [distrust, "invalid peer certificate"]),
        (&name, Some(&ca), [distrust, "invalid peer certificate"]),
        (&with("VERIFY_IDENTITY"), None, [distrust, "invalid peer certificate"]),
        (&with("DISABLED"), None, ["DATABASE_URL", "Access denied"]),
        (&with("DISABLED"), Some(&ca), ["DATABASE_CA_FILE", "ssl-mode"]),
        (&with("REQUIRED"), Some(&ca), ["DATABASE_CA_FILE", "ssl-mode"]),
    ] {
        let (came_up, said) = migrates(url, ca).await?;
        ensure!(!came_up && why.iter().all(|why| said.contains(why)), "{url}: {said}");
        ensure!(!said.contains(":switchboard@"), "the password is told: {said}");
    }
    fs::remove_file(ca)?;
    fs::remove_file(strange)?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_tls_is_refused_where_tls_is_wanted() -> Result<()> {
    let ca = file("unused");
    fs::write(&ca, Authority::new()?.certificate())?;
    let mut options = Arena::options_with_own_servers("database-open")?;
    options.gateways = 0;
    let arena = Arena::own(options).await?;
    let url = database(&arena.stack);
    ensure!(migrates(&url, None).await?.0, "without settings it does not matter");
    for (url, ca) in [(&url, Some(&ca)), (&format!("{url}?ssl-mode=REQUIRED"), None)] {
        let (came_up, said) = migrates(url, ca).await?;
        let is_told = said.contains("not to be trusted") && said.contains("does not support TLS");
        ensure!(!came_up && is_told, "{said}");
    }
    fs::remove_file(ca)?;
    Ok(())
}
