//! Reading who is where, on any gateway.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use chat_core::Username;
use redis_link::{Line, Redis};

use super::{LEASE, member::Place, scripts::CAME};

/// Somebody in a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Present {
    /// Who, within the place.
    pub field: String,
    /// The name that others see.
    pub name: Username,
    /// When they came, as far as Redis knows: by this clock, and later than the truth by no more
    /// than an answer of Redis takes. Kept for an hour, and only for rooms.
    pub came: Option<Instant>,
}

/// Everybody in a place.
pub type Listed = Vec<Present>;

/// How old an answer may be.
const ANSWER: Duration = Duration::from_secs(1);

/// The reading side of presence in Redis.
pub struct Census {
    redis: Line,
    keys: String,
    born: Option<String>,
    /// Until then Redis may lack those whose gateway has not yet spoken again.
    settles_until: Instant,
}

impl Census {
    /// Of the presence that the gateways keep in this Redis. The line is presence's lane.
    #[must_use]
    pub fn new(redis: &Redis, line: Line) -> Self {
        let keys = redis.presence_keys();
        Self { redis: line, keys, born: None, settles_until: Instant::now() }
    }

    /// The sum of the weights of those in each place, in one small answer for each. `None`: Redis
    /// did not answer.
    pub async fn digests(&mut self, places: &[Place]) -> Option<Vec<u64>> {
        let mut call = redis::cmd("HMGET");
        call.arg(format!("{}digests", self.keys));
        for place in places {
            call.arg(place.to_string());
        }
        let digests: Vec<Option<u64>> = call.query_async(&mut self.redis).await.ok()?;
        Some(digests.into_iter().map(Option::unwrap_or_default).collect())
    }

    /// Everybody in each of the places, and whether who is missing there is gone: not so for one
    /// lease after Redis was emptied, since their gateway may still have to say them again.
    /// `None`: Redis did not answer.
    pub async fn members(&mut self, places: &[Place]) -> Option<(Vec<Listed>, bool)> {
        let mut pipeline = redis::pipe();
        for place in places {
            pipeline.hgetall(format!("{}place:{place}", self.keys));
        }
        let answer = pipeline.query_async(&mut self.redis).await;
        let listed: Vec<HashMap<String, String>> = answer.ok()?;
        // Asked after the members: whatever emptied them is seen here.
        let mut call = CAME.prepare_invoke();
        call.key(format!("{}born", self.keys));
        for place in places {
            call.key(format!("{}came:{place}", self.keys));
        }
        let asked = Instant::now();
        let answer = call.invoke_async(&mut self.redis).await;
        let (born, came): (Option<String>, Vec<Vec<(String, i64)>>) = answer.ok()?;
        let now = Instant::now();
        if now - asked > ANSWER {
            // This gateway slept: what the answer says of the time is no longer so.
            return None;
        }
        if born.is_none() || born != self.born {
            self.born = born;
            self.settles_until = Instant::now() + LEASE + Duration::from_secs(1);
        }
        let listed = listed.into_iter().zip(came).map(|(rows, came)| {
            let came: HashMap<_, _> = came.into_iter().collect();
            let at = |field: &str| {
                // A server that has just taken over may have a slower clock.
                let ago = u64::try_from(*came.get(field)?).unwrap_or_default();
                now.checked_sub(Duration::from_micros(ago))
            };
            rows.into_iter().filter_map(|row| parse(row, at)).collect()
        });
        Some((listed.collect(), now >= self.settles_until))
    }
}

/// A field, and how many gateways have it with the name that others see.
fn parse(
    (field, value): (String, String),
    came: impl Fn(&str) -> Option<Instant>,
) -> Option<Present> {
    let (_, name) = value.split_once(' ')?;
    Some(Present { came: came(&field), name: Username::parse(name).ok()?, field })
}
