//! Bringing clients in: connecting many, and having them ask something each.

use std::{collections::VecDeque, rc::Rc};

use anyhow::{Result, bail};
use bench::wire;

use super::Stage;
use crate::{
    swarm::{Door, Heard, Io, Next, Script, Swarm, now},
    targets::Leg,
};

/// How long all of a set-up step may take, in nanoseconds.
const PATIENCE: u64 = 90_000_000_000;
/// Clients in the making at once.
pub(crate) const AT_ONCE: usize = 64;

/// Number of the acknowledgement that set-up steps ask for.
pub(crate) const ACK: u64 = 1;

/// Does something for each of many clients, so many at once, until all have answered.
struct Queue<T, S: FnMut(T, &mut Io) -> Result<()>> {
    what: &'static str,
    todo: VecDeque<T>,
    start: S,
    at_once: usize,
    under_way: usize,
    done: usize,
    all: usize,
    /// Is it the acknowledgement, rather than the connection, that ends a client's turn?
    awaits_ack: bool,
    deadline: u64,
    failed: Option<String>,
}

impl<T, S: FnMut(T, &mut Io) -> Result<()>> Script for Queue<T, S> {
    fn heard(&mut self, _: usize, heard: Heard<'_>, _: &mut Io) {
        match heard {
            Heard::Connected if !self.awaits_ack => {}
            Heard::Ack(ACK, body) if self.awaits_ack => {
                if memchr::memmem::find(body, b"\"error\"").is_some() {
                    self.failed = Some(String::from_utf8_lossy(body).into_owned());
                }
            }
            Heard::Closed(why) => {
                self.failed = Some(why.to_owned());
                return;
            }
            _ => return,
        }
        self.under_way -= 1;
        self.done += 1;
    }

    fn tick(&mut self, now: u64, io: &mut Io) -> Result<Next> {
        if let Some(why) = &self.failed {
            bail!("{}: {why}", self.what);
        }
        if now > self.deadline {
            bail!("{}: only {} of {} in time", self.what, self.done, self.all);
        }
        while self.under_way < self.at_once
            && let Some(next) = self.todo.pop_front()
        {
            self.under_way += 1;
            (self.start)(next, io)?;
        }
        Ok(if self.done == self.all { Next::Done } else { Next::At(now + 1_000_000_000) })
    }
}

fn play<T>(
    swarm: &mut Swarm,
    what: &'static str,
    todo: Vec<T>,
    at_once: usize,
    awaits_ack: bool,
    start: impl FnMut(T, &mut Io) -> Result<()>,
) -> Result<()> {
    let (all, deadline) = (todo.len(), now() + PATIENCE);
    let todo = todo.into();
    let (under_way, done, failed) = (0, 0, None);
    swarm.play(&mut Queue {
        what,
        todo,
        start,
        at_once,
        under_way,
        done,
        all,
        awaits_ack,
        deadline,
        failed,
    })
}

/// Connects a client through each door; they get numbers in this order.
pub(crate) fn connect(swarm: &mut Swarm, doors: Vec<Rc<Door>>, at_once: usize) -> Result<()> {
    play(swarm, "connecting", doors, at_once, false, |door, io| io.open(door).map(drop))
}

/// Each of these clients asks its event, and waits for the acknowledgement.
pub(crate) fn ask(
    swarm: &mut Swarm,
    what: &'static str,
    events: Vec<(usize, String)>,
    at_once: usize,
) -> Result<()> {
    play(swarm, what, events, at_once, true, |(who, payload), io| {
        io.send(who, &wire::client_frame(&payload));
        Ok(())
    })
}

/// Rooms full of clients, each spread over all fronts (or all at the first).
pub(crate) struct Hall {
    pub(crate) swarm: Swarm,
    pub(crate) rooms: Vec<String>,
    /// Clients of a room have consecutive numbers: so many each.
    pub(crate) size: usize,
}

impl Hall {
    /// Fills `count` rooms with `size` clients each. Users differ as far as there are enough.
    pub(crate) fn fill(stage: &mut Stage<'_>, count: usize, size: usize) -> Result<Self> {
        let fronts = stage.target.fronts();
        Self::fill_at(stage, count, size, |member| member % fronts)
    }

    /// The same, each member at the front that `front` tells.
    pub(crate) fn fill_at(
        stage: &mut Stage<'_>,
        count: usize,
        size: usize,
        front: impl Fn(usize) -> usize,
    ) -> Result<Self> {
        let mut hall = Self::before(stage, count, size, front)?;
        hall.enter(stage)?;
        Ok(hall)
    }

    /// Rooms, and clients that are connected but in no room yet.
    pub(crate) fn before(
        stage: &mut Stage<'_>,
        count: usize,
        size: usize,
        front: impl Fn(usize) -> usize,
    ) -> Result<Self> {
        let rooms = stage.target.rooms(count, stage.runtime)?;
        let mut swarm = Swarm::new()?;
        let door =
            |who: usize| stage.target.door(Leg::Rooms, front(who % size), user_of(who, size));
        connect(&mut swarm, (0..count * size).map(door).collect(), AT_ONCE)?;
        Ok(Self { swarm, rooms, size })
    }

    /// All clients join their rooms.
    pub(crate) fn enter(&mut self, stage: &Stage<'_>) -> Result<()> {
        let all = 0..self.swarm.io.len();
        let joins = all.map(|who| (who, self.join(stage, who, None))).collect();
        ask(&mut self.swarm, "joining rooms", joins, AT_ONCE)
    }

    /// `join room`, maybe with all since a place.
    pub(crate) fn join(&self, stage: &Stage<'_>, who: usize, since: Option<u64>) -> String {
        let since = since.map(|seq| format!(",\"since\":{seq}")).unwrap_or_default();
        let body = format!("{{{}{since}}}", self.place(stage, who));
        self.swarm.io.door(who).event(Some(ACK), "join room", &body)
    }

    /// `chat message`, stamped.
    pub(crate) fn says(
        &self,
        stage: &Stage<'_>,
        who: usize,
        ack: Option<u64>,
        is_durable: bool,
    ) -> String {
        let durable = if is_durable { ",\"durable\":true" } else { "" };
        let text = wire::blank_text(TEXT);
        let body = format!("{{{},\"text\":\"{text}\"{durable}}}", self.place(stage, who));
        self.swarm.io.door(who).event(ack, "chat message", &body)
    }

    /// `typing`.
    pub(crate) fn types(&self, stage: &Stage<'_>, who: usize) -> String {
        let body = format!("{{{}}}", self.place(stage, who));
        self.swarm.io.door(who).event(None, "typing", &body)
    }

    fn place(&self, stage: &Stage<'_>, who: usize) -> String {
        let user = stage.target.user(user_of(who, self.size));
        format!("\"roomId\":\"{}\",\"user\":\"{user}\"", self.rooms[who / self.size])
    }
}

/// Bytes of a text: with all around it a delivered frame has about 224.
const TEXT: usize = 100;

/// In large rooms some users are there more than once: who comes is told to all, and that is not
/// what these workloads measure.
fn user_of(who: usize, size: usize) -> usize {
    if size > 200 { who % 200 } else { who }
}
