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
    let settings = read_settings::<Config>().and_then(|config| {
        let name = env!("CARGO_PKG_NAME");
        let traces = telemetry::start(&config.telemetry, name, env!("CARGO_PKG_VERSION"))?;
        Ok((config.check()?, traces))
    });
    let (settings, traces) = match settings {
        Ok(settings) => settings,
        Err(sentence) => {
            eprintln!("socket-gateway: {sentence}");
            return ExitCode::from(2);
        }
    };
    match app::run(settings, &traces).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("socket-gateway: {sentence}");
            ExitCode::FAILURE
        }
    }
}
