//! Sessions in Redis, under the hash of their secret: who reads Redis can't become anybody.
//!
//! | key | value |
//! |---|---|
//! | `{prefix}:session:{SessionId}` | JSON, who it is; expires when not used for long, or with its token. Empty: it has ended, and its token must not begin it again |
//! | `{prefix}:user-sessions:{user id}` | sorted set of that user's session ids by when they began; expires no sooner than they |
//!
//! In a cluster each key lies in the lane of its name, so no command concerns two of them.

mod entered;

use std::{collections::BTreeMap, time::Duration};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chat_core::{ChatError, Session, SessionId, User, UserId, Username, clock};
use futures_util::future::{join_all, try_join_all};
use rand::RngExt;
use redis::{Cmd, FromRedisValue, Pipeline};
use redis_link::{Line, Redis};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use self::entered::left;
pub use self::entered::{Entered, Known};
use crate::issuers::{LEEWAY, LONGEST_LIFE};

type Result<T, E = ChatError> = std::result::Result<T, E>;

/// Sessions that one user may have; the oldest ends when there would be more.
const MOST_PER_USER: isize = 1_000;

/// The least time for which a user's list is kept: sessions by tokens of others last no longer.
const LISTED: Duration = LONGEST_LIFE.saturating_add(LEEWAY.saturating_mul(2));

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
    /// Those that had to end for it.
    pub ended: Vec<SessionId>,
}

impl Sessions {
    /// Connects when first used.
    #[must_use]
    pub fn new(redis: &Redis, ttl: Duration) -> Self {
        Self { redis: redis.clone(), lines: Line::pooled(redis, CONNECTIONS), ttl }
    }

    /// Begins a session.
    pub async fn begin(&self, user: &User) -> Result<Begun> {
        let secret = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
        let id = SessionId::of_secret(&secret);
        let record = Record::of(user, None)?;
        let too_many = self.enlist(user.id, &id).await?;
        let (lane, key) = self.key(&id);
        let mut set = redis::cmd("SET");
        set.arg(key).arg(record).arg("EX").arg(self.ttl.as_secs());
        self.ask::<()>(lane, &set).await?;
        let ended = self.end_each(too_many).await?;
        Ok(Begun { session: Session { id, user: user.clone() }, secret: secret.into(), ended })
    }

    /// Puts a session on its user's list, before it begins: one that is in no list could not be ended
    /// with its account. Answers those for which there is no room any more.
    async fn enlist(&self, user: UserId, id: &SessionId) -> Result<Vec<SessionId>> {
        let (lane, index) = self.index(user);
        let mut pipe = redis::pipe();
        pipe.zadd(&index, id.as_str(), clock::millis(clock::now())).ignore();
        pipe.zrange(&index, 0, -MOST_PER_USER - 1);
        pipe.zremrangebyrank(&index, 0, -MOST_PER_USER - 1).ignore();
        pipe.expire(&index, self.listed_for()).ignore();
        let (too_many,): (Vec<String>,) = self.ask_all(lane, &pipe).await?;
        Ok(too_many.iter().filter_map(|raw| SessionId::parse(raw)).collect())
    }

    /// How long a list is kept after its last use, in seconds.
    fn listed_for(&self) -> i64 {
        i64::try_from(self.ttl.max(LISTED).as_secs()).unwrap_or(i64::MAX)
    }

    async fn end_each(&self, sessions: Vec<SessionId>) -> Result<Vec<SessionId>> {
        for session in &sessions {
            self.end(session).await?;
        }
        Ok(sessions)
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
        get.arg(key).arg("EX").arg(ttl);
        let stored: Option<String> = self.ask(lane, &get).await?;
        let stored = stored.filter(|stored| !stored.is_empty());
        let Some(record) = stored.as_deref().map(Record::parse).transpose()? else {
            return Ok(None);
        };
        if record.until.is_some() {
            return Ok(None);
        }
        let user = record.user()?;
        // A session that is in no list could not be ended with its account.
        let (lane, index) = self.index(user.id);
        self.ask::<()>(lane, &Cmd::expire(index, self.listed_for())).await?;
        Ok(Some(Session { id, user }))
    }

    /// Ends a session. Ending a dead one is fine. That of a token of another issuer leaves a mark for
    /// as long as the token lasts, so that it does not begin again.
    pub async fn end(&self, id: &SessionId) -> Result<()> {
        let (lane, key) = self.key(id);
        let stored: Option<String> = self.ask(lane, &Cmd::get(&key)).await?;
        let Some(stored) = stored.filter(|stored| !stored.is_empty()) else { return Ok(()) };
        let record = Record::parse(&stored)?;
        let end = match record.until {
            // For longer than a replica whose clock is behind believes the token.
            Some(until) => {
                let marked = left(until).saturating_add_unsigned(LEEWAY.as_secs());
                redis::cmd("SET").arg(key).arg("").arg("EX").arg(marked).clone()
            }
            None => Cmd::del(key),
        };
        self.ask::<()>(lane, &end).await?;
        let (lane, index) = self.index(UserId(record.user_id));
        self.ask::<()>(lane, &Cmd::zrem(index, id.as_str())).await
    }

    /// Ends all sessions of a user, or all but one, and returns those that ended.
    pub async fn end_all(&self, user: UserId, but: Option<&SessionId>) -> Result<Vec<SessionId>> {
        let (lane, index) = self.index(user);
        let mut listed: Vec<String> = self.ask(lane, &Cmd::zrange(&index, 0, -1)).await?;
        listed.retain(|listed| but.is_none_or(|but| listed != but.as_str()));
        let ended: Vec<_> = listed.iter().filter_map(|raw| SessionId::parse(raw)).collect();
        if !ended.is_empty() {
            let lanes = self.by_lane(&ended);
            try_join_all(lanes.iter().map(async |(lane, ids)| {
                let mut pipe = redis::pipe();
                for id in ids {
                    pipe.del(self.key(id).1).ignore();
                }
                self.ask_all::<()>(*lane, &pipe).await
            }))
            .await?;
            // Only those: another may have begun meanwhile.
            self.ask::<()>(lane, &Cmd::zrem(&index, &listed)).await?;
        }
        Ok(ended)
    }

    /// Those of the given that live. Asking does not lengthen their lives.
    pub async fn living(&self, ids: Vec<SessionId>) -> Result<Vec<SessionId>> {
        let lanes = self.by_lane(&ids);
        let answers = lanes.into_iter().map(async |(lane, ids)| {
            let mut pipe = redis::pipe();
            for id in &ids {
                pipe.strlen(self.key(id).1);
            }
            let lengths: Vec<u64> = self.ask_all(lane, &pipe).await?;
            // What is empty has ended.
            Ok::<_, ChatError>(
                ids.into_iter().zip(lengths).filter_map(|(id, length)| (length > 0).then_some(id)),
            )
        });
        let answers: Vec<_> = try_join_all(answers).await?;
        Ok(answers.into_iter().flatten().cloned().collect())
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
