"""What is known of a call and of its legs: the plain values everything else reads.

These records are frozen: a change makes a new one, so whoever holds one holds a moment of the call that
nobody alters. The same types are the stored form (``calls.doc``), the payload of the numbered log and the
body that ``GET /v1/calls/{id}`` answers.

Every time is microseconds since the epoch, from the switch's own clock, and 0 where the moment never came.
"""

from msgspec import Struct

LEG_STATES = ("new", "ringing", "early", "answered", "ended")
CALL_STATES = ("new", "ringing", "answered", "bridged", "held", "ended")


class Recording(Struct, frozen=True):
    """One file that a leg's sound was written to."""

    leg: str
    path: str
    started_us: int = 0
    stopped_us: int = 0
    samples: int = 0
    size: int = 0
    cause: str = ""
    conference: str = ""
    """Set when it is the sound of a conference: kept with one of its members, and ``leg`` is empty."""


class Leg(Struct, frozen=True, omit_defaults=True):
    """One channel of a switch. ``uuid`` is the channel's; it stays when a standby switch recovers the call."""

    uuid: str
    direction: str
    """``inbound`` towards the switch, ``outbound`` from it."""
    state: str = "new"
    channel_name: str = ""
    caller: str = ""
    caller_name: str = ""
    destination: str = ""
    created_us: int = 0
    progress_us: int = 0
    progress_media_us: int = 0
    answered_us: int = 0
    bridged_us: int = 0
    hangup_us: int = 0
    hold_us: int = 0
    """How long it was on hold, all together."""
    held_since_us: int = 0
    muted: bool = False
    parked: bool = False
    bridged_to: str = ""
    """The leg that this one hears now."""
    other_leg: str = ""
    """The leg that it was made for, or was last bridged to."""
    conference: str = ""
    conference_id: str = ""
    """The switch's id of the meeting: one name may be used again and again."""
    conference_member: str = ""
    hangup_cause: str = ""
    hangup_q850: int = 0
    sip_status: int = 0
    """The final SIP status as the far side gave it (``sip_term_status``)."""
    sip_disposition: str = ""
    """Who ended it and how, in SIP's terms (``sip_hangup_disposition``): ``recv_bye``, ``send_bye`` ..."""
    sip_call_id: str = ""
    disposition: str = ""
    """``endpoint_disposition``: ANSWER, EARLY MEDIA ..."""
    billsec: int = 0
    """Seconds, as FreeSWITCH counts them."""
    duration: int = 0
    codec: str = ""
    trunk: str = ""
    """Profile or gateway, from the channel's name: ``carrier``, ``inside`` ..."""
    agent: str = ""
    """The agent (``agt_…``) whose browser it leads to."""
    digits: int = 0
    """How many keys were pressed. Which ones is nobody's business here."""
    recordings: tuple[Recording, ...] = ()
    recovered: bool = False
    recovered_us: int = 0
    """When a standby switch last took it over."""
    transfer: str = ""
    """The switch's id of its latest transfer, so that the same one is told once."""
    marks: tuple[int, ...] = ()
    """The switch's event number of the newest bridge, hold, park, key, playback and conference fact that this
    record knows (in that order): events that are read again, by an heir for one, change nothing twice."""
    inferred: bool = False
    """The switch's own summary of it never came: its end, or its last numbers, are concluded."""


class Call(Struct, frozen=True, omit_defaults=True):
    """A conversation between legs: what a person calls a call."""

    id: str
    tenant_id: str
    node: str
    direction: str = "inbound"
    """The direction of its first leg."""
    state: str = "new"
    caller: str = ""
    caller_name: str = ""
    destination: str = ""
    created_us: int = 0
    ringing_us: int = 0
    answered_us: int = 0
    ended_us: int = 0
    hangup_cause: str = ""
    legs: tuple[Leg, ...] = ()
    conference: str = ""
    merged_into: str = ""
    """Set when this call became part of another one (a transfer with consultation, a conference)."""
    inferred: bool = False
    in_doubt: bool = False
    """Its switch is out of reach: the last state we know is shown, and may be old."""
    request_id: str = ""
    surprises: int = 0
    version: int = 0
    """Grows by one with each change: the ETag."""

    @property
    def live(self) -> bool:
        return self.state != "ended"


class Change(Struct, frozen=True):
    """One thing that happened, and the call as it was right after: one entry of the numbered log."""

    type: str
    """``call.created``, ``call.answered`` ... (``core/model/README.md`` lists them)."""
    call: Call
    occurred_us: int
    data: dict[str, str | int | bool] = {}
    """What the call's record does not say by itself: the leg it is about, the key pressed, the cause."""
