//! A stack's own directory under `.local`: locked while in use, cleaned up after a killed run.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

/// Directories whose name begins so are removed after use.
const TEMPORARY: &str = "tmp-";

/// A directory that is ours alone until dropped.
#[derive(Debug)]
pub(crate) struct Home {
    path: PathBuf,
    temporary: bool,
    /// Locked; the kernel unlocks it however we end.
    _lock: File,
}

/// How long somebody who is just ending may hold a directory, and with them a child that has not
/// begun its own program yet.
const ENDING: Duration = Duration::from_secs(1);

impl Home {
    /// `<local>/<name>`, which survives. Fails when another process uses it.
    pub(crate) fn lasting(local: &Path, name: &str) -> Result<Self> {
        let _one_at_a_time = enter(local)?;
        let path = local.join(name);
        let deadline = Instant::now() + ENDING;
        let home = loop {
            match Self::take(&path, false)? {
                Some(home) => break home,
                None if Instant::now() < deadline => thread::sleep(Duration::from_millis(10)),
                None => {
                    let path = path.display();
                    bail!("Switchboard runs in this checkout already: {path} is locked")
                }
            }
        };
        home.kill_leftovers();
        Ok(home)
    }

    /// A new directory that vanishes at the end. Those of killed processes vanish now.
    pub(crate) fn temporary(local: &Path, name: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let _one_at_a_time = enter(local)?;
        for entry in fs::read_dir(local)?.flatten() {
            let is_temporary = entry.file_name().to_string_lossy().starts_with(TEMPORARY);
            // Taken means abandoned: dropping it removes it.
            if is_temporary && let Some(abandoned) = Self::take(&entry.path(), true)? {
                abandoned.kill_leftovers();
            }
        }
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = local.join(format!("{TEMPORARY}{name}-{}-{count}", std::process::id()));
        match Self::take(&path, true)? {
            Some(home) => Ok(home),
            None => bail!("{} is in use", path.display()),
        }
    }

    /// Makes the directory if need be. None when somebody uses it.
    fn take(path: &Path, temporary: bool) -> Result<Option<Self>> {
        fs::create_dir_all(path.join("pids"))
            .with_context(|| format!("can't make {}", path.display()))?;
        let lock = File::create(path.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(Self { path: path.to_owned(), temporary, _lock: lock })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e).context("can't lock"),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Notes a process of ours, so that the next run can end it should it outlive us.
    pub(crate) fn remember(&self, part: &str, pid: u32) -> Result<()> {
        let Some(birth) = birth_of(pid) else {
            return Ok(()); // Gone already.
        };
        fs::write(self.path.join("pids").join(part), format!("{pid} {birth}")).context("pids")
    }

    /// Kills what a killed run left behind. A number alone proves nothing, since the kernel
    /// gives it away again; the number with the time of birth does.
    fn kill_leftovers(&self) {
        let notes = fs::read_dir(self.path.join("pids")).into_iter().flatten().flatten();
        for note in notes {
            let text = fs::read_to_string(note.path()).unwrap_or_default();
            if let Some((pid, birth)) = text.split_once(' ') {
                kill_if_born(pid, birth);
            }
            let _ = fs::remove_file(note.path());
        }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if !self.temporary {
            return;
        }
        // A server killed a moment ago may still write; what stays is removed by the next run.
        for _ in 0..10 {
            if fs::remove_dir_all(&self.path).is_ok() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

/// Whoever makes or removes directories under `.local` holds this lock meanwhile.
pub(crate) fn enter(local: &Path) -> Result<File> {
    fs::create_dir_all(local).with_context(|| format!("can't make {}", local.display()))?;
    let lock = File::create(local.join("lock"))?;
    lock.lock().with_context(|| format!("can't lock {}", local.display()))?;
    Ok(lock)
}

/// The boot, and the moment in it, at which the process began.
fn birth_of(pid: u32) -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in brackets and may hold anything; the start time is the
    // twentieth after it.
    let start = stat.rsplit_once(')')?.1.split_whitespace().nth(19)?;
    Some(format!("{} {start}", boot.trim()))
}

fn kill_if_born(pid: &str, birth: &str) -> Option<()> {
    let number: u32 = pid.parse().ok()?;
    let raw = Pid::from_raw(i32::try_from(number).ok()?)?;
    // The handle first: what is checked afterwards is what will be killed.
    let handle = pidfd_open(raw, PidfdFlags::empty()).ok()?;
    if birth_of(number)? == birth {
        pidfd_send_signal(&handle, Signal::KILL).ok()?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("home-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        path
    }

    #[test]
    fn a_lasting_directory_is_taken_once_and_survives() {
        let local = scratch("lasting");
        let home = Home::lasting(&local, "run").unwrap();
        assert!(Home::lasting(&local, "run").unwrap_err().to_string().contains("is locked"));
        drop(home);
        assert!(local.join("run").exists());
        Home::lasting(&local, "run").unwrap();
        fs::remove_dir_all(local).unwrap();
    }

    #[test]
    fn temporary_directories_vanish_and_abandoned_ones_too() {
        let local = scratch("temporary");
        fs::create_dir_all(local.join("tmp-abandoned/pids")).unwrap();
        let (one, two) =
            (Home::temporary(&local, "t").unwrap(), Home::temporary(&local, "t").unwrap());
        assert!(!local.join("tmp-abandoned").exists());
        assert!(one.path() != two.path() && one.path().exists());
        let path = one.path().to_owned();
        drop(one);
        assert!(!path.exists() && two.path().exists());
        drop(two);
        fs::remove_dir_all(local).unwrap();
    }

    #[test]
    fn a_leftover_is_killed_only_if_it_is_the_very_process() {
        let local = scratch("leftovers");
        let home = Home::temporary(&local, "t").unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let stranger = format!("{} some-boot 1", child.id());
        fs::write(home.path().join("pids/stranger"), stranger).unwrap();
        home.kill_leftovers();
        assert!(child.try_wait().unwrap().is_none());
        home.remember("sleep", child.id()).unwrap();
        home.kill_leftovers();
        assert!(!child.wait().unwrap().success());
        drop(home);
        fs::remove_dir_all(local).unwrap();
    }
}
