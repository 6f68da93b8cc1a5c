//! The process: settings, logs, run until told to stop.

use std::process::ExitCode;

use chat_core::process::read_settings;
use socket_gateway::{app, config::Config};

/// A quarter of the CPU under durable sends was glibc's, whose caches are too small for what comes
/// and goes by the hundred. An idle connection takes 2 KiB more with this one.
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
    let started = telemetry::start(&config.telemetry, name, version)
        .and_then(|traces| Ok((config.check()?, traces)));
    let (settings, traces) = match started {
        Ok(settings) => settings,
        Err(sentence) => return refused(&sentence),
    };
    match app::run(settings, &traces).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("socket-gateway: {sentence}");
            ExitCode::FAILURE
        }
    }
}

fn refused(sentence: &str) -> ExitCode {
    eprintln!("socket-gateway: {sentence}");
    ExitCode::from(2)
}
