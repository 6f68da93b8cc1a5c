//! Fan-out: messages to rooms, with so many in flight in each room (closed), or at a fixed rate
//! (open, latency counted from the time at which a message was meant to be sent).

use anyhow::Result;
use bench::wire::Template;
use hdrhistogram::Histogram;

use super::{
    Stage,
    setup::{AT_ONCE, Hall, connect},
};
use crate::{
    figures::{Figures, histogram},
    swarm::{Heard, Io, Next, Script, Swarm, now},
    targets::Leg,
    window::{Phase, Window},
    wire,
};

/// A room in which nothing is heard for so long gets a new message, and the loss is counted.
const STALLED: u64 = 2_000_000_000;

/// When the next message goes out.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// So many are in flight in each room.
    InFlight(u64),
    /// Nanoseconds between messages, over all rooms.
    Every(u64),
}

struct Room {
    /// Takes turns.
    senders: Vec<(usize, Template)>,
    turn: usize,
    /// Who hears each message.
    hearers: u64,
    heard: u64,
    /// When it last heard something; 0 before its first message.
    at: u64,
}

/// Sends to rooms and counts what is heard.
pub(super) struct FanOut<'a> {
    window: Window<'a>,
    event: &'static [u8],
    pace: Pace,
    rooms: Vec<Room>,
    /// The room of each client.
    room_of: Vec<usize>,
    /// Is what senders hear of themselves left out?
    listeners_only: bool,
    next: usize,
    due: u64,
    deliveries: u64,
    sent: u64,
    stalls: u64,
    /// Clients that the server cut off.
    lost: u64,
    latency: Histogram<u64>,
}

impl Script for FanOut<'_> {
    fn heard(&mut self, who: usize, heard: Heard<'_>, io: &mut Io) {
        let (name, body) = match heard {
            Heard::Event(name, body) => (name, body),
            Heard::Closed(_) => return self.lost += 1,
            _ => return,
        };
        if name != self.event {
            return;
        }
        let room = &mut self.rooms[self.room_of[who]];
        room.heard += 1;
        room.at = io.read_at;
        let is_complete = room.heard.is_multiple_of(room.hearers);
        let is_own = self.listeners_only && room.senders.iter().any(|(sender, _)| *sender == who);
        if self.window.is_counting() && !is_own {
            self.deliveries += 1;
            if let Some((time, _)) = wire::stamps(body).next() {
                self.latency.saturating_record(io.read_at.saturating_sub(time));
            }
        }
        if is_complete && matches!(self.pace, Pace::InFlight(_)) {
            self.send(self.room_of[who], io.read_at, io);
        }
    }

    fn tick(&mut self, now: u64, io: &mut Io) -> Result<Next> {
        match self.window.phase(now)? {
            Phase::Over => return Ok(Next::Done),
            Phase::Begins => (self.deliveries, self.sent) = (0, 0),
            Phase::Warming | Phase::Counting => {}
        }
        match self.pace {
            Pace::Every(interval) => {
                while self.due <= now {
                    self.send(self.next, self.due, io);
                    self.next = (self.next + 1) % self.rooms.len();
                    self.due += interval;
                }
                Ok(Next::At(self.due))
            }
            Pace::InFlight(count) => {
                for room in 0..self.rooms.len() {
                    let at = self.rooms[room].at;
                    if at == 0 || now.saturating_sub(at) > STALLED {
                        self.stalls += u64::from(at > 0);
                        self.rooms[room].heard = 0;
                        self.rooms[room].at = now;
                        (0..count).for_each(|_| self.send(room, now, io));
                    }
                }
                Ok(Next::At(now + STALLED / 8))
            }
        }
    }
}

impl FanOut<'_> {
    fn send(&mut self, room: usize, time: u64, io: &mut Io) {
        let room = &mut self.rooms[room];
        let turn = room.turn % room.senders.len();
        room.turn = turn + 1;
        let (who, template) = &mut room.senders[turn];
        io.send(*who, template.stamped(time, 0));
        self.sent += 1;
    }

    fn figures(&self) -> Figures {
        let mut figures = self.window.figures(self.deliveries);
        figures.put_latency(&self.latency);
        let meant = self.sent as f64 * self.rooms.first().map_or(0, |room| room.hearers) as f64;
        figures.put("share", self.deliveries as f64 / meant);
        figures.put("stalls", self.stalls as f64);
        figures.put("lost", self.lost as f64);
        figures
    }
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Message,
    Durable,
    Typing,
}

/// Plays it in a hall: the first `senders` of each room take turns.
fn play(
    stage: &Stage<'_>,
    hall: &mut Hall,
    what: What,
    senders: usize,
    pace: Pace,
    listeners_only: bool,
) -> Result<Figures> {
    let payload = |who| match what {
        What::Typing => hall.types(stage, who),
        _ => hall.says(stage, who, None, what == What::Durable),
    };
    let hearers = hall.size as u64 - u64::from(what == What::Typing || listeners_only);
    let room = |room| Room {
        senders: (room * hall.size..room * hall.size + senders)
            .map(|who| (who, Template::new(&payload(who))))
            .collect(),
        turn: 0,
        hearers,
        heard: 0,
        at: 0,
    };
    let rooms: Vec<_> = (0..hall.rooms.len()).map(room).collect();
    let room_of = (0..hall.swarm.io.len()).map(|who| who / hall.size).collect();
    let event = if what == What::Typing { "typing" } else { "chat message" };
    run(stage, &mut hall.swarm, rooms, room_of, (event, pace, listeners_only))
}

fn run(
    stage: &Stage<'_>,
    swarm: &mut Swarm,
    rooms: Vec<Room>,
    room_of: Vec<usize>,
    (event, pace, listeners_only): (&'static str, Pace, bool),
) -> Result<Figures> {
    let begin = now();
    let mut script = FanOut {
        window: Window::new(&stage.target.processes, begin, stage.scale.warm, stage.scale.measure),
        event: event.as_bytes(),
        pace,
        rooms,
        room_of,
        listeners_only,
        next: 0,
        due: begin,
        deliveries: 0,
        sent: 0,
        stalls: 0,
        lost: 0,
        latency: histogram(),
    };
    swarm.play(&mut script)?;
    Ok(script.figures())
}

fn closed(stage: &mut Stage<'_>, sockets: usize, size: usize, in_flight: u64) -> Result<Figures> {
    let count = stage.scale.clients(sockets, size) / size;
    let mut hall = Hall::fill(stage, count.max(1), size)?;
    play(stage, &mut hall, What::Message, 1, Pace::InFlight(in_flight), false)
}

/// Rooms of 10, one message in flight in each.
pub(super) fn of_10(stage: &mut Stage<'_>) -> Result<Figures> {
    closed(stage, 500, 10, 1)
}

/// Rooms of 100, one message in flight in each.
pub(super) fn of_100(stage: &mut Stage<'_>) -> Result<Figures> {
    closed(stage, 1_000, 100, 1)
}

/// Rooms of 1,000, one message in flight in each.
pub(super) fn of_1000(stage: &mut Stage<'_>) -> Result<Figures> {
    closed(stage, 3_000, 1_000, 1)
}

/// Rooms of 100 with 8 in flight in each.
pub(super) fn hot(stage: &mut Stage<'_>) -> Result<Figures> {
    closed(stage, 1_000, 100, 8)
}

/// Two users in a room, both of whom type: relayed, never stored.
pub(super) fn pairs(stage: &mut Stage<'_>) -> Result<Figures> {
    let count = stage.scale.clients(2_000, 200) / 2;
    let mut hall = Hall::fill(stage, count, 2)?;
    // Switchboard relays two a second from one socket.
    let every = (1e9 / (count as f64 * 2.0 * 1.8)) as u64;
    play(stage, &mut hall, What::Typing, 2, Pace::Every(every), false)
}

/// One relayed message in flight to everybody there, 100 of them.
pub(super) fn relay(stage: &mut Stage<'_>) -> Result<Figures> {
    relayed(stage, 100, Pace::InFlight(1))
}

/// Eight of them.
pub(super) fn relay_hot(stage: &mut Stage<'_>) -> Result<Figures> {
    relayed(stage, 100, Pace::InFlight(8))
}

/// Now and then a message on an idle system, relayed to one socket at the other front.
pub(super) fn lone_relay(stage: &mut Stage<'_>) -> Result<Figures> {
    relayed(stage, 2, Pace::Every(LONE))
}

/// Nanoseconds between lone messages.
const LONE: u64 = 25_000_000;

fn relayed(stage: &mut Stage<'_>, size: usize, pace: Pace) -> Result<Figures> {
    let mut swarm = Swarm::new()?;
    let doors: Vec<_> = (0..size).map(|who| stage.target.door(Leg::Relay, who, who)).collect();
    let body = format!("{{\"content\":\"{}\"}}", wire::blank_text(160));
    let template =
        |who: usize| (who, Template::new(&doors[who].event(None, "send:message", &body)));
    // With two, only the first sends: the other one listens.
    let senders = (0..if size == 2 { 1 } else { size }).map(template).collect();
    connect(&mut swarm, doors.clone(), AT_ONCE)?;
    let room = Room { senders, turn: 0, hearers: size as u64 - 1, heard: 0, at: 0 };
    run(stage, &mut swarm, vec![room], vec![0; size], ("broadcast:message", pace, false))
}

/// Now and then a durable message on an idle system, from one front to the other.
pub(super) fn lone_post(stage: &mut Stage<'_>) -> Result<Figures> {
    let mut hall = Hall::fill(stage, 1, 2)?;
    play(stage, &mut hall, What::Durable, 1, Pace::Every(LONE), true)
}

/// Rooms of 100 at so many deliveries a second in all, as each target does by default: stored by
/// Switchboard, relayed by its peers.
pub(super) fn at_rate(stage: &mut Stage<'_>, deliveries: u64) -> Result<Figures> {
    at_rate_of(stage, What::Message, deliveries)
}

/// The same, stored first by all targets.
pub(super) fn stored_at_rate(stage: &mut Stage<'_>, deliveries: u64) -> Result<Figures> {
    at_rate_of(stage, What::Durable, deliveries)
}

/// As many deliveries of what all targets only relay, to 100 clients who take turns.
pub(super) fn relayed_at_rate(stage: &mut Stage<'_>, deliveries: u64) -> Result<Figures> {
    relayed(stage, 100, Pace::Every(1_000_000_000 * 99 / deliveries))
}

fn at_rate_of(stage: &mut Stage<'_>, what: What, deliveries: u64) -> Result<Figures> {
    let count = stage.scale.clients(2_000, 1_000) / 100;
    let mut hall = Hall::fill(stage, count, 100)?;
    let every = 1_000_000_000 * 100 / deliveries;
    play(stage, &mut hall, what, 1, Pace::Every(every), false)
}
