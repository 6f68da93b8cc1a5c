//! Starts message-api: settings, logs, then [`app::run`] until it is told to stop.

use std::process::ExitCode;

use chat_core::process::{read_settings, start_logs};
use message_api::{app, config::Config};

/// glibc's caches are too small for what comes and goes with a commit, by the hundred.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[tokio::main]
async fn main() -> ExitCode {
    match read_settings::<Config>() {
        Ok(config) => match config.health.outcome(config.admin_addr) {
            Some(outcome) => outcome,
            None if config.migrate => migrate(&config).await,
            None => serve(&config).await,
        },
        Err(sentence) => refused(&sentence),
    }
}

async fn serve(config: &Config) -> ExitCode {
    let settings = config.settings().and_then(|all| start_logs(&config.log).map(|()| all));
    match settings {
        Ok(settings) => ended(app::run(config, &settings).await),
        Err(sentence) => refused(&sentence),
    }
}

async fn migrate(config: &Config) -> ExitCode {
    let database = config.database().and_then(|all| start_logs(&config.log).map(|()| all));
    match database {
        Ok(database) => {
            let outcome = app::migrate_only(&database).await;
            ended(outcome.map(|()| println!("message-api: the database is up to date")))
        }
        Err(sentence) => refused(&sentence),
    }
}

fn ended(outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("message-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn refused(sentence: &str) -> ExitCode {
    eprintln!("message-api: {sentence}");
    ExitCode::from(2)
}
