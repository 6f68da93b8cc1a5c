//! `with` and `stack`: runs a command on servers that live as long as it does.

use std::{
    ffi::OsString,
    process::{ExitCode, ExitStatus},
};

use anyhow::{Context, Result};
use local_stack::{Command, Servers, Stack, silent};
use tokio::signal::unix::{SignalKind, signal};

use crate::cli::{StackFor, With};

/// Private MariaDB and Redis.
pub(crate) async fn with(options: With) -> Result<ExitCode> {
    let (database, redis) = options.given.sources();
    let servers = Servers::up(&database, &redis, &silent()).await?;
    let env = [("DATABASE_URL", servers.database_url()), ("REDIS_URL", servers.redis_url())];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let status = run(&options.command, &env).await;
    servers.stop().await?;
    Ok(code(status?))
}

/// The whole product.
pub(crate) async fn stack(options: StackFor) -> Result<ExitCode> {
    let stack = Stack::up(&options.options()).await?;
    let env = stack.urls().as_env();
    let mut command = std::pin::pin!(run(&options.command, &env));
    let mut broken = false;
    let status = tokio::select! {
        status = &mut command => status,
        end = stack.first_end() => {
            // The command's own report is worth more than stopping it here.
            let (part, status) = end?;
            eprintln!("switchboard-local: {}", part.obituary(status));
            broken = true;
            command.await
        }
    };
    stack.stop().await?;
    Ok(if broken { ExitCode::FAILURE } else { code(status?) })
}

/// Runs the command on our own terminal. It gets Ctrl-C from there, SIGTERM from us; either way
/// its end is awaited.
async fn run(command: &[OsString], env: &[(String, String)]) -> Result<ExitStatus> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let child = Command::start(command, env).context("can't start the command")?;
    loop {
        tokio::select! {
            status = child.exited() => return status,
            _ = interrupts.recv() => {}
            _ = terminations.recv() => child.terminate()?,
        }
    }
}

/// The command's status as a shell would report it.
fn code(status: ExitStatus) -> ExitCode {
    use std::os::unix::process::ExitStatusExt;
    let signalled = status.signal().map(|signal| 128 + signal);
    let code = status.code().or(signalled).unwrap_or(1);
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}
