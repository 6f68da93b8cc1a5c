//! Clients that drop and come back while messages flow: in jitter one after the other, in an
//! avalanche all at once. Each says on its return what it heard last (`since`); what counts is the
//! share of messages that each client has in the end.

use std::collections::HashSet;

use anyhow::Result;
use bench::wire::{self, Template};
use rand::RngExt;

use super::{
    Stage,
    setup::{ACK, Hall},
};
use crate::{
    figures::Figures,
    swarm::{Heard, Io, Next, Script, now},
};

/// Number of the acknowledgement of a post; that of a join is [`ACK`].
const POSTED: u64 = 2;
const SECOND: u64 = 1_000_000_000;
/// Silence after which nothing more is expected, in nanoseconds.
const QUIET: u64 = 2 * SECOND;
/// How long clients may take to come back once the dropping is over.
const PATIENCE: u64 = 60 * SECOND;

/// When clients drop.
#[derive(Clone, Copy, Debug)]
enum Weather {
    /// Each about so often, in nanoseconds; away for 100 to 500 ms.
    Jitter(u64),
    /// All at once, after this many nanoseconds; back within half a second.
    Avalanche(u64),
}

struct Member {
    room: usize,
    /// `join room`, without and up to `since`.
    joins: (Vec<u8>, String),
    is_in: bool,
    drops_at: u64,
    back_at: Option<u64>,
    /// When it asks to join again, after a refusal.
    asks_at: Option<u64>,
    heard: HashSet<u32>,
    doubles: u64,
    since: Option<u64>,
}

struct Room {
    poster: usize,
    template: Template,
    sent: u32,
    acked: Vec<u32>,
    due: u64,
    /// Is one under way? If the poster is cut off then, nobody knows whether it was stored.
    is_open: bool,
}

struct Churn {
    weather: Weather,
    members: Vec<Member>,
    rooms: Vec<Room>,
    every: u64,
    /// When the dropping ends, and a little later the posting.
    calm_at: u64,
    fallen: Option<u64>,
    recovered_at: u64,
    last_news: u64,
    drops: u64,
    /// Joins and posts that were refused for load. A join is tried again.
    refused: u64,
}

impl Script for Churn {
    fn heard(&mut self, who: usize, heard: Heard<'_>, io: &mut Io) {
        let member = &mut self.members[who];
        match heard {
            Heard::Connected => member.join(who, io),
            Heard::Ack(number, body) if memchr::memmem::find(body, b"\"error\"").is_some() => {
                self.refused += 1;
                match number {
                    ACK => {
                        let pause = rand::rng().random_range(SECOND / 2..2 * SECOND);
                        member.asks_at = Some(io.read_at + pause);
                    }
                    _ => self.rooms[member.room].is_open = false,
                }
            }
            Heard::Ack(ACK, _) => {
                member.is_in = true;
                self.recovered_at = io.read_at;
            }
            Heard::Ack(POSTED, _) => {
                let room = &mut self.rooms[member.room];
                room.acked.push(room.sent);
                room.is_open = false;
            }
            Heard::Ack(..) => {}
            Heard::Event(b"chat message" | b"message history", body) => {
                member.takes(body);
                self.last_news = io.read_at;
            }
            Heard::Event(..) => {}
            Heard::Closed(_) => {
                member.is_in = false;
                member.asks_at = None;
                member.back_at = Some(io.read_at + SECOND / 10);
                let room = &mut self.rooms[member.room];
                room.is_open &= room.poster != who;
            }
        }
    }

    fn tick(&mut self, now: u64, io: &mut Io) -> Result<Next> {
        self.post(now, io);
        self.drop_some(now, io);
        for who in 0..self.members.len() {
            let member = &mut self.members[who];
            if member.back_at.is_some_and(|at| at <= now) {
                member.back_at = None;
                io.reopen(who)?;
            }
            if member.asks_at.is_some_and(|at| at <= now) {
                member.asks_at = None;
                member.join(who, io);
            }
        }
        let is_whole = self.members.iter().all(|member| member.is_in);
        let is_quiet = now > self.calm_at + QUIET && now > self.last_news + QUIET;
        if (is_whole && is_quiet) || now > self.calm_at + PATIENCE {
            return Ok(Next::Done);
        }
        Ok(Next::At(now + 5_000_000))
    }
}

impl Churn {
    /// Each room's first client posts, and never drops.
    fn post(&mut self, now: u64, io: &mut Io) {
        if now > self.calm_at {
            return;
        }
        for room in &mut self.rooms {
            if room.due <= now && !room.is_open && self.members[room.poster].is_in {
                room.sent += 1;
                room.is_open = true;
                room.due = now + self.every;
                io.send(room.poster, room.template.stamped(now, room.sent));
            }
        }
    }

    fn drop_some(&mut self, now: u64, io: &mut Io) {
        let is_avalanche = match self.weather {
            Weather::Avalanche(at) => now >= at && self.fallen.is_none(),
            Weather::Jitter(_) => false,
        };
        if is_avalanche {
            self.fallen = Some(now);
        }
        for who in 0..self.members.len() {
            let member = &mut self.members[who];
            if self.rooms[member.room].poster == who || !member.is_in {
                continue;
            }
            let away = match self.weather {
                Weather::Avalanche(_) if is_avalanche => rand::rng().random_range(0..SECOND / 2),
                Weather::Jitter(mean) if member.drops_at <= now && now < self.calm_at => {
                    member.drops_at = now + rand::rng().random_range(mean / 2..mean * 3 / 2);
                    rand::rng().random_range(SECOND / 10..SECOND / 2)
                }
                _ => continue,
            };
            member.is_in = false;
            member.back_at = Some(now + away);
            io.close(who);
            self.drops += 1;
        }
    }

    fn figures(&self) -> Figures {
        let (mut wanted, mut had, mut doubles) = (0, 0, 0);
        for member in &self.members {
            let acked = &self.rooms[member.room].acked;
            wanted += acked.len() as u64;
            had += acked.iter().filter(|number| member.heard.contains(number)).count() as u64;
            doubles += member.doubles;
        }
        let mut figures = Figures::default();
        figures.put("received_percent", had as f64 * 100.0 / wanted as f64);
        figures.put("missing", (wanted - had) as f64);
        figures.put("doubles", doubles as f64);
        figures.put("drops", self.drops as f64);
        figures.put("refused", self.refused as f64);
        if let Some(fallen) = self.fallen {
            figures.put("back_s", self.recovered_at.saturating_sub(fallen) as f64 / 1e9);
        }
        let out = self.members.iter().filter(|member| !member.is_in).count();
        figures.put("not_back", out as f64);
        figures
    }
}

impl Member {
    /// Asks for what came after what it heard last.
    fn join(&self, who: usize, io: &mut Io) {
        let again = self.since.map(|since| self.joins.1.replace("$since", &since.to_string()));
        match again {
            Some(join) => io.send(who, &wire::client_frame(&join)),
            None => io.send(who, &self.joins.0),
        }
    }

    fn takes(&mut self, body: &[u8]) {
        for (_, number) in wire::stamps(body) {
            if !self.heard.insert(number) {
                self.doubles += 1;
            }
        }
        if let Some(at) = memchr::memmem::rfind(body, b"\"seq\":") {
            let digits = body[at + 6..].iter().take_while(|byte| byte.is_ascii_digit());
            self.since = Some(digits.fold(0, |n, digit| n * 10 + u64::from(digit - b'0')));
        }
    }
}

fn play(stage: &mut Stage<'_>, rooms: usize, weather: Weather, length: u64) -> Result<Figures> {
    let mut hall = Hall::fill(stage, rooms, 10)?;
    let begin = now();
    let weather = match weather {
        Weather::Avalanche(after) => Weather::Avalanche(begin + after),
        jitter => jitter,
    };
    let member = |who: usize| {
        let first = wire::client_frame(&hall.join(stage, who, None));
        let again = hall.join(stage, who, Some(0)).replace("\"since\":0", "\"since\":$since");
        let drops_at = match weather {
            Weather::Jitter(mean) => begin + rand::rng().random_range(0..mean),
            Weather::Avalanche(_) => u64::MAX,
        };
        Member {
            room: who / 10,
            joins: (first, again),
            is_in: true,
            drops_at,
            back_at: None,
            asks_at: None,
            heard: HashSet::new(),
            doubles: 0,
            since: None,
        }
    };
    let room = |room: usize| Room {
        poster: room * 10,
        template: Template::new(&hall.says(stage, room * 10, Some(POSTED), true)),
        sent: 0,
        acked: Vec::new(),
        due: begin + rand::rng().random_range(0..SECOND),
        is_open: false,
    };
    let mut churn = Churn {
        weather,
        members: (0..rooms * 10).map(member).collect(),
        rooms: (0..rooms).map(room).collect(),
        every: SECOND / 2,
        calm_at: begin + length,
        fallen: None,
        recovered_at: 0,
        last_news: begin,
        drops: 0,
        refused: 0,
    };
    hall.swarm.play(&mut churn)?;
    Ok(churn.figures())
}

/// Rooms of 10, two messages a second in each; clients drop every two seconds on average.
pub(super) fn jitter(stage: &mut Stage<'_>) -> Result<Figures> {
    let rooms = stage.scale.clients(500, 100) / 10;
    play(stage, rooms, Weather::Jitter(2 * SECOND), stage.scale.measure * 3)
}

/// Rooms of 10, two messages a second in each; all clients but the posters drop at once.
pub(super) fn avalanche(stage: &mut Stage<'_>) -> Result<Figures> {
    // One of ten posts and stays.
    let rooms = stage.scale.clients(5_000, 500).div_ceil(9);
    play(stage, rooms, Weather::Avalanche(SECOND), SECOND * 4)
}
