//! Sessions in Redis, under the hash of their secret: who reads Redis can't become anybody.
//!
//! | key | value |
//! |---|---|
//! | `{prefix}:session:{SessionId}` | JSON, who it is; expires when not used for long |
//! | `{prefix}:user-sessions:{user id}` | sorted set of that user's session ids by when they began; expires no sooner than they |

use std::time::{Duration, Instant};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chat_core::{ChatError, Session, SessionId, User, UserId, Username, clock};
use deadpool_redis::{Pool, PoolConfig, Runtime, Timeouts};
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

type Result<T, E = ChatError> = std::result::Result<T, E>;

/// Sessions that one user may have; the oldest ends when there would be more.
const MOST_PER_USER: isize = 1_000;

/// How long anything of Redis may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The way to the sessions.
#[derive(Clone)]
pub struct Sessions {
    pool: Pool,
    prefix: String,
    ttl: Duration,
}

/// What is stored of a session.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    user_id: u64,
    username: String,
    /// Milliseconds since 1970.
    began: i64,
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
    /// Connects when first used. The error is a sentence about the URL.
    pub fn new(url: &str, prefix: String, ttl: Duration) -> Result<Self, String> {
        let mut config = deadpool_redis::Config::from_url(url);
        let timeouts =
            Timeouts { wait: Some(TIMEOUT), create: Some(TIMEOUT), recycle: Some(TIMEOUT) };
        config.pool = Some(PoolConfig { max_size: 16, timeouts, ..PoolConfig::default() });
        let pool = config.create_pool(Some(Runtime::Tokio1)).map_err(|e| e.to_string())?;
        Ok(Self { pool, prefix, ttl })
    }

    /// Begins a session.
    pub async fn begin(&self, user: &User) -> Result<Begun> {
        let secret = URL_SAFE_NO_PAD.encode(rand::rng().random::<[u8; 32]>());
        let id = SessionId::of_secret(&secret);
        let record = Record::of(user)?;
        let (index, ttl) = (self.index(user.id), self.ttl.as_secs());
        let mut pipe = redis::pipe();
        pipe.cmd("SET").arg(self.key(&id)).arg(record).arg("EX").arg(ttl).ignore();
        pipe.zadd(&index, id.as_str(), clock::millis(clock::now())).ignore();
        pipe.zrange(&index, 0, -MOST_PER_USER - 1);
        pipe.zremrangebyrank(&index, 0, -MOST_PER_USER - 1).ignore();
        pipe.expire(&index, i64::try_from(ttl).unwrap_or(i64::MAX)).ignore();
        let (too_many,): (Vec<String>,) =
            pipe.query_async(&mut self.connection().await?).await.map_err(down)?;
        let ended: Vec<_> = too_many.iter().filter_map(|raw| SessionId::parse(raw)).collect();
        for old in &ended {
            self.end(old).await?;
        }
        Ok(Begun { session: Session { id, user: user.clone() }, secret: secret.into(), ended })
    }

    /// The session of a cookie's value, if it lives. It then lives on for its whole time.
    pub async fn of_secret(&self, secret: &SecretString) -> Result<Option<Session>> {
        self.touch(SessionId::of_secret(secret.expose_secret())).await
    }

    /// The session of an id, if it lives. It then lives on for its whole time.
    pub async fn touch(&self, id: SessionId) -> Result<Option<Session>> {
        let (ttl, mut redis) = (self.ttl.as_secs(), self.connection().await?);
        let mut get = redis::cmd("GETEX");
        get.arg(self.key(&id)).arg("EX").arg(ttl);
        let stored: Option<String> = get.query_async(&mut redis).await.map_err(down)?;
        let Some(user) = stored.as_deref().map(Record::user).transpose()? else {
            return Ok(None);
        };
        // A session that is in no list could not be ended with its account.
        let list = redis::Cmd::expire(self.index(user.id), i64::try_from(ttl).unwrap_or(i64::MAX));
        list.query_async::<()>(&mut redis).await.map_err(down)?;
        Ok(Some(Session { id, user }))
    }

    /// Ends a session. Ending a dead one is fine.
    pub async fn end(&self, id: &SessionId) -> Result<()> {
        let mut redis = self.connection().await?;
        let stored: Option<String> =
            redis::cmd("GETDEL").arg(self.key(id)).query_async(&mut redis).await.map_err(down)?;
        if let Some(stored) = stored {
            let index = self.index(Record::user(&stored)?.id);
            let removed = redis::Cmd::zrem(index, id.as_str()).query_async::<()>(&mut redis).await;
            removed.map_err(down)?;
        }
        Ok(())
    }

    /// Ends all sessions of a user, and returns them.
    pub async fn end_all(&self, user: UserId) -> Result<Vec<SessionId>> {
        let index = self.index(user);
        let mut redis = self.connection().await?;
        let listed: Vec<String> =
            redis::Cmd::zrange(&index, 0, -1).query_async(&mut redis).await.map_err(down)?;
        let ended: Vec<_> = listed.iter().filter_map(|raw| SessionId::parse(raw)).collect();
        if !ended.is_empty() {
            let mut pipe = redis::pipe();
            for id in &ended {
                pipe.del(self.key(id)).ignore();
            }
            // Only those: another may have begun meanwhile.
            pipe.zrem(&index, &listed).ignore();
            pipe.query_async::<()>(&mut redis).await.map_err(down)?;
        }
        Ok(ended)
    }

    /// Those of the given that live. Asking does not lengthen their lives.
    pub async fn living(&self, ids: Vec<SessionId>) -> Result<Vec<SessionId>> {
        if ids.is_empty() {
            return Ok(ids);
        }
        let mut pipe = redis::pipe();
        for id in &ids {
            pipe.exists(self.key(id));
        }
        let lives: Vec<bool> =
            pipe.query_async(&mut self.connection().await?).await.map_err(down)?;
        Ok(ids.into_iter().zip(lives).filter_map(|(id, lives)| lives.then_some(id)).collect())
    }

    /// Can Redis be reached?
    pub async fn ping(&self) -> Result<(), String> {
        let mut redis = self.pool.get().await.map_err(|e| e.to_string())?;
        redis::cmd("PING").query_async::<()>(&mut redis).await.map_err(|e| e.to_string())
    }

    async fn connection(&self) -> Result<deadpool_redis::Connection> {
        // The parts have bounds of their own; this is for all of them together.
        let began = Instant::now();
        let connection = tokio::time::timeout(TIMEOUT, self.pool.get()).await;
        metrics::histogram!("switchboard_pool_wait_seconds", "pool" => "redis")
            .record(began.elapsed());
        connection.map_err(|_| down("no connection in time"))?.map_err(down)
    }

    /// Connections to Redis, and how many of them are idle.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        let status = self.pool.status();
        (status.size, status.available)
    }

    fn key(&self, id: &SessionId) -> String {
        format!("{}:session:{}", self.prefix, id.as_str())
    }

    fn index(&self, user: UserId) -> String {
        format!("{}:user-sessions:{user}", self.prefix)
    }
}

/// Redis not being there never means that somebody is logged out.
fn down(cause: impl std::fmt::Display) -> ChatError {
    ChatError::unavailable("redis", cause)
}

impl Record {
    fn of(user: &User) -> Result<String> {
        let record = Self {
            user_id: user.id.0,
            username: user.name.to_string(),
            began: clock::millis(clock::now()),
        };
        serde_json::to_string(&record).map_err(|e| ChatError::internal("writing a session", e))
    }

    fn user(stored: &str) -> Result<User> {
        let invalid = |e: String| ChatError::internal("a stored session is invalid", e);
        let record: Self = serde_json::from_str(stored).map_err(|e| invalid(e.to_string()))?;
        let name = Username::parse(&record.username).map_err(|e| invalid(e.to_string()))?;
        Ok(User { id: UserId(record.user_id), name })
    }
}
