//! Presence in Redis: each step is one script, so that it happens whole or not at all.

use std::{collections::HashSet, sync::LazyLock, time::Duration};

use chat_core::{Fleeting, SocketKey, Topic, User};
use redis::{Script, ScriptInvocation, aio::ConnectionManager};

use super::{
    local::{Member, Move, ONLINE, user_of_key},
    tell,
};

/// Members cleared in one call.
const BATCH: usize = 500;

/// KEYS: this gateway's list, the room's counts. ARGV: the member, its key. Answers 1 for a first.
static ENTER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end
         return redis.call('HINCRBY', KEYS[2], ARGV[2], 1) == 1 and 1 or 0",
    )
});

/// KEYS and ARGV as above. Answers 1 for a last.
static LEAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('SREM', KEYS[1], ARGV[1]) == 0 then return 0 end
         if redis.call('HINCRBY', KEYS[2], ARGV[2], -1) > 0 then return 0 end
         redis.call('HDEL', KEYS[2], ARGV[2])
         return 1",
    )
});

/// KEYS: the leases. ARGV: this gateway, the lease in milliseconds. Answers 1 if it was unknown.
static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now = t[1] * 1000 + math.floor(t[2] / 1000)
         local known = redis.call('ZSCORE', KEYS[1], ARGV[1])
         redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
         return known and 0 or 1",
    )
});

/// KEYS: the leases. ARGV: first part of the keys, most members at once. Answers those who left
/// with a gateway whose lease is over.
static CLEAR: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now = t[1] * 1000 + math.floor(t[2] / 1000)
         local left = {}
         for _, gateway in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
           local list = ARGV[1] .. 'gateway:' .. gateway
           for _, member in ipairs(redis.call('SPOP', list, ARGV[2])) do
             local room, user = string.match(member, '^(%S+) (%S+) ')
             local counts = ARGV[1] .. 'room:' .. room
             if redis.call('HINCRBY', counts, user, -1) <= 0 then
               redis.call('HDEL', counts, user)
               left[#left + 1] = member
             end
           end
           if redis.call('EXISTS', list) == 0 then redis.call('ZREM', KEYS[1], gateway) end
         end
         return left",
    )
});

/// The scripts, with this gateway's keys.
pub struct Registry {
    redis: ConnectionManager,
    keys: String,
    epoch: String,
    /// Redis did not hear something: it must be told everything again.
    is_out_of_step: bool,
}

impl Registry {
    /// For the gateway process of this (random) number.
    #[must_use]
    pub fn new(redis: ConnectionManager, prefix: &str, epoch: u64) -> Self {
        let keys = format!("{{{prefix}:presence}}:");
        Self { redis, keys, epoch: format!("{epoch:016x}"), is_out_of_step: true }
    }

    /// Records a move. Answers what the room should hear, if it was a first or a last.
    pub(super) async fn record(&mut self, moved: &Move) -> Option<(Topic, Fleeting)> {
        if self.is_out_of_step {
            return None;
        }
        let (script, member) = match moved {
            Move::Enter(member, _) => (&ENTER, member),
            Move::Leave(member) => (&LEAVE, member),
        };
        let call = self.for_member(script, member);
        let counts = self.invoke::<i64>(call).await? == 1;
        let origin = match moved {
            Move::Enter(_, socket) => Some(*socket),
            Move::Leave(_) => None,
        };
        counts.then(|| tell(member, origin))
    }

    /// Renews the lease. Answers whether everything must be said again.
    pub(super) async fn renew(&mut self, lease: Duration) -> bool {
        let mut call = RENEW.prepare_invoke();
        call.key(format!("{}gateways", self.keys));
        call.arg(&self.epoch).arg(lease.as_millis().to_string());
        match self.invoke::<i64>(call).await {
            Some(was_unknown) => std::mem::take(&mut self.is_out_of_step) || was_unknown == 1,
            None => false,
        }
    }

    /// Makes Redis's list of this gateway equal to `here`. Answers what rooms should hear.
    pub(super) async fn restate(
        &mut self,
        here: Vec<(Member, SocketKey)>,
    ) -> Vec<(Topic, Fleeting)> {
        let list = format!("{}gateway:{}", self.keys, self.epoch);
        let listed: redis::RedisResult<Vec<String>> =
            redis::cmd("SMEMBERS").arg(list).query_async(&mut self.redis).await;
        let Ok(listed) = listed else {
            self.is_out_of_step = true;
            return Vec::new();
        };
        let present: HashSet<_> = here.iter().map(|(member, _)| member).collect();
        let gone = listed
            .iter()
            .filter_map(|raw| Member::decode(raw))
            .filter(|member| !present.contains(member));
        let moves: Vec<_> = gone
            .map(Move::Leave)
            .chain(here.iter().map(|(member, socket)| Move::Enter(member.clone(), *socket)))
            .collect();
        let mut told = Vec::new();
        for moved in &moves {
            told.extend(self.record(moved).await);
        }
        told
    }

    /// Everybody online on any gateway.
    pub(super) async fn online(&mut self) -> Option<Vec<User>> {
        let counts = format!("{}room:{ONLINE}", self.keys);
        let keys: redis::RedisResult<Vec<String>> =
            redis::cmd("HKEYS").arg(counts).query_async(&mut self.redis).await;
        Some(keys.ok()?.iter().filter_map(|key| user_of_key(key)).collect())
    }

    /// Clears gateways whose lease is over. Answers who left with them.
    pub(super) async fn clear_the_dead(&mut self) -> Vec<Member> {
        let mut left = Vec::new();
        #[cfg(feature = "sabotage")]
        if crate::sabotage::is("lease") {
            return left;
        }
        loop {
            let mut call = CLEAR.prepare_invoke();
            call.key(format!("{}gateways", self.keys)).arg(&self.keys).arg(BATCH);
            let cleared: Vec<String> = self.invoke(call).await.unwrap_or_default();
            left.extend(cleared.iter().filter_map(|raw| Member::decode(raw)));
            if cleared.len() < BATCH {
                return left;
            }
        }
    }

    fn for_member<'a>(&self, script: &'a Script, member: &Member) -> ScriptInvocation<'a> {
        let mut call = script.prepare_invoke();
        call.key(format!("{}gateway:{}", self.keys, self.epoch));
        call.key(format!("{}room:{}", self.keys, member.place()));
        call.arg(member.encode()).arg(member.key());
        call
    }

    async fn invoke<T: redis::FromRedisValue>(&mut self, call: ScriptInvocation<'_>) -> Option<T> {
        match call.invoke_async(&mut self.redis).await {
            Ok(answer) => Some(answer),
            Err(cause) => {
                if !std::mem::replace(&mut self.is_out_of_step, true) {
                    tracing::warn!(%cause, "presence: Redis did not answer, will say everything again");
                }
                None
            }
        }
    }
}
