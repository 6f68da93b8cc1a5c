//! Measures Switchboard beside its peers on this machine: `make bench`, `make bench-quick`.
//!
//! | module | what it does |
//! |---|---|
//! | `cli` | what is measured, for how long |
//! | `targets` | the programs under measurement |
//! | `swarm`, [`bench::wire`] | the generator: thousands of clients on one thread |
//! | `workloads` | what is done to the targets |
//! | `window`, `usage`, `figures` | what counts, CPU and memory, medians |
//! | `report` | the goals, the tables, the plot |
//!
//! All servers run on one core, the generator on another. In each round all targets are started,
//! every workload runs on one target after the other, and all are stopped. What no goal compares is
//! left out in some rounds.

mod cli;
mod cores;
mod figures;
mod report;
mod swarm;
mod targets;
mod usage;
mod window;
mod workloads;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use bench::wire;
use clap::Parser;
use local_stack::{Servers, Source, silent};
use tokio::runtime::{Builder, Runtime};

use self::{
    cli::Cli,
    figures::{Figures, Results},
    report::Report,
    targets::{Kind, Target},
    usage::Cpu,
    workloads::{Stage, history},
};

const KINDS: [Kind; 6] =
    [Kind::Switchboard, Kind::Traced, Kind::Node, Kind::Eiows, Kind::Socketioxide, Kind::Bare];
/// How long a target may take to forget the clients of the last workload.
const SETTLE: Duration = Duration::from_secs(6);

fn main() -> Result<()> {
    let cli = Cli::parse();
    if cli.list {
        for workload in workloads::all() {
            println!("{:13} {}", workload.name, workload.about);
        }
        println!("{:13} pages of a long history, newest and deep", "history");
        return Ok(());
    }
    let runtime = Builder::new_current_thread().enable_all().build()?;
    cores::pin(cli.server_core)?;
    let servers = runtime.block_on(Servers::up(&Source::Private, &Source::Private, &silent()))?;
    let (results, notes, began) = (Results::default(), Vec::new(), Instant::now());
    let mut bench = Bench { cli, runtime, servers, results, notes, began };
    for round in 1..=bench.cli.rounds() {
        bench.round(round)?;
    }
    bench.history()?;
    let report = Report { results: &bench.results, notes: &bench.notes, cli: &bench.cli };
    report.publish()?;
    bench.runtime.block_on(bench.servers.stop())
}

struct Bench {
    cli: Cli,
    runtime: Runtime,
    servers: Servers,
    results: Results,
    /// What could not be measured, and why.
    notes: Vec<String>,
    began: Instant,
}

impl Bench {
    /// Starts a target on the servers' core.
    fn start(&self, kind: Kind) -> Result<Target> {
        cores::pin(self.cli.server_core)?;
        let sink_core = self.cli.generator_core;
        let target = Target::start(kind, &self.servers, &self.runtime, sink_core)
            .with_context(|| format!("{} did not start", kind.name()));
        cores::pin(self.cli.generator_core)?;
        target
    }

    fn round(&mut self, round: u32) -> Result<()> {
        let workloads = self.cli.workloads();
        let is_needed = |kind: &Kind| {
            self.cli.is_target(*kind) && workloads.iter().any(|w| w.targets.contains(kind))
        };
        let mut targets = Vec::new();
        let needed: Vec<_> = KINDS.into_iter().filter(is_needed).collect();
        for kind in needed {
            match self.start(kind) {
                Ok(target) => targets.push(target),
                Err(error) => self.note(format!("{error:#}")),
            }
        }
        for workload in &workloads {
            // Every other round the other way, so that nobody is always first.
            if round.is_multiple_of(2) {
                targets.reverse();
            }
            let is_due = |target: &&mut Target| {
                let is_on = workload.targets.contains(&target.kind);
                is_on && (round - 1).is_multiple_of(every(workload.name, target.kind))
            };
            for target in targets.iter_mut().filter(is_due) {
                let (kind, scale) = (target.kind, self.cli.scale());
                let mut stage = Stage { target, runtime: &self.runtime, scale };
                let outcome = (workload.run)(&mut stage);
                settle(target);
                self.keep(round, workload.name, kind, outcome);
            }
        }
        for target in targets {
            target.stop(&self.runtime)?;
        }
        Ok(())
    }

    /// Reads pages of a table that is generated first.
    fn history(&mut self) -> Result<()> {
        let Some(rows) = self.cli.history() else { return Ok(()) };
        let mut target = self.start(Kind::Switchboard)?;
        eprintln!("generating {rows} messages");
        let table = self.runtime.block_on(history::fill(&target, rows))?;
        for round in 1..=self.cli.rounds() {
            let scale = self.cli.scale();
            let mut stage = Stage { target: &mut target, runtime: &self.runtime, scale };
            let outcome = history::pages(&mut stage, table);
            self.keep(round, "history", Kind::Switchboard, outcome);
        }
        target.stop(&self.runtime)
    }

    fn keep(&mut self, round: u32, workload: &str, kind: Kind, outcome: Result<Figures>) {
        let rounds = self.cli.rounds();
        match outcome {
            Ok(figures) => {
                let shown: Vec<_> =
                    figures.0.iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
                let (name, at) = (kind.name(), self.began.elapsed().as_secs());
                eprintln!("{at} s, {round}/{rounds} {workload} {name}: {}", shown.join(", "));
                self.results.add(workload, kind, figures);
            }
            Err(error) => {
                self.note(format!("{workload} on {}, round {round}: {error:#}", kind.name()));
            }
        }
    }

    fn note(&mut self, note: String) {
        eprintln!("{note}");
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// In which rounds a workload runs on a target: in all where a goal compares it.
fn every(workload: &str, kind: Kind) -> u32 {
    match kind {
        _ if report::has_goal(workload, kind) => 1,
        Kind::Eiows | Kind::Socketioxide => 3,
        Kind::Switchboard | Kind::Traced | Kind::Node | Kind::Bare => 2,
    }
}

/// Waits until a target has got over the loss of its clients: the core is shared.
fn settle(target: &Target) {
    let began = Instant::now();
    let nap = Duration::from_millis(100);
    while began.elapsed() < SETTLE {
        let Ok(before) = Cpu::of(&target.processes) else { return };
        sleep(nap);
        let Ok(after) = Cpu::of(&target.processes) else { return };
        if (after - before).total() < nap.as_secs_f64() / 10.0 {
            return;
        }
    }
}
