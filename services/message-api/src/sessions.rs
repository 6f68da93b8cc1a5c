//! Sessions in Redis, under the hash of their secret: who reads Redis can't become anybody.
//!
//! | key | value |
//! |---|---|
//! | `{prefix}:session:{SessionId}` | its record, JSON: who it is; expires when not used for long, or with its token. Empty: it has ended, and its token must not begin it again |
//! | `{prefix}:user-sessions:{user id}` | sorted set of that user's session ids by when they began; expires no sooner than they |
//!
//! A session lives while it has both: its record, and its place in its user's list. So none can be
//! missed where all of a user's end: one that is in no list, for whatever reason, is dead already.
//! Records come first and go first, so that whatever is listed has all that there is to take away.
//!
//! In a cluster each key lies in the lane of its name, so no command concerns two of them.

mod entered;
mod scripts;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chat_core::{ChatError, Session, SessionId, User, UserId, Username, clock};
use futures_util::future::{join_all, try_join_all};
use rand::RngExt;
use redis::{Cmd, FromRedisValue, Pipeline, ScriptInvocation};
use redis_link::{Line, Redis};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

pub use self::entered::Known;
use self::entered::left;
use crate::issuers::LEEWAY;

type Result<T, E = ChatError> = std::result::Result<T, E>;

/// Sessions that one user may have; the oldest ends when there would be more.
const MOST_PER_USER: u32 = 1_000;

/// Connections to each server of Redis.
const CONNECTIONS: usize = 16;

/// How long anything of Redis may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The way to the sessions.
#[derive(Clone)]
pub struct Sessions {
    redis: Redis,
    /// One for each lane, by number.
    lines: Vec<Line>,
    ttl: Duration,
}

/// What is stored of a session.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    user_id: u64,
    username: String,
    /// Milliseconds since 1970.
    began: i64,
    /// Of a session by a token of another issuer: when that token ends, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
}

/// A session just begun.
pub struct Begun {
    /// The session.
    pub session: Session,
    /// The cookie's value.
    pub secret: SecretString,
}

impl Sessions {
    /// Connects when first used.
    #[must_use]
    pub fn new(redis: &Redis, ttl: Duration) -> Self {
        Self { redis: redis.clone(), lines: Line::pooled(redis, CONNECTIONS), ttl }
    }

    /// Begins a session. Where the user has too many, `ended` hears of each that ends for it.
    pub async fn begin(&self, user: &User, ended: impl Fn(&SessionId)) -> Result<Begun> {
        let secret = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
        let id = SessionId::of_secret(&secret);
        let (lane, key) = self.key(&id);
        let mut set = redis::cmd("SET");
        set.arg(key).arg(Record::of(user, None)?).arg("EX").arg(self.ttl.as_secs());
        self.ask::<()>(lane, &set).await?;
        self.enlist(user.id, &id, self.ttl.as_secs(), ended).await?;
        Ok(Begun { session: Session { id, user: user.clone() }, secret: secret.into() })
    }

    /// Gives a session its place in its user's list, for so many seconds at least.
    async fn enlist(
        &self,
        user: UserId,
        id: &SessionId,
        seconds: u64,
        ended: impl Fn(&SessionId),
    ) -> Result<()> {
        let (lane, index) = self.index(user);
        let mut enter = scripts::ENTER.key(index);
        enter.arg(id.as_str()).arg(seconds).arg(clock::millis(clock::now())).arg(MOST_PER_USER);
        let too_many: Vec<String> = self.run(lane, &enter).await?;
        for old in too_many.iter().filter_map(|raw| SessionId::parse(raw)) {
            // The next to begin finds it again.
            let _ = self.end(&old, || ended(&old)).await;
        }
        Ok(())
    }

    /// The session of a cookie's value, if it lives. It then lives on for its whole time.
    pub async fn of_secret(&self, secret: &SecretString) -> Result<Option<Session>> {
        self.touch(SessionId::of_secret(secret.expose_secret())).await
    }

    /// The session of an id, if it lives and is no token's of another issuer. It then lives on for its
    /// whole time.
    pub async fn touch(&self, id: SessionId) -> Result<Option<Session>> {
        let (ttl, (lane, key)) = (self.ttl.as_secs(), self.key(&id));
        let mut get = redis::cmd("GETEX");
        get.arg(&key).arg("EX").arg(ttl);
        let stored: Option<String> = self.ask(lane, &get).await?;
        let stored = stored.filter(|stored| !stored.is_empty());
        let Some(record) = stored.as_deref().map(Record::parse).transpose()? else {
            return Ok(None);
        };
        if record.until.is_some() {
            return Ok(None);
        }
        let user = record.user()?;
        let (of_list, index) = self.index(user.id);
        let mut stay = scripts::STAY.key(index);
        stay.arg(id.as_str()).arg(ttl);
        if self.run(of_list, &stay).await? {
            return Ok(Some(Session { id, user }));
        }
        self.ask::<()>(lane, &Cmd::del(key)).await?;
        Ok(None)
    }

    /// Ends a session; `ended` is called as soon as it is dead. Ending a dead one is fine. That of a
    /// token of another issuer leaves a mark for as long as the token lasts, so that it does not begin
    /// again.
    pub async fn end(&self, id: &SessionId, ended: impl FnOnce()) -> Result<()> {
        let (lane, key) = self.key(id);
        let stored: Option<String> = self.ask(lane, &Cmd::get(&key)).await?;
        let Some(stored) = stored.filter(|stored| !stored.is_empty()) else {
            ended();
            return Ok(());
        };
        let record = Record::parse(&stored)?;
        let end = match record.until {
            // For longer than a replica whose clock is behind believes the token.
            Some(until) => {
                let marked = left(until).saturating_add(LEEWAY.as_secs());
                redis::cmd("SET").arg(key).arg("").arg("EX").arg(marked).clone()
            }
            None => Cmd::del(key),
        };
        self.ask::<()>(lane, &end).await?;
        ended();
        self.take_off(UserId(record.user_id), &[id.as_str()]).await;
        Ok(())
    }

    /// Ends all sessions of a user, or all but one; `ended` hears of each as soon as it is dead. An
    /// error means that some may live, and that the same again will end them.
    pub async fn end_all(
        &self,
        user: UserId,
        but: Option<&SessionId>,
        ended: impl Fn(&SessionId),
    ) -> Result<()> {
        let (lane, index) = self.index(user);
        let mut listed: Vec<String> = self.ask(lane, &Cmd::zrange(&index, 0, -1)).await?;
        listed.retain(|listed| but.is_none_or(|but| listed != but.as_str()));
        let ids: Vec<_> = listed.iter().filter_map(|raw| SessionId::parse(raw)).collect();
        let lanes = self.by_lane(&ids);
        let outcomes = lanes.iter().map(async |(lane, ids)| {
            let mut pipe = redis::pipe();
            for id in ids {
                pipe.del(self.key(id).1).ignore();
            }
            self.ask_all::<()>(*lane, &pipe).await?;
            ids.iter().for_each(|id| ended(id));
            Ok(())
        });
        join_all(outcomes).await.into_iter().collect::<Result<()>>()?;
        // Only those: another may have begun meanwhile.
        self.take_off(user, &listed).await;
        Ok(())
    }

    /// Takes places of the dead off a list, as far as that can be done: they only take room.
    async fn take_off(&self, user: UserId, dead: &[impl AsRef<str> + Sync]) {
        if dead.is_empty() {
            return;
        }
        let (lane, index) = self.index(user);
        let dead: Vec<_> = dead.iter().map(AsRef::as_ref).collect();
        let _ = self.ask::<()>(lane, &Cmd::zrem(index, dead)).await;
    }

    /// Those of the given that live. Asking does not lengthen their lives.
    pub async fn living(&self, ids: Vec<SessionId>) -> Result<Vec<SessionId>> {
        let records = self.by_lane(&ids).into_iter().map(async |(lane, ids)| {
            let mut pipe = redis::pipe();
            for id in &ids {
                pipe.get(self.key(id).1);
            }
            let stored: Vec<Option<String>> = self.ask_all(lane, &pipe).await?;
            let listed_at = |stored: Option<String>| {
                // What is empty has ended.
                let record = Record::parse(&stored.filter(|stored| !stored.is_empty())?).ok()?;
                Some(self.index(UserId(record.user_id)))
            };
            let recorded = ids.into_iter().zip(stored);
            let recorded = recorded.filter_map(|(id, stored)| Some((id, listed_at(stored)?)));
            Ok::<_, ChatError>(recorded.collect::<Vec<_>>())
        });
        let mut lists: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for (id, (lane, index)) in try_join_all(records).await?.into_iter().flatten() {
            lists.entry(lane).or_default().push((id, index));
        }
        let listed = lists.into_iter().map(async |(lane, ids)| {
            let mut pipe = redis::pipe();
            for (id, index) in &ids {
                pipe.zscore(index, id.as_str());
            }
            let places: Vec<Option<f64>> = self.ask_all(lane, &pipe).await?;
            let living =
                ids.into_iter().zip(places).filter_map(|((id, _), place)| place.map(|_| id));
            Ok::<_, ChatError>(living.cloned().collect::<Vec<_>>())
        });
        Ok(try_join_all(listed).await?.into_iter().flatten().collect())
    }

    /// Can Redis be reached? Of a cluster, every master that holds something of ours.
    pub async fn ping(&self) -> Result<(), String> {
        let pings = self.lines.iter().map(async |line| {
            // A question about a key: a node without its cluster answers PING.
            let ask = Cmd::exists(line.lane().key("session:"));
            let answer = ask.query_async::<()>(&mut line.clone()).await;
            answer.map_err(|cause| match self.redis.is_cluster() {
                true => format!("{}: {cause}", self.redis.whereabouts(line.lane())),
                false => cause.to_string(),
            })
        });
        join_all(pings).await.into_iter().collect()
    }

    /// Connections to Redis, and how many of them are idle.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        self.lines.first().map_or((0, 0), Line::connections)
    }

    async fn ask<T: FromRedisValue>(&self, lane: usize, command: &Cmd) -> Result<T> {
        let mut line = self.lines[lane].clone();
        in_time(command.query_async(&mut line)).await
    }

    async fn ask_all<T: FromRedisValue>(&self, lane: usize, commands: &Pipeline) -> Result<T> {
        let mut line = self.lines[lane].clone();
        in_time(commands.query_async(&mut line)).await
    }

    async fn run<T: FromRedisValue>(&self, lane: usize, call: &ScriptInvocation<'_>) -> Result<T> {
        let mut line = self.lines[lane].clone();
        in_time(call.invoke_async(&mut line)).await
    }

    fn by_lane<'a>(&self, ids: &'a [SessionId]) -> BTreeMap<usize, Vec<&'a SessionId>> {
        let mut lanes: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for id in ids {
            lanes.entry(self.key(id).0).or_default().push(id);
        }
        lanes
    }

    /// The number of its lane, and the key there.
    fn key(&self, id: &SessionId) -> (usize, String) {
        self.named(&format!("session:{}", id.as_str()))
    }

    fn index(&self, user: UserId) -> (usize, String) {
        self.named(&format!("user-sessions:{user}"))
    }

    fn named(&self, name: &str) -> (usize, String) {
        let lane = self.redis.lane_of_key(name);
        (lane.number(), lane.key(name))
    }
}

async fn in_time<T>(asked: impl Future<Output = redis::RedisResult<T>>) -> Result<T> {
    let answer = tokio::time::timeout(TIMEOUT, asked).await;
    answer.map_err(|_| down("no answer in time"))?.map_err(down)
}

/// Redis not being there never means that somebody is logged out.
fn down(cause: impl std::fmt::Display) -> ChatError {
    ChatError::unavailable("redis", cause)
}

impl Record {
    fn of(user: &User, until: Option<i64>) -> Result<String> {
        let record = Self {
            user_id: user.id.0,
            username: user.name.to_string(),
            began: clock::millis(clock::now()),
            until,
        };
        serde_json::to_string(&record).map_err(|e| ChatError::internal("writing a session", e))
    }

    fn parse(stored: &str) -> Result<Self> {
        serde_json::from_str(stored).map_err(invalid)
    }

    fn user(&self) -> Result<User> {
        let name = Username::parse(&self.username).map_err(invalid)?;
        Ok(User { id: UserId(self.user_id), name })
    }
}

fn invalid(cause: impl std::fmt::Display) -> ChatError {
    ChatError::internal("a stored session is invalid", cause)
}
