"""What each attempt teaches about its carrier, written in the transaction that writes what came of the attempt.

Counts by prefix (`core.model.outcomes`) are added to in place and halved on the way, by the same rule as the model's;
a day's numbers and its spending are exact. Rows are always taken in one order, so two writers do not wait for each other.
"""

from collections.abc import Collection, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
from msgspec import Struct

from core.model.outcomes import HALVE_TRIES, HALVE_US, Breaker, failed, levels_of, probed
from core.storage.appending import append
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.texts import storable

COUNTED = ("sent", "delivered", "undelivered", "refused", "failed", "throttled", "unknown")


class Lesson(Struct, frozen=True, kw_only=True):
    """One attempt, or what a receipt said of it later (``tries`` 0)."""

    carrier_id: str
    digits: str
    """The number; empty where numbers mean nothing."""
    outcome: str
    """One of `COUNTED`."""
    tries: int = 1
    wins: int = 0
    took_s: float = 0.0
    cost: float = 0.0
    """What it is expected to cost, in the tenant's currency."""


_TIMES = f"greatest((excluded.halved_us - o.halved_us) / {HALVE_US}, (o.since >= {HALVE_TRIES})::int)"
_SHARE = f"power(0.5, least(greatest({_TIMES}, 0), 60))"
_LEARN = f"""
insert into carrier_outcomes as o (tenant_id, carrier_id, prefix, tries, wins, failed_s, since, halved_us, updated_us)
select $1, carrier_id, prefix, tries, greatest(wins, 0), failed_s, tries, $2, $2
from unnest($3::text[], $4::text[], $5::int[], $6::int[], $7::float8[]) w (carrier_id, prefix, tries, wins, failed_s)
order by carrier_id, prefix
on conflict (tenant_id, carrier_id, prefix) do update set
    tries = o.tries * {_SHARE} + excluded.tries,
    wins = least(o.wins * {_SHARE} + excluded.wins, o.tries * {_SHARE} + excluded.tries),
    failed_s = o.failed_s * {_SHARE} + excluded.failed_s,
    since = case when {_TIMES} > 0 then 0 else o.since end + excluded.since,
    halved_us = case when {_TIMES} > 0 then excluded.halved_us else o.halved_us end,
    updated_us = excluded.updated_us
"""  # noqa: S608 - our own words
_TAKE_BACK = """
update carrier_outcomes set wins = greatest(wins - $4, 0), failed_s = failed_s + $5, updated_us = $6
where tenant_id = $1 and carrier_id = $2 and prefix = any($3)
"""
_DAY = f"""
insert into carrier_days as d (tenant_id, carrier_id, day, tries, took_s, spend, {", ".join(COUNTED)})
select $1, carrier_id, $2, tries, took_s, spend, {", ".join(COUNTED)}
from unnest($3::text[], $4::int[], $5::float8[], $6::numeric[],
    {", ".join(f"${n}::int[]" for n in range(7, 7 + len(COUNTED)))})
    w (carrier_id, tries, took_s, spend, {", ".join(COUNTED)}) order by carrier_id
on conflict (tenant_id, carrier_id, day) do update set tries = d.tries + excluded.tries,
    took_s = d.took_s + excluded.took_s, spend = d.spend + excluded.spend,
    {", ".join(f"{name} = d.{name} + excluded.{name}" for name in COUNTED)}
"""  # noqa: S608 - our own words


async def learn(connection: Connection, tenant_id: str, lessons: Sequence[Lesson], now_us: int) -> None:
    """Count attempts. In the caller's transaction, before it puts entries into the log."""
    lessons = [one for one in lessons if one.carrier_id]
    if not lessons:
        return
    counts: dict[tuple[str, str], list[float]] = {}
    for one in lessons:
        if one.outcome == "throttled" or not one.tries or not one.digits:
            continue
        for prefix in levels_of(one.digits):
            row = counts.setdefault((one.carrier_id, prefix), [0, 0, 0.0])
            row[0] += one.tries
            row[1] += one.wins
            row[2] += 0.0 if one.wins else one.took_s
    if counts:
        keys = sorted(counts)
        await connection.execute(
            _LEARN,
            tenant_id,
            now_us,
            [key[0] for key in keys],
            [key[1] for key in keys],
            [counts[key][0] for key in keys],
            [counts[key][1] for key in keys],
            [counts[key][2] for key in keys],
        )
    for one in lessons:
        if not one.tries and one.wins < 0 and one.digits:
            prefixes = levels_of(one.digits)
            await connection.execute(
                _TAKE_BACK, tenant_id, one.carrier_id, prefixes, -one.wins, one.took_s, now_us
            )
    await _count_day(connection, tenant_id, lessons, now_us)


async def _count_day(connection: Connection, tenant_id: str, lessons: Sequence[Lesson], now_us: int) -> None:
    carriers = sorted({one.carrier_id for one in lessons})
    of = {carrier: [one for one in lessons if one.carrier_id == carrier] for carrier in carriers}
    await connection.execute(
        _DAY,
        tenant_id,
        day_of(now_us),
        carriers,
        [sum(one.tries for one in of[carrier]) for carrier in carriers],
        [sum(one.took_s for one in of[carrier]) for carrier in carriers],
        [money(sum(one.cost for one in of[carrier])) for carrier in carriers],
        *([sum(one.outcome == name for one in of[carrier]) for carrier in carriers] for name in COUNTED),
    )


def money(amount: float) -> Decimal:
    """An estimate as it is stored: eight places."""
    return Decimal(f"{amount:.8f}")


def day_of(now_us: int) -> date:
    """The day of UTC, to which limits of a day belong."""
    return datetime.fromtimestamp(now_us / 1e6, UTC).date()


# Breakers ----------------------------------------------------------------------------------------------


async def trip(
    connection: Connection,
    tenant_id: str,
    carrier_id: str,
    *,
    jitter: float,
    retry_after_s: float | None,
    reason: str,
    now_us: int,
) -> bool:
    """The carrier itself failed: its breaker counts it and may open, which the log tells; whether it did."""
    before = await _breaker(connection, tenant_id, carrier_id)
    after = failed(before, now_us, jitter=jitter, retry_after_s=retry_after_s)
    await connection.execute(
        "insert into carrier_breakers values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (tenant_id, carrier_id)"
        " do update set fails = $3, open_until_us = $4, open_s = $5, probe_until_us = $6, reason = $7, changed_us = $8",
        tenant_id,
        carrier_id,
        after.fails,
        after.open_until_us,
        after.open_s,
        after.probe_until_us,
        storable(reason)[:200],
        now_us,
    )
    if after.open_until_us > now_us and before.open_until_us <= now_us:
        await append(connection, [_told(tenant_id, carrier_id, "opened", after.open_until_us, now_us)])
        return True
    return False


async def close_breakers(
    connection: Connection, tenant_id: str, carriers: Collection[str], now_us: int, *, reset: bool = False
) -> int:
    """These carriers took something: forget their failures, and close what was half open; how many were open.

    What was under way when a breaker opened does not close it again; a person (``reset``) does.
    """
    rows = await connection.fetch(
        "delete from carrier_breakers where tenant_id = $1 and carrier_id = any($2)"
        " and (open_until_us <= $3 or $4) returning carrier_id, open_until_us",
        tenant_id,
        sorted(carriers),
        now_us,
        reset,
    )
    opened = [row["carrier_id"] for row in rows if row["open_until_us"]]
    await append(connection, [_told(tenant_id, one, "closed", 0, now_us) for one in opened])
    return len(opened)


async def take_probe(connection: Connection, tenant_id: str, carrier_id: str, now_us: int) -> bool:
    """Whether this message is the one that may try a half open carrier."""
    before = await _breaker(connection, tenant_id, carrier_id)
    if not before.open_until_us:
        return True
    if before.open_until_us > now_us or before.probe_until_us > now_us:
        return False
    await connection.execute(
        "update carrier_breakers set probe_until_us = $3 where tenant_id = $1 and carrier_id = $2",
        tenant_id,
        carrier_id,
        probed(before, now_us).probe_until_us,
    )
    return True


async def _breaker(connection: Connection, tenant_id: str, carrier_id: str) -> Breaker:
    row = await connection.fetchrow(
        "select fails, open_until_us, open_s, probe_until_us from carrier_breakers"
        " where tenant_id = $1 and carrier_id = $2 for update",
        tenant_id,
        carrier_id,
    )
    return Breaker() if row is None else Breaker(**dict(row))


def _told(tenant_id: str, carrier_id: str, what: str, until_us: int, now_us: int) -> NewEntry:
    data = {"carrier": {"id": carrier_id, "breaker": what, "open_until_us": until_us}}
    return NewEntry(
        tenant_id=tenant_id,
        type=f"carrier.breaker_{what}",
        resource=carrier_id,
        data=msgspec.json.encode(data),
        occurred_us=now_us,
    )
