//! Gateways die, sleep, lose Redis, and Redis forgets, at random; people come and go all the time.
//! Afterwards every open socket's own book of who came and went ends in the truth.

use std::{
    collections::HashSet,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use futures_util::future::try_join_all;
use harness::{Arena, Chatter, Mailbox, Person, SocketIo};
use local_stack::{Link, Options, Weather};
use tokio::time::{Instant, sleep};

use crate::presence::{empty_redis, turns, watcher};

const PEOPLE: usize = 18;
const ROOMS: usize = 3;
const GATEWAYS: usize = 3;

/// How long it storms.
const STORM: Duration = Duration::from_secs(40);

/// A lease, a settling and some comparisons: all must be true then.
const CALM: Duration = Duration::from_secs(30);

#[derive(Debug, Parser)]
struct Settings {
    /// Repeats the choices of an earlier storm
    #[arg(env = "STORM_SEED", long)]
    seed: Option<u64>,
}

/// A choice that the seed repeats (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        for shift in [13_i32, -7, 17] {
            let moved = if shift > 0 { self.0 << shift } else { self.0 >> -shift };
            self.0 ^= moved;
        }
        usize::try_from(self.0 % limit as u64).unwrap_or_default()
    }
}

/// A socket in a room, or one that waits for everybody.
struct Seat {
    owner: usize,
    room: Option<usize>,
    socket: Open,
    /// Who had been in the room, or online, when the socket came.
    before: HashSet<usize>,
}

enum Open {
    Chatter(Chatter),
    Watcher(SocketIo),
}

impl Open {
    fn heard(&self) -> &Mailbox {
        match self {
            Self::Chatter(chatter) => chatter,
            Self::Watcher(socket) => socket,
        }
    }
}

struct Storm<'a> {
    arena: &'a Arena,
    dice: Dice,
    people: Vec<Person<'a>>,
    rooms: Vec<String>,
    seats: Vec<Seat>,
    /// Everybody who ever was in each room, and, last, online.
    ever: Vec<HashSet<usize>>,
}

impl<'a> Storm<'a> {
    async fn on(arena: &'a Arena, seed: u64) -> Result<Self> {
        let people = try_join_all((0..PEOPLE).map(|_| arena.newcomer("p"))).await?;
        let host = people[0].enters(1).await?;
        let mut rooms = Vec::new();
        for _ in 0..ROOMS {
            rooms.push(host.makes_room(&arena.unique("room")).await?);
        }
        let ever = vec![HashSet::new(); ROOMS + 1];
        Ok(Self { arena, dice: Dice(seed | 1), people, rooms, seats: Vec::new(), ever })
    }

    /// Those who are out come back; some of those who are in leave. Watchers are renewed.
    async fn people_move(&mut self) -> Result<()> {
        self.seats.retain(|seat| seat.socket.heard().is_open());
        for gateway in 1..=GATEWAYS {
            let owner = PEOPLE - gateway;
            if !self.seats.iter().any(|seat| seat.owner == owner && seat.room.is_none()) {
                let names: Vec<_> = self.people.iter().map(|person| person.name.as_str()).collect();
                let socket = watcher(self.arena, &self.people[owner], gateway, &names).await?;
                self.ever[ROOMS].insert(owner);
                let before = self.ever[ROOMS].clone();
                self.seats.push(Seat { owner, room: None, socket: Open::Watcher(socket), before });
            }
        }
        for owner in 0..PEOPLE {
            let at = self.seats.iter().position(|s| s.owner == owner && s.room.is_some());
            match (at, self.dice.below(4)) {
                (Some(at), 0) => drop(self.seats.swap_remove(at)),
                (None, 1..) => self.comes(owner).await?,
                _ => {}
            }
        }
        Ok(())
    }

    async fn comes(&mut self, owner: usize) -> Result<()> {
        let (gateway, room) = (1 + self.dice.below(GATEWAYS), self.dice.below(ROOMS));
        let before = self.ever[room].clone();
        let chatter = self.people[owner].enters(gateway).await?;
        chatter.joins(&self.rooms[room]).await?;
        self.ever[room].insert(owner);
        self.ever[ROOMS].insert(owner);
        let socket = Open::Chatter(chatter);
        self.seats.push(Seat { owner, room: Some(room), socket, before });
        Ok(())
    }

    /// One blow; all gateways are up and linked after it.
    async fn strikes(&mut self) -> Result<()> {
        let (stack, n) = (&self.arena.stack, 1 + self.dice.below(GATEWAYS));
        let a_while = Duration::from_millis(500 + self.dice.below(12_000) as u64);
        let a_moment = Duration::from_millis(self.dice.below(3_000) as u64);
        match self.dice.below(6) {
            0 => {
                stack.gateway(n).kill().await?;
                sleep(a_moment).await;
                stack.gateway(n).start().await?;
            }
            1 => {
                stack.gateway(n).pause()?;
                sleep(a_while).await;
                stack.gateway(n).resume()?;
            }
            blow @ (2 | 3) => {
                let weather = if blow == 2 { Weather::Cut } else { Weather::Silent };
                stack.straits().set(Link::GatewayToRedis(n), weather);
                sleep(a_while).await;
                stack.straits().set(Link::GatewayToRedis(n), Weather::Fair);
            }
            4 => empty_redis(self.arena).await?,
            _ => {
                let other = stack.gateway(1 + n % GATEWAYS);
                tokio::try_join!(stack.gateway(n).kill(), other.kill())?;
                empty_redis(self.arena).await?;
                tokio::try_join!(stack.gateway(n).start(), other.start())?;
            }
        }
        Ok(())
    }

    /// Is somebody in the room, or online, now?
    fn is_there(&self, person: usize, room: Option<usize>) -> bool {
        let mut open = self.seats.iter().filter(|seat| seat.socket.heard().is_open());
        open.any(|seat| seat.owner == person && (room.is_none() || seat.room == room))
    }

    /// What is wrong in the books of the open sockets.
    fn errors(&self) -> Vec<String> {
        let mut errors = Vec::new();
        for seat in self.seats.iter().filter(|seat| seat.socket.heard().is_open()) {
            for person in (0..PEOPLE).filter(|person| *person != seat.owner) {
                let (came, left) = match seat.room {
                    Some(_) => ("user joined room", "user left room"),
                    None => ("user-online", "user-offline"),
                };
                let name = &self.people[person].name;
                let book = turns(seat.socket.heard(), came, left, name);
                let is_there = self.is_there(person, seat.room);
                let is_true = match book.last() {
                    Some(last) => *last == is_there,
                    None => !is_there || (seat.room.is_some() && seat.before.contains(&person)),
                };
                let alternates = book.windows(2).all(|pair| pair[0] != pair[1]);
                if !is_true || !alternates {
                    let (owner, room) = (&self.people[seat.owner].name, seat.room);
                    errors.push(format!("{owner} in {room:?} of {name}: {book:?}, {is_there}"));
                }
            }
        }
        errors
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_storm_everybody_knows_who_is_there_and_nobody_was_told_twice() -> Result<()> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.subsec_nanos();
    let seed = Settings::try_parse_from(["tests"])?.seed.unwrap_or_else(|| now.into());
    let options = Arena::options_with_own_servers("presence-storm")?;
    let arena = Arena::own(Options { gateways: GATEWAYS, straits: true, ..options }).await?;
    let mut storm = Storm::on(&arena, seed).await?;
    let begun = Instant::now();
    while begun.elapsed() < STORM {
        storm.people_move().await.with_context(|| format!("people move, STORM_SEED={seed}"))?;
        storm.strikes().await.with_context(|| format!("a blow, STORM_SEED={seed}"))?;
    }
    let calm = Instant::now();
    while !storm.errors().is_empty() && calm.elapsed() < CALM {
        sleep(Duration::from_millis(200)).await;
    }
    // Nobody says anything again.
    sleep(Duration::from_secs(6)).await;
    let errors = storm.errors();
    ensure!(
        errors.is_empty(),
        "STORM_SEED={seed}, {} errors:\n{}",
        errors.len(),
        errors.join("\n")
    );
    Ok(())
}
