"""Two contacts are one person, and (if that was wrong) two again.

People decide it; nothing is merged by itself. The record of a merge names what moved: addresses, conversations, notes and
consents. Undoing gives back those that are still there, and what began since stays with the contact that was kept. From
then on whoever writes from a moved address is the kept contact, since the address is.
"""

from typing import Any

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound, RequestError
from core.ids import new_id
from core.storage import conversation_merges
from core.storage.appending import append
from core.storage.contact_rows import entry, lock, read
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import json_text


class Moved(Struct, frozen=True):
    """What a merge moved, by ids."""

    identities: list[str] = []
    conversations: list[str] = []
    notes: list[str] = []
    consents: list[str] = []
    merges: list[str] = []
    """Merges of conversations that it caused: two were open in one thread."""


async def merge(
    db: Database,
    tenant_id: str,
    kept: str,
    gone: str,
    *,
    even_if_verified: bool,
    actor: str,
    request_id: str = "",
) -> tuple[str, bytes]:
    """The id of the merge, and the kept contact as JSON.

    Raises `NotFound`, and `Conflict` when one is merged already, or (``verified_differ``, unless ``even_if_verified``)
    when both have a verified address of one kind and those differ: that is usually two people.
    """
    if kept == gone:
        raise RequestError("a contact cannot be merged with itself", code="same_contact")
    async with db.tenant(tenant_id) as connection:
        # One order for everybody: of two who merge the same two the other way round, one waits.
        for contact_id in sorted((kept, gone)):
            await lock(connection, tenant_id, contact_id)
        if not even_if_verified:
            await _check_verified(connection, tenant_id, kept, gone)
        merge_id = new_id("mrg")
        entries: list[NewEntry] = []
        moved = await _move(connection, tenant_id, kept, gone, actor, entries)
        moment = now_us()
        await connection.execute(
            "insert into contact_merges (tenant_id, id, kept, gone, moved, actor, merged_us)"
            " values ($1, $2, $3, $4, $5::json, $6, $7)",
            tenant_id,
            merge_id,
            kept,
            gone,
            json_text(moved),
            actor,
            moment,
        )
        await _mark(connection, tenant_id, gone, kept, moment)
        await _mark(connection, tenant_id, kept, None, moment)
        body = await read(connection, tenant_id, kept)
        data = {"contact": {"id": gone, "merged_into": kept}, "merge": merge_id, "actor": actor}
        await append(connection, [*entries, entry(tenant_id, "contact.merged", gone, data, request_id)])
    return merge_id, body


async def undo(db: Database, tenant_id: str, merge_id: str, *, actor: str, request_id: str = "") -> bytes:
    """The contact that comes back, as JSON. Raises `NotFound`, `Conflict` when it was undone, or when the kept one was
    merged or deleted since."""
    async with db.tenant(tenant_id) as connection:
        row = await connection.fetchrow(
            "select kept, gone, moved::text as moved, undone_us from contact_merges where tenant_id = $1 and id = $2"
            " for update",
            tenant_id,
            merge_id,
        )
        if row is None:
            raise NotFound(f"there is no merge {merge_id}", code="no_such_merge")
        if row["undone_us"]:
            raise Conflict("this merge was undone before", code="already_undone")
        kept, gone = row["kept"], row["gone"]
        try:
            await lock(connection, tenant_id, kept)
        except NotFound as exc:
            raise Conflict("the contact that was kept is deleted", code="in_use") from exc
        entries: list[NewEntry] = []
        moved = msgspec.json.decode(row["moved"], type=Moved)
        await _move_back(connection, tenant_id, kept, gone, moved, actor, entries)
        moment = now_us()
        await connection.execute(
            "update contact_merges set undone_us = $3 where tenant_id = $1 and id = $2",
            tenant_id,
            merge_id,
            moment,
        )
        await _mark(connection, tenant_id, gone, None, moment)
        await _mark(connection, tenant_id, kept, None, moment)
        body = await read(connection, tenant_id, gone)
        data = {"contact": {"id": gone, "kept": kept}, "merge": merge_id, "actor": actor}
        await append(connection, [*entries, entry(tenant_id, "contact.unmerged", gone, data, request_id)])
    return body


async def merges_of(db: Database, tenant_id: str, contact_id: str) -> bytes:
    """The merges of a contact, newest first, as a JSON array. Raises `NotFound`."""
    async with db.reader(tenant_id) as connection:
        await read(connection, tenant_id, contact_id)
        body: bytes = await connection.fetchval(
            "select convert_to(coalesce(json_agg(json_build_object('id', id, 'kept', kept, 'gone', gone, 'actor', actor,"
            " 'merged_us', merged_us, 'undone_us', undone_us) order by merged_us desc, id desc), '[]')::text, 'UTF8')"
            " from contact_merges where tenant_id = $1 and kept = $2",
            tenant_id,
            contact_id,
        )
    return body


async def _check_verified(connection: Connection, tenant_id: str, kept: str, gone: str) -> None:
    kinds = await connection.fetch(
        "select kind from identities where tenant_id = $1 and contact_id = any($2) and verified group by kind, scope"
        " having count(distinct contact_id) = 2",
        tenant_id,
        [kept, gone],
    )
    if kinds:
        found = ", ".join(sorted({row["kind"] for row in kinds}))
        raise Conflict(
            f"both have a verified address of the kind {found}: say even_if_verified to merge them all the same",
            code="verified_differ",
        )


async def _move(
    connection: Connection, tenant_id: str, kept: str, gone: str, actor: str, entries: list[NewEntry]
) -> Moved:
    rows = await connection.fetch(
        "select id, contact_id, channel_id, thread, state from conversations where tenant_id = $1"
        " and contact_id = any($2) and merged_into is null order by id for update",
        tenant_id,
        [kept, gone],
    )
    places = {_thread(row): row["id"] for row in rows if row["contact_id"] == kept and _is_open(row)}
    merges: list[str] = []
    conversations = [row["id"] for row in rows if row["contact_id"] == gone]
    for row in rows:
        if row["contact_id"] == gone and _is_open(row) and _thread(row) in places:
            # At most one conversation of a thread is open, so these two become one.
            into = places[_thread(row)]
            merge_id = await conversation_merges.merge_locked(
                connection, tenant_id, into, row["id"], actor=actor
            )
            merges.append(merge_id)
            conversations.remove(row["id"])
            entries += await conversation_merges.merged_entries(
                connection, tenant_id, merge_id, into, row["id"], actor, ""
            )
            await _own_messages(connection, tenant_id, [into], kept)
    await connection.execute(
        "update conversations set contact_id = $3, version = version + 1 where tenant_id = $1 and id = any($2)",
        tenant_id,
        conversations,
        kept,
    )
    await _own_messages(connection, tenant_id, conversations, kept)
    ids = {
        table: [
            row["id"]
            for row in await connection.fetch(
                f"update {table} set contact_id = $3 where tenant_id = $1 and contact_id = $2 returning id",  # noqa: S608
                tenant_id,
                gone,
                kept,
            )
        ]
        for table in ("identities", "contact_notes", "consents")
    }
    return Moved(ids["identities"], conversations, ids["contact_notes"], ids["consents"], merges)


async def _move_back(
    connection: Connection,
    tenant_id: str,
    kept: str,
    gone: str,
    moved: Moved,
    actor: str,
    entries: list[NewEntry],
) -> None:
    # (all that may be touched, in one order)
    await connection.execute(
        "select from conversations where tenant_id = $1 and (contact_id = $2 or contact_id = $3) order by id for update",
        tenant_id,
        kept,
        gone,
    )
    parted = []
    for merge_id in moved.merges:
        both = await conversation_merges.undo_locked(connection, tenant_id, merge_id, gone)
        if both is not None:
            parted.append(both[1])
            data = {"conversation": {"id": both[0]}, "into": both[1], "merge": merge_id, "actor": actor}
            entries.append(entry(tenant_id, "conversation.split", both[0], data))
    back = await connection.fetch(
        "update conversations set contact_id = $3, version = version + 1 where tenant_id = $1 and id = any($2)"
        " and contact_id = $4 returning id",
        tenant_id,
        moved.conversations,
        gone,
        kept,
    )
    await _own_messages(connection, tenant_id, [*parted, *(row["id"] for row in back)], gone)
    for table, ids in (
        ("identities", moved.identities),
        ("contact_notes", moved.notes),
        ("consents", moved.consents),
    ):
        await connection.execute(
            f"update {table} set contact_id = $3 where tenant_id = $1 and id = any($2) and contact_id = $4",  # noqa: S608
            tenant_id,
            ids,
            gone,
            kept,
        )


async def _own_messages(
    connection: Connection, tenant_id: str, conversations: list[str], contact_id: str
) -> None:
    await connection.execute(
        "update messages set contact_id = $3 where tenant_id = $1 and conversation_id = any($2) and contact_id <> $3",
        tenant_id,
        conversations,
        contact_id,
    )


async def _mark(
    connection: Connection, tenant_id: str, contact_id: str, into: str | None, moment: int
) -> None:
    await connection.execute(
        "update contacts set merged_into = $3, version = version + 1, updated_us = $4 where tenant_id = $1 and id = $2",
        tenant_id,
        contact_id,
        into,
        moment,
    )


def _thread(row: Any) -> tuple[str, str]:
    return row["channel_id"], row["thread"]


def _is_open(row: Any) -> bool:
    return bool(row["channel_id"]) and row["state"] != "resolved"
