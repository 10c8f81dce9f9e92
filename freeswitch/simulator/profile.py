"""A caller profile: the ``Caller-*`` and ``Other-Leg-*`` headers of a channel, rendered once per change.

Order and conditions are those of ``switch_caller_profile_event_set_data``. A transfer clones the profile
with the next index; a bridge copies the other leg's profile as it is at that moment.
"""

from freeswitch.simulator.wire import Pair, encode

_FIELDS = (
    ("Username", "username"),
    ("Dialplan", "dialplan"),
    ("Caller-ID-Name", "caller_id_name"),
    ("Caller-ID-Number", "caller_id_number"),
    ("Orig-Caller-ID-Name", "orig_caller_id_name"),
    ("Orig-Caller-ID-Number", "orig_caller_id_number"),
    ("Callee-ID-Name", "callee_id_name"),
    ("Callee-ID-Number", "callee_id_number"),
    ("Network-Addr", "network_addr"),
    ("ANI", "ani"),
    ("ANI-II", "aniii"),
    ("Destination-Number", "destination"),
    ("Unique-ID", "uuid"),
    ("Source", "source"),
    ("Transfer-Source", "transfer_source"),
    ("Context", "context"),
    ("RDNIS", "rdnis"),
    ("Channel-Name", "channel_name"),
    ("Profile-Index", "index"),
)
TIMES = (
    ("Profile-Created-Time", "profile_created"),
    ("Channel-Created-Time", "created"),
    ("Channel-Answered-Time", "answered"),
    ("Channel-Progress-Time", "progress"),
    ("Channel-Progress-Media-Time", "progress_media"),
    ("Channel-Hangup-Time", "hungup"),
    ("Channel-Transfer-Time", "transferred"),
    ("Channel-Resurrect-Time", "resurrected"),
    ("Channel-Bridged-Time", "bridged"),
    ("Channel-Last-Hold", "last_hold"),
    ("Channel-Hold-Accum", "hold_accum"),
)
_TAIL = (("Screen-Bit", "true"), ("Privacy-Hide-Name", "false"), ("Privacy-Hide-Number", "false"))
_COPIED = tuple(field for _, field in _FIELDS) + tuple(field for _, field in TIMES)


PROFILE_NAMES = {
    **{field: field for field in (
        "dialplan", "username", "caller_id_name", "caller_id_number", "orig_caller_id_name",
        "orig_caller_id_number", "callee_id_name", "callee_id_number", "ani", "aniii", "network_addr", "rdnis",
        "uuid", "source", "transfer_source", "context",
    )},
    "destination_number": "destination", "chan_name": "channel_name", "profile_index": "index",
    "profile_created_time": "profile_created", "created_time": "created", "answered_time": "answered",
    "progress_time": "progress", "progress_media_time": "progress_media", "hungup_time": "hungup",
    "transferred_time": "transferred",
}  # fmt: skip
"""Names by which expansions and ``uuid_getvar`` reach fields of the profile (switch_caller_get_field_by_name)."""


class Profile:
    """One profile. Change it through `set` and `stamp`, so that the rendered text is thrown away."""

    __slots__ = (
        "_text",
        "ani",
        "aniii",
        "answered",
        "bridged",
        "callee_id_name",
        "callee_id_number",
        "caller_id_name",
        "caller_id_number",
        "channel_name",
        "context",
        "created",
        "destination",
        "dialplan",
        "direction",
        "hold_accum",
        "hungup",
        "index",
        "last_hold",
        "logical_direction",
        "network_addr",
        "orig_caller_id_name",
        "orig_caller_id_number",
        "profile_created",
        "progress",
        "progress_media",
        "rdnis",
        "resurrected",
        "source",
        "transfer_source",
        "transferred",
        "username",
        "uuid",
    )

    direction: str
    logical_direction: str
    username: str
    dialplan: str
    caller_id_name: str
    caller_id_number: str
    orig_caller_id_name: str
    orig_caller_id_number: str
    callee_id_name: str
    callee_id_number: str
    network_addr: str
    ani: str
    aniii: str
    destination: str
    uuid: str
    source: str
    transfer_source: str
    context: str
    rdnis: str
    channel_name: str
    index: str
    profile_created: int
    created: int
    answered: int
    progress: int
    progress_media: int
    hungup: int
    transferred: int
    resurrected: int
    bridged: int
    last_hold: int
    hold_accum: int

    def __init__(self, *, direction: str, uuid: str, created_us: int, **fields: str) -> None:
        self._text: str | None = None
        for _, field in _FIELDS:
            setattr(self, field, fields.get(field, ""))
        for _, field in TIMES:
            setattr(self, field, 0)
        self.direction = direction
        self.logical_direction = fields.get("logical_direction", direction)
        self.uuid = uuid
        self.index = "1"
        self.profile_created = self.created = created_us

    def clone(self) -> "Profile":
        """Return a copy that changes on its own."""
        copy = Profile.__new__(Profile)
        copy._text = self._text
        copy.direction = self.direction
        copy.logical_direction = self.logical_direction
        for field in _COPIED:
            setattr(copy, field, getattr(self, field))
        return copy

    def set(self, **fields: str) -> None:
        """Change texts."""
        self._text = None
        for field, value in fields.items():
            setattr(self, field, value)

    def stamp(self, field: str, at_us: int) -> None:
        """Set one of the times (microseconds since the epoch)."""
        self._text = None
        setattr(self, field, at_us)

    def touch(self) -> None:
        """Forget the rendered text."""
        self._text = None

    def forget_times(self) -> None:
        """Zero every time: what the copy of an originator's profile shows on the leg it called."""
        self._text = None
        for _, field in TIMES:
            setattr(self, field, 0)

    def pairs(self, prefix: str) -> list[Pair]:
        """Return the headers with raw values, for json, xml and filters."""
        found: list[Pair] = [
            (f"{prefix}-Direction", self.direction),
            (f"{prefix}-Logical-Direction", self.logical_direction),
        ]
        for name, field in _FIELDS:
            if value := getattr(self, field):
                found.append((f"{prefix}-{name}", value))
        found += [(f"{prefix}-{name}", str(getattr(self, field))) for name, field in TIMES]
        found += [(f"{prefix}-{name}", value) for name, value in _TAIL]
        return found

    def text(self) -> str:
        """Return the coded headers with the prefix ``Caller``; kept until something changes."""
        if self._text is None:
            self._text = self._render()
        return self._text

    def _render(self) -> str:
        lines = [f"Caller-Direction: {self.direction}\nCaller-Logical-Direction: {self.logical_direction}\n"]
        for name, field in _FIELDS:
            if value := getattr(self, field):
                lines.append(f"Caller-{name}: {encode(value)}\n")
        lines.append(
            f"Caller-Profile-Created-Time: {self.profile_created}\n"
            f"Caller-Channel-Created-Time: {self.created}\n"
            f"Caller-Channel-Answered-Time: {self.answered}\n"
            f"Caller-Channel-Progress-Time: {self.progress}\n"
            f"Caller-Channel-Progress-Media-Time: {self.progress_media}\n"
            f"Caller-Channel-Hangup-Time: {self.hungup}\n"
            f"Caller-Channel-Transfer-Time: {self.transferred}\n"
            f"Caller-Channel-Resurrect-Time: {self.resurrected}\n"
            f"Caller-Channel-Bridged-Time: {self.bridged}\n"
            f"Caller-Channel-Last-Hold: {self.last_hold}\n"
            f"Caller-Channel-Hold-Accum: {self.hold_accum}\n"
            "Caller-Screen-Bit: true\nCaller-Privacy-Hide-Name: false\nCaller-Privacy-Hide-Number: false\n"
        )
        return "".join(lines)

    def other_text(self) -> str:
        """Return the coded headers with the prefix ``Other-Leg``."""
        # Every line starts with the prefix, and no value holds a line end once coded.
        return "Other-Leg" + self.text().removeprefix("Caller").replace("\nCaller-", "\nOther-Leg-")
