"""Who is looking at a conversation right now, and who is writing an answer: so that two do not answer the same person.

Kept in Redis or Valkey, never in the store: all of it runs out by itself. Whoever looks says so every few seconds; whoever
types holds a soft claim, which the others see and may ignore. Without Redis nobody is seen, and nothing else changes.
"""

import contextlib

import msgspec
from msgspec import Struct
from redis.exceptions import RedisError

from core.bus import Bus
from core.errors import Unavailable

LOOKING_MS = 30_000
"""How long somebody is seen after the last sign; a page gives one every ten seconds."""
TYPING_MS = 8_000
"""How long a claim holds after the last key."""
MOST = 200
"""People shown at one conversation."""

_LOOKING = "irisx:looking:"
_CLAIM = "irisx:claim:"

# Signs and their times are read by the clock of Redis: those of the API's processes may differ.
_SIGN = """
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if ARGV[2] == '0' then redis.call('ZREM', KEYS[1], ARGV[1]) else redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1]) end
redis.call('PEXPIRE', KEYS[1], 60000)
if ARGV[3] ~= '' then
  local holder = redis.call('GET', KEYS[2])
  if ARGV[3] == '0' then
    if holder == ARGV[1] then redis.call('DEL', KEYS[2]) end
  elseif not holder or holder == ARGV[1] then
    redis.call('SET', KEYS[2], ARGV[1], 'PX', ARGV[3])
  end
end
return {redis.call('ZRANGE', KEYS[1], 0, tonumber(ARGV[4]) - 1), redis.call('GET', KEYS[2]) or ''}
"""


class Presence(Struct, frozen=True):
    """Who is there."""

    looking: list[str]
    """Users' ids, whoever's sign runs out first."""
    typing: str
    """Who holds the claim; empty while nobody types."""


async def look(
    bus: Bus, tenant_id: str, conversation_id: str, user_id: str, *, here: bool = True
) -> Presence:
    """Be seen (or, not ``here``, go), and see the others. Raises `Unavailable`."""
    # (who goes lets the claim go, too)
    return await _sign(
        bus, tenant_id, conversation_id, user_id, LOOKING_MS if here else 0, "" if here else "0"
    )


async def write(bus: Bus, tenant_id: str, conversation_id: str, user_id: str, *, typing: bool) -> Presence:
    """Claim it while typing: the first one has it, and the others see whose it is. Raises `Unavailable`.

    Those who follow live and asked for it are told (``live`` frames of the stream); it is in no log.
    """
    seen = await _sign(
        bus, tenant_id, conversation_id, user_id, LOOKING_MS, str(TYPING_MS) if typing else "0"
    )
    said = {"what": "typing", "conversation_id": conversation_id, "user_id": user_id, "typing": typing}
    with contextlib.suppress(RedisError, OSError):
        await bus.say(f"live:{tenant_id}", msgspec.json.encode(said))
    return seen


async def who(bus: Bus, tenant_id: str, conversation_id: str) -> Presence:
    """Who is there now. Raises `Unavailable`."""
    return await _sign(bus, tenant_id, conversation_id, "", 0, "")


async def _sign(
    bus: Bus, tenant_id: str, conversation_id: str, user_id: str, looking_ms: int, claim: str
) -> Presence:
    # (one slot of a cluster for both keys)
    name = f"{{{tenant_id}:{conversation_id}}}"
    try:
        looking, typing = await bus.redis.eval(
            _SIGN, 2, _LOOKING + name, _CLAIM + name, user_id, str(looking_ms), claim, str(MOST)
        )
    except (RedisError, OSError) as exc:
        raise Unavailable("presence is out of reach", code="bus_down") from exc
    return Presence([one.decode() for one in looking], typing.decode())
