"""Skills, dispositions and inbound routes: short lists of a tenant that are kept in the same way.

A `Kept` says what a row is; the five operations are the same for all. Changes are told in the log as ``<noun>.changed``, with
the thing as it is now (``deleted`` when it is gone).
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from core.errors import Conflict, NotFound, RequestError
from core.ids import new_id
from core.model.queueing_records import Skills
from core.storage.appending import append
from core.storage.arrivals import entry_of
from core.storage.database import Connection, Database
from core.storage.queue_routes import Route
from core.storage.queue_rows import now_of, value_of
from core.storage.queues import check_skills
from core.storage.texts import json_text, storable
from core.storage.versions import check_version

T = TypeVar("T", bound=Struct)
Check = Callable[[Connection, str, Mapping[str, Any]], Awaitable[None]]


class Skill(Struct, frozen=True, kw_only=True):
    """Something that somebody is able to do, and others are not."""

    id: str
    name: str
    description: str = ""
    version: int = 1
    created_us: int = 0
    updated_us: int = 0


class Disposition(Struct, frozen=True, kw_only=True):
    """What a talk can have come to."""

    id: str
    name: str
    queue_ids: tuple[str, ...] = ()
    """Of which queues; none: of all."""
    position: int = 0
    active: bool = True
    version: int = 1
    created_us: int = 0
    updated_us: int = 0


class Kept(Generic[T]):
    """One kind of rows: ``documents`` are its columns of JSON, ``check`` refuses what cannot be."""

    def __init__(
        self,
        kind: type[T],
        *,
        table: str,
        noun: str,
        prefix: str,
        most: int,
        documents: tuple[str, ...] = (),
        check: Check | None = None,
        in_use: str = "",
    ) -> None:
        self._kind = kind
        self._table = table
        self._noun = noun
        self._prefix = prefix
        self._most = most
        self._documents = documents
        self._check = check
        self._in_use = in_use
        self._columns = ", ".join(field.encode_name for field in msgspec.structs.fields(kind))

    async def all(self, db: Database, tenant_id: str) -> list[T]:
        """Newest first."""
        async with db.reader(tenant_id) as connection:
            rows = await connection.fetch(
                f"select {self._columns} from {self._table} where tenant_id = $1"  # noqa: S608 - our own words
                " order by created_us desc, id desc",
                tenant_id,
            )
        return [value_of(row, self._kind, *self._documents) for row in rows]

    async def get(self, db: Database, tenant_id: str, row_id: str) -> T:
        """Raises `NotFound`."""
        async with db.reader(tenant_id) as connection:
            row = await connection.fetchrow(
                f"select {self._columns} from {self._table} where tenant_id = $1 and id = $2",  # noqa: S608
                tenant_id,
                row_id,
            )
        if row is None:
            raise self._no_such(row_id)
        return value_of(row, self._kind, *self._documents)

    async def create(
        self, db: Database, tenant_id: str, given: Mapping[str, Any], *, request_id: str = ""
    ) -> T:
        """Raises `Conflict` for what is there already or when there are too many, `RequestError` for what it refers to."""
        async with db.tenant(tenant_id) as connection:
            if self._check is not None:
                await self._check(connection, tenant_id, given)
            count = await connection.fetchval(
                f"select count(*) from {self._table} where tenant_id = $1",  # noqa: S608
                tenant_id,
            )
            if count >= self._most:
                raise Conflict(f"there are at most {self._most} of these", code="too_many")
            moment = await now_of(connection)
            values = self._values(given)
            places = "".join(f", ${n}" + self._cast(name) for n, name in enumerate(values, start=4))
            names = "".join(f", {name}" for name in values)
            row = await connection.fetchrow(
                f"insert into {self._table} (tenant_id, id, created_us, updated_us{names})"  # noqa: S608
                f" values ($1, $2, $3, $3{places}) on conflict do nothing returning {self._columns}",
                tenant_id,
                new_id(self._prefix),
                moment,
                *values.values(),
            )
            if row is None:
                raise Conflict("there is one like this already", code="name_taken")
            made = value_of(row, self._kind, *self._documents)
            await self._tell(connection, tenant_id, made, moment, request_id)
        return made

    async def update(
        self,
        db: Database,
        tenant_id: str,
        row_id: str,
        given: Mapping[str, Any],
        *,
        version: int | None = None,
        request_id: str = "",
    ) -> T:
        """Change what is given. Raises `NotFound`, `ChangedMeanwhile`, and as `create`."""
        async with db.tenant(tenant_id) as connection:
            await self._lock(connection, tenant_id, row_id, version)
            if self._check is not None:
                await self._check(connection, tenant_id, given)
            moment = await now_of(connection)
            values = self._values(given)
            sets = "".join(f"{name} = ${n}{self._cast(name)}, " for n, name in enumerate(values, start=4))
            row = await connection.fetchrow(
                f"update {self._table} set {sets}version = version + 1, updated_us = $3"  # noqa: S608
                f" where tenant_id = $1 and id = $2 returning {self._columns}",
                tenant_id,
                row_id,
                moment,
                *values.values(),
            )
            after = value_of(row, self._kind, *self._documents)
            await self._tell(connection, tenant_id, after, moment, request_id)
        return after

    async def delete(
        self,
        db: Database,
        tenant_id: str,
        row_id: str,
        *,
        version: int | None = None,
        request_id: str = "",
    ) -> None:
        """Raises `NotFound`, `ChangedMeanwhile`, `Conflict` while something needs it."""
        async with db.tenant(tenant_id) as connection:
            before = await self._lock(connection, tenant_id, row_id, version)
            if self._in_use and await connection.fetchval(self._in_use, tenant_id, row_id):
                raise Conflict("something still needs it", code="in_use")
            await connection.execute(
                f"delete from {self._table} where tenant_id = $1 and id = $2",  # noqa: S608
                tenant_id,
                row_id,
            )
            moment = await now_of(connection)
            await self._tell(connection, tenant_id, before, moment, request_id, deleted=True)

    async def _lock(self, connection: Connection, tenant_id: str, row_id: str, version: int | None) -> T:
        row = await connection.fetchrow(
            f"select {self._columns} from {self._table} where tenant_id = $1 and id = $2 for update",  # noqa: S608
            tenant_id,
            row_id,
        )
        if row is None:
            raise self._no_such(row_id)
        check_version(row["version"], version)
        return value_of(row, self._kind, *self._documents)

    async def _tell(
        self,
        connection: Connection,
        tenant_id: str,
        thing: T,
        moment: int,
        request_id: str,
        *,
        deleted: bool = False,
    ) -> None:
        data = {**msgspec.to_builtins(thing), "deleted": deleted}
        entry = entry_of(tenant_id, f"{self._noun}.changed", str(data["id"]), data, moment)
        await append(connection, [msgspec.structs.replace(entry, request_id=request_id)])

    def _values(self, given: Mapping[str, Any]) -> dict[str, object]:
        values: dict[str, object] = {}
        for name, value in given.items():
            if name in self._documents:
                values[name] = json_text(value)
            elif isinstance(value, str):
                values[name] = storable(value)
            else:
                values[name] = list(value) if isinstance(value, tuple) else value
        return values

    def _cast(self, name: str) -> str:
        return "::jsonb" if name in self._documents else ""

    def _no_such(self, row_id: str) -> NotFound:
        return NotFound(f"there is no {self._noun.replace('_', ' ')} {row_id}", code=f"no_such_{self._noun}")


async def _check_route(connection: Connection, tenant_id: str, given: Mapping[str, Any]) -> None:
    for table, name in (("queues", "queue_id"), ("agents", "agent_id")):
        wanted = given.get(name)
        if wanted and not await connection.fetchval(
            f"select true from {table} where tenant_id = $1 and id = $2 and deleted_us = 0",  # noqa: S608
            tenant_id,
            wanted,
        ):
            raise RequestError(f"{name}: there is no such thing", code=f"unknown_{name.removesuffix('_id')}")
    skills: Skills = given.get("skills") or {}
    await check_skills(connection, tenant_id, sorted(skills))


async def _check_disposition(connection: Connection, tenant_id: str, given: Mapping[str, Any]) -> None:
    for queue_id in given.get("queue_ids") or ():
        await _check_route(connection, tenant_id, {"queue_id": queue_id})


SKILLS = Kept(
    Skill,
    table="skills",
    noun="skill",
    prefix="skl",
    most=1000,
    in_use=(
        "select exists (select from skills s where s.tenant_id = $1 and s.id = $2 and (exists (select from agents a"
        " where a.tenant_id = $1 and a.deleted_us = 0 and a.skills ? s.name) or exists (select from queues q"
        " where q.tenant_id = $1 and q.deleted_us = 0 and position('\"' || s.name || '\"' in (q.settings -> 'needs')::text)"
        " > 0) or exists (select from inbound_routes r where r.tenant_id = $1 and r.skills ? s.name)))"
    ),
)
DISPOSITIONS = Kept(
    Disposition,
    table="dispositions",
    noun="disposition",
    prefix="dsp",
    most=1000,
    check=_check_disposition,
)
ROUTES = Kept(
    Route,
    table="inbound_routes",
    noun="inbound_route",
    prefix="rte",
    most=10_000,
    documents=("skills",),
    check=_check_route,
)
