"""One leg, fact by fact: pure functions from a leg and what was seen to the leg after it.

Nothing here knows calls; grouping legs is `core.model.switchboard`'s work. Each function returns the same object
when nothing changed, so that a fact that says nothing new costs nothing further.
"""

from collections.abc import Mapping
from sys import intern

from msgspec.structs import replace

from core.model.facts import Channel, LegEnded
from core.model.machine import (
    ANSWER,
    ANSWERED,
    END,
    ENDED,
    LEG_TRANSITIONS,
    MARKS,
    MEDIA,
    NEW,
    RANG,
    after,
    seconds_between,
)
from core.model.records import Leg

_NO_MARKS = (0,) * len(MARKS)
_FOLLOWED = (
    "channel_name",
    "caller",
    "caller_name",
    "destination",
    "progress_us",
    "progress_media_us",
    "answered_us",
    "bridged_us",
    "other_leg",
    "codec",
    "sip_call_id",
    "trunk",
)
"""What every look at a channel may correct, when it shows something at all."""


def met(channel: Channel, at_us: int) -> Leg:
    """The leg as the first fact about it shows it; its state is still `NEW`."""
    return Leg(
        uuid=channel.uuid,
        direction=intern(channel.direction) if channel.direction else "inbound",
        state=NEW,
        channel_name=channel.channel_name,
        caller=channel.caller,
        caller_name=channel.caller_name,
        destination=channel.destination,
        created_us=channel.created_us or at_us,
        progress_us=channel.progress_us,
        progress_media_us=channel.progress_media_us,
        answered_us=channel.answered_us,
        bridged_us=channel.bridged_us,
        other_leg=channel.other_leg,
        codec=intern(channel.codec),
        sip_call_id=channel.sip_call_id,
        trunk=intern(channel.trunk),
        agent=channel.agent,
        transfer=channel.transfer,
        recovered=channel.recovered,
        recovered_us=at_us if channel.recovered else 0,
    )


def state_shown(channel: Channel) -> str | None:
    """What a look at a channel proves to have happened to it, None when it proves nothing."""
    if channel.answered_us or channel.state in ("answered", "held", "unheld"):
        return ANSWER
    if channel.progress_media_us or channel.state == "early":
        return MEDIA
    return RANG if channel.progress_us else None


def advanced(leg: Leg, signal: str | None) -> Leg:
    """The leg after ``signal``, if that brings it on; an answered leg never goes back to ringing."""
    if signal is None:
        return leg
    state = LEG_TRANSITIONS[leg.state].get(signal)
    return leg if state is None or state == leg.state else replace(leg, state=state)


def surprising(leg: Leg, signal: str) -> bool:
    """Whether the machine's table has no place for ``signal`` now."""
    return after(leg.state, signal) is None


def seen(leg: Leg, channel: Channel) -> Leg:
    """The leg with everything that this look at its channel corrects. An ended leg stays as it ended."""
    if leg.state == ENDED:
        return leg
    fields: dict[str, object] = {}
    for name in _FOLLOWED:
        value = getattr(channel, name)
        if value and value != getattr(leg, name):
            fields[name] = value
    if channel.hangup_us and channel.hangup_us != leg.hangup_us:
        # CHANNEL_HANGUP comes before the switch notes the time: what we took from that event was a little early.
        fields["hangup_us"] = channel.hangup_us
    if channel.hangup_cause and not leg.hangup_cause:
        fields["hangup_cause"] = intern(channel.hangup_cause)
    if leg.state != ANSWERED:
        signal = state_shown(channel)
        if signal is not None:
            state = LEG_TRANSITIONS[leg.state].get(signal)
            if state is not None and state != leg.state:
                fields["state"] = state
    return replace(leg, **fields) if fields else leg


def recovered(leg: Leg, channel: Channel, at_us: int) -> Leg:
    """The leg taken over by another switch, whose event numbers begin anew. Its own times stay."""
    return replace(leg, recovered=True, recovered_us=max(at_us, leg.recovered_us), marks=())


def hung_up(leg: Leg, channel: Channel, at_us: int) -> Leg:
    """The leg on its way out: it is not `ENDED` before the switch gave its numbers.

    What the switch shows of it now, it will show in its summary too, so this is taken as it is: the summary may not
    come.
    """
    return replace(
        leg,
        caller=channel.caller,
        caller_name=channel.caller_name,
        destination=channel.destination,
        other_leg=channel.other_leg,
        hangup_us=channel.hangup_us or leg.hangup_us or at_us,
        hangup_cause=intern(channel.hangup_cause or leg.hangup_cause),
    )


def ended(leg: Leg, fact: LegEnded) -> Leg:
    """The leg as the switch itself sums it up.

    The last word on a leg is its own summary, also where that takes something back (a leg that was transferred
    away names no other leg any more). One thing is kept: when a standby switch recovered the leg, the switch counts
    from the recovery, and our record from the true beginning.
    """
    channel = fact.channel
    hangup_us = channel.hangup_us or leg.hangup_us or fact.at_us
    created_us = channel.created_us or leg.created_us
    duration = fact.duration
    if leg.recovered and leg.created_us and leg.created_us < created_us:
        created_us = leg.created_us
        duration = None
    answered_us = channel.answered_us
    if duration is None:
        duration = seconds_between(created_us, hangup_us)
    duration = max(0, duration)  # the switch subtracts two times of a wall clock that may be set back
    billsec = seconds_between(answered_us, hangup_us) if fact.billsec is None else fact.billsec
    return _closed(
        replace(
            leg,
            direction=intern(channel.direction) if channel.direction else leg.direction,
            channel_name=channel.channel_name or leg.channel_name,
            caller=channel.caller,
            caller_name=channel.caller_name,
            destination=channel.destination,
            created_us=created_us,
            progress_us=channel.progress_us,
            progress_media_us=channel.progress_media_us,
            answered_us=answered_us,
            bridged_us=channel.bridged_us or leg.bridged_us,
            other_leg=channel.other_leg,
            hangup_us=hangup_us,
            hangup_cause=intern(channel.hangup_cause or leg.hangup_cause),
            hangup_q850=fact.q850,
            sip_status=fact.sip_status,
            sip_disposition=intern(fact.sip_disposition),
            sip_call_id=channel.sip_call_id or leg.sip_call_id,
            disposition=intern(fact.disposition),
            codec=intern(channel.codec or leg.codec),
            billsec=billsec,
            duration=duration,
        )
    )


def concluded(leg: Leg, *, at_us: int, cause: str) -> Leg:
    """The leg whose summary never came. A hangup that we did see keeps its time and cause.

    Such a record is ``inferred`` all the same: the event of a hangup comes a moment before the switch notes the time, so
    what we count up to it may be a second less than what the switch bills.
    """
    hangup_us = leg.hangup_us or max(at_us, leg.created_us, leg.answered_us)
    return _closed(
        replace(
            leg,
            hangup_us=hangup_us,
            hangup_cause=leg.hangup_cause or cause,
            billsec=seconds_between(leg.answered_us, hangup_us),
            duration=seconds_between(leg.created_us, hangup_us),
            inferred=True,
        )
    )


def _closed(leg: Leg) -> Leg:
    state = LEG_TRANSITIONS[leg.state].get(END, ENDED)
    hold_us = leg.hold_us
    if leg.held_since_us:
        hold_us += max(0, leg.hangup_us - leg.held_since_us)
    return replace(leg, state=state, hold_us=hold_us, held_since_us=0, bridged_to="", parked=False)


def held(leg: Leg, at_us: int) -> Leg:
    """On hold since ``at_us``; unchanged when it already is."""
    return leg if leg.held_since_us else replace(leg, held_since_us=at_us)


def resumed(leg: Leg, at_us: int) -> Leg:
    """Off hold, the time added up; unchanged when it was not on hold."""
    if not leg.held_since_us:
        return leg
    return replace(leg, held_since_us=0, hold_us=leg.hold_us + max(0, at_us - leg.held_since_us))


def is_news(leg: Leg, place: int, *, at_us: int, seq: int) -> bool:
    """Whether a fact is newer than what ``leg`` knows of its kind (a place in `MARKS`).

    Event numbers tell, within the life of one switch. A recovered leg lives on a switch that counts anew, so for it
    a fact from before the recovery is old whatever its number.
    """
    if at_us < leg.recovered_us:
        return False
    return not seq or not leg.marks or seq > leg.marks[place]


def marked(leg: Leg, place: int, seq: int) -> Mapping[str, tuple[int, ...]]:
    """The fields to replace so that ``leg`` knows the fact with this number."""
    if not seq:
        return {}
    marks = leg.marks or _NO_MARKS
    return {"marks": (*marks[:place], seq, *marks[place + 1 :])}
