"""Who must not be written to, who agreed to what, when nobody is disturbed, and what was decided about each sending."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import NotFound
from core.ids import new_id
from core.storage import suppressions
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.listing import Listing
from core.storage.texts import json_text, storable
from core.storage.versions import ChangedMeanwhile


def _listing(table: str, place: str, columns: str, filtered: str) -> Listing:
    pairs = ", ".join(f"'{name}', {name}" for name in columns.split())
    return Listing(table, place=place, columns=filtered, document=f"json_build_object({pairs})::text")


_DNC = "id kind value scope source reason created_us removed_us"
_CONSENT = "id contact_id kind value purpose granted source evidence at_us"
DNC = _listing("suppressions", "created_us", _DNC, "id kind value scope source created_us removed_us")
CONSENTS = _listing("consents", "at_us", _CONSENT, "id contact_id kind value purpose granted source at_us")
DECISIONS = _listing(
    "contact_decisions",
    "decided_us",
    "id message_id contact_id channel purpose verdict code detail until_us decided_us",
    "id message_id contact_id channel purpose verdict code decided_us",
)


class Of(Struct, frozen=True):
    """A condition of our own on a list."""

    field: str
    value: str
    op: str = "eq"


class Entry(Struct, frozen=True, kw_only=True):
    """Somebody who must not be written to."""

    kind: str
    value: str
    scope: str = "*"
    reason: str = ""


def plain(kind: str, value: str) -> str:
    """An address as it is kept and compared."""
    return storable(value).lower() if kind == "email" else storable(value)


async def add_dnc(db: Database, tenant_id: str, entries: Sequence[Entry], *, source: str, now_us: int) -> int:
    """Put addresses on the list; how many were not on it yet."""
    added = 0
    async with db.tenant(tenant_id) as connection:
        for one in sorted(entries, key=lambda each: (each.kind, each.value, each.scope)):
            added += await suppressions.suppress(
                connection,
                tenant_id,
                kind=one.kind,
                value=one.value,
                scope=one.scope,
                on=True,
                source=source,
                reason=one.reason,
                now_us=now_us,
            )
    return added


async def dnc_of(db: Database, tenant_id: str, one: Entry) -> bytes:
    """The entry that stands for an address and scope, as JSON."""
    async with db.reader(tenant_id) as connection:
        body: bytes = await connection.fetchval(
            f"select convert_to({DNC.document}, 'UTF8') from suppressions where tenant_id = $1 and kind = $2"  # noqa: S608
            " and value = $3 and scope = $4 and removed_us = 0",
            tenant_id,
            one.kind,
            plain(one.kind, one.value),
            one.scope,
        )
    return body


async def remove_dnc(db: Database, tenant_id: str, dnc_id: str) -> None:
    """Take an address off the list; what is off it stays in the list's history. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "select kind, value, scope, removed_us from suppressions where tenant_id = $1 and id = $2",
            tenant_id,
            dnc_id,
        )
        if row is None or row["removed_us"]:
            raise NotFound(f"there is no entry {dnc_id}", code="no_such_dnc")
        moment = now_us()
        await connection.execute(
            "update suppressions set removed_us = $3 where tenant_id = $1 and id = $2",
            tenant_id,
            dnc_id,
            moment,
        )
        data = {"suppression": {"kind": row["kind"], "scope": row["scope"], "source": "person"}}
        await append(connection, [_entry(tenant_id, "suppression.removed", dnc_id, data, moment)])


async def check_dnc(db: Database, tenant_id: str, asked: Sequence[Entry]) -> list[list[str]]:
    """For each address the scopes in which it is on the list."""
    async with db.reader(tenant_id) as connection:
        rows = await connection.fetch(
            "select w.n, s.scope from unnest($2::text[], $3::text[]) with ordinality w (kind, value, n)"
            " join suppressions s on s.tenant_id = $1 and s.kind = w.kind and s.value = w.value and s.removed_us = 0"
            " order by w.n, s.scope",
            tenant_id,
            [one.kind for one in asked],
            [plain(one.kind, one.value) for one in asked],
        )
    found: list[list[str]] = [[] for _ in asked]
    for row in rows:
        found[row["n"] - 1].append(row["scope"])
    return found


async def add_consent(
    db: Database,
    tenant_id: str,
    *,
    contact_id: str,
    kind: str,
    value: str,
    purpose: str,
    granted: bool,
    source: str,
    evidence: str,
    at_us: int,
) -> bytes:
    """Note what somebody agreed to or took back, as JSON. Earlier words stay. Raises `NotFound` for no such contact."""
    consent_id = new_id("cns")
    async with db.tenant(tenant_id) as connection:
        if contact_id:
            await _need_contact(connection, tenant_id, contact_id)
        else:
            contact_id = await connection.fetchval(
                "select coalesce((select coalesce(c.merged_into, i.contact_id) from identities i left join contacts c on"
                " c.tenant_id = i.tenant_id and c.id = i.contact_id where i.tenant_id = $1 and i.kind = $2"
                " and i.value = $3 limit 1), '')",
                tenant_id,
                kind,
                plain(kind, value),
            )
        body: bytes = await connection.fetchval(
            "insert into consents (tenant_id, id, contact_id, kind, value, purpose, granted, source, evidence, at_us)"  # noqa: S608
            " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"
            f" returning convert_to({CONSENTS.document}, 'UTF8')",
            tenant_id,
            consent_id,
            contact_id,
            kind,
            plain(kind, value),
            purpose,
            granted,
            storable(source),
            storable(evidence),
            at_us,
        )
        data = {
            "consent": {"id": consent_id, "contact_id": contact_id, "purpose": purpose, "granted": granted}
        }
        await append(connection, [_entry(tenant_id, "consent.recorded", consent_id, data, at_us)])
    return body


async def need_contact(db: Database, tenant_id: str, contact_id: str) -> None:
    """Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        await _need_contact(connection, tenant_id, contact_id)


async def _need_contact(connection: Connection, tenant_id: str, contact_id: str) -> None:
    if not await connection.fetchval(
        "select true from contacts where tenant_id = $1 and id = $2", tenant_id, contact_id
    ):
        raise NotFound(f"there is no contact {contact_id}", code="no_such_contact")


# When nobody is disturbed ------------------------------------------------------------------------------


async def get_quiet(db: Database, tenant_id: str) -> tuple[dict[str, str] | None, int]:
    """A tenant's quiet hours (start, end, timezone), None for none; and the version of the tenant's settings."""
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            "select (settings -> 'quiet_hours')::text as quiet, version from tenants where id = $1", tenant_id
        )
    if row is None:
        raise NotFound("there is no such tenant", code="no_such_tenant")
    return _quiet(row["quiet"]), row["version"]


async def put_quiet(
    db: Database, tenant_id: str, quiet: dict[str, str] | None, *, version: int | None
) -> tuple[dict[str, str] | None, int]:
    """Replace them. Raises `ChangedMeanwhile` when ``version`` is not the present one."""
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "update tenants set settings = settings || jsonb_build_object('quiet_hours', $2::jsonb), version = version + 1"
            " where id = $1 and ($3::bigint is null or version = $3) returning (settings -> 'quiet_hours')::text as quiet,"
            " version",
            tenant_id,
            json_text(quiet),
            version,
        )
        if row is None:
            raise ChangedMeanwhile("they were changed since you read them; read them again")
        data = {"contact_windows": {"quiet_hours": quiet}}
        await append(connection, [_entry(tenant_id, "contact_windows.updated", tenant_id, data, now_us())])
    return _quiet(row["quiet"]), row["version"]


def _quiet(text: Any) -> dict[str, str] | None:
    return msgspec.json.decode(text, type=dict[str, str] | None) if text else None


def _entry(tenant_id: str, kind: str, resource: str, data: object, moment: int) -> NewEntry:
    return NewEntry(
        tenant_id=tenant_id, type=kind, resource=resource, data=msgspec.json.encode(data), occurred_us=moment
    )
