//! The board in Redis: `status`, the beats by the replica's id, and `status:seen`, when each came by
//! Redis' own clock. Both lie in one lane, so that one script may change both.

use std::{io, sync::LazyLock, time::Duration};

use redis::{RedisResult, Script};
use redis_link::{Line, Redis};
use tokio::time::timeout;

use crate::Beat;

/// How long Redis may take. Less than the time between two beats.
const ANSWER: Duration = Duration::from_millis(800);

/// After so long without a beat a replica is forgotten.
pub const FORGET: Duration = Duration::from_secs(20);

/// Replicas that the board has room for; of more, those heard last.
const MOST: usize = 1_000;

/// KEYS: `status`, `status:seen`. ARGV: the id, the beat, after how many milliseconds a replica is
/// forgotten, most replicas. Whoever beats takes off who is to be forgotten.
static BEAT: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now = t[1] * 1000 + math.floor(t[2] / 1000)
         redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
         redis.call('ZADD', KEYS[2], now, ARGV[1])
         local function forget(ids)
           for _, id in ipairs(ids) do
             redis.call('HDEL', KEYS[1], id)
             redis.call('ZREM', KEYS[2], id)
           end
         end
         forget(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3], 'LIMIT', 0, 100))
         forget(redis.call('ZRANGE', KEYS[2], 0, -1 - ARGV[4]))
         redis.call('PEXPIRE', KEYS[1], ARGV[3])
         redis.call('PEXPIRE', KEYS[2], ARGV[3])",
    )
});

/// KEYS: as above. ARGV: after how many milliseconds a replica is forgotten. Answers id,
/// milliseconds since the beat, and the beat, of each by turns.
static READ: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now = t[1] * 1000 + math.floor(t[2] / 1000)
         local beats = {}
         local ids = redis.call('ZRANGEBYSCORE', KEYS[2], now - ARGV[1], '+inf', 'WITHSCORES')
         for i = 1, #ids, 2 do
           local beat = redis.call('HGET', KEYS[1], ids[i])
           if beat then beats[#beats + 1] = {now - ids[i + 1], beat} end
         end
         return beats",
    )
});

/// A beat as it was heard.
#[derive(Clone, Debug)]
pub struct Heard {
    /// How long ago.
    pub ago: Duration,
    /// The beat.
    pub beat: Beat,
}

/// The way to the board. Clones share it.
#[derive(Clone)]
pub struct Board {
    line: Line,
    beats: String,
    seen: String,
}

impl Board {
    /// By one of these lines, one for each lane, by number. Connects when first used.
    ///
    /// # Panics
    /// If there are fewer lines than lanes.
    #[must_use]
    pub fn new(redis: &Redis, lines: &[Line]) -> Self {
        let lane = redis.lane_of_key("status");
        Self {
            line: lines[lane.number()].clone(),
            beats: lane.key("status"),
            seen: lane.key("status:seen"),
        }
    }

    /// Writes a replica's beat.
    pub(crate) async fn write(&self, beat: &Beat) -> RedisResult<()> {
        let text = serde_json::to_string(beat).map_err(io::Error::other)?;
        let mut call = BEAT.key(&self.beats);
        call.key(&self.seen).arg(&beat.id).arg(text).arg(millis(FORGET)).arg(MOST);
        in_time(call.invoke_async(&mut self.line.clone())).await
    }

    /// Takes a replica off: it stops.
    pub(crate) async fn leave(&self, id: &str) -> RedisResult<()> {
        let mut pipe = redis::pipe();
        pipe.hdel(&self.beats, id).ignore().zrem(&self.seen, id).ignore();
        in_time(pipe.query_async(&mut self.line.clone())).await
    }

    /// The last beat of every replica that is not yet forgotten. What is none is left out.
    pub async fn read(&self) -> RedisResult<Vec<Heard>> {
        let mut call = READ.key(&self.beats);
        call.key(&self.seen).arg(millis(FORGET));
        let beats: Vec<(u64, String)> = in_time(call.invoke_async(&mut self.line.clone())).await?;
        let heard = beats.into_iter().filter_map(|(ago, text)| {
            let beat = serde_json::from_str(&text).ok()?;
            Some(Heard { ago: Duration::from_millis(ago), beat })
        });
        Ok(heard.collect())
    }
}

/// While Redis is away the line waits for it; who looks at the board must not.
async fn in_time<T>(asked: impl Future<Output = RedisResult<T>>) -> RedisResult<T> {
    let late = |_| Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in time").into());
    timeout(ANSWER, asked).await.unwrap_or_else(late)
}

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
