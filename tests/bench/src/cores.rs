//! Who runs on which core. Children inherit the core of the thread that starts them.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_setaffinity};

/// From now on this thread, and what it starts, runs on this core alone.
pub(crate) fn pin(core: usize) -> Result<()> {
    let mut cores = CpuSet::new();
    cores.set(core);
    sched_setaffinity(None, &cores).with_context(|| format!("can't run on core {core}"))
}
