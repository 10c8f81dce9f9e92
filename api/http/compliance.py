"""Compliance: who must not be written to, consents, quiet hours, and what was decided about each sending.

The decision itself is `core.model.policy.decide`; it is asked right before every sending, and nothing comes after it.
"""

import zoneinfo
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.contacts import CONTACT
from api.http.lists import page_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.query import Filter
from api.http.shapes import Body
from core.clock import now_us
from core.model import policy
from core.model.policy import Purpose
from core.storage import compliance as store
from core.storage.compliance import Entry
from core.storage.listing import list_json
from core.storage.sending import read_facts_of

compliance = Group("compliance", "Who may be written to, when, and why something was not sent.")

DNC = Path("dnc_id", "The entry's id: `sup_…`.")
Kind = Literal["phone", "email", "user"]
Value = Annotated[str, Meta(min_length=1, max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
Scope = Annotated[
    str,
    Meta(
        max_length=80,
        pattern=whole(r"(\*|[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?)(/[a-z]{1,20})?"),
        description="`*` everything, `sms` a family of channels, `sms.twilio` one; `sms/marketing` only that purpose.",
    ),
]
Line = Annotated[str, Meta(max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
Evidence = Annotated[str, Meta(max_length=2000, pattern=whole(r"[^\x00]*"))]
ChannelName = Annotated[str, Meta(max_length=80, pattern=whole(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?"))]
ContactId = Annotated[str, Meta(pattern=whole(r"(ctc_[0-9a-z]{1,40})?"))]
Zone = Annotated[str, Meta(max_length=64, pattern=whole(r"([A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*)?"))]
Clock = Annotated[str, Meta(pattern=whole(r"([01][0-9]|2[0-3]):[0-5][0-9]"))]
Moment = Annotated[int, Meta(ge=0, le=2**53)]


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


class DecideAsked(Body):
    kind: Kind
    value: Value
    channel: ChannelName
    """`sms.twilio`, `whatsapp`."""
    purpose: Purpose = "service"
    at_us: Moment = 0
    """0: now."""
    timezone: Zone = ""
    """Theirs; empty: the contact's, else yours."""
    last_inbound_us: Moment = 0
    """When they wrote last: for channels with a window."""
    template: bool = False


class Decided(Struct):
    """What would be done about a message."""

    verdict: Literal["send", "wait", "refuse"]
    code: str
    detail: str
    until_us: int
    """For `wait`: when it may go."""


class ContactDecision(Struct):
    """What was decided right before a sending. Nothing in it ever changes."""

    id: str
    message_id: str
    contact_id: str
    channel: str
    purpose: Purpose
    verdict: Literal["send", "wait", "refuse"]
    code: str
    detail: str
    until_us: int
    decided_us: int


class QuietHours(Body):
    start: Clock
    end: Clock
    """Of the next day where it is before the start; the same: never quiet."""
    timezone: Zone = "UTC"
    """For people whose own is not known."""


class ContactWindows(Body):
    quiet_hours: QuietHours | None = None
    """Nobody is written to then; codes and alarms go out at any time."""


class ContactWindowsNow(Struct):
    """When nobody is disturbed."""

    quiet_hours: QuietHours | None
    version: int


async def _page(ask: Ask[None], listing: Any, only: str = "") -> Answer:
    page = await list_json(
        ask.services.database,
        ask.tenant_id,
        listing,
        ask.query.conditions,
        limit=ask.query.page.limit,
        after=ask.query.page.after,
        only=only,
    )
    return page_answer(ask, page)


@compliance.operation(
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
    return await _page(ask, store.DNC)


@compliance.operation(
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


@compliance.operation(
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


@compliance.operation(
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


@compliance.operation(
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


@compliance.operation(
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
    return await _page(ask, store.CONSENTS)


@compliance.operation(
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


@compliance.operation(
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


@compliance.operation(
    "POST",
    "/compliance/decide",
    permission="compliance:read",
    summary="May they be written to?",
    body=DecideAsked,
    answers=Decided,
    idempotency="none",
)
async def decide_contact(ask: Ask[DecideAsked]) -> Answer:
    """The answer that a message would get now (or at another time); nothing is sent or kept."""
    body = ask.body
    _check_zone(body.timezone, "/timezone")
    facts = await read_facts_of(
        ask.services.database, ask.tenant_id, kind=body.kind, value=body.value, timezone=body.timezone
    )
    channel = ask.services.channels.known.get(body.channel)
    answer = policy.decide(
        policy.Question(
            channel=body.channel,
            now_us=body.at_us or now_us(),
            purpose=body.purpose,
            suppressions=facts.suppressions,
            consents=facts.consents,
            quiet=facts.quiet,
            window_s=channel.capabilities.window_s if channel is not None else 0,
            last_inbound_us=body.last_inbound_us,
            template=body.template,
        )
    )
    return json_answer(Decided(answer.verdict, answer.code, answer.detail, answer.until_us))


@compliance.operation(
    "GET",
    "/compliance/decisions",
    permission="compliance:read",
    summary="What was decided, newest first",
    answers=ContactDecision,
    listing=True,
    filters=(
        Filter("id"),
        Filter("message_id"),
        Filter("contact_id"),
        Filter("channel"),
        Filter("purpose", "word", ("service", "marketing", "transactional")),
        Filter("verdict", "word", ("send", "wait", "refuse")),
        Filter("code"),
        Filter("decided_us", "integer"),
    ),
)
async def list_contact_decisions(ask: Ask[None]) -> Answer:
    """One for every time that a message was about to be sent."""
    return await _page(ask, store.DECISIONS)


@compliance.operation(
    "GET",
    "/contact-windows",
    permission="compliance:read",
    summary="When nobody is disturbed",
    answers=ContactWindowsNow,
    etag=True,
)
async def get_contact_windows(ask: Ask[None]) -> Answer:
    """In the receiver's own time, where it is known."""
    quiet, version = await store.get_quiet(ask.services.database, ask.tenant_id)
    return versioned(ask, _windows(quiet, version))


@compliance.operation(
    "PUT",
    "/contact-windows",
    permission="compliance:write",
    summary="Change when nobody is disturbed",
    body=ContactWindows,
    answers=ContactWindowsNow,
    problems=[412],
    etag=True,
    if_match=True,
)
async def put_contact_windows(ask: Ask[ContactWindows]) -> Answer:
    """It counts from the next message on."""
    quiet = ask.body.quiet_hours
    if quiet is not None:
        _check_zone(quiet.timezone, "/quiet_hours/timezone")
    said = (
        None
        if quiet is None
        else {"start": quiet.start, "end": quiet.end, "timezone": quiet.timezone or "UTC"}
    )
    kept, version = await store.put_quiet(ask.services.database, ask.tenant_id, said, version=ask.if_match)
    return versioned(ask, _windows(kept, version))


def _windows(quiet: dict[str, str] | None, version: int) -> ContactWindowsNow:
    return ContactWindowsNow(None if quiet is None else QuietHours(**quiet), version)


def _check_zone(name: str, pointer: str) -> None:
    if not name:
        return
    try:
        zoneinfo.ZoneInfo(name)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise bad_value(pointer, "there is no such time zone") from None
