//! The counts in Redis: each step is one script, so that no two take the same place. A count is the
//! moment at which everything is free again, in milliseconds since 1970 by Redis' clock; the key goes
//! at that moment.

use std::sync::LazyLock;

use redis::Script;

/// KEYS: the count. ARGV: the interval, and how far ahead it may be used up.
/// Answers how long to wait; 0: it is counted.
pub(super) static KNOCK: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now = t[1] * 1000 + math.floor(t[2] / 1000)
         local ahead = math.max(0, tonumber(redis.call('GET', KEYS[1]) or 0) - now)
         if ahead > tonumber(ARGV[2]) then return ahead - ARGV[2] end
         ahead = ahead + ARGV[1]
         redis.call('SET', KEYS[1], string.format('%.0f', now + ahead), 'PX', ahead)
         return 0",
    )
});

/// KEYS: wrong passwords from one address, from all, the owner's addresses. ARGV: the address,
/// interval and reach of the first, of the second (0: not counted).
/// Answers how long to wait (0: it is counted), and 1 if it is narrower than usual.
pub(super) static GUESS: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now = t[1] * 1000 + math.floor(t[2] / 1000)
         local function ahead_of(key)
           return math.max(0, tonumber(redis.call('GET', key) or 0) - now)
         end
         local function count(key, ahead)
           redis.call('SET', key, string.format('%.0f', now + ahead), 'PX', ahead)
         end
         local reach, narrow = tonumber(ARGV[3]), 0
         local counts_all = tonumber(ARGV[4]) > 0
           and not redis.call('ZSCORE', KEYS[3], ARGV[1])
         local all = counts_all and ahead_of(KEYS[2]) or 0
         if counts_all and all > tonumber(ARGV[5]) then reach, narrow = 0, 1 end
         local ahead = ahead_of(KEYS[1])
         if ahead > reach then return {ahead - reach, narrow} end
         count(KEYS[1], ahead + ARGV[2])
         if counts_all and narrow == 0 then count(KEYS[2], all + ARGV[4]) end
         return {0, narrow}",
    )
});

/// KEYS: as above. ARGV: the address, the interval of the first, of the second, 1 if the password was
/// right, how many addresses are remembered, for how many seconds. Takes back one wrong password from
/// the address, or all if it was right.
pub(super) static SETTLE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now = t[1] * 1000 + math.floor(t[2] / 1000)
         local function take_back(key, interval)
           local free_at = tonumber(redis.call('GET', key) or 0) - interval
           if free_at > now then
             redis.call('SET', key, string.format('%.0f', free_at), 'PX', free_at - now)
           else
             redis.call('DEL', key)
           end
         end
         if ARGV[4] == '1' then
           local is_known = redis.call('ZSCORE', KEYS[3], ARGV[1])
           if not is_known and redis.call('EXISTS', KEYS[1]) == 1 then
             take_back(KEYS[2], ARGV[3])
           end
           redis.call('DEL', KEYS[1])
           redis.call('ZADD', KEYS[3], now, ARGV[1])
           redis.call('ZREMRANGEBYRANK', KEYS[3], 0, -ARGV[5] - 1)
           redis.call('EXPIRE', KEYS[3], ARGV[6])
         else
           take_back(KEYS[1], ARGV[2])
         end",
    )
});
