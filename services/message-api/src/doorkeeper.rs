//! Who knocks too often waits outside: log-ins, registrations and new rooms are counted in Redis, for
//! all replicas together, and by each replica for itself while Redis is away. What comes from IPv6 is
//! counted for its /64, and more generously for its /48: that is what one customer may have.
//!
//! A right password always opens, whatever strangers do elsewhere:
//!
//! - Each address may try so many times in all, and so many wrong passwords for one account.
//! - Wrong passwords for one account are counted over all addresses too, but that closes nothing:
//!   once there are too many, an address from which the owner never logged in has one try instead of
//!   several. Guessing from many addresses is slowed to that; the owner, who needs one try, gets in
//!   from anywhere, and from a known address nothing changes at all.
//!
//! Only somebody behind the same address as the owner can use up what that address may try.
//!
//! Tokens of services are counted by address alike, where strangers can show them.
//!
//! | key | value |
//! |---|---|
//! | `{prefix}:knocks:{what}:{address or user}` | milliseconds since 1970 at which everything is free again |
//! | `{prefix}:guesses:{name}`, `…:{address}` | likewise |
//! | `{prefix}:doors:{name}` | sorted set of the addresses from which the owner came, by when |

mod local;
mod scripts;

use std::{fmt, future::Future, time::Duration};

use async_trait::async_trait;
use chat_core::{ChatError, Result, UserId, Username};
use dialects::{address::Address, pace::Rate, rest::door::Door};
use redis::{RedisResult, ScriptInvocation};
use redis_link::{Line, Redis};

pub(crate) use self::local::Local;

/// Tokens of services that an address may show in vain.
const WRONG_TOKENS: u32 = 30;

/// Over which all is counted but rooms.
const WINDOW: Duration = Duration::from_secs(15 * 60);

/// Over which rooms are counted.
const HOUR: Duration = Duration::from_secs(3_600);

/// A site of IPv6 (/48) has so many times what an address has.
const SITE: u32 = 4;

/// How long Redis may take before a replica counts for itself.
const PATIENCE: Duration = Duration::from_secs(1);

/// Connections to each server of Redis.
const CONNECTIONS: usize = 4;

/// Addresses that are remembered of an owner, and for how long.
const DOORS: usize = 32;
const REMEMBERED: Duration = Duration::from_secs(60 * 24 * 3_600);

/// How often in a quarter of an hour, rooms in an hour; 0: any number.
#[derive(Clone, Copy, Debug)]
pub struct Knocks {
    /// Tries to log in from an address.
    pub logins: u32,
    /// Registrations from an address.
    pub registrations: u32,
    /// Wrong passwords for an account from an address.
    pub wrong: u32,
    /// Wrong passwords for an account from addresses that are not its owner's.
    pub wrong_for_account: u32,
    /// New rooms of a user.
    pub rooms: u32,
}

/// Counts who knocks.
pub struct Doorkeeper {
    redis: Redis,
    /// One for each lane, by number.
    lines: Vec<Line>,
    local: Local,
    logins: ByAddress,
    registrations: ByAddress,
    rooms: Option<Rate>,
    wrong: Option<Rate>,
    wrong_for_account: Option<Rate>,
}

/// How often an address, and the site around it, may knock.
#[derive(Clone, Copy)]
struct ByAddress {
    address: Option<Rate>,
    site: Option<Rate>,
}

/// What is counted of an account. All of it lies in one lane.
struct Account {
    lane: usize,
    /// Wrong passwords from one address, from all of them; the owner's addresses.
    keys: [String; 3],
}

impl Doorkeeper {
    /// Connects when first used.
    #[must_use]
    pub fn new(redis: &Redis, knocks: Knocks) -> Self {
        let within = |times, window| (times > 0).then(|| Rate::new(times, window));
        let rate = |times| within(times, WINDOW);
        let by_address =
            |times: u32| ByAddress { address: rate(times), site: rate(times.saturating_mul(SITE)) };
        Self {
            redis: redis.clone(),
            lines: Line::pooled(redis, CONNECTIONS),
            local: Local::default(),
            logins: by_address(knocks.logins),
            registrations: by_address(knocks.registrations),
            rooms: within(knocks.rooms, HOUR),
            wrong: rate(knocks.wrong),
            wrong_for_account: rate(knocks.wrong_for_account),
        }
    }

    /// May this user make one more room?
    pub async fn may_make_room(&self, user: UserId) -> Result<()> {
        let rule = "you have made too many rooms, try again later";
        let knocked = self.knock("room", user.0, self.rooms).await;
        knocked.map_err(refused("rooms", rule))
    }

    /// Counts one of these from an address, and from the site around it. The error is how long to
    /// wait.
    async fn knock_from(
        &self,
        what: &str,
        from: Address,
        rates: ByAddress,
    ) -> std::result::Result<(), Duration> {
        self.knock(what, from, rates.address).await?;
        match from.site() {
            Some(site) => self.knock(what, site, rates.site).await,
            None => Ok(()),
        }
    }

    /// Counts one of these. The error is how long to wait.
    async fn knock(
        &self,
        what: &str,
        whose: impl fmt::Display + Send,
        rate: Option<Rate>,
    ) -> std::result::Result<(), Duration> {
        let Some(rate) = rate else { return Ok(()) };
        let name = format!("knocks:{what}:{whose}");
        let lane = self.redis.lane_of_key(&name);
        let mut call = scripts::KNOCK.key(lane.key(&name));
        let [interval, spare] = millis(rate);
        call.arg(interval).arg(spare);
        match self.ask::<u64>(lane.number(), call).await {
            Some(wait) => waited(wait),
            None => self.local.take(&name, rate),
        }
    }

    /// Counts a wrong password, until it proves right. The error is how long to wait.
    async fn guess(&self, from: Address, name: &Username) -> std::result::Result<(), Duration> {
        let Some(wrong) = self.wrong else { return Ok(()) };
        let account = self.account(from, name);
        let mut call = scripts::GUESS.prepare_invoke();
        for key in &account.keys {
            call.key(key);
        }
        let all = self.wrong_for_account.map_or([0, 0], millis);
        let [interval, spare] = millis(wrong);
        call.arg(from.to_string()).arg(interval).arg(spare).arg(all[0]).arg(all[1]);
        match self.ask::<(u64, bool)>(account.lane, call).await {
            Some((wait, is_narrowed)) => {
                if is_narrowed {
                    count("account");
                }
                waited(wait)
            }
            None => self.local.take(&account.keys[0], wrong),
        }
    }

    /// Takes a counted wrong password back; and if it was right, notes where the owner is.
    async fn settle(&self, from: Address, name: &Username, was_right: bool) {
        let account = self.account(from, name);
        self.local.give_back(&account.keys[0], self.wrong);
        let mut call = scripts::SETTLE.prepare_invoke();
        for key in &account.keys {
            call.key(key);
        }
        let interval = |rate: Option<Rate>| rate.map_or(0, |rate| millis(rate)[0]);
        call.arg(from.to_string())
            .arg(interval(self.wrong))
            .arg(interval(self.wrong_for_account))
            .arg(u8::from(was_right))
            .arg(DOORS)
            .arg(REMEMBERED.as_secs());
        self.ask::<()>(account.lane, call).await;
    }

    /// Counts a service's token that is looked at. The error says how long to wait.
    pub async fn may_show_token(&self, from: Address) -> Result<()> {
        let rule = "too many wrong tokens from your address, try again later";
        let knocked = self.knock("token", from, Some(wrong_tokens())).await;
        knocked.map_err(refused("token", rule))
    }

    fn account(&self, from: Address, name: &Username) -> Account {
        let name = name.key();
        let lane = self.redis.lane_of_key(&format!("guesses:{name}"));
        let key = |name: String| lane.key(&name);
        let keys = [
            key(format!("guesses:{name}:{from}")),
            key(format!("guesses:{name}")),
            key(format!("doors:{name}")),
        ];
        Account { lane: lane.number(), keys }
    }

    /// None if Redis does not answer.
    async fn ask<T: redis::FromRedisValue>(
        &self,
        lane: usize,
        call: ScriptInvocation<'_>,
    ) -> Option<T> {
        let mut line = self.lines[lane].clone();
        in_time(call.invoke_async(&mut line)).await
    }
}

/// How many tokens an address may show in vain.
pub(crate) fn wrong_tokens() -> Rate {
    Rate::new(WRONG_TOKENS, WINDOW)
}

async fn in_time<T>(asked: impl Future<Output = RedisResult<T>>) -> Option<T> {
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => return Some(answer),
        Ok(Err(cause)) => drop(ChatError::unavailable("redis, to count who knocks", cause)),
        Err(_) => drop(ChatError::unavailable("redis, to count who knocks", "no answer in time")),
    }
    None
}

/// The interval of a rate, and how far ahead it may be used up.
fn millis(rate: Rate) -> [u64; 2] {
    let whole = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    [whole(rate.interval()).max(1), whole(rate.spare())]
}

fn waited(wait: u64) -> std::result::Result<(), Duration> {
    if wait == 0 { Ok(()) } else { Err(Duration::from_millis(wait)) }
}

fn count(what: &'static str) {
    metrics::counter!("switchboard_limited_total", "what" => what).increment(1);
}

fn refused(what: &'static str, rule: &'static str) -> impl FnOnce(Duration) -> ChatError {
    move |wait| {
        count(what);
        ChatError::rate_limited(rule, wait)
    }
}

#[async_trait]
impl Door for Doorkeeper {
    async fn may_log_in(&self, from: Address, name: &Username) -> Result<()> {
        let rule = "too many log-ins from your address, try again later";
        let knocked = self.knock_from("log-in", from, self.logins).await;
        knocked.map_err(refused("address", rule))?;
        let rule = "too many wrong passwords, try again later";
        self.guess(from, name).await.map_err(refused("password", rule))
    }

    async fn came_in(&self, from: Address, name: &Username) {
        self.settle(from, name, true).await;
    }

    async fn undecided(&self, from: Address, name: &Username) {
        self.settle(from, name, false).await;
    }

    async fn may_register(&self, from: Address) -> Result<()> {
        let rule = "too many registrations from your address, try again later";
        let knocked = self.knock_from("register", from, self.registrations).await;
        knocked.map_err(refused("registrations", rule))
    }
}
