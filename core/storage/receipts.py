"""What providers report of messages that we sent: kept, and applied where it moves something.

A receipt may come twice, late, backwards, or before the sending has returned. Each is kept once; the part that it is
about moves up the lattice (`core.model.messaging`) or stays; the message is as far as its parts. A receipt whose message
is not known yet waits in the table and is applied by `adopt`, which the sender calls in the transaction that stores the
provider's ids.
"""

from collections.abc import Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from core.model import messaging
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.learning import Lesson, learn
from core.storage.rerouting import reroute
from core.storage.texts import bigint, storable
from irisx_sdk.messages import Status

MOST_LOST_S = 600.0
"""Seconds that one lost message counts for at most."""
LOCKS = 1024
"""Locks that the ids of all messages share: few enough for Postgres's table of locks, however many ids a batch has."""
_ARRIVED = ("delivered", "read")
_LOST = ("failed", "undelivered")

_encode = msgspec.json.Encoder().encode


async def write_statuses(
    db: Database, tenant_id: str, channel_id: str, statuses: Sequence[Status], *, received_us: int
) -> list[tuple[str, Status]]:
    """Keep and apply receipts; those that moved a message, with its id. Raises the store's errors: then nothing is written."""
    moved: list[tuple[str, Status]] = []
    async with db.tenant(tenant_id) as connection:
        await hold(connection, channel_id, [storable(status.id) for status in statuses])
        fresh = await _keep(connection, tenant_id, channel_id, statuses, received_us)
        entries: list[NewEntry] = []
        # (in one order for everybody; those of one id stay in theirs)
        for status in sorted(fresh, key=lambda one: one.id):
            told = await _apply(connection, tenant_id, channel_id, status, received_us)
            moved += [(entry.resource, status) for entry in told if entry.type != "message.rerouted"]
            entries += told
        await append(connection, entries)
    return moved


async def hold(connection: Connection, channel_id: str, provider_ids: Sequence[str]) -> None:
    """Let nobody else write about these ids of a provider until this transaction ends. Take it before any row.

    A receipt and the answer to the sending that it is about may be written at one moment. Without this neither would see
    the other, and the receipt would wait for ever for a message that is there.
    """
    await connection.execute(
        "select pg_advisory_xact_lock(key) from (select distinct hashtextextended($1 || ' ' || id, 7) % $3 as key"
        " from unnest($2::text[]) id order by key) keys",
        channel_id,
        list(provider_ids),
        LOCKS,
    )


async def adopt(
    connection: Connection, tenant_id: str, channel_id: str, provider_ids: Sequence[str], *, now_us: int
) -> list[NewEntry]:
    """Apply the receipts that came before the ids were known; entries for the log of the caller's transaction."""
    early = await connection.fetch(
        "select provider_id, state, at_us, code, reason, own_fault from receipts"
        " where tenant_id = $1 and channel_id = $2 and provider_id = any($3) and message_id = '' order by id",
        tenant_id,
        channel_id,
        list(provider_ids),
    )
    entries: list[NewEntry] = []
    for row in early:
        status = Status(
            row["provider_id"], row["state"], row["at_us"], row["code"], row["reason"],
            own_fault=row["own_fault"],
        )  # fmt: skip
        entries += await _apply(connection, tenant_id, channel_id, status, now_us)
    return entries


async def _keep(
    connection: Connection, tenant_id: str, channel_id: str, statuses: Sequence[Status], received_us: int
) -> list[Status]:
    """Those that were not there already."""
    first: dict[tuple[str, str, str], Status] = {}
    for status in statuses:
        first.setdefault((storable(status.id), status.state, storable(status.code)), status)
    keys = sorted(first)
    inserted = await connection.fetch(
        "insert into receipts (tenant_id, channel_id, provider_id, state, code, reason, at_us, received_us, own_fault)"
        " select $1, $2, provider_id, state, code, reason, at_us, $3, own_fault"
        " from unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[], $9::bool[])"
        " r (provider_id, state, code, reason, at_us, own_fault)"
        " on conflict (tenant_id, channel_id, provider_id, state, code) do nothing returning provider_id, state, code",
        tenant_id,
        channel_id,
        received_us,
        [key[0] for key in keys],
        [key[1] for key in keys],
        [key[2] for key in keys],
        [storable(first[key].reason) for key in keys],
        [bigint(first[key].at_us) for key in keys],
        [first[key].own_fault for key in keys],
    )
    there = {(row["provider_id"], row["state"], row["code"]) for row in inserted}
    return [status for key, status in first.items() if key in there]


async def _apply(
    connection: Connection, tenant_id: str, channel_id: str, status: Status, now_us: int
) -> list[NewEntry]:
    """Move the part and its message, if this is news to them."""
    provider_id = storable(status.id)
    message_id = await connection.fetchval(
        "select message_id from message_parts where tenant_id = $1 and channel_id = $2 and provider_id = $3",
        tenant_id,
        channel_id,
        provider_id,
    )
    if message_id is None and status.reference:
        # Our own id came back with it, so the provider has the message, whatever became of the answer to the sending.
        message_id = await connection.fetchval(
            "insert into message_parts (tenant_id, channel_id, provider_id, message_id, part, state)"
            " select tenant_id, $2, $3, id, 1, 'queued' from messages"
            " where tenant_id = $1 and id = $4 and direction = 'out' on conflict do nothing returning message_id",
            tenant_id,
            channel_id,
            provider_id,
            storable(status.reference),
        )
    if message_id is None:
        return []
    # The message first: every writer locks it before its parts.
    message = await connection.fetchrow(
        "select state, conversation_id, version from messages where tenant_id = $1 and id = $2 for update",
        tenant_id,
        message_id,
    )
    await connection.execute(
        "update receipts set message_id = $4 where tenant_id = $1 and channel_id = $2 and provider_id = $3"
        " and message_id = ''",
        tenant_id,
        channel_id,
        provider_id,
        message_id,
    )
    rows = await connection.fetch(
        "select provider_id, state, part, channel_id from message_parts where tenant_id = $1 and message_id = $2",
        tenant_id,
        message_id,
    )
    mine = next(row for row in rows if row["provider_id"] == provider_id and row["channel_id"] == channel_id)
    after = messaging.advanced(mine["state"], status.state)
    if after == mine["state"]:
        return []
    await connection.execute(
        "update message_parts set state = $4 where tenant_id = $1 and channel_id = $2 and provider_id = $3",
        tenant_id,
        channel_id,
        provider_id,
        after,
    )
    # (parts below 0: another carrier has the message since)
    states = [
        after if row is mine else row["state"] for row in rows if (row["part"] > 0) == (mine["part"] > 0)
    ]
    state = messaging.state_of_parts(states)
    if mine["part"] < 0 and (state not in _ARRIVED or message["state"] in _ARRIVED):
        return []
    if status.own_fault and mine["part"] > 0 and all(one in _LOST for one in states):
        again = await reroute(connection, tenant_id, channel_id, message_id, message, status, now_us=now_us)
        if again is not None:
            await _teach(connection, tenant_id, channel_id, message_id, message["state"], state, now_us)
            return [again]
    if state == message["state"]:
        return []
    at_us = bigint(status.at_us) or now_us
    await connection.execute(
        "update messages set state = $3, code = $4, reason = $5, version = version + 1,"
        " delivered_us = case when $3 = 'delivered' or ($3 = 'read' and delivered_us = 0) then $6 else delivered_us end,"
        " read_us = case when $3 = 'read' then $6 else read_us end, price = coalesce($7, price),"
        " currency = case when $7 is null then currency else $8 end where tenant_id = $1 and id = $2",
        tenant_id,
        message_id,
        state,
        storable(status.code),
        storable(status.reason),
        at_us,
        _decimal(status.price),
        storable(status.currency)[:3],
    )
    await _teach(connection, tenant_id, channel_id, message_id, message["state"], state, now_us)
    return [_told(tenant_id, message_id, message, state, status, at_us)]


async def _teach(
    connection: Connection,
    tenant_id: str,
    channel_id: str,
    message_id: str,
    before: str,
    state: str,
    now_us: int,
) -> None:
    """A carrier's chance is that of arriving: what it took and did not deliver was no success."""
    arrived = state in _ARRIVED and before not in _ARRIVED
    lost = state in _LOST
    if not arrived and not lost:
        return
    row = await connection.fetchrow(
        "select a.carrier_id, a.started_us, m.recipient ->> 'value' as value, m.recipient ->> 'kind' as kind"
        " from attempts a join messages m on m.tenant_id = a.tenant_id and m.id = a.message_id"
        " where a.tenant_id = $1 and a.message_id = $2 and a.channel_id = $3 and a.carrier_id <> ''"
        " order by a.number desc limit 1",
        tenant_id,
        message_id,
        channel_id,
    )
    if row is None:
        return
    digits = row["value"].lstrip("+") if row["kind"] == "phone" else ""
    took_s = min(max((now_us - row["started_us"]) / 1e6, 0.0), MOST_LOST_S) if lost else 0.0
    lesson = Lesson(
        carrier_id=row["carrier_id"],
        digits=digits,
        outcome="undelivered" if lost else "delivered",
        tries=0,
        wins=-1 if lost else 0,
        took_s=took_s,
    )
    await learn(connection, tenant_id, [lesson], now_us)


def _decimal(text: str) -> Decimal | None:
    """A price as the provider writes it; None for what is none."""
    try:
        price = Decimal(text)
    except InvalidOperation:
        return None
    return price if price.is_finite() else None


def _told(tenant_id: str, message_id: str, message: Any, state: str, status: Status, at_us: int) -> NewEntry:
    data = {
        "message": {
            "id": message_id,
            "conversation_id": message["conversation_id"],
            "state": state,
            "code": storable(status.code),
            "version": message["version"] + 1,
        }
    }
    return NewEntry(
        tenant_id=tenant_id,
        type=f"message.{state}",
        resource=message_id,
        data=_encode(data),
        occurred_us=at_us,
    )
