//! Commands: a connection that comes back by itself.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisFuture, RedisResult, ServerErrorKind, Value,
    aio::{ConnectionLike, ConnectionManager, ConnectionManagerConfig},
};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{Lane, Redis, nodes::Node};

/// How long Redis may take to answer.
const ANSWER: Duration = Duration::from_secs(1);

/// How long connecting may take.
const CONNECT: Duration = Duration::from_secs(2);

/// How long connecting and answering may take together on a line that is not steady.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait before a cluster is asked again.
const PAUSE: Duration = Duration::from_millis(100);

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// How often connecting is tried for somebody who would rather hear that it failed.
const BRISK: usize = 2;

/// A lane's connection for commands. It connects when first used, goes to whoever holds the lane,
/// and can be made anew when it is open and deaf. Clones share it.
#[derive(Clone)]
pub struct Line {
    redis: Redis,
    lane: Lane,
    is_steady: bool,
    now: Arc<Mutex<Option<Held>>>,
}

struct Held {
    at: Arc<Node>,
    manager: ConnectionManager,
    /// Tells it from the one that it replaced.
    number: u64,
}

impl Line {
    /// One for each lane, by number. While the one server is away they wait for it; in a cluster
    /// they fail, since somebody else may hold the lane soon.
    #[must_use]
    pub fn steady(redis: &Redis) -> Vec<Self> {
        Self::all(redis, !redis.is_cluster())
    }

    /// One for each lane, by number. While Redis is away they fail.
    #[must_use]
    pub fn brisk(redis: &Redis) -> Vec<Self> {
        Self::all(redis, false)
    }

    fn all(redis: &Redis, is_steady: bool) -> Vec<Self> {
        let line = |lane: &Lane| Self {
            redis: redis.clone(),
            lane: lane.clone(),
            is_steady,
            now: Arc::default(),
        };
        redis.lanes().iter().map(line).collect()
    }

    /// The lane.
    #[must_use]
    pub const fn lane(&self) -> &Lane {
        &self.lane
    }

    /// From now on by a new connection. What waits for an answer on the old one waits on.
    pub fn renew(&self) {
        self.redis.doubt();
        *self.held() = None;
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> RedisResult<(ConnectionManager, u64)> {
        let node = self.redis.node(&self.lane)?;
        let mut held = self.held();
        if let Some(held) = held.as_ref().filter(|held| held.at.is(&node)) {
            return Ok((held.manager.clone(), held.number));
        }
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(if self.is_steady { usize::MAX } else { BRISK })
            .set_max_delay(Duration::from_secs(1))
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let manager = ConnectionManager::new_lazy_with_config(node.client().clone(), config)?;
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        *held = Some(Held { at: node, manager: manager.clone(), number });
        Ok((manager, number))
    }

    /// Asks. Unless the line is steady, a connection that failed or was late is used no more; what
    /// broke at the first try has another, and what a cluster refuses for the moment is asked
    /// again, of whoever holds the lane by then.
    async fn ask<T, F: Future<Output = RedisResult<T>>>(
        &self,
        ask: impl Fn(ConnectionManager) -> F,
    ) -> RedisResult<T> {
        if self.is_steady {
            return ask(self.now()?.0).await;
        }
        let until = Instant::now() + PATIENCE;
        let mut is_second_try = false;
        loop {
            let (manager, number) = self.now()?;
            let late = || RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
            let answer = timeout_at(until, ask(manager)).await.unwrap_or_else(|_| Err(late()));
            let Err(cause) = answer else { return answer };
            self.redis.doubt();
            if is_for_the_moment(&cause) && Instant::now() + PAUSE < until {
                sleep(PAUSE).await;
                continue;
            }
            let mut held = self.held();
            if !matches!(cause.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
                && held.as_ref().is_some_and(|held| held.number == number)
            {
                *held = None;
            }
            if !cause.is_connection_dropped() || std::mem::replace(&mut is_second_try, true) {
                return Err(cause);
            }
        }
    }
}

/// Did a cluster refuse it, undone, because somebody else holds the slot, or soon will?
fn is_for_the_moment(cause: &RedisError) -> bool {
    use ServerErrorKind::{Ask, ClusterDown, MasterDown, Moved, TryAgain};
    let kind = cause.kind();
    matches!(kind, ErrorKind::Server(Ask | ClusterDown | MasterDown | Moved | TryAgain))
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.ask(move |mut now| async move {
            now.req_packed_command(command).await?.extract_error()
        }))
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.ask(move |mut now| async move {
            let answers = now.req_packed_commands(pipeline, offset, count).await?;
            // One slot, so who refuses the first refuses all, but for the moment when it moves.
            match answers.first() {
                Some(Value::ServerError(refusal)) => {
                    let refusal = RedisError::from(refusal.clone());
                    if is_for_the_moment(&refusal) { Err(refusal) } else { Ok(answers) }
                }
                _ => Ok(answers),
            }
        }))
    }

    fn get_db(&self) -> i64 {
        self.redis.0.nodes.database()
    }
}
