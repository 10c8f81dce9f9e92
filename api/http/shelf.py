"""The five operations that every kind of a tenant's documents has: list, create, one, change, delete.

Templates, canned replies, macros, labels, views, rules, promises and schedules differ in what they hold; how they are kept
is the same (`core.storage.content`). A `Shelf` declares the operations from the three shapes of a kind.
"""

from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, Struct

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.lists import member, page_answer, tagged
from api.http.operation import Group, Path
from api.http.problem import bad_value
from api.http.query import Filter
from core.model.content import PREFIXES, Kind
from core.storage import content as store

D = TypeVar("D", bound=Struct)

FILTERS = (
    Filter("id"),
    Filter("name"),
    Filter("created_by"),
    Filter("created_us", "integer"),
    Filter("updated_us", "integer"),
)


class Shelf(Generic[D]):
    """One kind of documents: ``doc`` is what is stored, ``new`` and ``change`` what callers send (with ``name``)."""

    def __init__(
        self,
        group: Group,
        *,
        kind: Kind,
        path: str,
        noun: str,
        nouns: str,
        doc: type[D],
        new: type[Struct],
        change: type[Struct],
        info: type[Struct],
        read: str,
        write: str,
        about: str,
        scope: Callable[[D, str], str] = lambda doc, actor: "",
        scopes: Callable[[str], list[str] | None] = lambda actor: None,
        check: Callable[[Ask[Any], D], Awaitable[None]] | None = None,
    ) -> None:
        """``scope`` keeps equal names apart, ``scopes`` are those that a person sees; ``check`` raises for what cannot be."""
        self._kind, self._doc = kind, doc
        self._scope, self._scopes, self._check = scope, scopes, check
        self._path = path
        self.where = Path(f"{kind}_id", f"The {noun}'s id: `{PREFIXES[kind]}_…`.")
        one = f"{path}/{{{kind}_id}}"
        name = nouns.replace(" ", "_")
        single = noun.replace(" ", "_")

        def declare(handler: Any, called: str, says: str) -> Any:
            handler.__name__, handler.__doc__ = called, says
            return handler

        async def list_(ask: Ask[None]) -> Answer:
            return await self.list(ask)

        async def create(ask: Ask[Any]) -> Answer:
            return await self.create(ask)

        async def get(ask: Ask[None]) -> Answer:
            return await self.get(ask)

        async def update(ask: Ask[Any]) -> Answer:
            return await self.update(ask)

        async def delete(ask: Ask[None]) -> Answer:
            return await self.delete(ask)

        group.operation(
            "GET", path, permission=read, summary=f"List {nouns}, newest first", answers=info, listing=True,
            filters=FILTERS,
        )(declare(list_, f"list_{name}", about))  # fmt: skip
        group.operation(
            "POST", path, permission=write, summary=f"Create a {noun}", body=new, answers=info, status=201,
            problems=[404, 409], etag=True,
        )(declare(create, f"create_{single}", "409 `name_taken` when another one has its name."))  # fmt: skip
        group.operation(
            "GET", one, permission=read, summary=f"One {noun}", answers=info, paths=[self.where], problems=[404],
            etag=True,
        )(declare(get, f"get_{single}", "With its version, which a change may name."))  # fmt: skip
        group.operation(
            "PATCH", one, permission=write, summary=f"Change a {noun}", body=change, answers=info,
            paths=[self.where], problems=[404, 409], etag=True, if_match=True,
        )(declare(update, f"update_{single}", "What is not given stays; lists are replaced as a whole."))  # fmt: skip
        group.operation(
            "DELETE", one, permission=write, summary=f"Delete a {noun}", paths=[self.where], problems=[404, 409],
            if_match=True,
        )(declare(delete, f"delete_{single}", "409 `in_use` while a rule, macro or promise names it."))  # fmt: skip

    async def list(self, ask: Ask[None]) -> Answer:
        page = await store.list_content(
            ask.services.database,
            ask.tenant_id,
            self._kind,
            ask.query.conditions,
            scopes=self._scopes(ask.actor.id),
            limit=ask.query.page.limit,
            after=ask.query.page.after,
        )
        return page_answer(ask, page)

    async def create(self, ask: Ask[Any]) -> Answer:
        doc = await self._checked(ask, self._of(msgspec.structs.asdict(ask.body)))
        body = await store.create_content(
            ask.services.database,
            ask.tenant_id,
            self._kind,
            ask.body.name,
            doc,
            scope=self._scope(doc, ask.actor.id),
            actor=ask.actor.id,
            request_id=ask.request_id,
        )
        answer = tagged(ask, body, 201)
        answer.headers = [(b"location", f"/v1{self._path}/{member(body, 'id')}".encode())]
        return answer

    async def get(self, ask: Ask[None]) -> Answer:
        body = await store.get_content(
            ask.services.database, ask.tenant_id, self._kind, self._id(ask), scopes=self._scopes(ask.actor.id)
        )
        return tagged(ask, body)

    async def update(self, ask: Ask[Any]) -> Answer:
        """A change that names no version is made to what is there when it is written, or refused."""
        scopes = self._scopes(ask.actor.id)
        present = msgspec.json.decode(
            await store.get_content(
                ask.services.database, ask.tenant_id, self._kind, self._id(ask), scopes=scopes
            ),
            type=dict[str, Any],
        )
        given = {
            name: value
            for name in ask.body.__struct_fields__
            if (value := getattr(ask.body, name)) is not UNSET
        }
        name = given.pop("name", None)
        members = {key: present[key] for key in self._doc.__struct_fields__ if key in present}
        doc = await self._checked(ask, self._of(members | given))
        body = await store.update_content(
            ask.services.database,
            ask.tenant_id,
            self._kind,
            self._id(ask),
            name=name,
            doc=doc,
            scope=self._scope(doc, present["created_by"]),
            scopes=scopes,
            version=present["version"] if ask.if_match is None else ask.if_match,
            actor=ask.actor.id,
            request_id=ask.request_id,
        )
        return tagged(ask, body)

    async def delete(self, ask: Ask[None]) -> Answer:
        await store.delete_content(
            ask.services.database,
            ask.tenant_id,
            self._kind,
            self._id(ask),
            scopes=self._scopes(ask.actor.id),
            version=ask.if_match,
            actor=ask.actor.id,
            request_id=ask.request_id,
        )
        return Answer(204)

    def _id(self, ask: Ask[Any]) -> str:
        return ask.path[self.where.name]

    def _of(self, members: dict[str, Any]) -> D:
        known = {name: members[name] for name in self._doc.__struct_fields__ if name in members}
        return msgspec.convert(msgspec.to_builtins(known), self._doc)

    async def _checked(self, ask: Ask[Any], doc: D) -> D:
        if self._check is not None:
            await self._check(ask, doc)
        return doc


def refuse(pointer: str, mistakes: list[str]) -> None:
    """Raises `Invalid` with the first of several mistakes."""
    if mistakes:
        raise bad_value(pointer, mistakes[0])
