"""The headers of a channel on its events: state, profiles and variables, as ready text and as raw pairs.

Most events of a call differ in little, so the three parts are kept rendered until something in them changes.
"""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from freeswitch.simulator.wire import Pair, Value, encode, plain_line, plain_lines
from freeswitch.words import CALL_STATES, CHANNEL_STATES

if TYPE_CHECKING:
    from freeswitch.simulator.profile import Profile

HANGUP = 10
"""CS_HANGUP: from this state on a channel is down."""

BIT_RATES = {"PCMU": "64000", "PCMA": "64000", "L16": "128000", "opus": "0"}
RATES = {"opus": "48000"}
"""Sampling rates of codecs that have another one than 8000."""


def _codec_pairs(read: str, write: str) -> list[Pair]:
    found: list[Pair] = []
    for side, codec in (("Read", read), ("Write", write)):
        if codec:
            found += [
                (f"Channel-{side}-Codec-Name", codec),
                (f"Channel-{side}-Codec-Rate", RATES.get(codec, "8000")),
                (f"Channel-{side}-Codec-Bit-Rate", BIT_RATES[codec]),
            ]
    return found


_CODEC_TEXT = {
    (read, write): plain_lines(_codec_pairs(read, write))
    for read in ("", *BIT_RATES)
    for write in ("", *BIT_RATES)
}


class Headers(ABC):
    """The part of a `Channel` that an event carries."""

    __slots__ = (
        "_basic",
        "_lines",
        "_other_text",
        "_variables_text",
        "answered",
        "call_state",
        "codec",
        "direction",
        "early",
        "flags",
        "hangup_cause",
        "name",
        "other_type",
        "profile",
        "profile_other",
        "read_codec",
        "running",
        "scope",
        "state",
        "uuid",
        "variables",
    )

    def __init__(self, uuid: str, name: str, direction: str) -> None:
        self.uuid = uuid
        self.name = name
        self.direction = direction
        self.running = 13
        """The state the thread is in (CS_NONE before its first)."""
        self.state = 0
        """The state it was told to go to."""
        self.call_state = 0
        self.early = False
        self.answered = False
        self.hangup_cause = ""
        self.flags: set[str] = set()
        self.codec = ""
        """PCMU for SIP legs, L16 for loopback ones, empty before media is agreed."""
        self.read_codec = ""
        """What is read in: L16 while an application mixes the sound."""
        self.profile: Profile | None = None
        self.profile_other: Profile | None = None
        self.other_type = ""
        self.variables: dict[str, Value] = {}
        self.scope: dict[str, str] = {}
        self._basic: str | None = None
        self._lines: dict[str, str] = {}
        """The variables that have been rendered, by name."""
        self._other_text: str | None = None
        self._variables_text: str | None = None

    @abstractmethod
    def get(self, name: str) -> str | None:
        """Return a variable as text."""

    def _answer_state(self) -> str:
        if self.state >= HANGUP:
            return "hangup"
        if self.answered:
            return "answered"
        return "early" if self.early else "ringing"

    def _hit(self) -> str:
        return "true" if self.direction == "inbound" or "dialplan" in self.flags else "false"

    def basic_text(self) -> str:
        """Return the channel's and its profiles' headers for event-plain."""
        head = self._basic
        if head is None:
            presence = self.get("presence_id")
            head = self._basic = (
                f"Channel-State: {CHANNEL_STATES[self.running]}\n"
                f"Channel-Call-State: {CALL_STATES[self.call_state]}\n"
                f"Channel-State-Number: {self.state}\n"
                f"Channel-Name: {encode(self.name)}\nUnique-ID: {encode(self.uuid)}\n"
                f"Call-Direction: {self.direction}\nPresence-Call-Direction: {self.direction}\n"
                f"Channel-HIT-Dialplan: {self._hit()}\n"
                + (f"Channel-Presence-ID: {encode(presence)}\n" if presence else "")
                + f"Channel-Call-UUID: {encode(self.get('call_uuid') or self.uuid)}\n"
                f"Answer-State: {self._answer_state()}\n"
                + (f"Hangup-Cause: {self.hangup_cause}\n" if self.hangup_cause else "")
                + _CODEC_TEXT[self.read_codec, self.codec]
            )
        if self.profile is None:
            return head
        if self.profile_other is None:
            return head + self.profile.text()
        if self._other_text is None:
            self._other_text = f"Other-Type: {self.other_type}\n{self.profile_other.other_text()}"
        return head + self.profile.text() + self._other_text

    def basic_pairs(self) -> list[Pair]:
        """Return the same headers raw."""
        found: list[Pair] = [
            ("Channel-State", CHANNEL_STATES[self.running]),
            ("Channel-Call-State", CALL_STATES[self.call_state]),
            ("Channel-State-Number", str(self.state)),
            ("Channel-Name", self.name),
            ("Unique-ID", self.uuid),
            ("Call-Direction", self.direction),
            ("Presence-Call-Direction", self.direction),
            ("Channel-HIT-Dialplan", self._hit()),
        ]
        if presence := self.get("presence_id"):
            found.append(("Channel-Presence-ID", presence))
        found += [
            ("Channel-Call-UUID", self.get("call_uuid") or self.uuid),
            ("Answer-State", self._answer_state()),
        ]
        if self.hangup_cause:
            found.append(("Hangup-Cause", self.hangup_cause))
        found += _codec_pairs(self.read_codec, self.codec)
        if self.profile is not None:
            found += self.profile.pairs("Caller")
            if self.profile_other is not None:
                found.append(("Other-Type", self.other_type))
                found += self.profile_other.pairs("Other-Leg")
        return found

    def variables_text(self) -> str:
        """Return the ``scope_variable_*`` and ``variable_*`` headers for event-plain; kept until one changes."""
        text = self._variables_text
        if text is None:
            lines = self._lines
            if len(lines) < len(self.variables):
                for name, value in self.variables.items():
                    if name not in lines:
                        lines[name] = plain_line(f"variable_{name}", value)
            text = self._variables_text = "".join([lines[name] for name in self.variables])
        if self.scope:
            return "".join([plain_line(f"scope_variable_{n}", v) for n, v in self.scope.items()]) + text
        return text

    def variables_pairs(self) -> list[Pair]:
        """Return the same headers raw."""
        found: list[Pair] = [(f"scope_variable_{name}", value) for name, value in self.scope.items()]
        found += [(f"variable_{name}", value) for name, value in self.variables.items()]
        return found

    def cool(self) -> None:
        """Forget everything rendered: nothing is going to happen for a while, and there may be thousands of us."""
        self._basic = self._other_text = self._variables_text = None
        self._lines = {}
        if self.profile is not None:
            self.profile.touch()
