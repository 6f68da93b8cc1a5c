//! Starts message-api: settings, logs, then [`app::run`] until it is told to stop.

use std::process::ExitCode;

use chat_core::process::{read_settings, start_logs};
use message_api::{app, config::Config};

/// glibc's caches are too small for what comes and goes with a commit, by the hundred.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    let settings = read_settings::<Config>().and_then(|config| {
        let settings = config.settings()?;
        start_logs(&config.log)?;
        Ok((config, settings))
    });
    let (config, settings) = match settings {
        Ok(settings) => settings,
        Err(sentence) => {
            eprintln!("message-api: {sentence}");
            return ExitCode::from(2);
        }
    };
    match app::run(&config, &settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("message-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}
