//! A supervised part of the stack: one program, started, watched, signalled, stopped.

mod child;
mod launch;
mod log;
mod probe;

use std::{
    ffi::OsString,
    fmt,
    process::ExitStatus,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tokio::time::timeout;

pub(crate) use child::Child;
pub(crate) use launch::{Launch, path_with_sbin};
pub use log::{LogSink, silent, terminal};
pub(crate) use probe::Probe;

use self::{child::Watch, log::PartLog};
use crate::home::Home;

/// How long a part may take to become ready.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a part may take to stop by itself.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How many of its last lines an error quotes.
const QUOTED: usize = 15;

/// One program of the stack. Dropping it kills it.
pub struct Part {
    name: String,
    launch: Launch,
    probe: Probe,
    log: Arc<PartLog>,
    home: Arc<Home>,
    child: Mutex<Option<Child>>,
}

/// What a part is made of.
pub(crate) struct Plan {
    pub(crate) name: String,
    pub(crate) launch: Launch,
    pub(crate) probe: Probe,
    /// Which lines are worth showing; all are kept.
    pub(crate) worth_showing: fn(&str) -> bool,
}

impl Part {
    pub(crate) fn new(plan: Plan, home: &Arc<Home>, sink: &LogSink) -> Self {
        let Plan { name, launch, probe, worth_showing } = plan;
        let log = Arc::new(PartLog::new(&name, worth_showing, Arc::clone(sink)));
        Self { name, launch, probe, log, home: Arc::clone(home), child: Mutex::new(None) }
    }

    /// For people: `gateway-1`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process, while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child().as_ref().filter(|c| c.exit_status().is_none()).map(Child::pid)
    }

    /// Its newest lines, over all its starts, oldest first.
    #[must_use]
    pub fn log_lines(&self) -> Vec<String> {
        self.log.last(usize::MAX)
    }

    /// Starts it, again on the same ports after it has ended, and waits until it is ready.
    pub async fn start(&self) -> Result<()> {
        self.spawn()?;
        self.ready().await
    }

    /// Starts it without waiting.
    pub fn spawn(&self) -> Result<()> {
        if self.pid().is_some() {
            bail!("{} runs already", self.name);
        }
        let child = Child::spawn(&self.launch, Some(&self.log))
            .with_context(|| format!("can't start {}", self.name))?;
        self.home.remember(&self.name, child.pid())?;
        *self.child() = Some(child);
        Ok(())
    }

    /// Waits until it serves. The error quotes its last lines.
    pub async fn ready(&self) -> Result<()> {
        let started = Instant::now();
        let watch = self.watch()?;
        let polling = async {
            loop {
                match self.probe.ask().await {
                    Ok(()) => return Ok(()),
                    Err(e) if started.elapsed() > READY_WITHIN => return Err(e),
                    Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        tokio::select! {
            // Its end first: another program on its port must not pass for it.
            biased;
            status = watch.exited() => bail!("{}", self.obituary(status?)),
            outcome = polling => outcome.with_context(|| {
                format!("{} was not ready within {READY_WITHIN:?}; {}", self.name, self.last_words())
            }),
        }
    }

    /// SIGTERM, and SIGKILL if that was not enough. How did it end?
    pub async fn stop(&self) -> Result<ExitStatus> {
        self.resume()?; // A stopped process would not hear the request.
        self.signal(Signal::TERM)?;
        let watch = self.watch()?;
        match timeout(STOP_WITHIN, watch.exited()).await {
            Ok(status) => status,
            Err(_) => self.kill().await,
        }
    }

    /// SIGKILL; returns once it is dead.
    pub async fn kill(&self) -> Result<ExitStatus> {
        self.signal(Signal::KILL)?;
        self.exited().await
    }

    /// SIGTERM, and no waiting.
    pub fn terminate(&self) -> Result<()> {
        self.signal(Signal::TERM)
    }

    /// Stops it in order and starts it again on the same ports.
    pub async fn restart(&self) -> Result<()> {
        self.stop().await?;
        self.start().await
    }

    /// SIGSTOP: it holds its sockets and says nothing.
    pub fn pause(&self) -> Result<()> {
        self.signal(Signal::STOP)
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Waits for its end, however it comes.
    pub async fn exited(&self) -> Result<ExitStatus> {
        self.watch()?.exited().await
    }

    /// A sentence about its end, with its last lines.
    #[must_use]
    pub fn obituary(&self, status: ExitStatus) -> String {
        format!("{} has ended ({status}); {}", self.name, self.last_words())
    }

    fn last_words(&self) -> String {
        match self.log.last(QUOTED) {
            lines if lines.is_empty() => "it wrote nothing".to_owned(),
            lines => format!("its last lines:\n    {}", lines.join("\n    ")),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        match &*self.child() {
            Some(child) => child.signal(signal),
            None => bail!("{} was never started", self.name),
        }
    }

    fn watch(&self) -> Result<Watch> {
        let child = self.child();
        Ok(child.as_ref().with_context(|| format!("{} was never started", self.name))?.watch())
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A command that shares our terminal, and gets SIGTERM should we die before it.
#[derive(Debug)]
pub struct Command(Child);

impl Command {
    /// Starts the program that `line` begins with.
    pub fn start(line: &[OsString], env: &[(String, String)]) -> Result<Self> {
        let (program, args) = line.split_first().context("an empty command")?;
        let launch = Launch::new(program).args(args).envs(env).in_foreground();
        Child::spawn(&launch, None).map(Self)
    }

    /// SIGTERM.
    pub fn terminate(&self) -> Result<()> {
        self.0.signal(Signal::TERM)
    }

    /// Waits for its end.
    pub async fn exited(&self) -> Result<ExitStatus> {
        self.0.watch().exited().await
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if self.pid().is_some() {
            let _ = self.signal(Signal::KILL);
        }
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("name", &self.name).field("pid", &self.pid()).finish()
    }
}
