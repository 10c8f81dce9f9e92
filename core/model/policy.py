"""May this be sent to them, through this, now? One function below every channel, asked right before sending.

No plugin comes after it. What it looked at and what it said is kept with every attempt, so "why was this not sent" has
an answer. Rules, in this order, and the first that says no decides:

1. **Opted out**: a suppression of the address, for this channel's type or for all. Only the one confirmation of the
   opt-out itself may pass.
2. **Purpose**: ``marketing`` needs a consent that stands (the newest word counts); ``service`` answers or informs
   somebody who deals with us and needs none; ``transactional`` (codes, alarms) needs none and ignores quiet hours.
3. **Deadline**: what nobody wants any more (a code, a reminder) is not sent late.
4. **Window**: channels that let us write freely only for a time after the receiver's last message.
5. **Quiet hours** of the receiver's local time: not now, and when.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Literal
from zoneinfo import ZoneInfo

from msgspec import Struct

Purpose = Literal["service", "marketing", "transactional"]
Verdict = Literal["send", "wait", "refuse"]
EVERYWHERE = "*"


class Suppression(Struct, frozen=True):
    """Somebody wants nothing more through ``scope``: a channel's type, its family (``sms``), or ``*``.

    ``whatsapp/marketing`` is about one purpose only."""

    scope: str
    source: str
    created_us: int


class Consent(Struct, frozen=True):
    """What somebody said about a purpose, and when."""

    purpose: str
    granted: bool
    at_us: int


class QuietHours(Struct, frozen=True):
    """Local time in which nobody is disturbed; over midnight when ``start`` is later than ``end``; equal: never."""

    start: time
    end: time
    timezone: str
    """An IANA name."""


class Question(Struct, frozen=True, kw_only=True):
    """Everything that the answer depends on."""

    channel: str
    """``sms.twilio``."""
    now_us: int
    purpose: Purpose = "service"
    confirms_opt_out: bool = False
    suppressions: Sequence[Suppression] = ()
    consents: Sequence[Consent] = ()
    quiet: QuietHours | None = None
    window_s: int = 0
    """How long after their last message free text may be sent; 0 for always."""
    last_inbound_us: int = 0
    template: bool = False
    """An approved template: allowed outside the window."""
    deadline_us: int = 0
    """After it nobody wants it any more; 0 for never."""


class Answer(Struct, frozen=True):
    """``until_us`` says when to ask again, for ``wait``."""

    verdict: Verdict
    code: str = ""
    detail: str = ""
    until_us: int = 0


SEND = Answer("send")


def decide(asked: Question) -> Answer:
    """The answer; pure."""
    return _opted_out(asked) or _purpose(asked) or _expired(asked) or _window(asked) or _quiet(asked) or SEND


def covers(scope: str, channel: str, purpose: str = "") -> bool:
    """Whether a suppression of ``scope`` stands in the way of ``channel`` for ``purpose``."""
    where, _, about = scope.partition("/")
    return where in (EVERYWHERE, channel, channel.partition(".")[0]) and about in ("", purpose)


def _opted_out(asked: Question) -> Answer | None:
    found = next((one for one in asked.suppressions if covers(one.scope, asked.channel, asked.purpose)), None)
    if found is None or asked.confirms_opt_out:
        return None
    return Answer("refuse", "opted_out", f"they want no messages ({found.source})")


def _purpose(asked: Question) -> Answer | None:
    if asked.purpose != "marketing":
        return None
    said = [one for one in asked.consents if one.purpose == "marketing"]
    newest = max(said, key=lambda one: one.at_us, default=None)
    if newest is None:
        return Answer("refuse", "no_consent", "marketing needs their consent, and there is none")
    if not newest.granted:
        return Answer("refuse", "consent_withdrawn", "they have withdrawn their consent")
    return None


def _expired(asked: Question) -> Answer | None:
    if not asked.deadline_us or asked.now_us < asked.deadline_us:
        return None
    return Answer("refuse", "expired", "its time is over")


def _window(asked: Question) -> Answer | None:
    if not asked.window_s or asked.template:
        return None
    if asked.last_inbound_us and asked.now_us - asked.last_inbound_us < asked.window_s * 1_000_000:
        return None
    hours = asked.window_s // 3600
    return Answer(
        "refuse", "window_closed", f"they have not written within {hours} h: only a template can be sent"
    )


def _quiet(asked: Question) -> Answer | None:
    if asked.quiet is None or asked.purpose == "transactional":
        return None
    until_us = quiet_until(asked.quiet, asked.now_us)
    if not until_us:
        return None
    if asked.deadline_us and until_us >= asked.deadline_us:
        return Answer(
            "refuse", "expired", f"its time is over before the quiet hours in {asked.quiet.timezone} are"
        )
    return Answer("wait", "quiet_hours", f"quiet hours in {asked.quiet.timezone}", until_us)


def quiet_until(quiet: QuietHours, now_us: int) -> int:
    """When the quiet hours that hold now end; 0 when none hold. A clock change in between moves the end with it."""
    if quiet.start == quiet.end:
        return 0
    zone = ZoneInfo(quiet.timezone)
    local = datetime.fromtimestamp(now_us / 1e6, UTC).astimezone(zone)
    now = local.time()
    over_midnight = quiet.start > quiet.end
    inside = (now >= quiet.start or now < quiet.end) if over_midnight else quiet.start <= now < quiet.end
    if not inside:
        return 0
    day = local.date() + timedelta(days=1 if over_midnight and now >= quiet.start else 0)
    end = datetime.combine(day, quiet.end, zone)
    return round(end.timestamp() * 1_000_000)
