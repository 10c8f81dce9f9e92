"""Call detail records: what remains of a leg, and of a call, when it has ended.

`cdrs_of` is pure: the same change always gives the same records with the same ids, so writing them twice is
writing them once. A leg gets its record when it ends, a call when its last leg does. The end of a call repeats
the records of all its legs: what was concluded earlier (`inferred`) may have been seen since.

Seconds are FreeSWITCH's: whole seconds of the end minus whole seconds of the beginning, each cut off before
subtracting, so that a call answered at 1.9 s and ended at 2.1 s is billed one second, as the switch bills it
(every CHANNEL_HANGUP_COMPLETE in ``tests/data/captures`` agrees with that).
"""

from msgspec import Struct

from core.ids import derived_id
from core.model.records import Call, Change, Leg, Recording

LEG, CALL = "leg", "call"
_SECOND = 1_000_000


class Cdr(Struct, frozen=True):
    """One record. Times are microseconds since the epoch, 0 where the moment never came."""

    id: str
    kind: str
    """``leg`` or ``call``."""
    tenant_id: str
    node: str
    call_id: str
    leg: str
    """The leg's uuid; empty for a call's record."""
    direction: str
    caller: str
    caller_name: str
    destination: str
    started_us: int
    ringing_us: int
    answered_us: int
    ended_us: int
    ring_us: int
    """From the first ringing to the answer, or to the end if nobody answered."""
    pdd_us: int
    """Post-dial delay: from the beginning to the first sign of the far side (ringing, early media, answer)."""
    billsec: int
    duration: int
    hangup_cause: str
    q850: int
    sip_status: int
    sip_disposition: str
    disposition: str
    trunk: str
    codec: str
    recordings: tuple[Recording, ...] = ()
    legs: int = 1
    recovered: bool = False
    inferred: bool = False
    """The end was not seen but concluded; a record that was seen takes the place of this one."""
    request_id: str = ""

    @property
    def subject(self) -> str:
        """What it is about, once for ever: the leg's uuid or the call's id."""
        return self.leg or self.call_id


def cdrs_of(change: Change) -> list[Cdr]:
    """The records that ``change`` completes; empty for most changes.

    A call that was merged into another gives none: its legs go on there.
    """
    call = change.call
    if change.type == "call.leg_ended":
        return [_of_leg(call, leg) for leg in call.legs if leg.uuid == change.data.get("leg") and _over(leg)]
    if change.type == "call.ended":
        return [*(_of_leg(call, leg) for leg in call.legs if _over(leg)), _of_call(call)]
    return []


def _over(leg: Leg) -> bool:
    return leg.state == "ended"


def _of_leg(call: Call, leg: Leg) -> Cdr:
    ended = leg.hangup_us or call.ended_us
    ringing = _first(leg.progress_us, leg.progress_media_us)
    # What the switch counted holds; where its count never reached us we count by its rule.
    counted = not leg.inferred
    return Cdr(
        id=derived_id("cdr", at_us=leg.created_us, source=f"leg/{leg.uuid}"),
        kind=LEG,
        tenant_id=call.tenant_id,
        node=call.node,
        call_id=call.id,
        leg=leg.uuid,
        direction=leg.direction,
        caller=leg.caller,
        caller_name=leg.caller_name,
        destination=leg.destination,
        started_us=leg.created_us,
        ringing_us=ringing,
        answered_us=leg.answered_us,
        ended_us=ended,
        ring_us=_ring(ringing, leg.answered_us, ended),
        pdd_us=_pdd(leg.created_us, ringing, leg.answered_us),
        billsec=leg.billsec if counted else _seconds(leg.answered_us, ended),
        duration=leg.duration if counted else _seconds(leg.created_us, ended),
        hangup_cause=leg.hangup_cause,
        q850=leg.hangup_q850,
        sip_status=leg.sip_status,
        sip_disposition=leg.sip_disposition,
        disposition=leg.disposition,
        trunk=leg.trunk,
        codec=leg.codec,
        recordings=leg.recordings,
        recovered=leg.recovered,
        inferred=leg.inferred,
        request_id=call.request_id,
    )


def _of_call(call: Call) -> Cdr:
    first = min(call.legs, key=lambda leg: leg.created_us, default=None)
    # The leg whose end gave the call its cause has the codes that go with that cause.
    deciding = next((leg for leg in reversed(call.legs) if leg.hangup_cause == call.hangup_cause), first)
    outbound = [leg for leg in call.legs if leg.direction == "outbound"]
    rang = _first(*(_first(leg.progress_us, leg.progress_media_us) for leg in outbound)) or call.ringing_us
    return Cdr(
        id=derived_id("cdr", at_us=call.created_us, source=f"call/{call.id}"),
        kind=CALL,
        tenant_id=call.tenant_id,
        node=call.node,
        call_id=call.id,
        leg="",
        direction=call.direction,
        caller=call.caller,
        caller_name=call.caller_name,
        destination=call.destination,
        started_us=call.created_us,
        ringing_us=call.ringing_us,
        answered_us=call.answered_us,
        ended_us=call.ended_us,
        ring_us=_ring(call.ringing_us, call.answered_us, call.ended_us),
        pdd_us=_pdd(call.created_us, rang, call.answered_us),
        billsec=_seconds(call.answered_us, call.ended_us),
        duration=_seconds(call.created_us, call.ended_us),
        hangup_cause=call.hangup_cause,
        q850=deciding.hangup_q850 if deciding else 0,
        sip_status=deciding.sip_status if deciding else 0,
        sip_disposition=deciding.sip_disposition if deciding else "",
        disposition=deciding.disposition if deciding else "",
        trunk=first.trunk if first else "",
        codec=first.codec if first else "",
        recordings=tuple(recording for leg in call.legs for recording in leg.recordings),
        legs=len(call.legs),
        recovered=any(leg.recovered for leg in call.legs),
        inferred=call.inferred,
        request_id=call.request_id,
    )


def _first(*moments: int) -> int:
    """The earliest moment that came, 0 if none did."""
    return min((moment for moment in moments if moment), default=0)


def _seconds(begin_us: int, end_us: int) -> int:
    if not begin_us or end_us < begin_us:
        return 0
    return end_us // _SECOND - begin_us // _SECOND


def _ring(ringing_us: int, answered_us: int, ended_us: int) -> int:
    return max((answered_us or ended_us) - ringing_us, 0) if ringing_us else 0


def _pdd(started_us: int, ringing_us: int, answered_us: int) -> int:
    sign = _first(ringing_us, answered_us)
    return max(sign - started_us, 0) if sign and started_us else 0
