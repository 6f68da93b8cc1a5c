//! What a message costs a front none of whose sockets is in the room: all clients are at the first
//! front, and the second one's CPU is compared with what it uses when nothing is said.

use anyhow::{Context, Result};
use bench::wire::Template;

use super::{Stage, setup::Hall};
use crate::{
    figures::Figures,
    swarm::{Heard, Io, Next, Script, now},
    usage::Process,
};

/// Sends at a fixed rate until the end, or nothing at all.
struct Typing {
    templates: Vec<Template>,
    every: Option<u64>,
    due: u64,
    next: usize,
    until: u64,
    sent: u64,
}

impl Script for Typing {
    fn heard(&mut self, _: usize, _: Heard<'_>, _: &mut Io) {}

    fn tick(&mut self, now: u64, io: &mut Io) -> Result<Next> {
        while let Some(every) = self.every
            && self.due <= now
        {
            io.send(self.next, self.templates[self.next].stamped(0, 0));
            self.next = (self.next + 1) % self.templates.len();
            self.due += every;
            self.sent += 1;
        }
        Ok(if now >= self.until { Next::Done } else { Next::At(now + 1_000_000) })
    }
}

/// Pairs at the first front type; nobody is at the second one.
pub(super) fn foreign(stage: &mut Stage<'_>) -> Result<Figures> {
    let count = stage.scale.clients(1_000, 200) / 2;
    let mut hall = Hall::fill_at(stage, count, 2, |_| 0)?;
    let other = stage.target.front(1).context("a target with two fronts")?;
    let template = |who| Template::new(&hall.types(stage, who));
    let templates: Vec<_> = (0..count * 2).map(template).collect();
    let every = (1e9 / (templates.len() as f64 * 1.8)) as u64;
    let mut play = |every, length| -> Result<(f64, u64)> {
        let (begin, before) = (now(), other.cpu()?);
        let (templates, until) = (templates.clone(), begin + length);
        let mut typing = Typing { templates, every, due: begin, next: 0, until, sent: 0 };
        hall.swarm.play(&mut typing)?;
        Ok((cpu_since(other, before)?, typing.sent))
    };
    play(Some(every), stage.scale.warm)?;
    let (idle, _) = play(None, stage.scale.measure)?;
    let (busy, sent) = play(Some(every), stage.scale.measure)?;
    let mut figures = Figures::default();
    figures.put("other_us", (busy - idle) * 1e6 / sent as f64);
    figures.put("messages_per_s", sent as f64 * 1e9 / stage.scale.measure as f64);
    Ok(figures)
}

fn cpu_since(process: Process, before: u64) -> Result<f64> {
    Ok((process.cpu()? - before) as f64 / 1e9)
}
