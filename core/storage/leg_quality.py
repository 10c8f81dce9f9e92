"""How well a leg was heard: the measured numbers, and what they come to by the formula that is named beside them."""

from typing import Literal

from core.model.mos import Heard, quality
from core.storage.database import Database
from core.storage.texts import storable

HeardBy = Literal["switch", "browser"]


async def keep(
    db: Database, tenant_id: str, call_id: str, leg: str, heard: Heard, *, heard_by: HeardBy, at_us: int
) -> None:
    """Keep the newest numbers of one end of a leg; older ones of the same end are replaced."""
    judged = quality(heard)
    async with db.tenant(tenant_id) as connection:
        await connection.execute(
            "insert into leg_quality (tenant_id, call_id, leg, heard_by, codec, received, lost, rtt_ms, jitter_ms, r,"
            " mos, formula, estimate, measured_us) values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
            " on conflict (tenant_id, call_id, leg, heard_by) do update set codec = excluded.codec,"
            " received = excluded.received, lost = excluded.lost, rtt_ms = excluded.rtt_ms,"
            " jitter_ms = excluded.jitter_ms, r = excluded.r, mos = excluded.mos, formula = excluded.formula,"
            " estimate = excluded.estimate, measured_us = excluded.measured_us",
            tenant_id,
            storable(call_id),
            storable(leg),
            heard_by,
            storable(heard.codec),
            heard.received,
            heard.lost,
            heard.rtt_ms,
            heard.jitter_ms,
            judged.r,
            judged.mos,
            judged.version,
            judged.estimate,
            at_us,
        )
