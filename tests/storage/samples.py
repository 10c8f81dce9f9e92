"""Calls as a switchboard would tell them, for tests of the store."""

import uuid
from collections.abc import Mapping
from typing import Any

from msgspec.structs import replace

from core.ids import derived_id
from core.model.records import Call, Change, Leg

START = 1_790_000_000_000_000
"""A moment in microseconds; also the default beginning of a sample call."""
SECRET = "a secret of more than sixteen characters"


def leg(direction: str = "inbound", *, at: int = START, **more: Any) -> Leg:
    """A fresh leg."""
    said: dict[str, Any] = {
        "uuid": str(uuid.uuid4()),
        "caller": "+4930111111",
        "destination": "+4930222222",
        "created_us": at,
        "trunk": "carrier",
        "codec": "PCMU",
    }
    return Leg(direction=direction, **{**said, **more})


def call(*legs: Leg, tenant: str = "tnt_main", node: str = "node_a", at: int = START, **more: Any) -> Call:
    """A call of these legs (of one fresh leg if there are none)."""
    legs = legs or (leg(at=at),)
    return Call(
        **{
            "id": derived_id("call", at_us=at, source=f"{node}/{legs[0].uuid}"),
            "tenant_id": tenant,
            "node": node,
            "caller": legs[0].caller,
            "destination": legs[0].destination,
            "created_us": at,
            "legs": legs,
            "version": 1,
            **more,
        }
    )


def change(
    of: Call, kind: str = "call.created", *, at: int = 0, data: Mapping[str, Any] | None = None
) -> Change:
    return Change(type=kind, call=of, occurred_us=at or of.created_us, data=dict(data or {}))


def ended(one: Leg, *, at: int, **more: Any) -> Leg:
    """``one`` after its hangup."""
    said: dict[str, Any] = {
        "state": "ended",
        "hangup_us": at,
        "hangup_cause": "NORMAL_CLEARING",
        "hangup_q850": 16,
        "sip_status": 200,
        "billsec": at // 10**6 - one.answered_us // 10**6 if one.answered_us else 0,
        "duration": at // 10**6 - one.created_us // 10**6,
    }
    return replace(one, **{**said, **more})


def life(
    *,
    at: int = START,
    tenant: str = "tnt_main",
    node: str = "node_a",
    caller: str = "+4930111111",
    **more: Any,
) -> list[Change]:
    """A whole call of two legs: created, ringing, bridged, a leg's end, the end."""
    a = leg(at=at, caller=caller)
    b = leg("outbound", at=at + 100_000, caller=caller, other_leg=a.uuid)
    one = call(a, tenant=tenant, node=node, at=at, **more)
    out = [change(one, data={"leg": a.uuid})]
    b = replace(b, state="ringing", progress_us=at + 500_000)
    one = replace(one, state="ringing", ringing_us=at + 500_000, legs=(a, b), version=2)
    out.append(change(one, "call.ringing", at=at + 500_000, data={"leg": b.uuid}))
    a = replace(a, state="answered", answered_us=at + 2_000_000)
    b = replace(b, state="answered", answered_us=at + 2_000_000)
    one = replace(one, state="bridged", answered_us=at + 2_000_000, legs=(a, b), version=3)
    out.append(change(one, "call.bridged", at=at + 2_000_000, data={"leg": a.uuid, "other": b.uuid}))
    b = ended(b, at=at + 9_000_000)
    one = replace(one, legs=(a, b), version=4)
    out.append(
        change(one, "call.leg_ended", at=at + 9_000_000, data={"leg": b.uuid, "cause": "NORMAL_CLEARING"})
    )
    a = ended(a, at=at + 9_100_000)
    one = replace(
        one,
        state="ended",
        legs=(a, b),
        ended_us=at + 9_100_000,
        hangup_cause="NORMAL_CLEARING",
        version=5,
    )
    out.append(change(one, "call.ended", at=at + 9_100_000, data={"leg": a.uuid, "cause": "NORMAL_CLEARING"}))
    return out
