"""Leases in Redis: who may command a switch right now. One key a switch, compare-and-set in Lua.

The key says ``owner`` and lives for a time-to-live; it is exclusive, nothing more. What makes an old owner
harmless is its own deadline (`core.cluster.lease`) and the fencing token, which is drawn from Postgres: a Redis
that was flushed can hand out the key a second time, never an old token.
"""

import redis.asyncio
from redis.exceptions import RedisError

from core.errors import Unavailable

KEY = "irisx:lease:"

# Taking is allowed when nobody holds it or we do: our own key may have outlived a lost answer.
_TAKE = """
local holder = redis.call('GET', KEYS[1])
if holder == false or holder == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return 0
end
local left = redis.call('PTTL', KEYS[1])
if left < 1 then left = 1 end
return left
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


async def take(client: redis.asyncio.Redis, node: str, owner: str, ttl_ms: int) -> int:
    """Take or renew the lease of ``node``. 0: it is ours for ``ttl_ms``; else the milliseconds it is still another's.

    Raises `Unavailable` when Redis did not answer: then nothing is known.
    """
    try:
        return int(await client.eval(_TAKE, 1, KEY + node, owner, str(ttl_ms)))
    except (RedisError, OSError) as exc:
        raise Unavailable("the lease store is out of reach") from exc


async def release(client: redis.asyncio.Redis, node: str, owner: str) -> None:
    """Give the lease back if it is ours, so that the heir need not wait for its end."""
    try:
        await client.eval(_RELEASE, 1, KEY + node, owner)
    except (RedisError, OSError) as exc:
        raise Unavailable("the lease store is out of reach") from exc


async def holder(client: redis.asyncio.Redis, node: str) -> str:
    """Who holds the lease of ``node`` now, or an empty text."""
    try:
        value = await client.get(KEY + node)
    except (RedisError, OSError) as exc:
        raise Unavailable("the lease store is out of reach") from exc
    return value.decode() if isinstance(value, bytes) else ""
