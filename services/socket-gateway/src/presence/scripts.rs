//! The steps of presence in Redis: each is one script, so that it happens whole or not at all.
//!
//! What others hear is published by the script that makes it true: in the order in which it
//! became true, and never lost with the gateway that asked for it. In a cluster a script may touch
//! one slot only, so the channels of presence lie in the slot of its keys.

use std::sync::LazyLock;

use redis::Script;

/// KEYS: `fences`, `gateway:<epoch>`, `place:<place>`, `digests`, `gateways`, `settling`,
/// `came:<place>`. ARGV: the epoch, its generation, the list's entry, the place, the field, the
/// name, the weight, how to publish, the channel, what is published, how many microseconds ago the
/// user came, or nothing if nobody asks, for how many microseconds that is kept.
/// Answers -1 if this generation of the gateway is not known, 1 if it was a first, else 0.
pub(super) static ENTER: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return -1 end
         if redis.call('SADD', KEYS[2], ARGV[3]) == 0 then return 0 end
         local was = redis.call('HGET', KEYS[3], ARGV[5])
         if was then
           local count, name = string.match(was, '^(%d+) (.*)$')
           redis.call('HSET', KEYS[3], ARGV[5], string.format('%d %s', count + 1, name))
           return 0
         end
         redis.call('HSET', KEYS[3], ARGV[5], '1 ' .. ARGV[6])
         redis.call('HINCRBY', KEYS[4], ARGV[4], ARGV[7])
         if ARGV[11] ~= '' then
           local t = redis.call('TIME')
           local now = t[1] * 1000000 + t[2]
           redis.call('ZADD', KEYS[7], now - ARGV[11], ARGV[5])
           redis.call('ZREMRANGEBYSCORE', KEYS[7], '-inf', now - ARGV[12])
           redis.call('PEXPIRE', KEYS[7], math.floor(ARGV[12] / 1000))
         end
         redis.call(ARGV[8], ARGV[9], ARGV[10])
         return 1",
    )
});

/// KEYS: as above. ARGV: as the first ten above, and what is published while Redis settles; the
/// generation is empty for a gateway that must be dead, i.e. its lease over. Answers
/// as above. While Redis settles, somebody else's word that the user is still there may be under
/// way: then others hear only that they may have left, and the comparison of rosters decides.
pub(super) static LEAVE: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "if ARGV[2] ~= '' then
           if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return -1 end
         else
           local t = redis.call('TIME')
           local till = redis.call('ZSCORE', KEYS[5], ARGV[1])
           if not till or tonumber(till) > t[1] * 1000 + math.floor(t[2] / 1000) then return -1 end
         end
         if redis.call('SREM', KEYS[2], ARGV[3]) == 0 then return 0 end
         local was = redis.call('HGET', KEYS[3], ARGV[5])
         if not was then return 0 end
         local count, name = string.match(was, '^(%d+) (.*)$')
         if tonumber(count) > 1 then
           redis.call('HSET', KEYS[3], ARGV[5], string.format('%d %s', count - 1, name))
           return 0
         end
         redis.call('HDEL', KEYS[3], ARGV[5])
         redis.call('ZREM', KEYS[7], ARGV[5])
         if redis.call('HINCRBY', KEYS[4], ARGV[4], '-' .. ARGV[7]) == 0 then
           redis.call('HDEL', KEYS[4], ARGV[4])
         end
         local told = redis.call('EXISTS', KEYS[6]) == 0 and ARGV[10] or ARGV[11]
         if told ~= '' then redis.call(ARGV[8], ARGV[9], told) end
         return 1",
    )
});

/// KEYS: `gateways`, `fences`, `born`, `settling`, `left`. ARGV: the epoch, its generation, the
/// lease in milliseconds, the birth that it knows or nothing, a birth in case there is none, how
/// long Redis settles in milliseconds, 1 if this is a farewell. Answers the birth, and 1 if this generation's lease still held.
/// A word of an earlier generation, late on a slow link, changes nothing.
pub(super) static RENEW: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now = t[1] * 1000 + math.floor(t[2] / 1000)
         local fence = redis.call('HGET', KEYS[2], ARGV[1])
         if fence and tonumber(fence) > tonumber(ARGV[2]) then return {'', 0} end
         redis.call('SET', KEYS[3], ARGV[5], 'NX')
         local born = redis.call('GET', KEYS[3])
         if ARGV[4] ~= '' and ARGV[4] ~= born then
           redis.call('SET', KEYS[4], 1, 'PX', ARGV[6])
         end
         local till = redis.call('ZSCORE', KEYS[1], ARGV[1])
         redis.call('ZADD', KEYS[1], now + ARGV[3], ARGV[1])
         redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
         if ARGV[7] == '1' then redis.call('SADD', KEYS[5], ARGV[1]) end
         return {born, till and tonumber(till) > now and fence == ARGV[2] and 1 or 0}",
    )
});

/// KEYS: `gateways`, `fences`, `left`. ARGV: first part of the keys, most entries. Forgets gateways
/// whose lease is over and whose list is empty; answers how many, how many of them never said
/// farewell, and of the others epoch and entry by turns.
pub(super) static DEAD: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now = t[1] * 1000 + math.floor(t[2] / 1000)
         local forgotten, died, entries = 0, 0, {}
         for _, epoch in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
           local some = redis.call('SRANDMEMBER', ARGV[1] .. 'gateway:' .. epoch, ARGV[2])
           if #some == 0 then
             redis.call('ZREM', KEYS[1], epoch)
             redis.call('HDEL', KEYS[2], epoch)
             forgotten = forgotten + 1
             if redis.call('SREM', KEYS[3], epoch) == 0 then died = died + 1 end
           end
           for _, entry in ipairs(some) do
             entries[#entries + 1] = epoch
             entries[#entries + 1] = entry
           end
           if #entries >= 2 * ARGV[2] then break end
         end
         return {forgotten, died, entries}",
    )
});

/// KEYS: `born`, and `came:<place>` of some places. Answers the birth, and for each place by turns
/// the field of somebody who came not long ago, and how many microseconds ago that was.
pub(super) static CAME: LazyLock<Script> = LazyLock::new(|| {
    Script::new(
        "local t = redis.call('TIME')
         local now, places = t[1] * 1000000 + t[2], {}
         for n = 2, #KEYS do
           local came = redis.call('ZRANGE', KEYS[n], 0, -1, 'WITHSCORES')
           for score = 2, #came, 2 do came[score] = now - came[score] end
           places[n - 1] = came
         end
         return {redis.call('GET', KEYS[1]), places}",
    )
});
