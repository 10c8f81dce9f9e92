"""Everything that a tenant writes once and uses often: one table of named documents, by kind (`core.model.content`).

Names are unique within a kind and scope (a template's channel and language, a canned reply's team, a view's owner), without
regard to case. What others refer to cannot be deleted while they do.
"""

from collections.abc import Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from core.clock import now_us
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model.content import PREFIXES, Kind
from core.storage.appending import append
from core.storage.contact_rows import entry
from core.storage.database import Connection, Database
from core.storage.listing import Asked, Listing, Page, list_json
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

T = TypeVar("T")

MOST = 1_000
"""Documents of one kind; of rules fewer, since each of them looks at every event."""
MOST_RULES = 100

DOCUMENT = (
    "(doc || jsonb_build_object('id', id, 'name', name, 'version', version, 'created_us', created_us, 'updated_us',"
    " updated_us, 'created_by', created_by))::text"
)
CONTENT = Listing(
    "content",
    place="created_us",
    columns="id kind scope name created_by created_us updated_us",
    document=DOCUMENT,
)


class Stored(Struct, frozen=True):
    """A document and its name."""

    id: str
    name: str
    doc: bytes


class _Is(Struct, frozen=True):
    field: str
    value: object
    op: str = "eq"


async def list_content(
    db: Database,
    tenant_id: str,
    kind: Kind,
    conditions: Iterable[Asked] = (),
    *,
    scopes: list[str] | None = None,
    limit: int,
    after: tuple[int, str] | None,
) -> Page:
    """Newest first; ``scopes``: only those of one of them."""
    asked: list[Any] = [*conditions, _Is("kind", kind)]
    if scopes is not None:
        asked.append(_Is("scope", scopes, "in"))
    return await list_json(db, tenant_id, CONTENT, asked, limit=limit, after=after)


async def get_content(
    db: Database, tenant_id: str, kind: Kind, content_id: str, *, scopes: list[str] | None = None
) -> bytes:
    """As JSON. Raises `NotFound`, also for one of another scope."""
    async with db.reader(tenant_id) as connection:
        return await _read(connection, tenant_id, kind, content_id, scopes)


async def load(connection: Connection, tenant_id: str, kind: Kind, content_id: str, as_: type[T]) -> T:
    """The document itself. Raises `NotFound`."""
    doc = await connection.fetchval(
        "select doc::text from content where tenant_id = $1 and kind = $2 and id = $3",
        tenant_id,
        kind,
        content_id,
    )
    if doc is None:
        raise _no_such(kind, content_id)
    return msgspec.json.decode(doc, type=as_)


async def load_all(connection: Connection, tenant_id: str, kind: Kind, as_: type[T]) -> dict[str, T]:
    """All of a kind, oldest first, by id."""
    rows = await connection.fetch(
        "select id, doc::text as doc from content where tenant_id = $1 and kind = $2 order by created_us, id",
        tenant_id,
        kind,
    )
    decoder = msgspec.json.Decoder(as_)
    return {row["id"]: decoder.decode(row["doc"]) for row in rows}


async def create_content(
    db: Database,
    tenant_id: str,
    kind: Kind,
    name: str,
    doc: object,
    *,
    scope: str = "",
    actor: str,
    request_id: str = "",
) -> bytes:
    """As JSON. Raises `Conflict` for a name that is taken, or when there are as many as there may be."""
    content_id, moment = new_id(PREFIXES[kind]), now_us()
    async with db.tenant(tenant_id) as connection:
        count = await connection.fetchval(
            "select count(*) from content where tenant_id = $1 and kind = $2", tenant_id, kind
        )
        most = MOST_RULES if kind == "rule" else MOST
        if count >= most:
            raise Conflict(f"there are at most {most} of these", code="too_many")
        made = await connection.fetchval(
            "insert into content (tenant_id, kind, id, scope, name, doc, created_us, updated_us, created_by)"
            " values ($1, $2, $3, $4, $5, $6::jsonb, $7, $7, $8) on conflict do nothing returning id",
            tenant_id,
            kind,
            content_id,
            storable(scope),
            storable(name),
            json_text(doc),
            moment,
            actor,
        )
        if made is None:
            raise _taken()
        if kind in ("rule", "sla_policy"):
            # What happened before there was anything to do about it is not looked at.
            await connection.execute(
                "insert into automation_places (tenant_id, seq) select $1, coalesce((select head from log_heads"
                " where tenant_id = $1), 0) on conflict do nothing",
                tenant_id,
            )
        body = await _read(connection, tenant_id, kind, content_id)
        await _tell(connection, tenant_id, kind, content_id, "created", actor, request_id)
    return body


async def update_content(
    db: Database,
    tenant_id: str,
    kind: Kind,
    content_id: str,
    *,
    name: str | None,
    doc: object,
    scope: str | None = None,
    scopes: list[str] | None = None,
    version: int | None,
    actor: str,
    request_id: str = "",
) -> bytes:
    """Replace the document. Raises `NotFound`, `ChangedMeanwhile`, `Conflict` for a name that is taken."""
    async with db.tenant(tenant_id) as connection:
        await _lock(connection, tenant_id, kind, content_id, version, scopes)
        if name is not None or scope is not None:
            taken = await connection.fetchval(
                "select exists (select from content o, content c where c.tenant_id = $1 and c.id = $3 and o.tenant_id = $1"
                " and o.kind = $2 and o.id <> $3 and o.scope = coalesce($5, c.scope)"
                " and lower(o.name) = lower(coalesce($4, c.name)))",
                tenant_id,
                kind,
                content_id,
                name,
                scope,
            )
            if taken:
                raise _taken()
        await connection.execute(
            "update content set name = coalesce($3, name), doc = $4::jsonb, scope = coalesce($5, scope),"
            " version = version + 1, updated_us = $6 where tenant_id = $1 and id = $2",
            tenant_id,
            content_id,
            None if name is None else storable(name),
            json_text(doc),
            None if scope is None else storable(scope),
            now_us(),
        )
        body = await _read(connection, tenant_id, kind, content_id)
        await _tell(connection, tenant_id, kind, content_id, "updated", actor, request_id)
    return body


async def delete_content(
    db: Database,
    tenant_id: str,
    kind: Kind,
    content_id: str,
    *,
    scopes: list[str] | None = None,
    version: int | None,
    actor: str,
    request_id: str = "",
) -> None:
    """Raises `NotFound`, `ChangedMeanwhile`, and `Conflict` while another document names it."""
    async with db.tenant(tenant_id) as connection:
        await _lock(connection, tenant_id, kind, content_id, version, scopes)
        users = await connection.fetch(
            "select name from content where tenant_id = $1 and id <> $2 and kind in ('macro', 'rule', 'sla_policy')"
            " and position($2 in doc::text) > 0 order by created_us limit 20",
            tenant_id,
            content_id,
        )
        if users:
            raise Conflict(f"it is used by: {', '.join(row['name'] for row in users)}", code="in_use")
        await connection.execute(
            "delete from content where tenant_id = $1 and kind = $2 and id = $3", tenant_id, kind, content_id
        )
        await _tell(connection, tenant_id, kind, content_id, "deleted", actor, request_id)


async def _lock(
    connection: Connection,
    tenant_id: str,
    kind: Kind,
    content_id: str,
    version: int | None,
    scopes: list[str] | None,
) -> None:
    row = await connection.fetchrow(
        "select version, scope from content where tenant_id = $1 and kind = $2 and id = $3 for update",
        tenant_id,
        kind,
        content_id,
    )
    if row is None or (scopes is not None and row["scope"] not in scopes):
        raise _no_such(kind, content_id)
    check_version(row["version"], version)


async def _read(
    connection: Connection, tenant_id: str, kind: Kind, content_id: str, scopes: list[str] | None = None
) -> bytes:
    body: bytes | None = await connection.fetchval(
        f"select convert_to({DOCUMENT}, 'UTF8') from content where tenant_id = $1 and kind = $2 and id = $3"  # noqa: S608
        " and ($4::text[] is null or scope = any($4))",
        tenant_id,
        kind,
        content_id,
        scopes,
    )
    if body is None:
        raise _no_such(kind, content_id)
    return body


async def _tell(
    connection: Connection,
    tenant_id: str,
    kind: Kind,
    content_id: str,
    what: str,
    actor: str,
    request_id: str,
) -> None:
    data = {"content": {"id": content_id, "kind": kind}, "actor": actor}
    await append(connection, [entry(tenant_id, f"content.{what}", content_id, data, request_id)])


def _no_such(kind: Kind, content_id: str) -> NotFound:
    return NotFound(f"there is no {kind.replace('_', ' ')} {content_id}", code="no_such_content")


def _taken() -> Conflict:
    return Conflict("another one has this name", code="name_taken")
