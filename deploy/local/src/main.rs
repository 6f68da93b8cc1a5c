//! `switchboard-local`: the product on one machine, from the command line.

mod cli;
mod foreground;
mod run;

use std::process::ExitCode;

use anyhow::Result;
use clap::Parser;
use local_stack::janitor::tidy_after;

use crate::cli::{Cli, Verb};

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().verb {
        Verb::Run(options) => run::run(options).await,
        Verb::With(options) => foreground::with(options).await,
        Verb::Stack(options) => foreground::stack(options).await,
        Verb::TidyAfter(options) => tidy(options).await,
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("switchboard-local: {error:#}");
        ExitCode::FAILURE
    })
}

async fn tidy(options: cli::TidyAfter) -> Result<ExitCode> {
    tidy_after(&options.database_url, &options.redis_url, &options.redis_prefix).await?;
    Ok(ExitCode::SUCCESS)
}
