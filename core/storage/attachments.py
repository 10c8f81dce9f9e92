"""Files of messages: what is known of each, the work of getting those that came as an address, and using our own.

The bytes are in the object store (`core.storage.blobs`), a row says where. A row is ``pending`` until its file has been
fetched, then ``ready`` or ``refused`` with a reason. Fetching is claimed by the database's clock, so any number of hosts
share it, and what a killed host had taken is taken again when its claim runs out.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from core.errors import Conflict, NotFound
from core.ids import derived_id
from core.model.files import MAX_NAME, Look
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import storable
from irisx_sdk.messages import File, Inbound, Media

CLAIM_S = 180
"""Seconds that a file is with one host; fetching has a deadline well below."""

_encode = msgspec.json.Encoder().encode
_DOCUMENT = (
    "json_build_object('id', id, 'message_id', message_id, 'channel_id', channel_id, 'direction', direction, 'name',"
    " name, 'media_type', media_type, 'size', size, 'sha256', coalesce(encode(sha256, 'hex'), ''), 'state', state,"
    " 'reason', reason, 'download_only', download_only, 'created_us', created_us)::text"
)


class Kept(Struct, frozen=True, kw_only=True):
    """A file of a message, as it is stored: fetched already (``key``), or with the way to it (``source``, sealed)."""

    id: str
    message_id: str
    channel_id: str
    name: str
    media_type: str
    part: int
    size: int = 0
    sha256: bytes | None = None
    key: str = ""
    state: str = "pending"
    reason: str = ""
    download_only: bool = False
    source: bytes | None = None
    created_us: int


class Wanted(Struct, frozen=True):
    """A file to fetch, claimed. ``attempts`` counts this one."""

    tenant_id: str
    id: str
    message_id: str
    channel_id: str
    name: str
    media_type: str
    source: bytes
    attempts: int


class Stored(Struct, frozen=True):
    """A file whose bytes may be handed out."""

    tenant_id: str
    name: str
    media_type: str
    size: int
    key: str
    download_only: bool


def files_of(message: Inbound) -> list[File]:
    """Everything that belongs to a message, in its order."""
    own = [message.content.file] if isinstance(message.content, Media) else []
    return [*own, *message.files]


def file_id(tenant_id: str, channel_id: str, provider_id: str, part: int, *, at_us: int) -> str:
    """The id of a file of an inbound message: the same at every delivery, so that its bytes are stored once."""
    return derived_id("att", at_us=at_us, source=f"{tenant_id}/{channel_id}/{provider_id}/{part}")


def key_of(tenant_id: str, attachment_id: str) -> str:
    """Where the bytes are in the object store."""
    return f"attachments/{tenant_id}/{attachment_id}"


async def insert(connection: Connection, tenant_id: str, kept: Sequence[Kept]) -> None:
    """Put files of new inbound messages beside them. In the transaction that stores the messages."""
    await connection.executemany(
        "insert into attachments (tenant_id, id, message_id, channel_id, name, media_type, part, size, sha256, key, state,"
        " reason, download_only, source, due_us, created_us)"
        " values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $15) on conflict do nothing",
        [
            (
                tenant_id, one.id, one.message_id, one.channel_id, storable(one.name)[:MAX_NAME],
                storable(one.media_type)[:200], one.part, one.size, one.sha256, one.key, one.state, one.reason,
                one.download_only, one.source, one.created_us,
            )
            for one in kept
        ],
    )  # fmt: skip


async def add_own(
    db: Database, tenant_id: str, attachment_id: str, look: Look, *, name: str, size: int, sha256: bytes, actor: str,
    now_us: int,
) -> None:  # fmt: skip
    """A file that somebody of ours has put into the object store under `key_of`, for a message to come."""
    async with db.reader(tenant_id) as connection:
        await connection.execute(
            "insert into attachments (tenant_id, id, name, media_type, size, sha256, key, state, reason, download_only,"
            " direction, actor, created_us) values ($1, $2, $3, $4, $5, $6, $7, 'ready', $8, $9, 'out', $10, $11)",
            tenant_id,
            attachment_id,
            storable(name)[:MAX_NAME],
            look.media_type,
            size,
            sha256,
            key_of(tenant_id, attachment_id),
            look.reason,
            look.download_only,
            actor,
            now_us,
        )


async def take(connection: Connection, tenant_id: str, ids: Sequence[str]) -> list[int]:
    """Lock files that are to be sent; their sizes, in the order of ``ids``. In the caller's transaction.

    Raises `NotFound` for one that is none of ours to send, `Conflict` for one that a message has already.
    """
    rows = await connection.fetch(
        "select id, message_id, size from attachments where tenant_id = $1 and id = any($2) and direction = 'out'"
        " and state = 'ready' order by id for update",
        tenant_id,
        list(ids),
    )
    found = {row["id"]: row for row in rows}
    for one in ids:
        if one not in found:
            raise NotFound(f"there is no file {one} to send", code="no_such_attachment")
        if found[one]["message_id"]:
            raise Conflict(f"{one} belongs to another message", code="attachment_used")
    return [found[one]["size"] for one in ids]


async def get(db: Database, tenant_id: str, attachment_id: str) -> bytes:
    """What is known of a file, as JSON. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        body: bytes | None = await connection.fetchval(
            f"select convert_to({_DOCUMENT}, 'UTF8') from attachments where tenant_id = $1 and id = $2",  # noqa: S608
            tenant_id,
            attachment_id,
        )
    if body is None:
        raise NotFound(f"there is no attachment {attachment_id}", code="no_such_attachment")
    return body


async def stored(db: Database, tenant_id: str, attachment_id: str) -> Stored:
    """Where its bytes are; ``tenant_id`` ``*`` for whoever's it is. Raises `NotFound`, `Conflict` for none to hand out."""
    mine = "" if tenant_id == "*" else " and tenant_id = $2"
    async with db.reader(tenant_id) as connection:
        row = await connection.fetchrow(
            "select tenant_id, name, media_type, size, key, download_only, state from attachments"  # noqa: S608
            f" where id = $1{mine}",
            attachment_id,
            *([tenant_id] if mine else []),
        )
    if row is None:
        raise NotFound(f"there is no attachment {attachment_id}", code="no_such_attachment")
    if row["state"] != "ready":
        raise Conflict(f"the attachment is {row['state']}", code="attachment_not_ready")
    return Stored(*(row[name] for name in Stored.__struct_fields__))


# -- fetching


async def next_account(db: Database, busy: Sequence[str], *, now_us: int) -> str:
    """The account whose file has waited longest, of those that are not ``busy``; empty when nothing waits."""
    async with db.system() as connection:
        found = await connection.fetchval(
            "select channel_id from attachments where state = 'pending' and due_us <= $1 and claimed_until <= now()"
            " and channel_id <> all($2) order by due_us limit 1",
            now_us,
            list(busy),
        )
    return str(found or "")


async def claim(db: Database, channel_id: str, owner: str, *, limit: int, now_us: int) -> list[Wanted]:
    """Take up to ``limit`` files of an account, oldest first."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "update attachments a set claimed_by = $2, claimed_until = now() + make_interval(secs => $3),"
            " attempts = attempts + 1 from (select tenant_id, id from attachments where state = 'pending' and due_us <= $4"
            " and claimed_until <= now() and channel_id = $1 order by due_us limit $5 for update skip locked) w"
            " where a.tenant_id = w.tenant_id and a.id = w.id returning a.tenant_id, a.id, a.message_id, a.channel_id,"
            " a.name, a.media_type, a.source, a.attempts",
            channel_id,
            owner,
            CLAIM_S,
            now_us,
            limit,
        )
    return [Wanted(*(row[name] for name in Wanted.__struct_fields__)) for row in rows]


async def ready(
    db: Database, one: Wanted, owner: str, look: Look, *, size: int, sha256: bytes, now_us: int
) -> bool:
    """Its bytes are in the object store; False when another host has it now."""
    return await _settle(
        db,
        one,
        owner,
        "state = 'ready', media_type = $4, size = $5, sha256 = $6, key = $7, reason = $8, download_only = $9",
        look.media_type,
        size,
        sha256,
        key_of(one.tenant_id, one.id),
        look.reason,
        look.download_only,
        now_us=now_us,
    )


async def refused(db: Database, one: Wanted, owner: str, reason: str, *, now_us: int) -> bool:
    """It will not be had; False when another host has it now."""
    return await _settle(db, one, owner, "state = 'refused', reason = $4", reason, now_us=now_us)


async def later(db: Database, one: Wanted, owner: str, *, due_us: int) -> None:
    """Another try at ``due_us``."""
    async with db.reader(one.tenant_id) as connection:
        await connection.execute(
            "update attachments set claimed_by = '', claimed_until = '-infinity', due_us = $4"
            " where tenant_id = $1 and id = $2 and claimed_by = $3 and state = 'pending'",
            one.tenant_id,
            one.id,
            owner,
            due_us,
        )


async def forget_unused(db: Database, *, before_us: int, limit: int = 100) -> list[str]:
    """Files that were put up to be sent and never were; their keys, for the object store."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "delete from attachments a using (select tenant_id, id from attachments where direction = 'out'"
            " and message_id = '' and created_us < $1 order by created_us limit $2 for update skip locked) w"
            " where a.tenant_id = w.tenant_id and a.id = w.id returning a.key",
            before_us,
            limit,
        )
    return [row["key"] for row in rows]


async def _settle(db: Database, one: Wanted, owner: str, changes: str, *values: object, now_us: int) -> bool:
    async with db.tenant(one.tenant_id) as connection:
        row: Any = await connection.fetchrow(
            f"update attachments set {changes}, source = null, claimed_by = '', claimed_until = '-infinity'"  # noqa: S608
            " where tenant_id = $1 and id = $2 and claimed_by = $3 and state = 'pending' returning id, message_id, state,"
            " reason, name, media_type, size",
            one.tenant_id,
            one.id,
            owner,
            *values,
        )
        if row is None:
            return False
        message = await connection.fetchrow(
            "update messages set version = version + 1 where tenant_id = $1 and id = $2"
            " returning id, conversation_id, version",
            one.tenant_id,
            one.message_id,
        )
        about = {name: row[name] for name in ("id", "state", "reason", "media_type", "size")}
        its = {} if message is None else {"message": dict(message)}
        told = [(f"attachment.{row['state']}", one.id, {"attachment": about, **its})]
        if its:
            # Whoever shows the message reads it anew.
            told.append(("message.updated", one.message_id, its))
        entries = [
            NewEntry(
                tenant_id=one.tenant_id, type=kind, resource=what, data=_encode(data), occurred_us=now_us
            )
            for kind, what, data in told
        ]
        await append(connection, entries)
    return True
