"""Endpoints for webhooks: who wants to hear what, where, and with which secrets.

Secrets are sealed, the newest first, each with the moment at which it ends (0: never). After a rotation the old one goes
on for a while, so that a receiver can change over without losing anything.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model.webhooks import fresh_secret
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.sealing import Sealer
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

PURPOSE = "webhook"
MOST = 100
"""Endpoints of one tenant."""
DAY_US = 86_400_000_000

_COLUMNS = (
    "w.tenant_id, w.id, w.name, w.url, w.types, w.state, w.reason, w.at_once, w.place, w.old_secret_until_us,"
    " w.failing_since_us, w.last_delivered_us, w.version, w.created_us, w.updated_us"
)
_HEALTH = (
    " coalesce((select head from log_heads h where h.tenant_id = w.tenant_id), 0) as head,"
    " (select count(*) from (select 1 from webhook_deliveries d where d.tenant_id = w.tenant_id and d.webhook_id = w.id"
    "  and d.state = 'waiting' limit 100000) x) as waiting,"
    " coalesce((select min(d.created_us) from webhook_deliveries d where d.tenant_id = w.tenant_id"
    "  and d.webhook_id = w.id and d.state = 'waiting'), 0)::bigint as oldest_waiting_us,"
    " coalesce((select sum(s.delivered) from webhook_hours s where s.tenant_id = w.tenant_id and s.webhook_id = w.id"
    "  and s.hour_us > $2), 0)::bigint as delivered_day,"
    " coalesce((select sum(s.failed) from webhook_hours s where s.tenant_id = w.tenant_id and s.webhook_id = w.id"
    "  and s.hour_us > $2), 0)::bigint as failed_day"
)


class Secret(Struct):
    """One secret of an endpoint."""

    secret: str
    until_us: int = 0
    """When it ends; 0: never."""


class Webhook(Struct, frozen=True, kw_only=True):
    """An endpoint, and how it is."""

    tenant_id: str
    id: str
    name: str
    url: str
    types: list[str]
    state: str
    reason: str
    at_once: int
    place: int
    head: int
    old_secret_until_us: int
    failing_since_us: int
    last_delivered_us: int
    waiting: int
    oldest_waiting_us: int
    delivered_day: int
    failed_day: int
    version: int
    created_us: int
    updated_us: int


async def create_webhook(
    db: Database,
    tenant_id: str,
    *,
    secret: str,
    name: str,
    url: str,
    types: Sequence[str],
    at_once: int,
    after_seq: int | None = None,
) -> tuple[Webhook, str]:
    """A new endpoint and its secret, which is not to be had again. It hears what comes after ``after_seq`` (None: now).

    Raises `Conflict` when the tenant has `MOST`.
    """
    webhook_id, moment, shown = new_id("whe"), now_us(), fresh_secret()
    async with db.tenant(tenant_id) as connection:
        # (two at once: the tenant's row is the lock)
        await connection.execute("select 1 from tenants where id = $1 for update", tenant_id)
        count = await connection.fetchval(
            "select count(*) from webhooks where tenant_id = $1 and deleted_us = 0", tenant_id
        )
        if count >= MOST:
            raise Conflict(f"a tenant has at most {MOST} endpoints", code="too_many")
        await connection.execute(
            "insert into webhooks (tenant_id, id, name, url, types, secrets, at_once, place, created_us, updated_us)"
            " values ($1, $2, $3, $4, $5, $6, $7,"
            " coalesce($8::bigint, (select head from log_heads where tenant_id = $1), 0), $9, $9)",
            tenant_id,
            webhook_id,
            storable(name),
            storable(url),
            list(types),
            _seal(secret, [Secret(shown)]),
            at_once,
            after_seq,
            moment,
        )
        made = await _read(connection, tenant_id, webhook_id)
        await _tell(connection, made, "webhook.created")
    return made, shown


async def get_webhook(db: Database, tenant_id: str, webhook_id: str) -> Webhook:
    """Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        return await _read(connection, tenant_id, webhook_id)


async def list_webhooks(db: Database, tenant_id: str) -> list[Webhook]:
    """All of a tenant's, newest first."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            f"select {_COLUMNS}, {_HEALTH} from webhooks w where w.tenant_id = $1 and w.deleted_us = 0"  # noqa: S608
            " order by w.created_us desc, w.id desc",
            tenant_id,
            now_us() - DAY_US,
        )
    return [Webhook(**dict(row)) for row in rows]


async def update_webhook(
    db: Database,
    tenant_id: str,
    webhook_id: str,
    *,
    version: int | None = None,
    name: str | None = None,
    url: str | None = None,
    types: Sequence[str] | None = None,
    at_once: int | None = None,
    state: str | None = None,
) -> Webhook:
    """Change what is not None. One that is switched on again goes on where it was, as far as the log reaches.

    Raises `NotFound`, and `ChangedMeanwhile` when ``version`` is not the present one.
    """
    changes: dict[str, object] = {}
    if name is not None:
        changes["name"] = storable(name)
    if url is not None:
        # (what was said of the old address is not true of the new one)
        changes |= {"url": storable(url), "failing_since_us": 0, "warned": False, "slow": False}
    if types is not None:
        changes["types"] = list(types)
    if at_once is not None:
        changes["at_once"] = at_once
    if state is not None:
        by_hand = "switched off by hand" if state == "disabled" else ""
        changes |= {"state": state, "reason": by_hand, "failing_since_us": 0, "warned": False}
    async with db.tenant(tenant_id) as connection:
        present = await _lock(connection, tenant_id, webhook_id)
        check_version(present["version"], version)
        assignments = "".join(f"{column} = ${n}, " for n, column in enumerate(changes, start=4))
        await connection.execute(
            f"update webhooks set {assignments}version = version + 1, updated_us = $3"  # noqa: S608
            " where tenant_id = $1 and id = $2",
            tenant_id,
            webhook_id,
            now_us(),
            *changes.values(),
        )
        made = await _read(connection, tenant_id, webhook_id)
        await _tell(connection, made, "webhook.updated")
    return made


async def delete_webhook(db: Database, tenant_id: str, webhook_id: str) -> None:
    """It hears nothing more, its secrets are gone; what waits for it is dropped. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        await _lock(connection, tenant_id, webhook_id)
        told = await _read(connection, tenant_id, webhook_id)
        await connection.execute(
            "update webhooks set deleted_us = $3, secrets = '', version = version + 1"
            " where tenant_id = $1 and id = $2",
            tenant_id,
            webhook_id,
            now_us(),
        )
        await connection.execute(
            "delete from webhook_deliveries where tenant_id = $1 and webhook_id = $2 and state = 'waiting'",
            tenant_id,
            webhook_id,
        )
        await _tell(connection, told, "webhook.deleted")


async def rotate_secret(
    db: Database, tenant_id: str, webhook_id: str, *, secret: str, overlap_s: int
) -> tuple[Webhook, str]:
    """A new secret; the old one signs beside it for ``overlap_s``. Raises `NotFound`."""
    shown, moment = fresh_secret(), now_us()
    until = moment + overlap_s * 1_000_000 if overlap_s else 0
    async with db.tenant(tenant_id) as connection:
        row = await _lock(connection, tenant_id, webhook_id)
        old = [
            Secret(one.secret, min(one.until_us or until, until))
            for one in open_secrets(secret, row["secrets"])
            if until and (not one.until_us or one.until_us > moment)
        ]
        await connection.execute(
            "update webhooks set secrets = $3, old_secret_until_us = $4, version = version + 1, updated_us = $5"
            " where tenant_id = $1 and id = $2",
            tenant_id,
            webhook_id,
            _seal(secret, [Secret(shown), *old[:2]]),
            until,
            moment,
        )
        made = await _read(connection, tenant_id, webhook_id)
        await _tell(connection, made, "webhook.secret_rotated")
    return made, shown


def open_secrets(secret: str, sealed: bytes) -> list[Secret]:
    """The secrets of an endpoint, the newest first, also those that have ended. Raises `core.storage.sealing.WrongSecret`."""
    return msgspec.json.decode(Sealer(secret, PURPOSE).open(sealed), type=list[Secret])


def _seal(secret: str, every: list[Secret]) -> bytes:
    return Sealer(secret, PURPOSE).seal(json_text(every))


async def _lock(connection: Connection, tenant_id: str, webhook_id: str) -> Any:
    row = await connection.fetchrow(
        "select version, secrets from webhooks where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
        tenant_id,
        webhook_id,
    )
    if row is None:
        raise NotFound(f"there is no webhook {webhook_id}", code="no_such_webhook")
    return row


async def _read(connection: Connection, tenant_id: str, webhook_id: str) -> Webhook:
    row = await connection.fetchrow(
        f"select {_COLUMNS}, {_HEALTH} from webhooks w"  # noqa: S608
        " where w.tenant_id = $1 and w.id = $3 and w.deleted_us = 0",
        tenant_id,
        now_us() - DAY_US,
        webhook_id,
    )
    if row is None:
        raise NotFound(f"there is no webhook {webhook_id}", code="no_such_webhook")
    return Webhook(**dict(row))


async def _tell(connection: Connection, one: Webhook, kind: str) -> None:
    await append(connection, [entry_of(one.tenant_id, one.id, one.name, one.state, kind)])


def entry_of(tenant_id: str, webhook_id: str, name: str, state: str, kind: str, **more: object) -> NewEntry:
    """What the log says of an endpoint. (Not its address: that may hold a secret.)"""
    told = {"id": webhook_id, "name": name, "state": state, **more}
    return NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=webhook_id,
        data=msgspec.json.encode({"webhook": told}),
        occurred_us=now_us(),
    )
