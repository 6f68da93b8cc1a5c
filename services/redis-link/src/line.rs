//! Commands: connections that come back by themselves.

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

use crate::{Lane, Redis, nodes::Node, pools::Pools};

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

/// A lane's way for commands. It connects when first used, to whoever holds the lane. Clones share
/// its connections.
#[derive(Clone)]
pub struct Line {
    redis: Redis,
    lane: Lane,
    way: Way,
}

/// By which connection.
#[derive(Clone)]
enum Way {
    /// One of its own for all commands, in their order. It can be made anew when it is open and
    /// deaf. Steady: while the server is away, commands wait for it.
    Own { is_steady: bool, now: Arc<Mutex<Option<Held>>> },
    /// Each command by whichever is free.
    Pooled(Pools),
}

/// What a command goes by.
enum Taken {
    Own(ConnectionManager, u64),
    Pooled(deadpool_redis::Connection),
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
        let is_steady = !redis.is_cluster();
        Self::all(redis, || Way::Own { is_steady, now: Arc::default() })
    }

    /// One for each lane, by number, with so many connections to each server at most. While Redis
    /// is away they fail.
    #[must_use]
    pub fn pooled(redis: &Redis, most: usize) -> Vec<Self> {
        let pools = Pools::new(most);
        Self::all(redis, || Way::Pooled(pools.clone()))
    }

    fn all(redis: &Redis, way: impl Fn() -> Way) -> Vec<Self> {
        let line = |lane: &Lane| Self { redis: redis.clone(), lane: lane.clone(), way: way() };
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
        if let Way::Own { now, .. } = &self.way {
            *held(now) = None;
        }
    }

    /// Connections of the pool that it shares, to all servers, and how many of them are idle.
    #[must_use]
    pub fn connections(&self) -> (usize, usize) {
        match &self.way {
            Way::Own { .. } => (0, 0),
            Way::Pooled(pools) => pools.count(),
        }
    }

    async fn take(&self) -> RedisResult<Taken> {
        let node = self.redis.node(&self.lane)?;
        let (now, is_steady) = match &self.way {
            Way::Own { now, is_steady } => (now, *is_steady),
            Way::Pooled(pools) => return pools.take(&node).await.map(Taken::Pooled),
        };
        let mut held = held(now);
        if let Some(held) = held.as_ref().filter(|held| held.at.is(&node)) {
            return Ok(Taken::Own(held.manager.clone(), held.number));
        }
        let config = ConnectionManagerConfig::new()
            .set_number_of_retries(if is_steady { usize::MAX } else { BRISK })
            .set_max_delay(Duration::from_secs(1))
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(Some(ANSWER));
        let manager = ConnectionManager::new_lazy_with_config(node.client().clone(), config)?;
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        *held = Some(Held { at: node, manager: manager.clone(), number });
        Ok(Taken::Own(manager, number))
    }

    /// What was sent by this connection broke: it is used no more.
    fn give_up(&self, number: u64) {
        if let Way::Own { now, .. } = &self.way {
            let mut held = held(now);
            if held.as_ref().is_some_and(|held| held.number == number) {
                *held = None;
            }
        }
    }

    /// Asks. A connection to who is only a replica by now is used no more: the name may lead to
    /// another server. Unless the line is steady, the same goes for one that failed or was late;
    /// what broke at the first try has another, and what a cluster refuses for the moment is asked
    /// again, of whoever holds the lane by then.
    async fn ask<T, F: Future<Output = RedisResult<T>>>(
        &self,
        ask: impl Fn(Taken) -> F,
    ) -> RedisResult<T> {
        if matches!(self.way, Way::Own { is_steady: true, .. }) {
            return self.ask_once(&ask, &mut None).await;
        }
        let until = Instant::now() + PATIENCE;
        let mut is_second_try = false;
        loop {
            let mut number = None;
            let asked = self.ask_once(&ask, &mut number);
            let late = || RedisError::from(io::Error::from(io::ErrorKind::TimedOut));
            let answer = timeout_at(until, asked).await.unwrap_or_else(|_| Err(late()));
            let Err(cause) = answer else { return answer };
            self.redis.doubt();
            if is_for_the_moment(&cause) && Instant::now() + PAUSE < until {
                sleep(PAUSE).await;
                continue;
            }
            if !matches!(cause.kind(), ErrorKind::Server(_) | ErrorKind::Extension)
                && let Some(number) = number
            {
                self.give_up(number);
            }
            let is_lost = cause.is_connection_dropped() || is_demoted(&cause);
            if !is_lost || std::mem::replace(&mut is_second_try, true) {
                return Err(cause);
            }
        }
    }

    /// Asks by whichever connection is there; `number` is then that of one of our own.
    async fn ask_once<T, F: Future<Output = RedisResult<T>>>(
        &self,
        ask: impl Fn(Taken) -> F,
        number: &mut Option<u64>,
    ) -> RedisResult<T> {
        let taken = self.take().await?;
        if let Taken::Own(_, own) = &taken {
            *number = Some(*own);
        }
        let answer = ask(taken).await;
        if answer.as_ref().is_err_and(is_demoted) {
            match (&self.way, number) {
                (Way::Own { .. }, Some(number)) => self.give_up(*number),
                (Way::Pooled(pools), _) => pools.clear(),
                (Way::Own { .. }, None) => {}
            }
        }
        answer
    }
}

fn held(now: &Mutex<Option<Held>>) -> MutexGuard<'_, Option<Held>> {
    now.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Taken {
    async fn send(&mut self, command: &Cmd) -> RedisResult<Value> {
        match self {
            Self::Own(manager, _) => manager.req_packed_command(command).await,
            Self::Pooled(connection) => connection.req_packed_command(command).await,
        }
    }

    async fn send_all(
        &mut self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        match self {
            Self::Own(manager, _) => manager.req_packed_commands(pipeline, offset, count).await,
            Self::Pooled(connection) => {
                connection.req_packed_commands(pipeline, offset, count).await
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

/// Is who answered a replica by now, that takes no writes?
fn is_demoted(cause: &RedisError) -> bool {
    cause.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

/// The answers to a pipeline, or what refused all of it.
fn unless_refused(answers: Vec<Value>) -> RedisResult<Vec<Value>> {
    let refusals = answers.iter().enumerate().filter_map(|(at, answer)| match answer {
        Value::ServerError(refusal) => Some((at, RedisError::from(refusal.clone()))),
        _ => None,
    });
    // One slot, so who refuses the first refuses all, but for the moment when it moves. A replica
    // refuses only what writes.
    for (at, refusal) in refusals {
        if (at == 0 && is_for_the_moment(&refusal)) || is_demoted(&refusal) {
            return Err(refusal);
        }
    }
    Ok(answers)
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(
            self.ask(move |mut taken| async move { taken.send(command).await?.extract_error() }),
        )
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(self.ask(move |mut taken| async move {
            unless_refused(taken.send_all(pipeline, offset, count).await?)
        }))
    }

    fn get_db(&self) -> i64 {
        self.redis.0.nodes.database()
    }
}
