//! Starts message-api: settings, logs, then [`app::run`] until it is told to stop.

use std::process::ExitCode;

use chat_core::process::read_settings;
use message_api::{app, config::Config};

/// glibc's caches are too small for what comes and goes with a commit, by the hundred.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = read_settings::<Config>().and_then(|config| {
        let settings = config.settings()?;
        let name = env!("CARGO_PKG_NAME");
        let traces = telemetry::start(&config.telemetry, name, env!("CARGO_PKG_VERSION"))?;
        Ok((config, settings, traces))
    });
    let (config, settings, traces) = match settings {
        Ok(settings) => settings,
        Err(sentence) => {
            eprintln!("message-api: {sentence}");
            return ExitCode::from(2);
        }
    };
    match app::run(&config, &settings, &traces).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("message-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}
