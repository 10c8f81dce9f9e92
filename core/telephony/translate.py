"""FreeSWITCH's events in our words: the one place of core where its header names are read.

This is the hot path: a busy switch sends thousands of events a second, and two of three say nothing about a call's
life (states of its machine, codecs, applications). So the name decides first, and only what a fact needs is read.
Names and meanings: `facts` of switch_channel.c (the channel block), switch_caller.c (the profile), switch_ivr*.c
(bridge, park, hold, record), mod_conference and mod_loopback, FreeSWITCH 1.10.12.
"""

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from core.model import facts
from core.model.facts import Channel, Fact
from core.telephony.block import NONE, Known, number, read_block, single, stamp, trunk_of
from freeswitch.event import Event
from freeswitch.quoting import unquote_value

_PLAIN_SOUND = ("/", "tone_stream://", "silence_stream://", "local_stream://", "file_string://")
"""Sounds whose name is shown. Others may hold what is being said (``say:``, ``phrase:``)."""

_Reader = Callable[[Event, Known | None], Fact | None]


def translate(event: Event, known: Known | None = None) -> Fact | None:
    """The fact that an event tells, None for events that say nothing about calls. Never raises.

    ``known`` is the switchboard that the fact is for: what it knows already is not read again, which halves the
    work. A fact made for one board is for no other.
    """
    raw = event.raw
    if raw.startswith(b"Event-Name: "):
        reader = _BY_NAME_LINE.get(raw[12 : raw.find(b"\n", 12)])
    else:
        reader = _READERS.get(event.name)
    return None if reader is None else reader(event, known)


def channel_of_row(row: Mapping[str, str]) -> Channel:
    """A channel as a line of ``show channels as json`` shows it: no times but its creation, and no variables.

    ``created_epoch`` is in seconds, so two listings and an event of one channel disagree in the fraction.
    """
    name = row.get("name", NONE)
    return Channel(
        uuid=row.get("uuid", NONE),
        direction=row.get("direction", NONE),
        channel_name=name,
        caller=row.get("cid_num", NONE),
        caller_name=row.get("cid_name", NONE),
        destination=row.get("dest", NONE),
        state=_ROW_STATES.get(row.get("callstate", NONE), NONE),
        created_us=number(row.get("created_epoch")) * 1_000_000,
        call_uuid=row.get("call_uuid", NONE),
        codec=row.get("read_codec", NONE),
        detailed=True,
        trunk=trunk_of(name),
    )


_ROW_STATES = {
    "ACTIVE": "answered",
    "EARLY": "early",
    "HELD": "held",
    "UNHELD": "unheld",
    "RINGING": "ringing",
}


_HOLDS = {"HELD": True, "UNHELD": False}


def _signed(text: str | None) -> int | None:
    """Seconds that FreeSWITCH counted (below zero where its clock stepped), None where it did not."""
    if text is None:
        return None
    return -number(text[1:]) if text.startswith("-") else number(text)


def _leg(kind: type[facts.LegFact], *, details: bool = True, harmless: bool = False) -> _Reader:
    """A reader for facts that say nothing beyond the channel block."""

    def read(event: Event, known: Known | None) -> Fact | None:
        block = read_block(event, details=details, known=known, harmless=harmless)
        return None if block is None else kind(*block)

    return read


def _created(event: Event, known: Known | None) -> Fact | None:
    # Always with its variables: a leg that is known may have been recovered.
    block = read_block(event, details=True)
    return None if block is None else facts.LegCreated(*block)


def _described(event: Event, known: Known | None) -> Fact | None:
    """CHANNEL_DATA: the answer to ``uuid_dump`` and to ``connect`` on a socket that the switch opened."""
    block = read_block(event, details=True)
    if block is None:
        return None
    application = single(event, "variable_current_application")
    in_conference = application == "conference"
    conference = single(event, "variable_conference_name") if in_conference else NONE
    member = single(event, "variable_conference_member_id") if in_conference else NONE
    return facts.LegDescribed(
        *block,
        held=_HOLDS.get(single(event, "Channel-Call-State") or NONE),
        bridged_to=single(event, "variable_bridge_to") or NONE,
        parked=application == "park",
        conference=conference or NONE,
        # The meeting's own id is in no variable.
        instance=conference or NONE,
        member=member or NONE,
    )


def _answered(event: Event, known: Known | None) -> Fact | None:
    block = read_block(event, details=True, known=known)
    if block is None:
        return None
    at_us, seq, channel = block
    if not channel.sip_call_id:
        # An outbound leg has its Call-ID only now.
        sip_call_id = single(event, "variable_sip_call_id")
        if sip_call_id:
            channel = replace(channel, sip_call_id=sip_call_id)
    return facts.LegAnswered(at_us, seq, channel)


def _progress_media(event: Event, known: Known | None) -> Fact | None:
    block = read_block(event, details=True, known=known)
    return None if block is None else facts.LegProgressed(*block, media=True)


def _pair(kind: type[facts.LegBridged] | type[facts.LegUnbridged]) -> _Reader:
    def read(event: Event, known: Known | None) -> Fact | None:
        block = read_block(event, details=True, known=known)
        if block is None:
            return None
        a, b = single(event, "Bridge-A-Unique-ID"), single(event, "Bridge-B-Unique-ID")
        return kind(*block, a=a or NONE, b=b or NONE)

    return read


def _end(kind: type[facts.LegEnded]) -> _Reader:
    def read(event: Event, known: Known | None) -> Fact | None:
        block = read_block(event, details=True, known=known, harmless=True)
        if block is None:
            return None
        at_us, seq, channel = block
        if not channel.sip_call_id:
            channel = replace(channel, sip_call_id=_late(event, "sip_call_id") or NONE)
        return kind(
            at_us,
            seq,
            channel,
            billsec=_signed(_late(event, "billsec")),
            duration=_signed(_late(event, "duration")),
            q850=number(_late(event, "hangup_cause_q850")),
            sip_status=number(_late(event, "sip_term_status")),
            sip_disposition=_late(event, "sip_hangup_disposition") or NONE,
            disposition=_late(event, "endpoint_disposition") or NONE,
        )

    return read


def _late(event: Event, variable: str) -> str | None:
    """A variable that was set towards the end of a leg, so that it stands near the end of a plain event."""
    if type(event) is not Event:
        return single(event, f"variable_{variable}")
    raw = event.raw
    needle = _LATE.get(variable)
    if needle is None:
        needle = _LATE[variable] = f"\nvariable_{variable}: ".encode()
    at = raw.rfind(needle)
    if at < 0:
        return None
    at += len(needle)
    return unquote_value(raw[at : raw.find(b"\n", at)])


_LATE: dict[str, bytes] = {}


def _renamed(event: Event, known: Known | None) -> Fact | None:
    block = read_block(event, details=True)
    if block is None:
        return None
    return facts.LegRenamed(*block, old=single(event, "Old-Unique-ID") or NONE)


def _record_start(event: Event, known: Known | None) -> Fact | None:
    block = read_block(event, details=True, known=known)
    if block is None:
        return None
    return facts.RecordingStarted(*block, path=single(event, "Record-File-Path") or NONE)


def _record_stop(event: Event, known: Known | None) -> Fact | None:
    block = read_block(event, details=True, known=known)
    if block is None:
        return None
    cause = single(event, "Record-Completion-Cause") or single(event, "variable_record_completion_cause")
    return facts.RecordingStopped(
        *block,
        path=single(event, "Record-File-Path") or NONE,
        samples=number(single(event, "variable_record_samples")),
        size=number(single(event, "variable_record_file_size")),
        cause=cause or NONE,
    )


def _playback(kind: type[facts.PlaybackStarted] | type[facts.PlaybackStopped]) -> _Reader:
    def read(event: Event, known: Known | None) -> Fact | None:
        block = read_block(event, details=True, known=known)
        if block is None:
            return None
        path = single(event, "Playback-File-Path") or NONE
        return kind(*block, path=path if path.startswith(_PLAIN_SOUND) else NONE)

    return read


def _custom(event: Event, known: Known | None) -> Fact | None:
    subclass = event.subclass
    if subclass == "conference::maintenance":
        return _conference(event, known)
    if subclass == "loopback::bowout":
        at_us, seq = stamp(event)
        return facts.LegReplaced(
            at_us=at_us,
            seq=seq,
            leaves=single(event, "Resigning-UUID") or NONE,
            peer=single(event, "Resigning-Peer-UUID") or NONE,
            stays=single(event, "Acquired-UUID") or NONE,
        )
    return None


def _conference(event: Event, known: Known | None) -> Fact | None:
    action = single(event, "Action") or NONE
    name = single(event, "Conference-Name") or NONE
    instance = single(event, "Conference-Unique-ID") or name
    kind = _MEMBER_ACTIONS.get(action)
    if kind is not None:
        # mod_conference shows no variables unless it is told to.
        block = read_block(event, details=False, known=known)
        if block is None or not block[2].uuid:
            return None  # a member that is no call: a recorder, a relay
        member = single(event, "Member-ID") or NONE
        if kind is facts.ConferenceMuted:
            muted = action == "mute-member"
            return facts.ConferenceMuted(*block, name, instance, member, muted=muted)
        return kind(*block, name, instance, member)
    at_us, seq = stamp(event)
    if action == "conference-destroy":
        return facts.ConferenceEnded(at_us, seq, name, instance)
    path = single(event, "Path") or NONE
    if action == "start-recording" and not single(event, "Error"):
        return facts.ConferenceRecordingStarted(at_us, seq, name, instance, path)
    if action == "stop-recording":
        return facts.ConferenceRecordingStopped(
            at_us,
            seq,
            name,
            instance,
            path,
            samples=number(single(event, "Samples-Out")),
            size=number(single(event, "Record-File-Size")),
        )
    return None


_MEMBER_ACTIONS: dict[str, type[facts.ConferenceFact]] = {
    "add-member": facts.ConferenceJoined,
    "del-member": facts.ConferenceLeft,
    "mute-member": facts.ConferenceMuted,
    "unmute-member": facts.ConferenceMuted,
}

_READERS: dict[str, _Reader] = {
    "CHANNEL_CREATE": _created,
    "CHANNEL_ORIGINATE": _leg(facts.LegSeen),
    "CHANNEL_DATA": _described,
    "CALL_UPDATE": _leg(facts.LegSeen),
    # These two carry no variables.
    "CHANNEL_OUTGOING": _leg(facts.LegSeen, details=False),
    "CHANNEL_CALLSTATE": _leg(facts.LegSeen, details=False, harmless=True),
    "CHANNEL_PROGRESS": _leg(facts.LegProgressed),
    "CHANNEL_PROGRESS_MEDIA": _progress_media,
    "CHANNEL_ANSWER": _answered,
    "CHANNEL_BRIDGE": _pair(facts.LegBridged),
    "CHANNEL_UNBRIDGE": _pair(facts.LegUnbridged),
    "CHANNEL_HOLD": _leg(facts.LegHeld),
    "CHANNEL_UNHOLD": _leg(facts.LegResumed),
    "CHANNEL_PARK": _leg(facts.LegParked),
    "CHANNEL_UNPARK": _leg(facts.LegUnparked, harmless=True),
    "CHANNEL_UUID": _renamed,
    "CHANNEL_HANGUP": _leg(facts.LegHungUp),
    "CHANNEL_HANGUP_COMPLETE": _end(facts.LegEnded),
    "CHANNEL_DESTROY": _end(facts.LegDestroyed),
    "RECORD_START": _record_start,
    "RECORD_STOP": _record_stop,
    "DTMF": _leg(facts.DigitPressed, details=False),
    "PLAYBACK_START": _playback(facts.PlaybackStarted),
    "PLAYBACK_STOP": _playback(facts.PlaybackStopped),
    "CUSTOM": _custom,
}

_BY_NAME_LINE = {name.encode(): reader for name, reader in _READERS.items()}

EVENT_NAMES = tuple(name for name in _READERS if name not in ("CUSTOM", "CHANNEL_DATA"))
"""What a link must subscribe to for the call model."""
CUSTOM_SUBCLASSES = ("conference::maintenance", "loopback::bowout")
"""And the subclasses of CUSTOM."""
