//! Counting what a process holds: tasks and file descriptors.

use std::{fs, time::Duration};

use anyhow::{Context, Result, bail};
use harness::Arena;
use local_stack::Part;
use tokio::time::{Instant, sleep};

/// What may come and go without being a leak: pools that are not full yet, timers.
const SLACK: usize = 24;

/// How long the product may take to become quiet.
const QUIET: Duration = Duration::from_secs(30);

/// What one process holds.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    name: String,
    tasks: usize,
    files: usize,
}

impl Held {
    fn leak_since(&self, before: &Self) -> Option<String> {
        let Self { name, tasks, files } = self;
        let leaks = *tasks > before.tasks + SLACK || *files > before.files + SLACK;
        leaks.then(|| {
            format!(
                "{name}: {tasks} tasks ({} before), {files} files ({} before)",
                before.tasks, before.files
            )
        })
    }
}

/// What every message-api and gateway holds.
pub(crate) async fn count(arena: &Arena) -> Result<Vec<Held>> {
    let (stack, urls) = (&arena.stack, arena.stack.urls());
    let mut all = vec![held(stack.api(1), &urls.api_admin(1)).await?];
    for n in 1..=urls.gateways() {
        all.push(held(stack.gateway(n), &urls.gateway_admin(n)).await?);
    }
    Ok(all)
}

async fn held(part: &Part, admin: &str) -> Result<Held> {
    let pid = part.pid().with_context(|| format!("{} does not run", part.name()))?;
    let files = fs::read_dir(format!("/proc/{pid}/fd"))?.count();
    let metrics = reqwest::get(format!("{admin}/metrics")).await?.text().await?;
    let tasks = metrics.lines().find_map(|line| line.strip_prefix("switchboard_tasks "));
    let tasks = tasks.context("a gauge of tasks")?.parse()?;
    Ok(Held { name: part.name().to_owned(), tasks, files })
}

/// Waits until nothing is held that was not held before.
pub(crate) async fn none_since(arena: &Arena, before: &[Held]) -> Result<()> {
    let until = Instant::now() + QUIET;
    loop {
        let now = count(arena).await?;
        let leaks: Vec<_> =
            now.iter().zip(before).filter_map(|(now, before)| now.leak_since(before)).collect();
        if leaks.is_empty() {
            return Ok(());
        }
        if Instant::now() > until {
            bail!("leaks: {}", leaks.join("; "));
        }
        sleep(Duration::from_millis(200)).await;
    }
}
