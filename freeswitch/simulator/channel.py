"""One channel: its states, variables and profiles, and how they look in an event.

``running`` is the state the channel's thread is in and ``state`` the one it was told to go to; events show
both (``Channel-State`` and ``Channel-State-Number``), which is why they disagree in the middle of a change.
Variables keep FreeSWITCH's order: setting one again moves it to the end.
"""

from collections import deque
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from freeswitch.simulator import origins as at
from freeswitch.simulator.origins import Origin
from freeswitch.simulator.profile import Profile
from freeswitch.simulator.timing import Running, Thread
from freeswitch.simulator.wire import Pair, Value, encode, plain_line, plain_lines
from freeswitch.words import CALL_STATES, CHANNEL_STATES

if TYPE_CHECKING:
    from freeswitch.simulator.conference import Member
    from freeswitch.simulator.message import Message
    from freeswitch.simulator.recording import Recording
    from freeswitch.simulator.switch import Switch

NEW, INIT, ROUTING, SOFT_EXECUTE, EXECUTE, EXCHANGE_MEDIA = range(6)
PARK, CONSUME_MEDIA, HIBERNATE, RESET, HANGUP, REPORTING, DESTROY, NONE = range(6, 14)
DOWN, DIALING, RINGING, EARLY, ACTIVE, HELD, RING_WAIT, HUNG_UP, UNHELD = range(9)

Variable = tuple[Value, str]
"""A value and its line in event-plain."""

BIT_RATES = {"PCMU": "64000", "L16": "128000"}


def _codec_pairs(codec: str, sides: str) -> list[Pair]:
    found: list[Pair] = []
    for side in ("Read", "Write")[: len(sides)]:
        found += [
            (f"Channel-{side}-Codec-Name", codec),
            (f"Channel-{side}-Codec-Rate", "8000"),
            (f"Channel-{side}-Codec-Bit-Rate", BIT_RATES[codec]),
        ]
    return found


_CODEC_TEXT = {
    (codec, sides): plain_lines(_codec_pairs(codec, sides)) for codec in BIT_RATES for sides in ("r", "rw")
}
MESSAGES_LIMIT = 256
"""Private events (sendmsg) waiting for one channel; more answer ``-ERR memory error``."""


class Channel:
    """One leg. What it does is in `lifecycle` and the applications; this is what it is."""

    __slots__ = (
        "_basic", "_other_text", "_variables_text", "answered", "app_log", "application", "application_data",
        "bridge_uuid", "broken", "bugs", "call_state", "codec", "codec_sides", "conference", "created_us",
        "digits_dialed", "direction", "diverted", "driver", "dtmf", "early", "errand", "extension", "flags", "hangup_cause",
        "held", "hold_spans", "holders", "inbox", "initial", "locked", "muted", "name", "other_type", "parked", "partner",
        "profile", "profile_other", "recordings", "rejoin", "rung", "running", "scope", "script", "session_id",
        "state", "stopping", "switch", "thread", "transferred", "uuid", "variables", "waiters",
    )  # fmt: skip

    def __init__(self, switch: "Switch", uuid: str, name: str, direction: str) -> None:
        self.switch = switch
        self.uuid = uuid
        self.name = name
        self.direction = direction
        self.session_id = 0
        self.running = NONE
        self.state = NEW
        self.call_state = DOWN
        self.created_us = switch.clock.now_us()
        self.profile: Profile | None = None
        self.profile_other: Profile | None = None
        self.other_type = ""
        self._other_text: str | None = None
        self._variables_text: str | None = None
        self._basic: str | None = None
        self.variables: dict[str, Variable] = {}
        self.scope: dict[str, str] = {}
        self.codec = ""
        """PCMU for SIP legs, L16 for loopback ones, empty before media is agreed."""
        self.codec_sides = "rw"
        self.rung = False
        self.early = False
        self.answered = False
        self.hangup_cause = ""
        self.flags: set[str] = set()
        self.parked = False
        self.held = False
        self.hold_spans: list[list[int]] = []
        self.muted: set[str] = set()
        self.diverted = False
        self.holders: set[Any] = set()
        """Connections that keep the session from being destroyed."""
        self.transferred = False
        """Leave what is being executed: a transfer or reset waits."""
        self.broken = False
        """``uuid_break``: leave the current playback."""
        self.stopping = False
        """The machine goes away: no more events."""
        self.thread: Running | None = None
        self.inbox: deque[Message] = deque()
        self.locked = False
        """A message with event-lock is being executed: the next ones wait."""
        self.digits_dialed = ""
        self.dtmf: deque[tuple[str, int, str]] = deque()
        self.waiters: list[Running] = []
        """Threads that want to know when something about this channel changes."""
        self.extension: deque[tuple[str, str | None]] = deque()
        self.errand: Thread | None = None
        """What the thread does first in the next state without applications (a bridge, for example)."""
        self.rejoin: Thread | None = None
        """What the thread does in CS_RESET on its way into a bridge (`joining`)."""
        self.application = ""
        self.application_data = ""
        self.app_log: tuple[str, str | None] | None = None
        self.partner: Channel | None = None
        self.bridge_uuid = ""
        self.bugs: dict[str, str] = {}
        """Media bugs besides recordings: their function and target."""
        self.recordings: dict[str, Recording] = {}
        self.conference: Member | None = None
        self.script: Any = None
        self.driver: Running | None = None
        """The simulated person at the far end."""
        self.initial = ("", "", "")
        """Destination, dialplan and context the leg first came with (`show` keeps them)."""

    # -- variables -----------------------------------------------------------------------------------

    def set(self, name: str, value: Value | None) -> None:
        """Set a variable (and move it to the end); None or nothing removes it."""
        self._variables_text = None
        variables = self.variables
        variables.pop(name, None)
        if value:
            variables[name] = (value, plain_line(f"variable_{name}", value))
            if name in ("call_uuid", "presence_id"):
                self._basic = None
        elif name in ("call_uuid", "presence_id"):
            self._basic = None

    def set_many(self, pairs: dict[str, str]) -> None:
        """Set several variables, in order."""
        for name, value in pairs.items():
            self.set(name, value)

    def get(self, name: str) -> str | None:
        """Return a variable as text (an array in its ARRAY form), or None."""
        found = self.variables.get(name)
        if found is None:
            return None
        value = found[0]
        return value if isinstance(value, str) else "ARRAY::" + "|:".join(value)

    def true(self, name: str) -> bool:
        """Say whether a variable reads as yes, in FreeSWITCH's sense (switch_true)."""
        return is_true(self.get(name))

    # -- states --------------------------------------------------------------------------------------

    @property
    def down(self) -> bool:
        """Hung up, whether or not the thread has noticed."""
        return self.state >= HANGUP

    @property
    def ready(self) -> bool:
        """What an application may go on with: not hung up and not to be transferred."""
        return self.state < HANGUP and not self.transferred

    def profile_dialplan(self) -> str:
        """Return the dialplan the profile names: a leg we call has none until it is sent somewhere."""
        if self.profile is None or (self.profile_other is not None and self.other_type == "originator"):
            return self.profile.dialplan if self.profile is not None and self.answered else ""
        return self.profile.dialplan if self.answered or self.early or self.direction == "inbound" else ""

    def enter(self, state: int) -> None:
        """Run in ``state`` and say so (CHANNEL_STATE)."""
        self.running = state
        self._basic = None
        if self.direction == "inbound" and state < HANGUP:
            # switch_channel_perform_set_running_state: an inbound leg rings again on its way to the dialplan.
            if state == ROUTING:
                self.set_call_state(RINGING)
            elif self.answered:
                self.set_call_state(ACTIVE)
            elif self.early:
                self.set_call_state(EARLY)
        self.fire(at.CHANNEL_STATE)

    def aim(self, state: int) -> None:
        """Tell the channel's thread to go to ``state``."""
        if self.state < HANGUP:
            self.state = state
            self._basic = None

    def set_call_state(self, call_state: int) -> None:
        """Change the call state and say so (CHANNEL_CALLSTATE)."""
        before = self.call_state
        if before == call_state or before == HUNG_UP:
            return
        self.call_state = call_state
        self._basic = None
        self.fire(
            at.CHANNEL_CALLSTATE,
            before=(
                ("Original-Channel-Call-State", CALL_STATES[before]),
                ("Channel-Call-State-Number", str(call_state)),
            ),
        )

    def hang_up(self, cause: str = "NORMAL_CLEARING") -> None:
        """Hang up: CHANNEL_HANGUP now, the rest when the channel's thread gets there. Once only."""
        if self.state >= HANGUP:
            return
        self.hangup_cause = cause
        self.state = HANGUP
        self._basic = None
        partner = self.partner
        if partner is not None:
            partner.set("last_bridge_hangup_cause", cause)
            if (sip_cause := self.get("proto_specific_hangup_cause")) is not None:
                partner.set("last_bridge_proto_specific_hangup_cause", sip_cause)
            first = "bridge-originator" in self.flags
            self.set("last_bridge_role", "originator" if first else "originatee")
        self.fire(at.CHANNEL_HANGUP)
        if partner is not None:
            partner.wake()
        if self.driver is not None:
            self.driver.wake()
        for holder in self.holders:
            holder.session_changed()
        self.wake()

    def touch(self) -> None:
        """Forget rendered texts after a plain attribute has changed."""
        self._basic = None

    def show_other(self, profile: Profile | None, kind: str) -> None:
        """Set the profile shown as ``Other-Leg-*``: ``originator`` or ``originatee``."""
        self.profile_other = profile
        self.other_type = kind if profile is not None else ""
        self._other_text = None

    def other_changed(self) -> None:
        """Forget the rendered other leg after its profile has changed."""
        self._other_text = None

    def wake(self) -> None:
        """Let the channel's thread and whoever waits for the channel look again, within a media frame."""
        switch = self.switch
        if self.thread is not None:
            self.thread.wake(switch.frame_delay())
        if self.waiters:
            for waiter in self.waiters:
                waiter.wake(switch.frame_delay())

    # -- events --------------------------------------------------------------------------------------

    def fire(
        self,
        origin: Origin,
        *,
        front: Sequence[Pair] = (),
        before: Sequence[Pair] = (),
        after: Sequence[Pair] = (),
    ) -> None:
        """Fire an event about this channel."""
        if not self.stopping:
            self.switch.desk.fire(origin, self, front=front, before=before, after=after)

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
                + (_CODEC_TEXT[self.codec, self.codec_sides] if self.codec else "")
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
        if self.codec:
            found += _codec_pairs(self.codec, self.codec_sides)
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
            text = self._variables_text = "".join([line for _, line in self.variables.values()])
        if self.scope:
            return "".join([plain_line(f"scope_variable_{n}", v) for n, v in self.scope.items()]) + text
        return text

    def variables_pairs(self) -> list[Pair]:
        """Return the same headers raw."""
        found: list[Pair] = [(f"scope_variable_{name}", value) for name, value in self.scope.items()]
        found += [(f"variable_{name}", value) for name, (value, _) in self.variables.items()]
        return found


def is_true(value: str | None) -> bool:
    """Say whether FreeSWITCH takes ``value`` for true (switch_true)."""
    if not value:
        return False
    lowered = value.lower()
    if lowered in ("yes", "on", "true", "t", "enabled", "active", "allow"):
        return True
    return lowered.lstrip("-").isdigit() and int(lowered) != 0
