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

/// The whole product. The command may kill gateways, whose pids it knows, if they are revived.
pub(crate) async fn stack(options: StackFor) -> Result<ExitCode> {
    let stack = Stack::up(&options.options()).await?;
    let mut env = stack.urls().as_env();
    for n in 1..=stack.urls().gateways() {
        env.extend(stack.gateway(n).pid().map(|pid| (format!("GATEWAY_{n}_PID"), pid.to_string())));
    }
    let mut command = std::pin::pin!(run(&options.command, &env));
    let mut broken = false;
    let status = tokio::select! {
        status = &mut command => status,
        // The command's own report is worth more than stopping it here.
        end = keep(&stack, options.revive) => {
            end?;
            broken = true;
            command.await
        }
    };
    stack.stop().await?;
    Ok(if broken { ExitCode::FAILURE } else { code(status?) })
}

/// Waits until a part ends by itself. Those that shall be revived start again, and it waits on.
async fn keep(stack: &Stack, revive: bool) -> Result<()> {
    loop {
        let (part, status) = stack.first_end().await?;
        if !revive {
            eprintln!("switchboard-local: {}", part.obituary(status));
            return Ok(());
        }
        part.start().await?;
    }
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
