//! What the figures were measured on.

use std::{fmt::Write, fs, process::Command};

use anyhow::Result;
use time::OffsetDateTime;

use crate::cli::Cli;

/// Date, commit, machine, versions, how long.
pub(super) fn describe(cli: &Cli) -> Result<String> {
    let mut text = String::new();
    let (date, scale) = (OffsetDateTime::now_utc().date(), cli.scale());
    let commit = first_line("git", &["describe", "--always", "--dirty", "--abbrev=10"]);
    writeln!(text, "- {date}, commit {commit}, {} round(s)", cli.rounds())?;
    writeln!(
        text,
        "- warm-up {} s, measured {} s, {} of the full number of clients",
        scale.warm as f64 / 1e9,
        scale.measure as f64 / 1e9,
        scale.share
    )?;
    let cpu = value_of("/proc/cpuinfo", "model name");
    let cores = std::thread::available_parallelism().map_or(0, usize::from).max(cores());
    let memory = value_of("/proc/meminfo", "MemTotal");
    let kernel = first_line("uname", &["-sr"]);
    writeln!(text, "- {cpu}, {cores} cores, {memory}, {kernel}")?;
    writeln!(
        text,
        "- servers, Redis and MariaDB on core {}, the generator on core {}",
        cli.server_core, cli.generator_core
    )?;
    let node = first_line("node", &["--version"]);
    let mariadb = first_line("mariadbd", &["--no-defaults", "--version"]);
    let redis = first_line("redis-server", &["--version"]);
    write!(text, "- Node {node}; {mariadb}; {redis}")?;
    Ok(text)
}

fn cores() -> usize {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    info.lines().filter(|line| line.starts_with("processor")).count()
}

fn value_of(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim());
    value.unwrap_or("unknown").to_owned()
}

fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    text.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
}
