"""What a connection wants to hear: event types, CUSTOM subclasses and filters, with FreeSWITCH's rules. Pure."""

import re
from collections.abc import Callable

from freeswitch.words import EVENT_NAMES

MYEVENTS = frozenset(
    [
        "CHANNEL_ANSWER",
        "CHANNEL_APPLICATION",
        "CHANNEL_BRIDGE",
        "CHANNEL_CREATE",
        "CHANNEL_DATA",
        "CHANNEL_DESTROY",
        "CHANNEL_EXECUTE",
        "CHANNEL_EXECUTE_COMPLETE",
        "CHANNEL_HANGUP",
        "CHANNEL_HANGUP_COMPLETE",
        "CHANNEL_ORIGINATE",
        "CHANNEL_UUID",
        "CHANNEL_OUTGOING",
        "CHANNEL_PARK",
        "CHANNEL_PROGRESS",
        "CHANNEL_PROGRESS_MEDIA",
        "CHANNEL_STATE",
        "CHANNEL_UNBRIDGE",
        "CHANNEL_UNPARK",
        "DETECTED_SPEECH",
        "DTMF",
        "NOTALK",
        "TALK",
    ]
)
"""What ``myevents`` subscribes to: CHANNEL_CALLSTATE, CODEC and the playback events are not among them."""

KNOWN_SUBCLASSES = frozenset(
    [
        "conference::maintenance",
        "conference::cdr",
        "sofia::register",
        "sofia::pre_register",
        "sofia::register_attempt",
        "sofia::register_failure",
        "sofia::unregister",
        "sofia::expire",
        "sofia::gateway_state",
        "sofia::gateway_add",
        "sofia::gateway_delete",
        "sofia::sip_user_state",
        "sofia::notify_refer",
        "sofia::reinvite",
        "sofia::recovery_recv",
        "sofia::recovery_send",
        "sofia::recovery_recovered",
        "sofia::error",
        "sofia::profile_start",
        "sofia::transferor",
        "sofia::transferee",
        "sofia::replaced",
        "sofia::intercepted",
        "sofia::wrong_call_state",
        "callcenter::info",
        "loopback::bowout",
        "loopback::direct",
    ]
)
"""Subclasses reserved at start: those that ``nixevent`` after ``event ALL`` leaves subscribed."""

# CERT_RELOAD is newer than the release that is simulated.
_TYPES = EVENT_NAMES - {"CERT_RELOAD"}


def event_type(word: str) -> str | None:
    """Return the event type that ``word`` names (any case, also ``SWITCH_EVENT_...``), or None."""
    name = word.upper().removeprefix("SWITCH_EVENT_")
    return name if name == "ALL" or name in _TYPES else None


class Interest:
    """The subscriptions of one connection."""

    def __init__(self) -> None:
        self.form = "plain"
        self.enabled = False
        self.every = False
        """The catch-all of ``event ALL``: every type, and CUSTOM whatever its subclass."""
        self.types: set[str] = set()
        self.subclasses: set[str] = set()
        self.allowed_types: set[str] | None = None
        self.allowed_subclasses: set[str] | None = None

    def takes(self, kind: str) -> bool:
        """Say whether events of ``kind`` (a type, or ``CUSTOM:subclass``) are wanted."""
        if not self.enabled:
            return False
        if self.every:
            return True
        if kind.startswith("CUSTOM:"):
            return "CUSTOM" in self.types and kind[7:] in self.subclasses
        return kind in self.types

    def subscribe(self, words: list[str]) -> str:
        """Do ``event`` with the words after it; returns the reply."""
        named = 0
        custom = False
        for place, word in enumerate(words):
            if place == 0 and word.lower() in ("plain", "json", "xml"):
                self.form = word.lower()
            elif custom:
                if self.allowed_subclasses is not None and word not in self.allowed_subclasses:
                    return "-ERR permission denied"
                self.subclasses.add(word)
            elif (kind := event_type(word)) is not None:
                allowed = self.allowed_types
                if allowed is not None and kind not in allowed and "ALL" not in allowed:
                    return "-ERR permission denied"
                named += 1
                self._add(kind)
                custom = custom or kind == "CUSTOM"
        if not named:
            return "-ERR no keywords supplied"
        self.enabled = True
        return f"+OK event listener enabled {self.form}"

    def _add(self, kind: str) -> None:
        if kind == "ALL":
            self.every = True
            self.types |= _TYPES
            reserved = KNOWN_SUBCLASSES if self.allowed_subclasses is None else self.allowed_subclasses
            self.subclasses |= reserved
        else:
            self.types.add(kind)

    def drop(self, words: list[str]) -> str:
        """Do ``nixevent`` with the words after it; returns the reply."""
        named = 0
        custom = False
        for word in words:
            if custom:
                self.subclasses.discard(word)
            elif (kind := event_type(word)) is not None:
                named += 1
                if kind == "CUSTOM":
                    custom = True
                elif kind == "ALL":
                    self.every = False
                    self.types.clear()
                else:
                    self.every = False
                    self.types.discard(kind)
        if not named:
            return "-ERR no keywords supplied"
        self.enabled = True
        return "+OK events nixed"

    def clear(self) -> str:
        """Do ``noevents``; returns the reply."""
        if not self.enabled:
            return "-ERR not listening for events"
        self.enabled = self.every = False
        self.types.clear()
        self.subclasses.clear()
        return "+OK no longer listening for events"

    def only_mine(self) -> None:
        """Subscribe to what ``myevents`` delivers."""
        self.types |= MYEVENTS
        self.enabled = True


class Filters:
    """The filters of one connection, in the order they were added."""

    def __init__(self) -> None:
        self._rules: list[tuple[str, str]] = []

    def __bool__(self) -> bool:
        return bool(self._rules)

    def command(self, text: str) -> str:
        """Do ``filter`` with what follows it; returns the reply."""
        name, space, rest = text.lstrip(" ").partition(" ")
        if name.lower() == "delete" and space:
            name, _, value = rest.partition(" ")
            if name.lower() == "all":
                self._rules.clear()
            else:
                wanted = name.lower()
                self._rules = [
                    (n, v)
                    for n, v in self._rules
                    if n.lower() != wanted or (value and v.lower() != value.lower())
                ]
            return f"+OK filter deleted. [{name}][{value}]"
        if not space:
            return "-ERR invalid syntax"
        if name.lower() == "add":
            name, space, rest = rest.partition(" ")
            if not space:
                return f"+OK filter added. [{name}]=[(null)]"
        self._rules.append((name, rest))
        return f"+OK filter added. [{name}]=[{rest}]"

    def pass_event(self, header: Callable[[str], str | None]) -> bool:
        """Say whether an event passes: with any filter the default is no, a negative match is final."""
        passed = False
        for name, wanted in self._rules:
            value = header(name)
            if value is None:
                continue
            positive, literal = _sign(wanted)
            if passed and positive:
                continue
            if _matches(wanted, literal, value):
                if not positive:
                    return False
                passed = True
        return passed


def _sign(wanted: str) -> tuple[bool, str]:
    positive = True
    n = 0
    while n < len(wanted) and wanted[n] in "+- ":
        if wanted[n] == "+":
            positive = True
        elif wanted[n] == "-":
            positive = False
        n += 1
    return positive, wanted[n:]


def _matches(wanted: str, literal: str, value: str) -> bool:
    # Only a slash in front of everything makes a regular expression: "-/x/" is compared as it stands.
    if not wanted.startswith("/"):
        return value.lower() == literal.lower()
    pattern, _, flags = wanted[1:].rpartition("/")
    if not pattern:
        return False
    try:
        return re.search(pattern, value, re.IGNORECASE if "i" in flags else 0) is not None
    except re.error:
        return False
