//! This gateway's word in Redis: its lease, whom it lists, and the clearing of the dead.

use std::{
    io,
    time::{Duration, Instant},
};

use rand::RngExt;
use redis::{RedisResult, ScriptInvocation};
use redis_link::{Line, Redis};
use tokio::time::timeout;

use super::{
    BEAT, LEASE,
    local::Move,
    member::{Member, weight},
    scripts::{DEAD, ENTER, LEAVE, RENEW},
};

/// Moves in one round trip.
pub(super) const BATCH: usize = 256;

/// For how long Redis keeps who came when.
const CAME_KEPT: Duration = Duration::from_secs(60 * 60);

/// How long one clearing of the dead may take; the next beat goes on.
const CLEARING: Duration = Duration::from_millis(1_500);

/// What Redis said to a renewal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Renewed {
    /// The lease held.
    Held,
    /// The lease had run out, or this gateway was never known: all must be said again.
    Unknown,
    /// So was everybody else: Redis was emptied.
    Emptied,
}

/// Gateways whose lease was over and that are forgotten now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Cleared {
    /// All of them.
    pub(super) forgotten: u64,
    /// Those that never said farewell.
    pub(super) died: u64,
}

/// The scripts, with this gateway's keys.
pub struct Registry {
    redis: Line,
    keys: String,
    epoch: String,
    /// Counts the doubts whether Redis heard all. Words of earlier generations no longer count,
    /// should a slow link bring them after all.
    generation: u64,
    /// What tells Redis as it is from Redis after it was emptied. Empty: not yet known.
    born: String,
    /// Redis was emptied, and has not been told everything again.
    is_emptied: bool,
    is_in_step: bool,
}

impl Registry {
    /// For the gateway process of this (random) number. The line is presence's lane.
    #[must_use]
    pub fn new(redis: &Redis, line: Line, epoch: u64) -> Self {
        Self {
            redis: line,
            keys: redis.presence_keys(),
            epoch: format!("{epoch:016x}"),
            generation: 0,
            born: String::new(),
            is_emptied: false,
            is_in_step: false,
        }
    }

    /// Does Redis know all that it was told?
    pub(super) const fn is_in_step(&self) -> bool {
        self.is_in_step
    }

    /// Redis may not have heard something: it must be told everything again.
    fn lose_step(&mut self, cause: &dyn std::fmt::Display) {
        if std::mem::take(&mut self.is_in_step) {
            tracing::warn!(%cause, "presence: will tell Redis everything again");
        }
    }

    /// Tells Redis what moved. False: some of it may not have been heard.
    pub(super) async fn record(&mut self, moves: &[Move]) -> bool {
        let (epoch, generation) = (self.epoch.clone(), self.generation.to_string());
        let calls: Vec<_> = moves
            .iter()
            .map(|moved| self.call(&epoch, &generation, &moved.member, moved))
            .collect();
        match self.invoke_all(&calls).await {
            Ok(answers) if answers.iter().all(|answer| *answer >= 0) => return true,
            Ok(_) => self.lose_step(&"Redis does not know this gateway any more"),
            Err(cause) => self.lose_step(&cause),
        }
        false
    }

    /// Renews the lease. `None`: Redis did not answer within a beat.
    pub(super) async fn renew(&mut self) -> Option<Renewed> {
        self.say(LEASE, false).await
    }

    /// Leaves a short lease: whoever finds it over knows that this gateway meant to stop. `None` as
    /// above.
    pub(super) async fn farewell(&mut self, lease: Duration) -> Option<Renewed> {
        self.say(lease, true).await
    }

    async fn say(&mut self, lease: Duration, is_farewell: bool) -> Option<Renewed> {
        self.generation += u64::from(!self.is_in_step);
        let mut call = RENEW.prepare_invoke();
        for key in ["gateways", "fences", "born", "settling", "left"] {
            call.key(format!("{}{key}", self.keys));
        }
        call.arg(&self.epoch).arg(self.generation).arg(millis(lease)).arg(&self.born);
        call.arg(format!("{:016x}", rand::rng().random::<u64>())).arg(millis(LEASE));
        call.arg(u8::from(is_farewell));
        match in_time(call.invoke_async::<(String, i64)>(&mut self.redis)).await {
            Ok((born, held)) => {
                let before = std::mem::replace(&mut self.born, born);
                self.is_emptied |= !before.is_empty() && before != self.born;
                self.is_in_step &= held == 1;
                Some(match (self.is_emptied, self.is_in_step) {
                    (true, _) => Renewed::Emptied,
                    (false, true) => Renewed::Held,
                    (false, false) => Renewed::Unknown,
                })
            }
            Err(cause) => {
                self.lose_step(&cause);
                None
            }
        }
    }

    /// Whom Redis lists here. From now on what moves can be told. `None` as above.
    pub(super) async fn listed(&mut self) -> Option<Vec<Member>> {
        let list = format!("{}gateway:{}", self.keys, self.epoch);
        let mut ask = redis::cmd("SMEMBERS");
        match in_time(ask.arg(list).query_async::<Vec<String>>(&mut self.redis)).await {
            Ok(listed) => {
                (self.is_in_step, self.is_emptied) = (true, false);
                Some(listed.iter().filter_map(|raw| Member::decode(raw)).collect())
            }
            Err(cause) => {
                self.lose_step(&cause);
                None
            }
        }
    }

    /// Clears gateways whose lease is over. Several gateways may do so at once, and each may die
    /// at it: each entry is taken off the list and told by one of them, at once.
    pub(super) async fn clear_the_dead(&mut self) -> Cleared {
        #[cfg(feature = "sabotage")]
        if crate::sabotage::is("lease") {
            return Cleared::default();
        }
        let (begun, mut cleared) = (Instant::now(), Cleared::default());
        while begun.elapsed() < CLEARING {
            let mut call = DEAD.prepare_invoke();
            for key in ["gateways", "fences", "left"] {
                call.key(format!("{}{key}", self.keys));
            }
            call.arg(&self.keys).arg(BATCH);
            let asked = call.invoke_async::<(u64, u64, Vec<(String, String)>)>(&mut self.redis);
            let Ok((forgotten, died, entries)) = in_time(asked).await else { break };
            cleared.forgotten += forgotten;
            cleared.died += died;
            let calls: Vec<_> = entries
                .iter()
                .filter_map(|(epoch, raw)| {
                    let member = Member::decode(raw)?;
                    let moved = Move { member: member.clone(), origin: None, ago: Duration::ZERO };
                    Some(self.call(epoch, "", &member, &moved))
                })
                .collect();
            if calls.is_empty() || self.invoke_all(&calls).await.is_err() {
                break;
            }
        }
        cleared
    }

    fn call(
        &self,
        epoch: &str,
        generation: &str,
        member: &Member,
        moved: &Move,
    ) -> ScriptInvocation<'static> {
        let script = if moved.origin.is_some() { &ENTER } else { &LEAVE };
        let (place, field) = (member.place().to_string(), member.field());
        let mut call = script.prepare_invoke();
        call.key(format!("{}fences", self.keys));
        call.key(format!("{}gateway:{epoch}", self.keys));
        call.key(format!("{}place:{place}", self.keys));
        for key in ["digests", "gateways", "settling"] {
            call.key(format!("{}{key}", self.keys));
        }
        call.key(format!("{}came:{place}", self.keys));
        let (topic, told) = member.announcement(moved.origin, moved.ago);
        call.arg(epoch).arg(generation).arg(member.encode()).arg(&place).arg(&field);
        call.arg(member.name().as_str()).arg(weight(&field).to_string());
        let lane = self.redis.lane();
        call.arg(lane.verb()).arg(lane.channel(topic)).arg(told);
        match (moved.origin, member) {
            (None, _) => call.arg(member.suspicion()),
            (Some(_), Member::InRoom(..)) => call.arg(micros(moved.ago)).arg(micros(CAME_KEPT)),
            // Whoever watches is told in any case.
            (Some(_), Member::Online(_)) => call.arg(""),
        };
        call
    }

    /// One round trip. The scripts come along: a restarted Redis does not know them.
    async fn invoke_all(&mut self, calls: &[ScriptInvocation<'static>]) -> RedisResult<Vec<i64>> {
        let mut pipeline = redis::pipe();
        pipeline.load_script(&ENTER).ignore().load_script(&LEAVE).ignore();
        for call in calls {
            pipeline.invoke_script(call);
        }
        in_time(pipeline.query_async(&mut self.redis)).await
    }
}

/// While Redis is away the line waits for it; whoever keeps a lease must not. What comes late after
/// all is of an earlier generation.
async fn in_time<T>(asked: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| Err(io::Error::from(io::ErrorKind::TimedOut).into());
    timeout(BEAT, asked).await.unwrap_or_else(late)
}

fn micros(duration: Duration) -> String {
    duration.as_micros().to_string()
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
