//! README's tables are made from the code. `UPDATE_README=1 cargo test -p journeys --test readme`
//! writes them anew.

use std::{fmt::Write as _, fs, path::PathBuf};

use anyhow::{Context, Result};
use chat_core::Code;
use clap::{Command, CommandFactory, Parser};

#[derive(Parser)]
struct Settings {
    /// Write the tables instead of comparing them
    #[arg(env = "UPDATE_README", long)]
    update: Option<String>,
}

#[test]
fn the_tables_say_what_the_code_says() -> Result<()> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let before = fs::read_to_string(&path)?;
    let mut after = put(&before, "codes", &codes())?;
    let commands = [
        ("socket-gateway", socket_gateway::config::Config::command()),
        ("message-api", message_api::config::Config::command()),
    ];
    for (name, command) in commands {
        after = put(&after, &format!("settings {name}"), &settings(&command))?;
    }
    if Settings::try_parse_from(["readme"])?.update.is_some() {
        fs::write(&path, &after)?;
    } else {
        assert!(before == after, "README.md is out of date: run with UPDATE_README=1");
    }
    Ok(())
}

/// Replaces what stands between two markers.
fn put(text: &str, name: &str, table: &str) -> Result<String> {
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (head, rest) = text.split_once(&open).with_context(|| format!("README lacks {open}"))?;
    let (_, tail) = rest.split_once(&close).with_context(|| format!("README lacks {close}"))?;
    Ok(format!("{head}{open}{table}{close}{tail}"))
}

fn codes() -> String {
    let mut table = "| code | HTTP | gRPC |\n|---|---|---|\n".to_owned();
    for code in Code::ALL {
        let _ = writeln!(table, "| `{code}` | {} | {:?} |", code.http(), code.grpc());
    }
    table
}

fn settings(command: &Command) -> String {
    let mut table = "| variable | default | what it is |\n|---|---|---|\n".to_owned();
    for argument in command.get_arguments() {
        let Some(variable) = argument.get_env().and_then(|name| name.to_str()) else { continue };
        let default: Vec<_> =
            argument.get_default_values().iter().filter_map(|value| value.to_str()).collect();
        let default =
            if default.is_empty() { String::new() } else { format!("`{}`", default.join(",")) };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(table, "| `{variable}` | {default} | {help} |");
    }
    table
}
