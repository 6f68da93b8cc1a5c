//! What one more user online costs when all listen to who is online (002's `updateUsers`): first
//! one joins alone, then some join one after the other, then as many leave.

use std::{collections::VecDeque, rc::Rc};

use anyhow::{Result, bail};

use super::{
    Stage,
    setup::{AT_ONCE, connect},
};
use crate::{
    figures::Figures,
    swarm::{Door, Heard, Io, Next, Script, Swarm, now},
    targets::Leg,
    usage::{Cpu, Role},
};

const SECOND: u64 = 1_000_000_000;
/// Users that join, and leave, a second.
const PER_SECOND: u64 = 40;
/// How long they do.
const LENGTH: u64 = 5;
/// Silence after which nobody is told anything more: longer than a user counts as online without
/// a socket.
const QUIET: u64 = 2 * SECOND;
/// How long it may take until all are told.
const PATIENCE: u64 = 40 * SECOND;

enum Turn {
    Join(Rc<Door>),
    Leave(usize),
}

/// Users come or go at a fixed rate, until all who listen have been told.
struct Turns {
    due: u64,
    todo: VecDeque<Turn>,
    lists: u64,
    last: u64,
    closed: Option<String>,
}

impl Script for Turns {
    fn heard(&mut self, _: usize, heard: Heard<'_>, io: &mut Io) {
        match heard {
            Heard::Event(b"updateUsers", _) => {
                self.lists += 1;
                self.last = io.read_at;
            }
            Heard::Closed(why) => self.closed = Some(why.to_owned()),
            _ => {}
        }
    }

    fn tick(&mut self, now: u64, io: &mut Io) -> Result<Next> {
        if let Some(why) = &self.closed {
            bail!("somebody was cut off: {why}");
        }
        while self.due <= now
            && let Some(turn) = self.todo.pop_front()
        {
            match turn {
                Turn::Join(door) => drop(io.open(door)?),
                Turn::Leave(who) => io.close(who),
            }
            (self.last, self.due) = (now, self.due + SECOND / PER_SECOND);
        }
        if now > self.due + PATIENCE {
            bail!("after {} s there still come lists", PATIENCE / SECOND);
        }
        let is_over = self.todo.is_empty() && now > self.last + QUIET;
        Ok(if is_over { Next::Done } else { Next::At(now + 5_000_000) })
    }
}

/// A crowd, and what it has cost so far.
struct Crowd<'a, 'b> {
    stage: &'a Stage<'b>,
    swarm: Swarm,
    /// Cores that the fronts, and Redis, use when nobody comes or goes.
    idle: [f64; 2],
    figures: Figures,
}

/// What a figure is called after each kind of turns: CPU of the fronts and of Redis, bytes to all,
/// lists to each, seconds from the first turn to the last list.
type Names = [&'static str; 5];

impl Crowd<'_, '_> {
    fn door(&self, user: usize) -> Rc<Door> {
        self.stage.target.door(Leg::OneToOne, user, user)
    }

    fn cpu(&self) -> Result<Cpu> {
        Cpu::of(&self.stage.target.processes)
    }

    fn play(&mut self, turns: impl IntoIterator<Item = Turn>, names: Option<Names>) -> Result<()> {
        let todo: VecDeque<_> = turns.into_iter().collect();
        let (count, listeners, bytes) =
            (todo.len(), self.swarm.io.open_ones(), self.swarm.io.bytes_in);
        let (began, before) = (now(), self.cpu()?);
        let mut script = Turns { due: began, todo, lists: 0, last: began, closed: None };
        self.swarm.play(&mut script)?;
        let (seconds, used) = ((now() - began) as f64 / 1e9, self.cpu()? - before);
        let Some([front, redis, kib, lists, last]) = names else { return Ok(()) };
        let each = |cost: f64| cost / count as f64;
        self.figures.put(front, each(used.role(Role::Front) - self.idle[0] * seconds) * 1e6);
        self.figures.put(redis, each(used.role(Role::Redis) - self.idle[1] * seconds) * 1e6);
        self.figures.put(kib, each((self.swarm.io.bytes_in - bytes) as f64) / 1024.0);
        self.figures.put(lists, script.lists as f64 / listeners as f64);
        self.figures.put(last, (script.last - began) as f64 / 1e9);
        Ok(())
    }

    /// What the fronts use while nobody comes or goes.
    fn rest(&mut self) -> Result<()> {
        let (began, before) = (now(), self.cpu()?);
        self.play([], None)?;
        let (used, seconds) = (self.cpu()? - before, (now() - began) as f64 / 1e9);
        self.idle = [Role::Front, Role::Redis].map(|role| used.role(role) / seconds);
        self.figures.put("idle_front_share", self.idle[0]);
        Ok(())
    }
}

fn presence(stage: &mut Stage<'_>, users: usize) -> Result<Figures> {
    let count = stage.scale.clients(users, 500);
    let turns = (PER_SECOND * LENGTH) as usize;
    stage.target.register(count + 1 + turns, stage.runtime)?;
    let swarm = Swarm::new()?;
    let mut crowd = Crowd { stage, swarm, idle: [0.0; 2], figures: Figures::default() };
    let (began, before) = (now(), crowd.cpu()?);
    let doors = (0..count).map(|user| crowd.door(user)).collect();
    connect(&mut crowd.swarm, doors, AT_ONCE)?;
    let used = crowd.cpu()? - before;
    let seconds = (now() - began) as f64 / 1e9;
    crowd.figures.put("connect_per_s", count as f64 / seconds);
    crowd.figures.put("connect_front_us", used.role(Role::Front) * 1e6 / count as f64);
    crowd.play([], None)?;
    crowd.rest()?;
    let lone = Turn::Join(crowd.door(count));
    crowd.play(
        [lone],
        Some(["lone_front_us", "lone_redis_us", "lone_kib", "lone_lists", "lone_s"]),
    )?;
    let (first, last) = (count + 1, count + 1 + turns);
    let joins: Vec<_> = (first..last).map(|user| Turn::Join(crowd.door(user))).collect();
    crowd.play(
        joins,
        Some(["join_front_us", "join_redis_us", "join_kib", "join_lists", "join_s"]),
    )?;
    let leaves: Vec<_> = (first..last).map(Turn::Leave).collect();
    let names = ["leave_front_us", "leave_redis_us", "leave_kib", "leave_lists", "leave_s"];
    crowd.play(leaves, Some(names))?;
    Ok(crowd.figures)
}

/// 1,000 online.
pub(super) fn of_1000(stage: &mut Stage<'_>) -> Result<Figures> {
    presence(stage, 1_000)
}

/// 10,000 online.
pub(super) fn of_10000(stage: &mut Stage<'_>) -> Result<Figures> {
    presence(stage, 10_000)
}
