//! What is done to the targets. Each file is one workload; `catalogue` lists them with what they
//! measure.

mod catalogue;
mod churn;
mod connects;
mod foreign;
pub(crate) mod history;
mod idle;
mod posts;
mod presence;
mod rooms;
mod setup;

use anyhow::Result;
use tokio::runtime::Runtime;

pub(crate) use self::catalogue::{LATENCY_RATES, Workload, all};
use crate::{figures::Figures, targets::Target};

/// How long and how large.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    /// Nanoseconds before a measurement counts.
    pub(crate) warm: u64,
    /// Nanoseconds that count.
    pub(crate) measure: u64,
    /// Part of the full number of clients.
    pub(crate) share: f64,
}

impl Scale {
    /// So many clients in full size; never fewer than `least`.
    pub(crate) fn clients(&self, full: usize, least: usize) -> usize {
        ((full as f64 * self.share) as usize).clamp(least.min(full), full)
    }
}

/// A target on the stage of a workload.
pub(crate) struct Stage<'a> {
    pub(crate) target: &'a mut Target,
    pub(crate) runtime: &'a Runtime,
    pub(crate) scale: Scale,
}

/// One run of a workload.
pub(crate) type Run = fn(&mut Stage<'_>) -> Result<Figures>;
