"""Consents: what somebody agreed to, or took back. The newest word for a purpose counts."""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.compliance import Kind, Moment, Value, newest
from api.http.contacts import CONTACT
from api.http.dnc import Line
from api.http.lists import page_answer
from api.http.operation import Group
from api.http.patterns import whole
from api.http.query import Filter
from api.http.shapes import Body
from core.clock import now_us
from core.storage import compliance as store
from core.storage.listing import list_json

consents = Group("compliance")

Evidence = Annotated[str, Meta(max_length=2000, pattern=whole(r"[^\x00]*"))]
ContactId = Annotated[str, Meta(pattern=whole(r"(ctc_[0-9a-z]{1,40})?"))]


class ConsentInfo(Struct):
    """What somebody agreed to, or took back. The newest word for a purpose counts."""

    id: str
    contact_id: str
    kind: Kind
    value: str
    purpose: str
    granted: bool
    source: str
    evidence: str
    at_us: int


class NewConsent(Body):
    kind: Kind
    value: Value
    granted: bool
    purpose: Literal["marketing", "service", "transactional"] = "marketing"
    source: Line = "person"
    """How they said it: a form, a call."""
    evidence: Evidence = ""
    contact_id: ContactId = ""
    """Found by the address where it is empty."""
    at_us: Moment = 0
    """When they said it; 0: now."""


CONSENT_FILTERS = (
    Filter("id"),
    Filter("contact_id"),
    Filter("kind", "word", ("phone", "email", "user")),
    Filter("value"),
    Filter("purpose"),
    Filter("granted", "boolean"),
    Filter("source"),
    Filter("at_us", "integer"),
)


@consents.operation(
    "GET",
    "/consents",
    permission="compliance:read",
    summary="List consents, newest first",
    answers=ConsentInfo,
    listing=True,
    filters=CONSENT_FILTERS,
)
async def list_consents(ask: Ask[None]) -> Answer:
    """Also what was taken back."""
    return await newest(ask, store.CONSENTS)


@consents.operation(
    "POST",
    "/consents",
    permission="compliance:write",
    summary="Note a consent, or that it was taken back",
    body=NewConsent,
    answers=ConsentInfo,
    status=201,
    problems=[404],
)
async def create_consent(ask: Ask[NewConsent]) -> Answer:
    """What was said before stays; the newest word counts."""
    body = ask.body
    made = await store.add_consent(
        ask.services.database,
        ask.tenant_id,
        contact_id=body.contact_id,
        kind=body.kind,
        value=body.value,
        purpose=body.purpose,
        granted=body.granted,
        source=body.source,
        evidence=body.evidence,
        at_us=body.at_us or now_us(),
    )
    return Answer(201, made)


@consents.operation(
    "GET",
    "/contacts/{contact_id}/consents",
    permission="compliance:read",
    summary="A contact's consents",
    answers=ConsentInfo,
    listing=True,
    paths=[CONTACT],
    problems=[404],
    filters=CONSENT_FILTERS,
)
async def list_contact_consents(ask: Ask[None]) -> Answer:
    """Newest first."""
    contact_id = ask.path["contact_id"]
    await store.need_contact(ask.services.database, ask.tenant_id, contact_id)
    page = await list_json(
        ask.services.database,
        ask.tenant_id,
        store.CONSENTS,
        [*ask.query.conditions, store.Of("contact_id", contact_id)],
        limit=ask.query.page.limit,
        after=ask.query.page.after,
    )
    return page_answer(ask, page)
