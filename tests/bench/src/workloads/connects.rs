//! Storms: how many clients can connect in a second, and how many can join a room.

use anyhow::Result;

use super::{
    Stage,
    setup::{AT_ONCE, Hall, connect},
};
use crate::{
    figures::Figures,
    swarm::{Swarm, now},
    targets::Leg,
    usage::{Cpu, Role},
};

/// Guests connect by websocket until they are in the default namespace.
pub(super) fn connects(stage: &mut Stage<'_>) -> Result<Figures> {
    let count = stage.scale.clients(4_000, 500);
    let door = |who| stage.target.door(Leg::Guest, who, who);
    let mut swarm = Swarm::new()?;
    connect(&mut swarm, (0..count / 4).map(door).collect(), AT_ONCE)?;
    let (began, before) = (now(), Cpu::of(&stage.target.processes)?);
    connect(&mut swarm, (0..count).map(door).collect(), AT_ONCE)?;
    rate(stage, count, began, before)
}

/// Connected users join new rooms of 100.
pub(super) fn joins(stage: &mut Stage<'_>) -> Result<Figures> {
    let (count, size) = (stage.scale.clients(2_000, 200) / 100, 100);
    let fronts = stage.target.fronts();
    let mut hall = Hall::before(stage, count, size, |member| member % fronts)?;
    let (began, before) = (now(), Cpu::of(&stage.target.processes)?);
    hall.enter(stage)?;
    rate(stage, count * size, began, before)
}

fn rate(stage: &Stage<'_>, count: usize, began: u64, before: Cpu) -> Result<Figures> {
    let seconds = (now() - began) as f64 / 1e9;
    let cpu = Cpu::of(&stage.target.processes)? - before;
    let mut figures = Figures::default();
    figures.put("per_s", count as f64 / seconds);
    figures.put("front_us", cpu.role(Role::Front) * 1e6 / count as f64);
    figures.put("stack_us", cpu.total() * 1e6 / count as f64);
    Ok(figures)
}
