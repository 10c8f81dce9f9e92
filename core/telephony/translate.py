"""FreeSWITCH's events in our words: the one place of core where its header names are read.

This is the hot path: a busy switch sends thousands of events a second, and two of three say nothing about a call's
life (states of its machine, codecs, applications). So the name decides first, and only what a fact needs is read.
Names and meanings: `facts` of switch_channel.c (the channel block), switch_caller.c (the profile), switch_ivr*.c
(bridge, park, hold, record), mod_conference and mod_loopback, FreeSWITCH 1.10.12.
"""

from collections.abc import Callable, Mapping
from sys import intern

from core.model import facts
from core.model.facts import Channel, Fact
from freeswitch.event import Event

_NONE = ""
_MODES = {"bl_xfer": "blind", "att_xfer": "attended"}
_PLAIN_SOUND = ("/", "tone_stream://", "silence_stream://", "local_stream://", "file_string://")
"""Sounds whose name is shown. Others may hold what is being said (``say:``, ``phrase:``)."""
_MAX_DIGITS = 18


def translate(event: Event) -> Fact | None:
    """The fact that an event tells, None for events that say nothing about calls. Never raises."""
    reader = _READERS.get(event.name)
    return None if reader is None else reader(event)


def channel_of_row(row: Mapping[str, str]) -> Channel:
    """A channel as a line of ``show channels as json`` shows it: no times but its creation, and no variables.

    ``created_epoch`` is in seconds, so two listings and an event of one channel disagree in the fraction.
    """
    name = row.get("name", _NONE)
    call_state = row.get("callstate", _NONE)
    return Channel(
        uuid=row.get("uuid", _NONE),
        direction=row.get("direction", _NONE),
        channel_name=name,
        caller=row.get("cid_num", _NONE),
        caller_name=row.get("cid_name", _NONE),
        destination=row.get("dest", _NONE),
        state=_ROW_STATES.get(call_state, _NONE),
        created_us=_number(row.get("created_epoch")) * 1_000_000,
        call_uuid=row.get("call_uuid", _NONE),
        codec=row.get("read_codec", _NONE),
        detailed=True,
        trunk=_trunk_of(name),
    )


_ROW_STATES = {
    "ACTIVE": "answered",
    "EARLY": "early",
    "HELD": "held",
    "UNHELD": "unheld",
    "RINGING": "ringing",
}


def _number(text: str | None) -> int:
    """A count or a time; 0 for anything else. Bounded, so that nothing overflows the store's 64 bits."""
    return int(text) if text and len(text) <= _MAX_DIGITS and text.isascii() and text.isdigit() else 0


def _signed(text: str | None) -> int | None:
    """Seconds that FreeSWITCH counted (below zero where its clock stepped), None where it did not."""
    if text is None:
        return None
    return -_number(text[1:]) if text.startswith("-") else _number(text)


def _trunk_of(channel_name: str) -> str:
    """``carrier`` of ``sofia/carrier/+4930…@192.0.2.1``, ``loopback`` of a loopback leg."""
    parts = channel_name.split("/", 2)
    if len(parts) == 3 and parts[0] == "sofia":
        return parts[1]
    return parts[0] if len(parts) > 1 else _NONE


def _channel(event: Event, *, detailed: bool) -> Channel:
    """The channel block of an event, and with ``detailed`` those of its variables that we use."""
    read = event.exact
    name = read("Channel-Name") or _NONE
    transfer, mode, target = _NONE, _NONE, _NONE
    source = read("Caller-Transfer-Source")
    if source:
        transfer, mode, target = _transfer(source, read("Caller-Profile-Index") or _NONE)
    created = read("Caller-Channel-Created-Time")
    return Channel(
        uuid=read("Unique-ID") or _NONE,
        direction=intern(read("Call-Direction") or _NONE),
        channel_name=_NONE if name == "N/A" else name,
        caller=read("Caller-Caller-ID-Number") or _NONE,
        caller_name=read("Caller-Caller-ID-Name") or _NONE,
        destination=read("Caller-Destination-Number") or _NONE,
        state=intern(read("Answer-State") or _NONE),
        created_us=_number(created),
        progress_us=_number(read("Caller-Channel-Progress-Time")),
        progress_media_us=_number(read("Caller-Channel-Progress-Media-Time")),
        answered_us=_number(read("Caller-Channel-Answered-Time")),
        bridged_us=_number(read("Caller-Channel-Bridged-Time")),
        hangup_us=_number(read("Caller-Channel-Hangup-Time")),
        hangup_cause=intern(read("Hangup-Cause") or _NONE),
        other_leg=read("Other-Leg-Unique-ID") or _NONE,
        call_uuid=read("Channel-Call-UUID") or _NONE,
        codec=intern(read("Channel-Read-Codec-Name") or _NONE),
        transfer=transfer,
        transfer_mode=mode,
        transfer_to=target,
        detailed=detailed,
        tenant=(read("variable_irisx_tenant") or _NONE) if detailed else _NONE,
        request_id=(read("variable_irisx_request_id") or _NONE) if detailed else _NONE,
        join=(read("variable_irisx_call") or _NONE) if detailed else _NONE,
        bond=(read("variable_signal_bond") or _NONE) if detailed else _NONE,
        loopback=(read("variable_other_loopback_leg_uuid") or _NONE) if detailed else _NONE,
        recovered=detailed and read("variable_recovered") == "true",
        sip_call_id=(read("variable_sip_call_id") or _NONE) if detailed else _NONE,
        trunk=intern(_trunk_of(name)),
    )


def _transfer(source: str, profile_index: str) -> tuple[str, str, str]:
    """Id, mode and target of ``1795375008:<id>:bl_xfer:9196/default/XML``; empty for what is no transfer.

    A bridge by command leaves the same header with the word ``uuid_br``. The profile's index grows with each of
    them, so the id sorts by age.
    """
    at, _, rest = source.partition(":")
    _, _, rest = rest.partition(":")
    word, _, target = rest.partition(":")
    mode = _MODES.get(word)
    if mode is None:
        return _NONE, _NONE, _NONE
    if mode == "blind":
        target = target.split("/", 1)[0]
    return f"{profile_index:0>4}-{at}-{mode}", mode, target


def _time(event: Event) -> tuple[int, int]:
    return _number(event.exact("Event-Date-Timestamp")), _number(event.exact("Event-Sequence"))


_Reader = Callable[[Event], Fact | None]


def _leg(kind: type[facts.LegFact], *, detailed: bool = True) -> _Reader:
    """A reader for facts that say nothing beyond the channel block."""

    def read(event: Event) -> Fact | None:
        at_us, seq = _time(event)
        return kind(at_us=at_us, seq=seq, channel=_channel(event, detailed=detailed))

    return read


def _progress_media(event: Event) -> Fact:
    at_us, seq = _time(event)
    return facts.LegProgressed(at_us=at_us, seq=seq, channel=_channel(event, detailed=True), media=True)


def _pair(kind: type[facts.LegBridged] | type[facts.LegUnbridged]) -> _Reader:
    def read(event: Event) -> Fact | None:
        at_us, seq = _time(event)
        return kind(
            at_us=at_us,
            seq=seq,
            channel=_channel(event, detailed=True),
            a=event.exact("Bridge-A-Unique-ID") or _NONE,
            b=event.exact("Bridge-B-Unique-ID") or _NONE,
        )

    return read


def _end(kind: type[facts.LegEnded]) -> _Reader:
    def read(event: Event) -> Fact | None:
        at_us, seq = _time(event)
        value = event.exact
        billsec, duration = value("variable_billsec"), value("variable_duration")
        return kind(
            at_us=at_us,
            seq=seq,
            channel=_channel(event, detailed=True),
            billsec=_signed(billsec),
            duration=_signed(duration),
            q850=_number(value("variable_hangup_cause_q850")),
            sip_status=_number(value("variable_sip_term_status")),
            sip_disposition=value("variable_sip_hangup_disposition") or _NONE,
            disposition=value("variable_endpoint_disposition") or _NONE,
        )

    return read


def _renamed(event: Event) -> Fact:
    at_us, seq = _time(event)
    channel = _channel(event, detailed=True)
    return facts.LegRenamed(at_us=at_us, seq=seq, channel=channel, old=event.exact("Old-Unique-ID") or _NONE)


def _record_start(event: Event) -> Fact:
    at_us, seq = _time(event)
    channel = _channel(event, detailed=True)
    path = event.exact("Record-File-Path") or _NONE
    return facts.RecordingStarted(at_us=at_us, seq=seq, channel=channel, path=path)


def _record_stop(event: Event) -> Fact:
    at_us, seq = _time(event)
    value = event.exact
    return facts.RecordingStopped(
        at_us=at_us,
        seq=seq,
        channel=_channel(event, detailed=True),
        path=value("Record-File-Path") or _NONE,
        samples=_number(value("variable_record_samples")),
        size=_number(value("variable_record_file_size")),
        cause=value("Record-Completion-Cause") or value("variable_record_completion_cause") or _NONE,
    )


def _playback(kind: type[facts.PlaybackStarted] | type[facts.PlaybackStopped]) -> _Reader:
    def read(event: Event) -> Fact | None:
        at_us, seq = _time(event)
        path = event.exact("Playback-File-Path") or _NONE
        return kind(
            at_us=at_us,
            seq=seq,
            channel=_channel(event, detailed=True),
            path=path if path.startswith(_PLAIN_SOUND) else _NONE,
        )

    return read


def _custom(event: Event) -> Fact | None:
    subclass = event.subclass
    if subclass == "conference::maintenance":
        return _conference(event)
    if subclass == "loopback::bowout":
        at_us, seq = _time(event)
        value = event.exact
        return facts.LegReplaced(
            at_us=at_us,
            seq=seq,
            leaves=value("Resigning-UUID") or _NONE,
            peer=value("Resigning-Peer-UUID") or _NONE,
            stays=value("Acquired-UUID") or _NONE,
        )
    return None


def _conference(event: Event) -> Fact | None:
    value = event.exact
    action = value("Action")
    at_us, seq = _time(event)
    name = value("Conference-Name") or _NONE
    instance = value("Conference-Unique-ID") or name
    kind = _MEMBER_ACTIONS.get(action or _NONE)
    if kind is not None:
        # mod_conference shows no variables unless it is told to.
        channel = _channel(event, detailed=False)
        if not channel.uuid:
            return None  # a member that is no call: a recorder, a relay
        member = value("Member-ID") or _NONE
        if kind is facts.ConferenceMuted:
            return facts.ConferenceMuted(
                at_us=at_us,
                seq=seq,
                channel=channel,
                conference=name,
                instance=instance,
                member=member,
                muted=action == "mute-member",
            )
        return kind(at_us=at_us, seq=seq, channel=channel, conference=name, instance=instance, member=member)
    if action == "conference-destroy":
        return facts.ConferenceEnded(at_us=at_us, seq=seq, conference=name, instance=instance)
    path = value("Path") or _NONE
    if action == "start-recording" and not value("Error"):
        return facts.ConferenceRecordingStarted(
            at_us=at_us, seq=seq, conference=name, instance=instance, path=path
        )
    if action == "stop-recording":
        return facts.ConferenceRecordingStopped(
            at_us=at_us,
            seq=seq,
            conference=name,
            instance=instance,
            path=path,
            samples=_number(value("Samples-Out")),
            size=_number(value("Record-File-Size")),
        )
    return None


_MEMBER_ACTIONS: dict[str, type[facts.ConferenceFact]] = {
    "add-member": facts.ConferenceJoined,
    "del-member": facts.ConferenceLeft,
    "mute-member": facts.ConferenceMuted,
    "unmute-member": facts.ConferenceMuted,
}

_READERS: dict[str, _Reader] = {
    "CHANNEL_CREATE": _leg(facts.LegCreated),
    "CHANNEL_ORIGINATE": _leg(facts.LegSeen),
    # The answer to `connect` on a socket that the switch opened to us.
    "CHANNEL_DATA": _leg(facts.LegSeen),
    "CALL_UPDATE": _leg(facts.LegSeen),
    # These two carry no variables.
    "CHANNEL_OUTGOING": _leg(facts.LegSeen, detailed=False),
    "CHANNEL_CALLSTATE": _leg(facts.LegSeen, detailed=False),
    "CHANNEL_PROGRESS": _leg(facts.LegProgressed),
    "CHANNEL_PROGRESS_MEDIA": _progress_media,
    "CHANNEL_ANSWER": _leg(facts.LegAnswered),
    "CHANNEL_BRIDGE": _pair(facts.LegBridged),
    "CHANNEL_UNBRIDGE": _pair(facts.LegUnbridged),
    "CHANNEL_HOLD": _leg(facts.LegHeld),
    "CHANNEL_UNHOLD": _leg(facts.LegResumed),
    "CHANNEL_PARK": _leg(facts.LegParked),
    "CHANNEL_UNPARK": _leg(facts.LegUnparked),
    "CHANNEL_UUID": _renamed,
    "CHANNEL_HANGUP": _leg(facts.LegHungUp),
    "CHANNEL_HANGUP_COMPLETE": _end(facts.LegEnded),
    "CHANNEL_DESTROY": _end(facts.LegDestroyed),
    "RECORD_START": _record_start,
    "RECORD_STOP": _record_stop,
    "DTMF": _leg(facts.DigitPressed, detailed=False),
    "PLAYBACK_START": _playback(facts.PlaybackStarted),
    "PLAYBACK_STOP": _playback(facts.PlaybackStopped),
    "CUSTOM": _custom,
}

EVENT_NAMES = tuple(name for name in _READERS if name not in ("CUSTOM", "CHANNEL_DATA"))
"""What a link must subscribe to for the call model."""
CUSTOM_SUBCLASSES = ("conference::maintenance", "loopback::bowout")
"""And the subclasses of CUSTOM."""
