//! A private Redis. It writes its log, so that sessions outlive it, as in production.

use std::fs;

use anyhow::Result;

use crate::{
    home::Home,
    part::{Launch, Plan, Probe},
    ports::PortBook,
};

/// How to start it in this home, and its URL.
pub(crate) fn plan(home: &Home, ports: &mut PortBook) -> Result<(Plan, String)> {
    let directory = home.path().join("redis");
    fs::create_dir_all(&directory)?;
    let address = ports.free()?;
    let launch = Launch::new("redis-server")
        .args(["--bind", "127.0.0.1", "--port", &address.port().to_string()])
        .args(["--save", "", "--appendonly", "yes", "--loglevel", "notice"])
        .directory(&directory);
    let plan = Plan {
        name: "redis".to_owned(),
        launch,
        probe: Probe::Redis(address),
        worth_showing: |line| line.to_ascii_lowercase().contains("error"),
    };
    Ok((plan, format!("redis://{address}")))
}
