//! Durable sends: many clients, each of which sends its next message once the one before is
//! acknowledged.

use anyhow::{Result, ensure};
use bench::wire::Template;
use hdrhistogram::Histogram;

use super::{
    Stage,
    setup::{ACK, AT_ONCE, Hall, connect},
};
use crate::{
    figures::{Figures, histogram},
    swarm::{Heard, Io, Next, Script, Swarm, now},
    targets::Leg,
    window::{Phase, Window},
    wire,
};

struct Posting<'a> {
    window: Window<'a>,
    /// Of every client that posts; when its message was sent.
    posters: Vec<Option<(Template, u64)>>,
    event: &'static [u8],
    begun: bool,
    acked: u64,
    heard: u64,
    refused: u64,
    /// Clients that the server cut off.
    lost: u64,
    latency: Histogram<u64>,
}

impl Script for Posting<'_> {
    fn heard(&mut self, who: usize, heard: Heard<'_>, io: &mut Io) {
        match heard {
            Heard::Event(name, _) if name == self.event => {
                self.heard += u64::from(self.window.is_counting());
            }
            Heard::Ack(ACK, body) => {
                let Some(Some((template, sent))) = self.posters.get_mut(who) else { return };
                if memchr::memmem::find(body, b"\"error\"").is_some() {
                    self.refused += 1;
                } else if self.window.is_counting() {
                    self.acked += 1;
                    self.latency.saturating_record(io.read_at.saturating_sub(*sent));
                }
                *sent = io.read_at;
                io.send(who, template.stamped(*sent, 0));
            }
            Heard::Closed(_) => self.lost += 1,
            _ => {}
        }
    }

    fn tick(&mut self, now: u64, io: &mut Io) -> Result<Next> {
        if !self.begun {
            self.begun = true;
            for (who, poster) in self.posters.iter_mut().enumerate() {
                if let Some((template, sent)) = poster {
                    *sent = now;
                    io.send(who, template.stamped(now, 0));
                }
            }
        }
        if self.window.phase(now)? == Phase::Over {
            return Ok(Next::Done);
        }
        Ok(Next::At(now + 5_000_000))
    }
}

fn play(
    stage: &Stage<'_>,
    swarm: &mut Swarm,
    posters: Vec<Option<(Template, u64)>>,
    event: &'static str,
) -> Result<Figures> {
    let window = Window::new(&stage.target.processes, now(), stage.scale.warm, stage.scale.measure);
    let mut script = Posting {
        window,
        posters,
        event: event.as_bytes(),
        begun: false,
        acked: 0,
        heard: 0,
        refused: 0,
        lost: 0,
        latency: histogram(),
    };
    swarm.play(&mut script)?;
    ensure!(script.acked > 0, "no message was acknowledged, {} were refused", script.refused);
    let mut figures = script.window.figures(script.acked);
    figures.put_latency(&script.latency);
    figures.put("heard_per_s", script.heard as f64 / script.window.used().0);
    figures.put("refused", script.refused as f64);
    figures.put("lost", script.lost as f64);
    Ok(figures)
}

/// Rooms of two; one of them posts.
pub(super) fn durable(stage: &mut Stage<'_>) -> Result<Figures> {
    let count = stage.scale.clients(512, 64);
    let mut hall = Hall::fill(stage, count, 2)?;
    let poster = |who: usize| {
        let payload = hall.says(stage, who, Some(ACK), true);
        who.is_multiple_of(2).then(|| (Template::new(&payload), 0))
    };
    let posters = (0..count * 2).map(poster).collect();
    play(stage, &mut hall.swarm, posters, "chat message")
}

/// Pairs of users; one of them writes to the other, whose socket is at the other front.
pub(super) fn direct(stage: &mut Stage<'_>) -> Result<Figures> {
    let count = stage.scale.clients(256, 32) * 2;
    let mut swarm = Swarm::new()?;
    let doors: Vec<_> = (0..count).map(|who| stage.target.door(Leg::Direct, who, who)).collect();
    let poster = |who: usize| {
        let (to, text) = (stage.target.user(who + 1), wire::blank_text(100));
        let body = format!("{{\"user\":\"{to}\",\"message\":\"{text}\"}}");
        let payload = doors[who].event(Some(ACK), "send-message", &body);
        who.is_multiple_of(2).then(|| (Template::new(&payload), 0))
    };
    let posters = (0..count).map(poster).collect();
    connect(&mut swarm, doors.clone(), AT_ONCE)?;
    play(stage, &mut swarm, posters, "chat")
}
