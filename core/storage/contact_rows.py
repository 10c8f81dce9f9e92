"""One contact as it is stored, for the parts of this room that work with contacts."""

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.storage.database import Connection
from core.storage.entries import NewEntry

_PLAIN = "id name company language timezone attributes merged_into version created_us updated_us"
_IDENTITIES = (
    "(select coalesce(json_agg(json_build_object('id', i.id, 'kind', i.kind, 'scope', i.scope, 'value', i.value,"
    " 'name', i.name, 'verified', i.verified, 'created_us', i.created_us) order by i.created_us, i.id), '[]')"
    " from identities i where i.tenant_id = contacts.tenant_id and i.contact_id = contacts.id)"
)
_MEMBERS = ", ".join(f"'{name}', contacts.{name}" for name in _PLAIN.split())
DOCUMENT = f"json_build_object({_MEMBERS}, 'identities', {_IDENTITIES})::text"
ALIVE = " and deleted_us = 0 and merged_into is null"
"""What is neither deleted nor part of another one."""


async def read(connection: Connection, tenant_id: str, contact_id: str) -> bytes:
    """As JSON, in the caller's transaction; also one that was merged into another. Raises `NotFound`."""
    body: bytes | None = await connection.fetchval(
        f"select convert_to({DOCUMENT}, 'UTF8') from contacts"  # noqa: S608 - our own words
        " where tenant_id = $1 and id = $2 and deleted_us = 0",
        tenant_id,
        contact_id,
    )
    if body is None:
        raise no_such(contact_id)
    return body


class Is(Struct, frozen=True):
    """A condition of our own."""

    field: str
    value: object
    op: str = "eq"


async def lock(connection: Connection, tenant_id: str, contact_id: str) -> int:
    """The version of a contact that is now ours until the transaction ends. Raises `NotFound`, `Conflict` (merged)."""
    row = await connection.fetchrow(
        "select version, merged_into from contacts where tenant_id = $1 and id = $2 and deleted_us = 0 for update",
        tenant_id,
        contact_id,
    )
    if row is None:
        raise no_such(contact_id)
    if row["merged_into"] is not None:
        raise Conflict(f"this contact was merged into {row['merged_into']}", code="merged")
    return int(row["version"])


def no_such(contact_id: str) -> NotFound:
    return NotFound(f"there is no contact {contact_id}", code="no_such_contact")


_encode = msgspec.json.Encoder().encode


def entry(tenant_id: str, kind: str, resource: str, data: object, request_id: str = "") -> NewEntry:
    """An entry of the log that happens now."""
    return NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=resource,
        data=_encode(data),
        occurred_us=now_us(),
        request_id=request_id,
    )


async def touch(connection: Connection, tenant_id: str, contact_id: str, moment: int) -> None:
    await connection.execute(
        "update contacts set version = version + 1, updated_us = $3 where tenant_id = $1 and id = $2",
        tenant_id,
        contact_id,
        moment,
    )
