//! Starts message-api: settings, logs, then [`app::run`] until it is told to stop.

use std::process::ExitCode;

use chat_core::process::read_settings;
use message_api::{app, config::Config};

/// glibc's caches are too small for what comes and goes with a commit, by the hundred.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let config = match read_settings::<Config>() {
        Ok(config) => config,
        Err(sentence) => return refused(&sentence),
    };
    if let Some(outcome) = config.health.outcome(config.admin_addr) {
        return outcome;
    }
    let (name, version) = (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"));
    let traces = match telemetry::start(&config.telemetry, name, version) {
        Ok(traces) => traces,
        Err(sentence) => return refused(&sentence),
    };
    let ended = if config.migrate {
        match config.database() {
            Ok(database) => app::migrate_only(&database).await,
            Err(sentence) => return refused(&sentence),
        }
    } else {
        match config.settings() {
            Ok(settings) => app::run(&config, &settings, &traces).await,
            Err(sentence) => return refused(&sentence),
        }
    };
    if let Err(error) = ended {
        eprintln!("message-api: {error:#}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}

fn refused(sentence: &str) -> ExitCode {
    eprintln!("message-api: {sentence}");
    ExitCode::from(2)
}
