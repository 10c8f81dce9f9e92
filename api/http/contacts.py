"""Contacts: people outside, whatever channels they write through."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.lists import member, page_answer, tagged
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.query import Filter, text_param
from api.http.shapes import Body
from core.storage import contact_search
from core.storage import contacts as store
from core.storage.identities import NewIdentity

contacts = Group("contacts", "People outside, and the addresses that they write from.")

CONTACT = Path("contact_id", "The contact's id: `ctc_…`.")
Line = Annotated[str, Meta(max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
Value = Annotated[str, Meta(min_length=1, max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
Language = Annotated[str, Meta(max_length=35, pattern=whole(r"([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?"))]
Zone = Annotated[str, Meta(max_length=64, pattern=whole(r"([A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*)?"))]
Attributes = Annotated[
    dict[Annotated[str, Meta(max_length=60)], Line | int | float | bool], Meta(max_length=100)
]


class Identity(Struct):
    """An address that is a contact's."""

    id: str
    kind: Literal["phone", "email", "user"]
    scope: str
    """For `user`: the account to which the id means something."""
    value: str
    name: str
    verified: bool
    created_us: int


class Contact(Struct):
    """One person. Times are microseconds since 1970."""

    id: str
    name: str
    company: str
    language: str
    timezone: str
    attributes: dict[str, Any]
    merged_into: str | None
    """The contact that this one is part of now."""
    identities: list[Identity]
    version: int
    created_us: int
    updated_us: int


class IdentityOf(Body):
    kind: Literal["phone", "email", "user"]
    value: Value
    """A number with its country code, a mail address, or an id."""
    scope: Line = ""
    name: Line = ""
    verified: bool = False


class NewContact(Body):
    name: Line = ""
    company: Line = ""
    language: Language = ""
    timezone: Zone = ""
    attributes: Attributes = msgspec.field(default_factory=dict)
    identities: Annotated[list[IdentityOf], Meta(max_length=20)] = msgspec.field(default_factory=list)


class ContactChange(Body):
    name: Line | UnsetType = UNSET
    company: Line | UnsetType = UNSET
    language: Language | UnsetType = UNSET
    timezone: Zone | UnsetType = UNSET
    attributes: Attributes | UnsetType = UNSET
    """All of them."""


FILTERS = (
    Filter("id"),
    Filter("name"),
    Filter("company"),
    Filter("language"),
    Filter("timezone"),
    Filter("created_us", "integer"),
    Filter("updated_us", "integer"),
)


@contacts.operation(
    "GET",
    "/contacts",
    permission="contacts:read",
    summary="List contacts, newest first",
    answers=Contact,
    listing=True,
    filters=FILTERS,
)
async def list_contacts(ask: Ask[None]) -> Answer:
    """Without those that were merged into another."""
    page = await store.list_contacts(
        ask.services.database,
        ask.tenant_id,
        ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@contacts.operation(
    "GET",
    "/contacts/search",
    permission="contacts:read",
    summary="Find contacts",
    answers=Contact,
    listing=True,
    params=[text_param("q", "Beginnings of words: of names, companies, addresses; or the end of a number.")],
)
async def search_contacts(ask: Ask[None]) -> Answer:
    """Every word must be found. `ann exam` finds Ann at example.org, `4567` a number that begins or ends so."""
    page = await contact_search.search(
        ask.services.database,
        ask.tenant_id,
        ask.value("q", ""),
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)


@contacts.operation(
    "POST",
    "/contacts",
    permission="contacts:write",
    summary="Create a contact",
    body=NewContact,
    answers=Contact,
    status=201,
    problems=[409],
    etag=True,
)
async def create_contact(ask: Ask[NewContact]) -> Answer:
    """409 `identity_taken` names the contact that has one of the addresses."""
    body = await store.create_contact(
        ask.services.database,
        ask.tenant_id,
        given(ask.body, "identities"),
        [identity_of(one) for one in ask.body.identities],
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    answer = tagged(ask, body, 201)
    answer.headers = [(b"location", f"/v1/contacts/{member(body, 'id')}".encode())]
    return answer


@contacts.operation(
    "GET",
    "/contacts/{contact_id}",
    permission="contacts:read",
    summary="One contact",
    answers=Contact,
    paths=[CONTACT],
    problems=[404],
    etag=True,
)
async def get_contact(ask: Ask[None]) -> Answer:
    """Also one that was merged: `merged_into` names the one that it is part of."""
    body = await store.get_contact(ask.services.database, ask.tenant_id, ask.path["contact_id"])
    return tagged(ask, body)


@contacts.operation(
    "PATCH",
    "/contacts/{contact_id}",
    permission="contacts:write",
    summary="Change a contact",
    body=ContactChange,
    answers=Contact,
    paths=[CONTACT],
    problems=[404, 409],
    etag=True,
    if_match=True,
)
async def update_contact(ask: Ask[ContactChange]) -> Answer:
    """What is not given stays."""
    body = await store.update_contact(
        ask.services.database,
        ask.tenant_id,
        ask.path["contact_id"],
        given(ask.body),
        version=ask.if_match,
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return tagged(ask, body)


@contacts.operation(
    "DELETE",
    "/contacts/{contact_id}",
    permission="contacts:write",
    summary="Delete a contact",
    paths=[CONTACT],
    problems=[404, 409],
    if_match=True,
)
async def delete_contact(ask: Ask[None]) -> Answer:
    """What was written stays; the addresses become free. 409 `in_use` while conversations with them are open."""
    await store.delete_contact(
        ask.services.database,
        ask.tenant_id,
        ask.path["contact_id"],
        version=ask.if_match,
        actor=ask.actor.id,
        request_id=ask.request_id,
    )
    return Answer(204)


def identity_of(one: IdentityOf) -> NewIdentity:
    """As the store takes it."""
    return NewIdentity(one.kind, one.value, one.scope, one.name, one.verified)


def given(body: Struct, *without: str) -> dict[str, Any]:
    """The members of a body that were given."""
    return {
        name: value
        for name in body.__struct_fields__
        if name not in without and (value := getattr(body, name)) is not UNSET
    }
