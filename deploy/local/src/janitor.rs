//! Forgets a stack's database and keys on servers that stay, even when the stack was killed.

use std::{
    io::Read,
    os::unix::process::CommandExt,
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result};
use redis::AsyncCommands;
use sqlx::AssertSqlSafe;

use crate::{
    backing::{Backing, open_server},
    place,
};

/// A process that sees our end as the end of its standard input, and tidies up then.
#[derive(Debug)]
pub(crate) struct Janitor(Child);

impl Janitor {
    /// None when both servers are private: they vanish with all they hold.
    pub(crate) fn hire(backing: &Backing, redis_prefix: &str) -> Result<Option<Self>> {
        if backing.mariadb.is_some() && !backing.redis.is_empty() {
            return Ok(None);
        }
        let mut command = Command::new(place::program("switchboard-local")?);
        command.arg("tidy-after").env("REDIS_PREFIX", redis_prefix);
        let stays = backing.redis.is_empty();
        let redis_url = if stays { &*backing.redis_url } else { "" };
        command.env("DATABASE_URL", &backing.database_url).env("REDIS_URL", redis_url);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.process_group(0).spawn().context("can't start switchboard-local")?;
        Ok(Some(Self(child)))
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The janitor's work: waits for the end of standard input, then forgets the database and all
/// keys that begin with the prefix.
pub async fn tidy_after(database_url: &str, redis_url: &str, redis_prefix: &str) -> Result<()> {
    let until_the_end = || std::io::stdin().read_to_end(&mut Vec::new());
    tokio::task::spawn_blocking(until_the_end).await??;
    // A private Redis vanishes with all it holds.
    let keys = match redis_url {
        "" => Ok(()),
        stays => forget_keys(stays, redis_prefix).await,
    };
    let (mut server, name) = open_server(database_url).await?;
    let statement = format!("DROP DATABASE IF EXISTS `{name}`");
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut server).await?;
    keys
}

async fn forget_keys(redis_url: &str, prefix: &str) -> Result<()> {
    let mut redis = redis::Client::open(redis_url)?.get_multiplexed_async_connection().await?;
    let mut other = redis.clone();
    let mut keys = redis.scan_match::<_, String>(format!("{prefix}*")).await?;
    while let Some(key) = keys.next_item().await {
        let () = other.unlink(key?).await?;
    }
    Ok(())
}
