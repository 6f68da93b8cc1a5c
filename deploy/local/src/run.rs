//! `make run`: everything in the foreground until Ctrl-C, or until a part ends by itself.

use std::{
    io::{IsTerminal, stdout},
    process::ExitCode,
};

use anyhow::{Context, Result};
use chat_core::process::Shutdown;
use local_stack::{Stack, Urls};

use crate::cli::Run;

pub(crate) async fn run(options: Run) -> Result<ExitCode> {
    let colour = stdout().is_terminal();
    let stack = Stack::prepare(&options.options(colour))?;
    let serving = async {
        stack.start().await?;
        println!("{}", banner(stack.urls()));
        stack.first_end().await
    };
    let outcome = tokio::select! {
        // A second Ctrl-C ends this process at once, and the kernel ends the parts with it.
        signal = Shutdown::signal() => signal.context("signals").map(|()| ExitCode::SUCCESS),
        end = serving => {
            let sentence = end.map_or_else(|e| format!("{e:#}"), |(part, status)| part.obituary(status));
            eprintln!("\nswitchboard-local: {sentence}");
            Ok(ExitCode::FAILURE)
        }
    };
    println!("\nstopping everything");
    stack.stop().await?;
    outcome
}

fn banner(urls: Urls<'_>) -> String {
    let mut lines = vec!["Switchboard runs; Ctrl-C stops it.".to_owned(), String::new()];
    let mut line = |what: &str, url: &str| lines.push(format!("  {what:<13} {url}"));
    let front = urls.front().unwrap_or_default().replace("127.0.0.1", "localhost");
    line("everything", &front);
    for n in 1..=urls.gateways() {
        line(&format!("gateway-{n}"), &urls.gateway(n));
    }
    line("REST", &urls.api(1));
    line("gRPC", &urls.grpc(1));
    line("OpenAPI", &format!("{front}/openapi.json"));
    line("MySQL", urls.database());
    line("Redis", urls.redis());
    format!("\n{}\n", lines.join("\n"))
}
