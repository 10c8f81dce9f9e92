"""What people do with deliveries: look at them, have one made again, a range of the log, or a test."""

from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct

from core.errors import Conflict, NotFound, RequestError
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import READ_BODY
from core.storage.listing import Asked, Listing, Page, list_json
from core.storage.webhook_work import entries_of, insert
from core.storage.webhooks import entry_of

MOST_REPLAYED = 10_000
"""Entries of one replay: a longer range is asked for in parts."""
MOST_WAITING = 50_000
"""Deliveries of one endpoint that wait: more are not added by hand."""

_MEMBERS = "id webhook_id seq type kind state tries due_us status reason created_us ended_us"
_SMALL = "json_build_object(" + ", ".join(f"'{name}', {name}" for name in _MEMBERS.split()) + ")::text"
_WHOLE = (
    "json_build_object("
    + ", ".join(f"'{name}', d.{name}" for name in _MEMBERS.split())
    + ", 'attempts', d.attempts)::text"
)
DELIVERIES = Listing(
    "webhook_deliveries",
    place="created_us",
    columns="id webhook_id seq type kind state status created_us",
    document=_SMALL,
)


class _Is(Struct, frozen=True):
    field: str
    value: str
    op: str = "eq"


async def list_deliveries(
    db: Database,
    tenant_id: str,
    webhook_id: str,
    conditions: Iterable[Asked],
    *,
    limit: int,
    after: tuple[int, str] | None,
) -> Page:
    """Newest first, without their attempts. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        await _endpoint(connection, tenant_id, webhook_id)
    conditions = [*conditions, _Is("webhook_id", webhook_id)]
    return await list_json(db, tenant_id, DELIVERIES, conditions, limit=limit, after=after)


async def get_delivery(
    db: Database, tenant_id: str, webhook_id: str, delivery_id: str
) -> tuple[bytes, bytes | None]:
    """A delivery with its attempts, and the log's entry it is about if that is still there. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            f"select convert_to({_WHOLE}, 'UTF8') as one, seq from webhook_deliveries d"  # noqa: S608 - our own columns
            " where tenant_id = $1 and webhook_id = $2 and id = $3",
            tenant_id,
            webhook_id,
            delivery_id,
        )
        if row is None:
            raise _no_delivery(delivery_id)
        entry: bytes | None = await connection.fetchval(
            f"select {READ_BODY} from events where tenant_id = $1 and seq = $2",  # noqa: S608 - our own text
            tenant_id,
            row["seq"],
        )
    return row["one"], entry


async def redeliver(db: Database, tenant_id: str, webhook_id: str, delivery_id: str) -> None:
    """Have a delivery made once more, now, with the whole schedule behind it.

    Raises `NotFound`, `Conflict` while it is under way.
    """
    async with db.tenant(tenant_id) as connection:
        found = await connection.fetchval(
            "update webhook_deliveries set state = 'waiting', tries = 0, due_us = m.us, ended_us = 0, reason = ''"
            " from (select (extract(epoch from clock_timestamp()) * 1000000)::bigint as us) m"
            " where tenant_id = $1 and webhook_id = $2 and id = $3 and claimed_until_us <= m.us returning id",
            tenant_id,
            webhook_id,
            delivery_id,
        )
        if found is None:
            there = await connection.fetchval(
                "select 1 from webhook_deliveries where tenant_id = $1 and webhook_id = $2 and id = $3",
                tenant_id,
                webhook_id,
                delivery_id,
            )
            if there is None:
                raise _no_delivery(delivery_id)
            raise Conflict("it is just being delivered", code="under_way")


async def replay(
    db: Database,
    tenant_id: str,
    webhook_id: str,
    *,
    from_seq: int,
    to_seq: int,
    types: Sequence[str] = (),
) -> int:
    """Deliver a range of the log again, as far as the endpoint's own types (or ``types``) cover it; how many entries.

    Raises `NotFound`, `RequestError` for a range that is not kept or too long, `Conflict` when too many wait already.
    """
    async with db.tenant(tenant_id) as connection:
        row = await _endpoint(connection, tenant_id, webhook_id)
        bounds = await connection.fetchrow(
            "select oldest, head from log_heads where tenant_id = $1", tenant_id
        )
        oldest, head = (bounds["oldest"], bounds["head"]) if bounds else (1, 0)
        if from_seq < oldest or from_seq > to_seq or to_seq > head:
            raise RequestError(f"the log has the numbers {oldest} to {head}", code="not_in_log")
        waiting = await connection.fetchval(
            "select count(*) from (select from webhook_deliveries where tenant_id = $1 and webhook_id = $2"
            " and state = 'waiting' limit $3) x",
            tenant_id,
            webhook_id,
            MOST_WAITING,
        )
        if waiting >= MOST_WAITING:
            raise Conflict(f"{waiting} deliveries wait already", code="too_many_waiting")
        found = await entries_of(
            connection, tenant_id, types or row["types"], from_seq - 1, to_seq, MOST_REPLAYED + 1
        )
        if len(found) > MOST_REPLAYED:
            raise RequestError(
                f"at most {MOST_REPLAYED} entries at a time: up to number {found[MOST_REPLAYED - 1][0]}",
                code="range_too_long",
            )
        await insert(connection, tenant_id, webhook_id, found, "replay")
        more = {"from_seq": from_seq, "to_seq": to_seq, "deliveries": len(found)}
        told = entry_of(tenant_id, webhook_id, row["name"], row["state"], "webhook.replayed", **more)
        await append(connection, [told])
    return len(found)


async def send_test(db: Database, tenant_id: str, webhook_id: str) -> str:
    """Put ``webhook.tested`` into the log and deliver it, whatever the endpoint asked for; the delivery's id.

    Raises `NotFound`, `Conflict` for an endpoint that is switched off.
    """
    async with db.tenant(tenant_id) as connection:
        row = await _endpoint(connection, tenant_id, webhook_id)
        if row["state"] != "active":
            raise Conflict("the endpoint is switched off", code="webhook_disabled")
        told = entry_of(tenant_id, webhook_id, row["name"], row["state"], "webhook.tested")
        # (the tenant's numbers stay locked until the end: the delivery is there before anybody can plan one)
        written = (await append(connection, [told]))[tenant_id]
        seq = written[-1].seq
        made = await insert(connection, tenant_id, webhook_id, [(seq, told.type)], "test")
    return made[0]


async def _endpoint(connection: Connection, tenant_id: str, webhook_id: str) -> Any:
    row = await connection.fetchrow(
        "select name, state, types from webhooks where tenant_id = $1 and id = $2 and deleted_us = 0",
        tenant_id,
        webhook_id,
    )
    if row is None:
        raise NotFound(f"there is no webhook {webhook_id}", code="no_such_webhook")
    return row


def _no_delivery(delivery_id: str) -> NotFound:
    return NotFound(f"there is no delivery {delivery_id}", code="no_such_delivery")
