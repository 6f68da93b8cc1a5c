//! The process: settings, logs, run until told to stop.

use std::process::ExitCode;

use chat_core::process::start_logs;
use clap::Parser;
use socket_gateway::{app, config::Config};

#[tokio::main]
async fn main() -> ExitCode {
    let config = Config::parse();
    let settings = match start_logs(&config.logs).and_then(|()| config.check()) {
        Ok(settings) => settings,
        Err(sentence) => {
            eprintln!("socket-gateway: {sentence}");
            return ExitCode::from(2);
        }
    };
    match app::run(settings).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(sentence) => {
            eprintln!("socket-gateway: {sentence}");
            ExitCode::FAILURE
        }
    }
}
