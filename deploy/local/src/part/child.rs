//! A child process: spawned on a thread that never ends, reaped at once, signalled without a race.

use std::{
    io,
    os::fd::OwnedFd,
    process::{self, Command, ExitStatus},
    sync::{Arc, OnceLock, mpsc},
    thread,
};

use anyhow::{Context, Result};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use tokio::sync::watch;

use super::{launch::Launch, log::PartLog};

/// A started process. Plain threads read its lines and reap it, so that it outlives the
/// runtime of the test that started it.
#[derive(Debug)]
pub(crate) struct Child {
    pid: u32,
    /// Names this very process, also after its number was given to another.
    handle: OwnedFd,
    exit: watch::Receiver<Option<ExitStatus>>,
}

impl Child {
    /// Starts it. Its lines go to `log`, if given.
    pub(crate) fn spawn(launch: &Launch, log: Option<&Arc<PartLog>>) -> Result<Self> {
        let mut child = spawn_on_lasting_thread(launch.command())
            .context("can't start setpriv (Debian package util-linux)")?;
        let pid = child.id();
        let raw = i32::try_from(pid).ok().and_then(Pid::from_raw).context("a pid of 0")?;
        let handle = pidfd_open(raw, PidfdFlags::empty()).context("pidfd_open")?;
        let (announce, exit) = watch::channel(None);
        let readers = log.map_or_else(Vec::new, |log| read_lines(&mut child, log));
        thread::spawn(move || {
            let status = child.wait();
            // Its last words first: whoever learns of the exit can quote them.
            for reader in readers {
                let _ = reader.join();
            }
            announce.send_replace(status.ok());
        });
        Ok(Self { pid, handle, exit })
    }

    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal. A process that has ended already is no error.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        match pidfd_send_signal(&self.handle, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(e) => Err(e).context("can't send a signal"),
        }
    }

    /// How it ended, if it has.
    pub(crate) fn exit_status(&self) -> Option<ExitStatus> {
        *self.exit.borrow()
    }

    /// A handle for waiting until it has ended.
    pub(crate) fn watch(&self) -> Watch {
        Watch(self.exit.clone())
    }
}

/// Waits for the end of one started process.
pub(crate) struct Watch(watch::Receiver<Option<ExitStatus>>);

impl Watch {
    pub(crate) async fn exited(mut self) -> Result<ExitStatus> {
        let status = *self.0.wait_for(Option::is_some).await.context("its exit was missed")?;
        status.context("its exit was missed")
    }
}

fn read_lines(child: &mut process::Child, log: &Arc<PartLog>) -> Vec<thread::JoinHandle<()>> {
    let mut readers = Vec::new();
    if let Some(pipe) = child.stdout.take() {
        let log = Arc::clone(log);
        readers.push(thread::spawn(move || log.follow(pipe)));
    }
    if let Some(pipe) = child.stderr.take() {
        let log = Arc::clone(log);
        readers.push(thread::spawn(move || log.follow(pipe)));
    }
    readers
}

/// The kernel kills a child when the THREAD that spawned it ends, and a runtime's threads come
/// and go; this one ends with the process.
fn spawn_on_lasting_thread(command: Command) -> io::Result<process::Child> {
    type Request = (Command, mpsc::Sender<io::Result<process::Child>>);
    static SPAWNER: OnceLock<mpsc::Sender<Request>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (requests, inbox) = mpsc::channel::<Request>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                let _ = answer.send(command.spawn());
            }
        });
        requests
    });
    let (answer, child) = mpsc::channel();
    let gone = || io::Error::other("the spawning thread has ended");
    spawner.send((command, answer)).map_err(|_| gone())?;
    child.recv().map_err(|_| gone())?
}
