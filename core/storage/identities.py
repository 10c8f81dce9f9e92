"""The addresses of contacts: each is one contact's of a tenant, in the form in which it is compared."""

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model import addresses
from core.storage.appending import append
from core.storage.contact_rows import entry, lock, read, touch
from core.storage.database import Connection, Database
from core.storage.texts import storable

MOST_IDENTITIES = 100
"""Addresses of one contact."""


class IdentityTaken(Conflict):
    """Another contact has this address."""

    code = "identity_taken"


class NewIdentity(Struct, frozen=True):
    """An address that is to be somebody's."""

    kind: str
    value: str
    scope: str = ""
    """For kind ``user``: the account to which the id means something."""
    name: str = ""
    verified: bool = False


async def identities_of(db: Database, tenant_id: str, contact_id: str) -> bytes:
    """All of them, as a JSON array. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        document = msgspec.json.decode(
            await read(connection, tenant_id, contact_id), type=dict[str, msgspec.Raw]
        )
    return bytes(document["identities"])


async def add_identity(
    db: Database,
    tenant_id: str,
    contact_id: str,
    identity: NewIdentity,
    *,
    actor: str,
    request_id: str = "",
) -> bytes:
    """The contact after it, as JSON. Raises `NotFound`, `IdentityTaken`, `RequestError` for a bad address."""
    async with db.tenant(tenant_id) as connection:
        await lock(connection, tenant_id, contact_id)
        count = await connection.fetchval(
            "select count(*) from identities where tenant_id = $1 and contact_id = $2", tenant_id, contact_id
        )
        if count >= MOST_IDENTITIES:
            raise Conflict(f"a contact has at most {MOST_IDENTITIES} addresses", code="too_many")
        moment = now_us()
        identity_id = await insert_identity(connection, tenant_id, contact_id, identity, moment)
        await touch(connection, tenant_id, contact_id, moment)
        body = await read(connection, tenant_id, contact_id)
        data = {"contact": {"id": contact_id}, "identity": identity_id, "kind": identity.kind, "actor": actor}
        await append(connection, [entry(tenant_id, "contact.identity_added", contact_id, data, request_id)])
    return body


async def remove_identity(
    db: Database, tenant_id: str, contact_id: str, identity_id: str, *, actor: str, request_id: str = ""
) -> None:
    """Whoever writes from it next is a new contact. Raises `NotFound`."""
    async with db.tenant(tenant_id) as connection:
        await lock(connection, tenant_id, contact_id)
        gone = await connection.fetchval(
            "delete from identities where tenant_id = $1 and contact_id = $2 and id = $3 returning kind",
            tenant_id,
            contact_id,
            identity_id,
        )
        if gone is None:
            raise NotFound(f"this contact has no address {identity_id}", code="no_such_identity")
        await touch(connection, tenant_id, contact_id, now_us())
        data = {"contact": {"id": contact_id}, "identity": identity_id, "kind": gone, "actor": actor}
        await append(connection, [entry(tenant_id, "contact.identity_removed", contact_id, data, request_id)])


async def insert_identity(
    connection: Connection, tenant_id: str, contact_id: str, identity: NewIdentity, moment: int
) -> str:
    """In the caller's transaction; its id. Raises `IdentityTaken`, `RequestError` for a bad address."""
    value = storable(addresses.normal(identity.kind, identity.value))
    scope = storable(identity.scope) if identity.kind == "user" else ""
    identity_id = new_id("idn")
    made = await connection.fetchval(
        "insert into identities (tenant_id, id, contact_id, kind, scope, value, name, verified, created_us)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9) on conflict (tenant_id, kind, scope, value) do nothing returning id",
        tenant_id,
        identity_id,
        contact_id,
        identity.kind,
        scope,
        value,
        storable(identity.name),
        identity.verified,
        moment,
    )
    if made is None:
        holder = await connection.fetchval(
            "select contact_id from identities where tenant_id = $1 and kind = $2 and scope = $3 and value = $4",
            tenant_id,
            identity.kind,
            scope,
            value,
        )
        raise IdentityTaken(f"this address belongs to the contact {holder}")
    return identity_id
