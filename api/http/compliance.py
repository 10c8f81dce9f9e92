"""Compliance: quiet hours, what would be decided about a sending, and what was decided about each.

Who must not be written to is in `api.http.dnc`, who agreed to be in `api.http.consents`. The decision itself is `core.model.policy.decide`; it is asked right before every sending, and nothing comes after it.
"""

import zoneinfo
from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.lists import page_answer, versioned
from api.http.operation import Group
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.query import Filter
from api.http.shapes import Body
from core.clock import now_us
from core.model import policy
from core.model.policy import Purpose
from core.storage import compliance as store
from core.storage.listing import list_json
from core.storage.sending import read_facts_of

compliance = Group("compliance", "Who may be written to, when, and why something was not sent.")

Kind = Literal["phone", "email", "user"]
Value = Annotated[str, Meta(min_length=1, max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))]
ChannelName = Annotated[str, Meta(max_length=80, pattern=whole(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)?"))]
Zone = Annotated[str, Meta(max_length=64, pattern=whole(r"([A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+)*)?"))]
Clock = Annotated[str, Meta(pattern=whole(r"([01][0-9]|2[0-3]):[0-5][0-9]"))]
Moment = Annotated[int, Meta(ge=0, le=2**53)]


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


async def newest(ask: Ask[None], listing: Any, only: str = "") -> Answer:
    """A page of what is kept, newest first."""
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
    return await newest(ask, store.DECISIONS)


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
