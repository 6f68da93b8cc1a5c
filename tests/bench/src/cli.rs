//! The command line.

use std::path::PathBuf;

use clap::Parser;

use crate::{
    targets::Kind,
    workloads::{self, Scale, Workload},
};

/// Measures Switchboard beside what people would pick instead.
#[derive(Debug, Parser)]
#[command(name = "switchboard-bench")]
pub(crate) struct Cli {
    /// Fewer and smaller workloads, one round: under three minutes
    #[arg(long)]
    pub(crate) quick: bool,
    /// Runs of what the goals compare; the report tells medians [default: 5, quick: 1]
    #[arg(long)]
    rounds: Option<u32>,
    /// Only these workloads; `history` is one too
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these targets
    #[arg(long, value_delimiter = ',', value_enum)]
    targets: Vec<Kind>,
    /// Seconds before a measurement counts [default: 0.7, quick: 0.6]
    #[arg(long)]
    warm: Option<f64>,
    /// Seconds that count [default: 2, quick: 1.2]
    #[arg(long)]
    measure: Option<f64>,
    /// Part of the full number of clients [default: 1, quick: 0.3]
    #[arg(long)]
    share: Option<f64>,
    /// Messages in the table whose pages are read [default: 10000000, quick: 200000]
    #[arg(long)]
    history_rows: Option<u64>,
    /// The core of all servers
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// The core of the load generator
    #[arg(long, default_value_t = 1)]
    pub(crate) generator_core: usize,
    /// Write RESULTS.md and latency.svg into this directory
    #[arg(long)]
    pub(crate) out: Option<PathBuf>,
    /// List the workloads, and do nothing
    #[arg(long)]
    pub(crate) list: bool,
}

impl Cli {
    pub(crate) fn rounds(&self) -> u32 {
        self.rounds.unwrap_or(if self.quick { 1 } else { 5 })
    }

    pub(crate) fn scale(&self) -> Scale {
        let either = |given: Option<f64>, full, quick| {
            given.unwrap_or(if self.quick { quick } else { full })
        };
        Scale {
            warm: (either(self.warm, 0.7, 0.6) * 1e9) as u64,
            measure: (either(self.measure, 2.0, 1.2) * 1e9) as u64,
            share: either(self.share, 1.0, 0.3),
        }
    }

    /// The workloads that are chosen.
    pub(crate) fn workloads(&self) -> Vec<Workload> {
        let is_chosen = |workload: &&Workload| match self.only.is_empty() {
            true => workload.is_quick || !self.quick,
            false => self.only.iter().any(|name| name == workload.name),
        };
        workloads::all().iter().filter(is_chosen).copied().collect()
    }

    /// Messages in the history, if it is chosen.
    pub(crate) fn history(&self) -> Option<u64> {
        let is_chosen = self.only.is_empty() || self.only.iter().any(|name| name == "history");
        let rows = self.history_rows.unwrap_or(if self.quick { 200_000 } else { 10_000_000 });
        (is_chosen && self.is_target(Kind::Switchboard)).then_some(rows)
    }

    pub(crate) fn is_target(&self, kind: Kind) -> bool {
        match self.targets.is_empty() {
            // A second Rust server, a second engine and traces tell little in a hurry.
            true => !self.quick || !matches!(kind, Kind::Eiows | Kind::Socketioxide | Kind::Traced),
            false => self.targets.contains(&kind),
        }
    }
}
