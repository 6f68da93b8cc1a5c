//! What processes use: CPU from `/proc/<pid>/task/*/schedstat`, memory from `/proc/<pid>/status`.

use std::{fs, ops::Sub};

use anyhow::{Context, Result};

/// What a process is to its target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Holds the sockets: a gateway, or the whole of a peer.
    Front,
    Api,
    Redis,
    Database,
}

/// A process under measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Process {
    pub(crate) role: Role,
    pub(crate) pid: u32,
}

impl Process {
    /// Nanoseconds on a core so far, all threads that live.
    pub(crate) fn cpu(self) -> Result<u64> {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.pid))
            .with_context(|| format!("the {:?} with pid {} is gone", self.role, self.pid))?;
        let of = |task: fs::DirEntry| {
            let stat = fs::read_to_string(task.path().join("schedstat")).ok()?;
            stat.split_whitespace().next()?.parse::<u64>().ok()
        };
        Ok(tasks.flatten().filter_map(of).sum())
    }

    /// KiB resident.
    pub(crate) fn resident(self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))
            .with_context(|| format!("the {:?} with pid {} is gone", self.role, self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let size = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
        size.context("/proc tells no VmRSS")
    }
}

/// Seconds of CPU, by [`Role`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Cpu([f64; 4]);

impl Cpu {
    /// Of all these processes so far.
    pub(crate) fn of(processes: &[Process]) -> Result<Self> {
        let mut cpu = Self::default();
        for process in processes {
            cpu.0[process.role as usize] += process.cpu()? as f64 / 1e9;
        }
        Ok(cpu)
    }

    pub(crate) fn role(&self, role: Role) -> f64 {
        self.0[role as usize]
    }

    pub(crate) fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self(std::array::from_fn(|role| self.0[role] - before.0[role]))
    }
}
