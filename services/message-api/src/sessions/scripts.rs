//! What is done to a user's list at once. Its expiry only ever moves on: another replica may let
//! sessions live for longer than this one.

use std::sync::LazyLock;

use redis::Script;

/// The list expires in so many seconds, or later.
const KEEP: &str = "local function keep(key, seconds)
       if redis.call('PTTL', key) < seconds * 1000 then redis.call('EXPIRE', key, seconds) end
     end
     ";

fn script(body: &str) -> Script {
    Script::new(&[KEEP, body].concat())
}

/// KEYS: the list. ARGV: the session, how many seconds it lives, when it began, how many there may be.
/// Lists it; answers which are too many, the oldest.
pub(super) static ENTER: LazyLock<Script> = LazyLock::new(|| {
    script(
        "redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
         keep(KEYS[1], ARGV[2])
         return redis.call('ZRANGE', KEYS[1], 0, -ARGV[4] - 1)",
    )
});

/// KEYS: the list. ARGV: the session, how many seconds it lives on. Answers whether it is listed.
pub(super) static STAY: LazyLock<Script> = LazyLock::new(|| {
    script(
        "if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
         keep(KEYS[1], ARGV[2])
         return 1",
    )
});
