"""Agents' legs in the store: which there may be on a switch, and the SIP dialogs by which an heir goes on with them."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.storage.database import Database


class StoredLeg(Struct, frozen=True):
    """One leg. ``dialog`` is JSON, empty as long as the switch has not answered."""

    tenant_id: str
    leg: str
    agent_id: str
    dialog: dict[str, Any]
    created_us: int


async def begin(db: Database, tenant_id: str, *, leg: str, node: str, agent_id: str) -> None:
    """Note that the switch is about to be asked for a leg. Noting it again changes nothing."""
    async with db.tenant(tenant_id) as connection:
        await connection.execute(
            "insert into agent_legs (tenant_id, leg, node, agent_id, created_us) values ($1, $2, $3, $4, $5)"
            " on conflict do nothing",
            tenant_id,
            leg,
            node,
            agent_id,
            now_us(),
        )


async def keep(db: Database, tenant_id: str, leg: str, dialog: Struct) -> None:
    """Keep the newest state of a leg's dialog."""
    async with db.tenant(tenant_id) as connection:
        await connection.execute(
            "update agent_legs set dialog = $3 where tenant_id = $1 and leg = $2",
            tenant_id,
            leg,
            msgspec.json.encode(dialog).decode(),
        )


async def of_node(db: Database, node: str) -> list[StoredLeg]:
    """All that there may be on a switch, the oldest first."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id, leg, agent_id, dialog::text as dialog, created_us from agent_legs"
            " where node = $1 order by created_us",
            node,
        )
    return [
        StoredLeg(
            row["tenant_id"],
            row["leg"],
            row["agent_id"],
            msgspec.json.decode(row["dialog"]) if row["dialog"] else {},
            row["created_us"],
        )
        for row in rows
    ]


async def forget(db: Database, node: str, legs: Sequence[str]) -> None:
    """Legs that are over."""
    async with db.system() as connection:
        await connection.execute("delete from agent_legs where node = $1 and leg = any($2)", node, list(legs))
