"""A telephone call as a line in its contact's conversation. Pure.

The contact is the end of a call that is a telephone number: of a call that came in the caller, of one that we placed whom
it went to. A colleague's phone that dials out also begins with a leg towards the switch; its caller is an extension, and
so the destination is the contact. A call between two extensions concerns nobody outside and is in no conversation.
"""

from typing import Literal

import phonenumbers
from msgspec import Struct

from core.model.records import Call

Direction = Literal["in", "out"]
EVENTS = (
    "call.created",
    "call.answered",
    "call.recording_started",
    "call.recording_stopped",
    "call.merged",
    "call.ended",
)
"""Entries of the log after which the line says something else."""


class Line(Struct, frozen=True, kw_only=True):
    """What a conversation shows of a call."""

    number: str
    """The contact's, E.164."""
    name: str
    direction: Direction
    state: str
    """``ringing``, ``talking``; then ``answered``, ``missed`` (in) or ``unanswered`` (out)."""
    content: "CallContent"

    @property
    def text(self) -> str:
        """Words for lists and searches."""
        what = {
            "missed": "Missed call",
            "unanswered": "Call without an answer",
            "ringing": "Incoming call" if self.direction == "in" else "Outgoing call",
        }.get(self.state, "Call")
        minutes, seconds = divmod(self.content.duration_s, 60)
        lasted = f", {minutes}:{seconds:02d}" if self.state == "answered" else ""
        return f"{what} {'from' if self.direction == 'in' else 'to'} {self.number}{lasted}"


class CallContent(Struct, frozen=True, tag="call", kw_only=True):
    """The content of a message of the kind ``call``. Times are microseconds, 0 where the moment never came."""

    caller: str
    destination: str
    state: str
    started_us: int
    answered_us: int
    ended_us: int
    duration_s: int
    """Of talking."""
    hangup_cause: str
    recordings: tuple["CallRecording", ...] = ()
    merged_into: str = ""
    version: int = 0
    """The call's."""


class CallRecording(Struct, frozen=True):
    """A recording of the call: its sound is with the call (``/v1/calls/{id}/recordings``)."""

    leg: str
    started_us: int
    stopped_us: int
    size: int


def line_of(call: Call, region: str = "") -> Line | None:
    """What is shown of it; None for a call that concerns nobody outside. ``region`` is the tenant's country (``DE``)."""
    found = _contact(call, region)
    if found is None:
        return None
    number, direction = found
    return Line(
        number=number,
        name=call.caller_name if direction == "in" and call.caller_name != call.caller else "",
        direction=direction,
        state=(state := _state(call, direction)),
        content=CallContent(
            caller=call.caller,
            destination=call.destination,
            state=state,
            started_us=call.created_us,
            answered_us=call.answered_us,
            ended_us=call.ended_us,
            duration_s=_seconds(call),
            hangup_cause=call.hangup_cause,
            recordings=tuple(
                CallRecording(leg.uuid, one.started_us, one.stopped_us, one.size)
                for leg in call.legs
                for one in leg.recordings
            ),
            merged_into=call.merged_into,
            version=call.version,
        ),
    )


def e164(value: str, region: str = "") -> str:
    """A number as the switch writes it (``+49…``, ``0049…``, ``49…``, ``030…`` with a region); empty for what is none."""
    digits = value.strip().removeprefix("tel:")
    if digits.startswith("00"):
        digits = "+" + digits[2:]
    if not digits.lstrip("+").isdigit():
        return ""
    if digits.startswith("+"):
        return _formatted(digits, None, sure=False)
    if region and (national := _formatted(digits, region.upper(), sure=True)):
        return national
    # Many carriers leave the plus out. An extension has fewer digits than any valid number.
    return _formatted("+" + digits, None, sure=True) if len(digits) >= 9 and digits[0] != "0" else ""


def _formatted(digits: str, region: str | None, *, sure: bool) -> str:
    try:
        number = phonenumbers.parse(digits, region)
    except phonenumbers.NumberParseException:
        return ""
    good = phonenumbers.is_valid_number(number) if sure else phonenumbers.is_possible_number(number)
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)) if good else ""


def _contact(call: Call, region: str) -> tuple[str, Direction] | None:
    if call.direction == "inbound" and (caller := e164(call.caller, region)):
        return caller, "in"
    called = e164(call.destination, region)
    return (called, "out") if called else None


def _state(call: Call, direction: Direction) -> str:
    if call.live and not call.merged_into:
        return "talking" if call.answered_us else "ringing"
    if call.answered_us:
        return "answered"
    return "missed" if direction == "in" else "unanswered"


def _seconds(call: Call) -> int:
    if not call.answered_us or call.ended_us < call.answered_us:
        return 0
    return call.ended_us // 1_000_000 - call.answered_us // 1_000_000
