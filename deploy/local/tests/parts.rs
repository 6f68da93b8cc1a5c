//! Parts are really started, killed, paused and started again.

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Output},
};

use anyhow::{Context, Result};
use local_stack::{Servers, Source, silent};
use sqlx::Connection;

async fn servers() -> Result<Servers> {
    Servers::up(&Source::Private, &Source::Private, &silent()).await
}

fn switchboard_local(args: &[&str]) -> Result<Output> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchboard-local"));
    command.env_remove("DATABASE_URL").env_remove("REDIS_URL");
    command.args(args).output().context("can't run switchboard-local")
}

#[tokio::test]
async fn what_was_committed_before_a_kill_is_there_after_a_start_on_the_same_port() -> Result<()> {
    let servers = servers().await?;
    let mariadb = servers.mariadb().context("private")?;
    let mut connection = sqlx::MySqlConnection::connect(servers.database_url()).await?;
    sqlx::raw_sql("CREATE TABLE t (n INT) AS SELECT 7 AS n").execute(&mut connection).await?;

    assert_eq!(mariadb.kill().await?.signal(), Some(9));
    assert_eq!(mariadb.pid(), None);
    mariadb.start().await?;

    let mut connection = sqlx::MySqlConnection::connect(servers.database_url()).await?;
    let n: i32 = sqlx::query_scalar("SELECT n FROM t").fetch_one(&mut connection).await?;
    assert_eq!(n, 7);
    servers.stop().await
}

#[tokio::test]
async fn a_paused_part_stops_in_order_when_asked() -> Result<()> {
    let servers = servers().await?;
    let redis = servers.redis().context("private")?;
    redis.pause()?;
    assert!(redis.stop().await?.success());
    redis.start().await?;
    redis.start().await.expect_err("it runs already");
    servers.stop().await
}

#[tokio::test]
async fn a_part_that_can_not_start_is_quoted() -> Result<()> {
    let servers = servers().await?;
    let redis = servers.redis().context("private")?;
    redis.stop().await?;
    let port: u16 = servers.redis_url().rsplit(':').next().context("a port")?.parse()?;
    let _taken = std::net::TcpListener::bind(("127.0.0.1", port))?;
    let error = redis.start().await.expect_err("its port is taken").to_string();
    assert!(error.contains("redis has ended") && error.contains("in use"), "{error}");
    Ok(())
}

#[test]
fn with_hands_out_urls_and_the_status_of_the_command() -> Result<()> {
    let output =
        switchboard_local(&["with", "--", "sh", "-c", "echo $DATABASE_URL $REDIS_URL; exit 7"])?;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("mysql://") && said.contains(" redis://127.0.0.1:"), "{said}");
    assert_eq!(output.status.code(), Some(7));
    Ok(())
}

#[test]
fn a_command_that_does_not_exist_is_said_plainly() -> Result<()> {
    let output = switchboard_local(&["with", "--", "no-such-command"])?;
    assert_eq!(output.status.code(), Some(127));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no-such-command"));
    Ok(())
}
