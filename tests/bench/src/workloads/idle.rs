//! Many connections on which nothing happens: memory for each, and what they cost in CPU.

use anyhow::Result;

use super::{
    Stage,
    setup::{AT_ONCE, connect},
};
use crate::{
    figures::Figures,
    swarm::{Heard, Io, Next, Script, Swarm, now},
    targets::Leg,
    usage::Role,
    window::{Phase, Window},
};

/// Waits, and answers pings.
struct Waiting<'a>(Window<'a>, u64);

impl Script for Waiting<'_> {
    fn heard(&mut self, _: usize, heard: Heard<'_>, _: &mut Io) {
        self.1 += u64::from(matches!(heard, Heard::Closed(_)));
    }

    fn tick(&mut self, now: u64, _: &mut Io) -> Result<Next> {
        let is_over = self.0.phase(now)? == Phase::Over;
        Ok(if is_over { Next::Done } else { Next::At(now + 1_000_000_000) })
    }
}

/// Guests in the default namespace, spread over the fronts.
pub(super) fn idle(stage: &mut Stage<'_>) -> Result<Figures> {
    let count = stage.scale.clients(10_000, 1_000);
    let resident = || -> Result<u64> {
        let fronts = (0..stage.target.fronts()).filter_map(|n| stage.target.front(n));
        fronts.map(|front| front.resident()).sum()
    };
    let before = resident()?;
    let mut swarm = Swarm::new()?;
    let doors = (0..count).map(|who| stage.target.door(Leg::Guest, who, who)).collect();
    connect(&mut swarm, doors, AT_ONCE)?;
    let (warm, measure) = (stage.scale.warm.max(1_500_000_000), stage.scale.measure);
    let mut waiting = Waiting(Window::new(&stage.target.processes, now(), warm, measure), 0);
    swarm.play(&mut waiting)?;
    let (seconds, cpu) = waiting.0.used();
    let mut figures = Figures::default();
    figures.put("kib_each", resident()?.saturating_sub(before) as f64 / count as f64);
    figures.put("front_idle_share", cpu.role(Role::Front) / seconds);
    figures.put("lost", waiting.1 as f64);
    Ok(figures)
}
