//! Connections that are taken for a command or a pipeline, and given back: one slow answer holds up
//! nobody else.

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use deadpool_redis::{Connection, Manager, Pool, PoolError, Runtime, Timeouts};
use redis::{RedisError, RedisResult};

use crate::nodes::Node;

/// How long a connection may be waited for, made, or looked after.
const READY: Duration = Duration::from_secs(2);

/// A pool for each server, made when it is first needed. Clones share them.
#[derive(Clone)]
pub(crate) struct Pools {
    /// By the server's name. As many as there ever were masters.
    pools: Arc<Mutex<HashMap<String, Pool>>>,
    most: usize,
}

impl Pools {
    /// With so many connections to each server at most.
    pub(crate) fn new(most: usize) -> Self {
        Self { pools: Arc::default(), most }
    }

    /// A connection that has just answered, or a new one.
    pub(crate) async fn take(&self, node: &Node) -> RedisResult<Connection> {
        let pool = self.of(node)?;
        let began = Instant::now();
        let taken = pool.get().await;
        metrics::histogram!("switchboard_pool_wait_seconds", "pool" => "redis")
            .record(began.elapsed());
        taken.map_err(|cause| match cause {
            PoolError::Backend(cause) => cause,
            PoolError::Timeout(_) => io::Error::from(io::ErrorKind::TimedOut).into(),
            other => RedisError::from(io::Error::other(other)),
        })
    }

    fn of(&self, node: &Node) -> RedisResult<Pool> {
        let mut pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pool) = pools.get(node.name()) {
            return Ok(pool.clone());
        }
        let manager = Manager::new(node.client().get_connection_info().clone())?;
        let timeouts = Timeouts { wait: Some(READY), create: Some(READY), recycle: Some(READY) };
        let pool = Pool::builder(manager)
            .max_size(self.most)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(io::Error::other)?;
        pools.insert(node.name().to_owned(), pool.clone());
        Ok(pool)
    }

    /// Closes what is idle.
    pub(crate) fn clear(&self) {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        for pool in pools.values() {
            pool.retain(|_, _| false);
        }
    }

    /// Connections to all servers, and how many of them are idle.
    pub(crate) fn count(&self) -> (usize, usize) {
        let pools = self.pools.lock().unwrap_or_else(PoisonError::into_inner);
        let each = pools.values().map(Pool::status);
        each.fold((0, 0), |(all, idle), pool| (all + pool.size, idle + pool.available))
    }
}
