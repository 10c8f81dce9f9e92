"""Token buckets and attempt counters in Redis, by its own clock, each change one Lua script.

What is counted here is worth nothing an hour later, so Redis may be flushed; and it may be away, so every caller
has an answer for `Unavailable`.
"""

import redis.asyncio
from msgspec import Struct
from redis.exceptions import RedisError

from core.errors import Unavailable

BUCKET = "irisx:limit:"
ATTEMPTS = "irisx:attempts:"

# A bucket is {tokens, at}: what was in it at that millisecond. Up to ARGV[3] tokens are taken at once; with none
# to take the answer is how many milliseconds until there is one. It is forgotten when it would be full again.
_TAKE = """
local rate, burst, want = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local held = redis.call('HMGET', KEYS[1], 'tokens', 'at')
local tokens = tonumber(held[1]) or burst
local at = tonumber(held[2]) or now
if now > at then tokens = math.min(burst, tokens + (now - at) * rate / 1000) end
tokens = math.min(burst, tokens)
local granted = math.min(want, math.floor(tokens))
local wait = 0
tokens = tokens - granted
if granted < 1 then wait = math.ceil((1 - tokens) * 1000 / rate) end
redis.call('HSET', KEYS[1], 'tokens', tostring(tokens), 'at', tostring(math.max(now, at)))
redis.call('PEXPIRE', KEYS[1], math.ceil((burst - tokens) * 1000 / rate) + 1000)
return {granted, math.floor(tokens), wait}
"""

# Every key is {count, until}. When one of them is still closed nothing is counted and the longest wait is the
# answer; otherwise all count this attempt before it is made, so that parallel guesses cannot slip through.
# ARGV: memory (ms), then free attempts and longest wait (s) for each key.
_ATTEMPT = """
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local wait = 0
for i, key in ipairs(KEYS) do
  local closed = tonumber(redis.call('HGET', key, 'until') or '0')
  if closed > now then wait = math.max(wait, closed - now) end
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
  local count = redis.call('HINCRBY', key, 'count', 1)
  local over = count - tonumber(ARGV[2 * i])
  if over >= 0 then
    local pause = math.min(2 ^ math.min(over, 20), tonumber(ARGV[2 * i + 1]))
    redis.call('HSET', key, 'until', tostring(now + pause * 1000))
  end
  redis.call('PEXPIRE', key, ARGV[1])
end
return 0
"""

# A success: the first key forgets everything, the others this one attempt.
_FORGIVE = """
redis.call('DEL', KEYS[1])
for i = 2, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('HINCRBY', KEYS[i], 'count', -1)
    redis.call('HDEL', KEYS[i], 'until')
  end
end
return 0
"""


class Grant(Struct, frozen=True):
    """What a bucket gave."""

    tokens: int
    left: int
    """What remains in the bucket."""
    wait_s: float
    """How long until there is one token, when none was given."""


class AttemptRule(Struct, frozen=True):
    """After ``free`` attempts each further one doubles the pause, up to ``longest_s``."""

    free: int
    longest_s: int


async def take(client: redis.asyncio.Redis, bucket: str, *, rate: float, burst: int, want: int) -> Grant:
    """Take up to ``want`` tokens from a bucket that gains ``rate`` a second and holds ``burst``.

    Raises `Unavailable`.
    """
    try:
        granted, left, wait = await client.eval(
            _TAKE, 1, BUCKET + bucket, repr(float(rate)), str(burst), str(want)
        )
    except (RedisError, OSError) as exc:
        raise Unavailable("the counters are out of reach") from exc
    return Grant(int(granted), int(left), int(wait) / 1000)


async def attempt(client: redis.asyncio.Redis, rules: dict[str, AttemptRule], *, memory_s: int) -> float:
    """Count one attempt under every key of ``rules``: 0, or the seconds to wait when one of them is closed.

    Raises `Unavailable`.
    """
    keys = [ATTEMPTS + key for key in rules]
    numbers = [str(n) for rule in rules.values() for n in (rule.free, rule.longest_s)]
    try:
        wait = await client.eval(_ATTEMPT, len(keys), *keys, str(memory_s * 1000), *numbers)
    except (RedisError, OSError) as exc:
        raise Unavailable("the counters are out of reach") from exc
    return int(wait) / 1000


async def forgive(client: redis.asyncio.Redis, *keys: str) -> None:
    """A success: forget the attempts under the first key, and this one under the others. Raises `Unavailable`."""
    try:
        await client.eval(_FORGIVE, len(keys), *(ATTEMPTS + key for key in keys))
    except (RedisError, OSError) as exc:
        raise Unavailable("the counters are out of reach") from exc
