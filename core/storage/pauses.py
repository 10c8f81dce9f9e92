"""Accounts that no host serves for a while, because their channel's code stopped a whole host."""

import msgspec

from core.storage.appending import append
from core.storage.database import Database
from core.storage.entries import NewEntry

FIRST_S = 60
MAX_S = 3_600
FORGET_S = 86_400
"""An account that behaved for so long starts with the shortest pause again."""


async def pause(db: Database, tenant_id: str, channel_id: str, reason: str, *, now_us: int) -> int:
    """Leave an account alone, longer each time; until when."""
    async with db.system() as connection:
        until: int = await connection.fetchval(
            "insert into channel_pauses as p (channel_id, until_us, times, reason) values ($1, $2 + $4 * 1000000::bigint,"
            " 1, $3) on conflict (channel_id) do update set reason = excluded.reason,"
            " times = case when p.until_us < $2 - $6 * 1000000::bigint then 1 else p.times + 1 end,"
            " until_us = $2 + 1000000::bigint * least($5, $4 * (2 ^ least(case when p.until_us < $2 - $6 * 1000000::bigint"
            " then 0 else p.times end, 10))::bigint) returning until_us",
            channel_id,
            now_us,
            reason,
            FIRST_S,
            MAX_S,
            FORGET_S,
        )
        data = {"channel": {"id": channel_id, "paused_until_us": until, "reason": reason}}
        entry = NewEntry(
            tenant_id=tenant_id,
            type="channel.paused",
            resource=channel_id,
            data=msgspec.json.encode(data),
            occurred_us=now_us,
        )
        await append(connection, [entry])
    return until


async def paused(db: Database, *, now_us: int) -> frozenset[str]:
    """The accounts that are to be left alone now."""
    async with db.system() as connection:
        rows = await connection.fetch("select channel_id from channel_pauses where until_us > $1", now_us)
    return frozenset(row["channel_id"] for row in rows)
