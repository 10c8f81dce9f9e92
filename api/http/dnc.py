"""The do-not-contact list: who must not be written to, by whatever channel."""

from typing import Annotated

from msgspec import Meta, Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.compliance import Kind, Value, newest
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.query import Filter
from api.http.shapes import Body
from core.clock import now_us
from core.storage import compliance as store
from core.storage.compliance import Entry

dnc = Group("compliance")

DNC = Path("dnc_id", "The entry's id: `sup_…`.")
Scope = Annotated[
    str,
    Meta(
        max_length=80,
        pattern=whole(r"(\*|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?)(/[a-z]{1,20})?"),
        description="`*` everything, `sms` a family of channels, `sms.twilio` one; `sms/marketing` only that purpose.",
    ),
]
Line = Annotated[str, Meta(max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))]


class DncEntry(Struct):
    """Somebody who must not be written to. Times are microseconds since 1970."""

    id: str
    kind: Kind
    value: str
    scope: str
    source: str
    """Who put it on the list: `person`, `import`, `provider`, or the word they wrote."""
    reason: str
    created_us: int
    removed_us: int
    """When it was taken off; 0 while it counts."""


class NewDnc(Body):
    kind: Kind
    value: Value
    scope: Scope = "*"
    reason: Line = ""


class DncImport(Body):
    entries: Annotated[list[NewDnc], Meta(min_length=1, max_length=2000)]


class DncImported(Struct):
    """What an import did."""

    added: int
    already: int
    """On the list already."""


class AskedAddress(Body):
    kind: Kind
    value: Value


class DncAsked(Body):
    addresses: Annotated[list[AskedAddress], Meta(min_length=1, max_length=2000)]


class DncFound(Struct):
    """One address, and in which scopes it is on the list."""

    kind: Kind
    value: str
    scopes: list[str]


@dnc.operation(
    "GET",
    "/dnc",
    permission="compliance:read",
    summary="List who must not be written to",
    answers=DncEntry,
    listing=True,
    filters=(
        Filter("id"),
        Filter("kind", "word", ("phone", "email", "user")),
        Filter("value"),
        Filter("scope"),
        Filter("source"),
        Filter("created_us", "integer"),
        Filter("removed_us", "integer"),
    ),
)
async def list_dnc(ask: Ask[None]) -> Answer:
    """Newest first; `removed_us[eq]=0` leaves out what counts no more."""
    return await newest(ask, store.DNC)


@dnc.operation(
    "POST",
    "/dnc",
    permission="compliance:write",
    summary="Write to somebody no more",
    body=NewDnc,
    answers=DncEntry,
    status=201,
)
async def create_dnc(ask: Ask[NewDnc]) -> Answer:
    """It counts from this moment on, also for messages that wait. One that is on the list already stays as it is."""
    body = ask.body
    entry = Entry(kind=body.kind, value=body.value, scope=body.scope, reason=body.reason)
    await store.add_dnc(ask.services.database, ask.tenant_id, [entry], source="person", now_us=now_us())
    return Answer(201, await store.dnc_of(ask.services.database, ask.tenant_id, entry))


@dnc.operation(
    "DELETE",
    "/dnc/{dnc_id}",
    permission="compliance:write",
    summary="Take somebody off the list",
    paths=[DNC],
    problems=[404],
)
async def delete_dnc(ask: Ask[None]) -> Answer:
    """It stays in the list's history."""
    await store.remove_dnc(ask.services.database, ask.tenant_id, ask.path["dnc_id"])
    return Answer(204)


@dnc.operation(
    "POST",
    "/dnc/import",
    permission="compliance:write",
    summary="Put many on the list",
    body=DncImport,
    answers=DncImported,
)
async def import_dnc(ask: Ask[DncImport]) -> Answer:
    """All or none of them."""
    entries = [
        Entry(kind=one.kind, value=one.value, scope=one.scope, reason=one.reason) for one in ask.body.entries
    ]
    added = await store.add_dnc(
        ask.services.database, ask.tenant_id, entries, source="import", now_us=now_us()
    )
    return json_answer(DncImported(added, len(entries) - added))


@dnc.operation(
    "POST",
    "/dnc/check",
    permission="compliance:read",
    summary="Which of these are on the list",
    body=DncAsked,
    answers=list[DncFound],
    idempotency="none",
)
async def check_dnc(ask: Ask[DncAsked]) -> Answer:
    """In the order asked; no scopes: not on it."""
    asked = [Entry(kind=one.kind, value=one.value) for one in ask.body.addresses]
    found = await store.check_dnc(ask.services.database, ask.tenant_id, asked)
    return json_answer(
        [DncFound(one.kind, one.value, scopes) for one, scopes in zip(ask.body.addresses, found, strict=True)]
    )
