//! The stretch of a workload that counts: after the warm-up, for so long, with CPU read at both
//! ends.

use anyhow::Result;

use crate::{
    figures::Figures,
    usage::{Cpu, Process, Role},
};

/// How far a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Warming,
    /// It counts from now on; told once.
    Begins,
    Counting,
    Over,
}

#[derive(Debug)]
pub(crate) struct Window<'a> {
    processes: &'a [Process],
    begin: u64,
    end: u64,
    before: Option<(u64, Cpu)>,
    used: Option<(u64, Cpu)>,
    /// What the generator uses: nanoseconds of CPU, at the beginning and then in all.
    own: u64,
}

impl<'a> Window<'a> {
    /// Warm-up and measured time in nanoseconds.
    pub(crate) fn new(processes: &'a [Process], now: u64, warm: u64, measure: u64) -> Self {
        let begin = now + warm;
        Self { processes, begin, end: begin + measure, before: None, used: None, own: 0 }
    }

    pub(crate) fn phase(&mut self, now: u64) -> Result<Phase> {
        if self.used.is_some() {
            return Ok(Phase::Over);
        }
        match self.before {
            None if now >= self.begin => {
                self.before = Some((now, Cpu::of(self.processes)?));
                self.own = generator().cpu()?;
                Ok(Phase::Begins)
            }
            None => Ok(Phase::Warming),
            Some((at, before)) if now >= self.end => {
                self.used = Some((now - at, Cpu::of(self.processes)? - before));
                self.own = generator().cpu()? - self.own;
                Ok(Phase::Over)
            }
            Some(_) => Ok(Phase::Counting),
        }
    }

    pub(crate) fn is_counting(&self) -> bool {
        self.before.is_some() && self.used.is_none()
    }

    /// Seconds measured, and CPU used in them.
    pub(crate) fn used(&self) -> (f64, Cpu) {
        self.used.map_or((0.0, Cpu::default()), |(ns, cpu)| (ns as f64 / 1e9, cpu))
    }

    /// Rates and CPU for each of `count` things (deliveries, sends …).
    pub(crate) fn figures(&self, count: u64) -> Figures {
        let (seconds, cpu) = self.used();
        let each = |cpu: f64| cpu * 1e6 / (count as f64).max(1.0);
        let mut figures = Figures::default();
        figures.put("per_s", count as f64 / seconds);
        figures.put("front_us", each(cpu.role(Role::Front)));
        figures.put("stack_us", each(cpu.total()));
        figures.put("api_us", each(cpu.role(Role::Api)));
        figures.put("redis_us", each(cpu.role(Role::Redis)));
        figures.put("database_us", each(cpu.role(Role::Database)));
        figures.put("per_front_core_s", count as f64 / cpu.role(Role::Front));
        figures.put("cores", cpu.total() / seconds);
        figures.put("generator_cores", self.own as f64 / 1e9 / seconds);
        figures
    }
}

/// This process. It spins where messages go out at a fixed rate.
fn generator() -> Process {
    Process { role: Role::Front, pid: std::process::id() }
}
