"""The channel block of an event, read fast.

Every event about a channel shows it in one block of forty to eighty headers (switch_channel.c:
switch_channel_event_set_basic_data, then switch_caller.c: switch_caller_profile_event_set_data), followed by the
channel's variables. Looking each header up by its name costs a search from the start of the event each time, and a
header that is absent a search through all of it: 60 µs an event. The block's order is fixed by those functions, so
`_in_order` walks through a plain event once, searching every header from where the one before it was found; that is
6 µs. An event that does not follow the order (json, xml, another version) is read by name, with the same result.

Variables are read for legs that are new to the caller only: they say where a leg belongs, once.
"""

import re
from sys import intern
from typing import Protocol

from core.model.facts import Channel
from freeswitch.event import Event
from freeswitch.quoting import unquote_value

NONE = ""
_MODES = {"bl_xfer": "blind", "att_xfer": "attended"}
_MAX_DIGITS = 18

_STAMP = re.compile(
    rb"\nEvent-Date-Timestamp: (\d{1,18})\n(?:Event-Calling-[^\n]*\n){0,3}Event-Sequence: (\d{1,18})\n"
)
_IDENTITY = re.compile(
    rb"\nChannel-Name: ([^\n]*)\nUnique-ID: ([^\n]*)\n(?:Session-External-ID: [^\n]*\n)?"
    rb"Call-Direction: ([^\n]*)\n(?:Presence-Call-Direction: [^\n]*\n)?(?:Channel-HIT-Dialplan: [^\n]*\n)?"
    rb"(?:Channel-Presence-[^\n]*\n)*Channel-Call-UUID: ([^\n]*)\nAnswer-State: ([^\n]*)\n"
    rb"(?:Hangup-Cause: ([^\n]*)\n)?(?:Channel-Read-Codec-Name: ([^\n]*)\n)?"
)
_TIMES = re.compile(
    rb"\nCaller-Profile-Index: ([^\n]*)\n(?:[^\n]*\n){0,40}?"
    rb"Caller-Channel-Created-Time: (\d{1,18})\nCaller-Channel-Answered-Time: (\d{1,18})\n"
    rb"Caller-Channel-Progress-Time: (\d{1,18})\nCaller-Channel-Progress-Media-Time: (\d{1,18})\n"
    rb"Caller-Channel-Hangup-Time: (\d{1,18})\nCaller-Channel-Transfer-Time: \d+\n"
    rb"Caller-Channel-Resurrect-Time: \d+\nCaller-Channel-Bridged-Time: (\d{1,18})\n"
)
_NEAR = 400
"""Bytes behind the times in which ``Other-Type`` stands, if there is another leg; about 150 in practice."""


class Known(Protocol):
    """Who knows legs already; `core.model.switchboard.Switchboard` does."""

    def is_live(self, uuid: str) -> bool: ...
    def is_gone(self, uuid: str) -> bool: ...


def read_block(
    event: Event, *, details: bool, known: Known | None = None, harmless: bool = False
) -> tuple[int, int, Channel] | None:
    """When, which number, and the channel; with ``details`` also those of its variables that we use.

    ``known`` spares work: variables are not read for legs that live, and a ``harmless`` event (one that says nothing
    about a leg that has ended) is None for legs that are gone.
    """
    if type(event) is not Event:
        return _by_name(event, details)
    raw = event.raw
    when = _STAMP.match(raw, raw.find(b"\nEvent-Date-Timestamp: "))
    if when is None:
        return _by_name(event, details)
    who = _IDENTITY.match(raw, raw.find(b"\nChannel-Name: ", when.end() - 1))
    if who is None:
        return _by_name(event, details)
    uuid = unquote_value(who[2])
    if known is not None:
        if harmless and known.is_gone(uuid):
            return None
        details = details and not known.is_live(uuid)
    channel = _in_order(event, who, uuid, details)
    if channel is None:
        return _by_name(event, details)
    return int(when[1]), int(when[2]), channel


def stamp(event: Event) -> tuple[int, int]:
    """The time and the number of an event."""
    return number(single(event, "Event-Date-Timestamp")), number(single(event, "Event-Sequence"))


def single(event: Event, name: str) -> str | None:
    """One value of a header. FreeSWITCH writes some names twice (``Hangup-Cause``), which is a list in xml; its own
    reader takes the first."""
    if type(event) is Event:
        return event.exact(name)
    values = event.values(name)
    return values[0] if values else None


def number(text: str | None) -> int:
    """A count or a time; 0 for anything else. Bounded, so that nothing overflows the store's 64 bits."""
    return int(text) if text and len(text) <= _MAX_DIGITS and text.isascii() and text.isdigit() else 0


def trunk_of(channel_name: str) -> str:
    """``carrier`` of ``sofia/carrier/+4930…@192.0.2.1``, ``loopback`` of a loopback leg."""
    parts = channel_name.split("/", 2)
    if len(parts) == 3 and parts[0] == "sofia":
        return parts[1]
    return parts[0] if len(parts) > 1 else NONE


def transfer_of(source: str, profile_index: str) -> tuple[str, str, str]:
    """Id, mode and target of ``1795375008:<id>:bl_xfer:9196/default/XML``; empty for what is no transfer.

    A bridge by command leaves the same header with the word ``uuid_br``. The profile's index grows with each of
    them, so the id sorts by age. A transfer to the inline dialplan is a list of applications that a controller made
    up: no destination that would mean anything to people, and the one who gave it tells what it was.
    """
    at, _, rest = source.partition(":")
    _, _, rest = rest.partition(":")
    word, _, target = rest.partition(":")
    mode = _MODES.get(word)
    if mode is None or target.endswith("/inline"):
        return NONE, NONE, NONE
    if mode == "blind":
        target = target.split("/", 1)[0]
    return f"{profile_index:0>4}-{at}-{mode}", mode, target


def _by_name(event: Event, details: bool) -> tuple[int, int, Channel]:
    name = single(event, "Channel-Name") or NONE
    transfer = mode = target = NONE
    source = single(event, "Caller-Transfer-Source")
    if source:
        transfer, mode, target = transfer_of(source, single(event, "Caller-Profile-Index") or NONE)
    at_us, seq = stamp(event)
    tenant, request_id, join, bond, loopback, recovered, sip_call_id, agent, dialled = (
        _details(event, name.startswith(_INSIDE)) if details else _NO_DETAILS
    )
    channel = Channel(
        uuid=single(event, "Unique-ID") or NONE,
        direction=intern(single(event, "Call-Direction") or NONE),
        channel_name=NONE if name == "N/A" else name,
        caller=single(event, "Caller-Caller-ID-Number") or NONE,
        caller_name=single(event, "Caller-Caller-ID-Name") or NONE,
        destination=single(event, "Caller-Destination-Number") or NONE,
        state=intern(single(event, "Answer-State") or NONE),
        created_us=number(single(event, "Caller-Channel-Created-Time")),
        progress_us=number(single(event, "Caller-Channel-Progress-Time")),
        progress_media_us=number(single(event, "Caller-Channel-Progress-Media-Time")),
        answered_us=number(single(event, "Caller-Channel-Answered-Time")),
        bridged_us=number(single(event, "Caller-Channel-Bridged-Time")),
        hangup_us=number(single(event, "Caller-Channel-Hangup-Time")),
        hangup_cause=intern(single(event, "Hangup-Cause") or NONE),
        other_leg=single(event, "Other-Leg-Unique-ID") or NONE,
        call_uuid=single(event, "Channel-Call-UUID") or NONE,
        codec=intern(single(event, "Channel-Read-Codec-Name") or NONE),
        transfer=transfer,
        transfer_mode=mode,
        transfer_to=target,
        detailed=details,
        tenant=tenant,
        request_id=request_id,
        join=join,
        bond=bond,
        loopback=loopback,
        recovered=recovered,
        sip_call_id=sip_call_id,
        trunk=intern(trunk_of(name)),
        agent=agent,
        dialled=dialled,
    )
    return at_us, seq, channel


def _in_order(event: Event, who: re.Match[bytes], uuid: str, details: bool) -> Channel | None:
    """The channel of a plain event whose headers come in FreeSWITCH's order, None for any other."""
    raw = event.raw
    find = raw.find
    after = who.end() - 1
    moments = _TIMES.match(raw, find(b"\nCaller-Profile-Index: ", after))
    if moments is None:
        return None
    index_at = moments.start()
    caller_name = _between(raw, b"\nCaller-Caller-ID-Name: ", after, index_at)
    caller = _between(raw, b"\nCaller-Caller-ID-Number: ", after, index_at)
    destination = _between(raw, b"\nCaller-Destination-Number: ", after, index_at)
    transfer = mode = target = NONE
    index, created, answered, progress, media, hangup, bridged = moments.groups()
    source = _between(raw, b"\nCaller-Transfer-Source: ", after, index_at)
    if source:
        transfer, mode, target = transfer_of(source, index.decode("ascii", "replace"))
    other_leg = NONE
    end = moments.end() - 1
    other = find(b"\nOther-Type: ", end, end + _NEAR)
    if other >= 0:
        other_at = find(b"\nOther-Leg-Unique-ID: ", other)
        if other_at >= 0:
            other_leg = unquote_value(raw[other_at + 22 : find(b"\n", other_at + 22)])
    name_raw, uuid_raw, direction, call_uuid, state, cause, codec = who.groups()
    name = _text(name_raw)
    tenant, request_id, join, bond, loopback, recovered, sip_call_id, agent, dialled = (
        _details_behind(raw, end, name.startswith(_INSIDE)) if details else _NO_DETAILS
    )
    return Channel(
        uuid,
        _word(direction),
        NONE if name == "N/A" else name,
        caller,
        caller_name,
        destination,
        _word(state),
        int(created),
        int(progress),
        int(media),
        int(answered),
        int(bridged),
        int(hangup),
        _word(cause) if cause else NONE,
        other_leg,
        uuid if call_uuid == uuid_raw else unquote_value(call_uuid),
        _word(codec) if codec else NONE,
        transfer,
        mode,
        target,
        details,
        tenant,
        request_id,
        join,
        bond,
        loopback,
        recovered,
        sip_call_id,
        intern(trunk_of(name)),
        agent,
        dialled,
    )


def _between(raw: bytes, needle: bytes, start: int, end: int) -> str:
    """The value of the header that stands between two places, empty when it does not."""
    at = raw.find(needle, start, end)
    if at < 0:
        return NONE
    at += len(needle)
    return _text(raw[at : raw.find(b"\n", at)])


_TEXTS: dict[bytes, str] = {}
_MAX_TEXTS = 4_096
"""Names and numbers of the legs that were heard of lately, decoded: a leg's texts come with each of its events, and
decoding them is half of the work. About 1 MB; forgotten all at once when full."""


def _text(raw: bytes) -> str:
    """The text of a value."""
    if b"%" not in raw:
        return unquote_value(raw)
    text = _TEXTS.get(raw)
    if text is None:
        if len(_TEXTS) >= _MAX_TEXTS:
            _TEXTS.clear()
        text = _TEXTS[raw] = unquote_value(raw)
    return text


_WORDS: dict[bytes, str] = {}
_MAX_WORDS = 1_024
"""Directions, answer states, causes and codecs: a few dozen each. The limit is for a peer that invents them."""


def _word(raw: bytes) -> str:
    """A value out of a small vocabulary: the same object each time."""
    word = _WORDS.get(raw)
    if word is None:
        if len(_WORDS) >= _MAX_WORDS:
            _WORDS.clear()
        word = _WORDS[raw] = intern(unquote_value(raw))
    return word


_Details = tuple[str, str, str, str, str, bool, str, str, str]
_NO_DETAILS: _Details = (NONE, NONE, NONE, NONE, NONE, False, NONE, NONE, NONE)
_INSIDE = "sofia/inside/"
"""Legs of agents: the headers of their INVITE are a controller's own words. On any other profile they are a stranger's."""


def _details(event: Event, inside: bool) -> _Details:
    ours = "sip_h_X-Irisx-" if inside else "irisx_"
    return (
        single(event, f"variable_{ours}tenant") or NONE,
        single(event, f"variable_{ours}request_id") or NONE,
        single(event, f"variable_{ours}call") or NONE,
        single(event, "variable_signal_bond") or NONE,
        single(event, "variable_other_loopback_leg_uuid") or NONE,
        single(event, "variable_recovered") == "true",
        single(event, "variable_sip_call_id") or NONE,
        (single(event, f"variable_{ours}agent") or NONE) if inside else NONE,
        (single(event, f"variable_{ours}dialled") or NONE) if inside else NONE,
    )


def _details_behind(raw: bytes, start: int, inside: bool) -> _Details:
    """The same of a plain event whose variables begin behind ``start``."""
    tenant = request_id = join = agent = dialled = NONE
    end = len(raw)
    if inside:
        start_ours = raw.find(b"\nvariable_sip_h_X-Irisx-", start)
        if start_ours >= 0:
            tenant, request_id, join, agent, dialled = (
                _between(raw, b"\nvariable_sip_h_X-Irisx-" + name + b": ", start_ours, end)
                for name in (b"tenant", b"request_id", b"call", b"agent", b"dialled")
            )
    ours = raw.find(b"\nvariable_irisx_", start)
    if ours >= 0:
        tenant = _between(raw, b"\nvariable_irisx_tenant: ", ours, end)
        request_id = _between(raw, b"\nvariable_irisx_request_id: ", ours, end)
        join = _between(raw, b"\nvariable_irisx_call: ", ours, end)
    return (
        tenant,
        request_id,
        join,
        _between(raw, b"\nvariable_signal_bond: ", start, end),
        _between(raw, b"\nvariable_other_loopback_leg_uuid: ", start, end),
        raw.find(b"\nvariable_recovered: true\n", start) >= 0,
        _between(raw, b"\nvariable_sip_call_id: ", start, end),
        agent,
        dialled,
    )
