"""One channel: its states, variables and profiles, and how they look in an event.

``running`` is the state the channel's thread is in and ``state`` the one it was told to go to; events show
both (``Channel-State`` and ``Channel-State-Number``), which is why they disagree in the middle of a change.
Variables keep FreeSWITCH's order: setting one again moves it to the end.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from freeswitch.simulator import origins as at
from freeswitch.simulator.headers import Headers
from freeswitch.simulator.origins import Origin
from freeswitch.simulator.profile import PROFILE_NAMES, Profile
from freeswitch.simulator.timing import Running, Thread
from freeswitch.simulator.wire import Pair, Value
from freeswitch.words import CALL_STATES

if TYPE_CHECKING:
    from freeswitch.simulator.conference import Member
    from freeswitch.simulator.message import Message
    from freeswitch.simulator.recording import Recording
    from freeswitch.simulator.sip_legs import SipLeg
    from freeswitch.simulator.sound import Sound
    from freeswitch.simulator.switch import Switch

NEW, INIT, ROUTING, SOFT_EXECUTE, EXECUTE, EXCHANGE_MEDIA = range(6)
PARK, CONSUME_MEDIA, HIBERNATE, RESET, HANGUP, REPORTING, DESTROY, NONE = range(6, 14)
DOWN, DIALING, RINGING, EARLY, ACTIVE, HELD, RING_WAIT, HUNG_UP, UNHELD = range(9)

_IN_BASIC_HEADERS = frozenset(["call_uuid", "presence_id"])
_HOOKS = ("execute_on_", "api_on_")
MESSAGES_LIMIT = 256
"""Private events (sendmsg) waiting for one channel; more answer ``-ERR memory error``."""


class Channel(Headers):
    """One leg. What it does is in `lifecycle` and the applications; this is what it is."""

    __slots__ = (
        "app_log", "application", "application_data", "bridge_uuid", "broken", "bugs", "conference",
        "created_us", "digits_dialed", "diverted", "driver", "dtmf", "errand", "extension", "held",
        "hold_spans", "holders", "inbox", "initial", "leg", "locked", "muted", "parked", "partner", "pitch",
        "plan", "playing", "recordings", "rejoin", "rung", "script", "session_id", "stopping", "switch", "thread",
        "transferred", "waiters",
    )  # fmt: skip

    def __init__(self, switch: "Switch", uuid: str, name: str, direction: str) -> None:
        super().__init__(uuid, name, direction)
        self.switch = switch
        self.session_id = 0
        self.created_us = switch.clock.now_us()
        self.rung = False
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
        self.plan: list[tuple[str, str | None]] = []
        """Everything its extension had to execute, done or not: what a recovery would run again."""
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
        self.leg: SipLeg | None = None
        """The far end is no simulated person but a SIP dialog, with sound."""
        self.playing: Sound | None = None
        """What is played to the far end; only where sound is simulated."""
        self.pitch = 0
        """Of the voice of the simulated person, in Hz; 0: the one that follows from the uuid."""
        self.initial = ("", "", "")
        """Destination, dialplan and context the leg first came with (`show` keeps them)."""

    # -- variables -----------------------------------------------------------------------------------

    def set(self, name: str, value: Value | None) -> None:
        """Set a variable (and move it to the end); None or nothing removes it."""
        self._variables_text = None
        variables = self.variables
        if name in variables:
            del variables[name]
            self._lines.pop(name, None)
        if value:
            variables[name] = value
        if name in _IN_BASIC_HEADERS:
            self._basic = None
        elif name.startswith(_HOOKS):
            self.flags.add("hooked")

    def set_many(self, pairs: Mapping[str, str]) -> None:
        """Set several variables, in order; none of them empty."""
        self._variables_text = self._basic = None
        variables, lines = self.variables, self._lines
        for name, value in pairs.items():
            if name in variables:
                del variables[name]
                lines.pop(name, None)
            variables[name] = value
            if name.startswith(_HOOKS):
                self.flags.add("hooked")

    def set_first(self, variables: dict[str, Value], lines: dict[str, str]) -> None:
        """Give a new channel its first variables, and those of their lines that are ready."""
        self.variables, self._lines, self._variables_text = variables, lines, None

    def get(self, name: str) -> str | None:
        """Return a variable as text (an array in its ARRAY form), or None."""
        value = self.variables.get(name)
        if value is None or isinstance(value, str):
            return value
        return "ARRAY::" + "|:".join(value)

    def look_up(self, name: str) -> str | None:
        """Return what ``name`` means to FreeSWITCH: a variable (any case), a field of the caller profile, a global."""
        value = self.get(name)
        if value is not None:
            return value
        wanted = name.lower()
        for have in self.variables:
            if have.lower() == wanted:
                return self.get(have)
        field = PROFILE_NAMES.get(wanted)
        if field is not None and self.profile is not None and (text := str(getattr(self.profile, field))):
            return text
        return self.switch.globals.get(name)

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
            pass_hangup(self, partner)
            first = "bridge-originator" in self.flags
            self.set("last_bridge_role", "originator" if first else "originatee")
        self.fire(at.CHANNEL_HANGUP)
        if self.leg is not None:
            self.leg.hang_up(cause)
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
        body: str | None = None,
    ) -> None:
        """Fire an event about this channel."""
        if not self.stopping:
            self.switch.desk.fire(origin, self, front=front, before=before, after=after, body=body)


_PHRASES = {"sip:200": "OK", "sip:487": "Request Terminated"}


def pass_hangup(leg: Channel, mate: Channel) -> None:
    """Tell the other leg of a bridge, made or attempted, how ``leg`` ended."""
    for name in ("sip_invite_failure_status", "sip_invite_failure_phrase"):
        if (value := leg.get(name)) is not None and leg.direction == "outbound":
            mate.set(name, value)
    cause = leg.get("proto_specific_hangup_cause")
    phrase = _PHRASES.get(cause or "") or leg.get("sip_invite_failure_phrase")
    if phrase is not None:
        mate.set("sip_hangup_phrase", phrase)
    mate.set("last_bridge_hangup_cause", leg.hangup_cause)
    if cause is not None:
        mate.set("last_bridge_proto_specific_hangup_cause", cause)


def is_true(value: str | None) -> bool:
    """Say whether FreeSWITCH takes ``value`` for true (switch_true)."""
    if not value:
        return False
    lowered = value.lower()
    if lowered in ("yes", "on", "true", "t", "enabled", "active", "allow"):
        return True
    return lowered.lstrip("-").isdigit() and int(lowered) != 0
