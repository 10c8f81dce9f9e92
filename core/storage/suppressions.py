"""Who wants no messages: suppressions begun and ended, by people, by what somebody wrote, and by what providers report."""

from collections.abc import Sequence

import msgspec

from core.ids import new_id
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import storable
from irisx_sdk.messages import Preference

_encode = msgspec.json.Encoder().encode


async def write_preferences(
    db: Database,
    tenant_id: str,
    channel_id: str,
    preferences: Sequence[Preference],
    *,
    scope: str,
    received_us: int,
) -> None:
    """Somebody told the provider that they want no messages (a suppression of ``scope``), or want them again.

    Each report counts once: replayed later, it would undo what they have said since.
    """
    async with db.tenant(tenant_id) as connection:
        entries: list[NewEntry] = []
        for one in sorted(preferences, key=lambda each: (each.sender.kind, each.sender.value)):
            done: str = await connection.execute(
                "insert into preference_reports (tenant_id, channel_id, provider_id, allowed, received_us)"
                " values ($1, $2, $3, $4, $5) on conflict do nothing",
                tenant_id,
                channel_id,
                storable(one.id),
                one.allowed,
                received_us,
            )
            if done.endswith(" 1"):
                entries += await wish(connection, tenant_id, one, scope=scope, now_us=received_us)
        await append(connection, entries)


async def wish(
    connection: Connection, tenant_id: str, said: Preference, *, scope: str, now_us: int
) -> list[NewEntry]:
    """Note what somebody wants; entries for the log of the caller's transaction.

    A wish about one purpose (``marketing``) is a scope of its own; one to hear everything again ends those, too.
    """
    about = f"{scope}/{storable(said.purpose)}" if said.purpose else scope
    return await _suppress(
        connection,
        tenant_id,
        kind=said.sender.kind,
        value=said.sender.value,
        scope=about,
        on=not said.allowed,
        source="provider",
        now_us=now_us,
    )


async def suppress(
    connection: Connection,
    tenant_id: str,
    *,
    kind: str,
    value: str,
    scope: str,
    on: bool,
    source: str,
    now_us: int,
    reason: str = "",
) -> bool:
    """Begin or end a suppression; False when it is so already. In the caller's transaction, as its last statements."""
    entries = await _suppress(
        connection,
        tenant_id,
        kind=kind,
        value=value,
        scope=scope,
        on=on,
        source=source,
        now_us=now_us,
        reason=reason,
    )
    await append(connection, entries)
    return bool(entries)


async def _suppress(
    connection: Connection,
    tenant_id: str,
    *,
    kind: str,
    value: str,
    scope: str,
    on: bool,
    source: str,
    now_us: int,
    reason: str = "",
) -> list[NewEntry]:
    value = storable(value).lower() if kind == "email" else storable(value)
    if on:
        done = await connection.execute(
            "insert into suppressions (tenant_id, id, kind, value, scope, source, reason, created_us)"
            " values ($1, $2, $3, $4, $5, $6, $7, $8)"
            " on conflict (tenant_id, kind, value, scope) where removed_us = 0 do nothing",
            tenant_id,
            suppression_id := new_id("sup"),
            kind,
            value,
            scope,
            source,
            storable(reason),
            now_us,
        )
        ids = [] if done.endswith(" 0") else [suppression_id]
    else:
        ended = await connection.fetch(
            "update suppressions set removed_us = $5 where tenant_id = $1 and kind = $2 and value = $3"
            " and (scope = $4 or starts_with(scope, $4 || '/')) and removed_us = 0 returning id",
            tenant_id,
            kind,
            value,
            scope,
            now_us,
        )
        ids = [row["id"] for row in ended]
    what = "suppression.created" if on else "suppression.removed"
    data = _encode({"suppression": {"kind": kind, "scope": scope, "source": source}})
    return [NewEntry(tenant_id=tenant_id, type=what, resource=i, data=data, occurred_us=now_us) for i in ids]
