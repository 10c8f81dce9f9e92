"""A call's document as the agent who is in it sees it: which leg is theirs, who is the other one, what is going on. Pure.

The document knows legs and numbers; whom an offer was about, its queue and its conversation come from the reservation
(`About`). Everything here is read off the call as it is, so a page that comes back sees the same as one that stayed.
"""

from collections.abc import Set as AbstractSet

from msgspec import Struct

from core.model.records import Call, Leg, Recording
from core.model.signaling import CallView, Named, TransferView, moment


class About(Struct, frozen=True):
    """What the call's document does not say."""

    other: str = ""
    other_name: str = ""
    queue: Named | None = None
    conversation_id: str = ""
    contact_id: str = ""
    transfer: TransferView | None = None
    """A colleague who is asked to take the call, or was."""
    ringing: bool = False
    """A colleague is rung: their telephone is their page, so no leg shows it."""


NOTHING = About()


def live(call: Call) -> list[Leg]:
    return [leg for leg in call.legs if leg.state != "ended"]


def own_leg(call: Call, agent_id: str, legs: AbstractSet[str] = frozenset()) -> Leg | None:
    """The agent's live leg of this call, the newest if there are several; ``legs`` are known to be theirs."""
    found = [leg for leg in live(call) if leg.agent == agent_id or leg.uuid in legs]
    return max(found, key=lambda leg: leg.created_us, default=None)


def other_leg(call: Call, own: Leg) -> Leg | None:
    """Whom the agent talks to, holds or waits for; None while nobody is there."""
    legs = {leg.uuid: leg for leg in live(call) if leg.uuid != own.uuid}
    if own.bridged_to in legs:
        return legs[own.bridged_to]
    held = held_leg(call, own)
    if held is not None:
        return held
    # (made for it, or last bridged to it, from either side)
    for leg in legs.values():
        if leg.uuid == own.other_leg or leg.other_leg == own.uuid:
            return leg
    return next(iter(legs.values()), None)


def held_leg(call: Call, own: Leg) -> Leg | None:
    """Who hears music because of this agent, and not because of a colleague."""
    legs = live(call)
    living = {leg.uuid for leg in legs}
    for held in legs:
        if held.uuid != own.uuid and held.held_since_us and not held.bridged_to:
            # One that was on its way to somebody who hung up was bridged to them for a moment.
            lost = held.other_leg not in living and (own.other_leg == held.uuid or len(legs) == 2)
            if held.other_leg == own.uuid or lost:
                return held
    return None


def asked_leg(call: Call, own: Leg) -> Leg | None:
    """Who is called or talked to while somebody is held: an attended transfer is under way."""
    held = held_leg(call, own)
    if held is None:
        return None
    legs = [leg for leg in live(call) if leg.uuid not in (own.uuid, held.uuid) and not leg.conference]
    # (a colleague's browser comes to the switch; anybody else is dialled)
    return next((leg for leg in reversed(legs) if leg.direction == "outbound" or leg.agent), None)


def running(call: Call) -> list[Recording]:
    """The recordings that are being made."""
    return [one for leg in live(call) for one in leg.recordings if not one.stopped_us]


def recording_id(one: Recording) -> str:
    """Recordings are named by their files."""
    return one.path.rpartition("/")[2].rpartition(".")[0]


def number_of(leg: Leg) -> str:
    """The far end's number: who called us, or whom we called."""
    return leg.caller if leg.direction == "inbound" else leg.destination


def view(call: Call, own: Leg, about: About = NOTHING, paused: AbstractSet[str] = frozenset()) -> CallView:
    """The call as its agent sees it. ``paused``: ids of recordings that are silenced now."""
    other = other_leg(call, own)
    asked = asked_leg(call, own)
    others = asked or other
    shown, name = about.other, about.other_name
    if not shown and other is not None and not other.agent:
        shown, name = number_of(other), name or (other.caller_name if other.direction == "inbound" else "")
    elif not shown and other is None and call.direction == "outbound":
        shown = call.destination  # dialled, and its leg is not there yet
    transfer = about.transfer
    if asked is not None:
        state = "talking" if asked.state == "answered" else "ringing"
        if asked.agent and transfer is not None:
            transfer = TransferView(transfer.to, transfer.to_name, state)
        else:
            # (a colleague by id: their leg shows the number of the one it is about)
            transfer = TransferView(asked.agent or number_of(asked), "", state)
    elif transfer is not None and transfer.state != "ringing":
        transfer = None  # who was asked has gone
    ids = {recording_id(one) for one in running(call)}
    return CallView(
        id=call.id,
        leg=own.uuid,
        state=_state(call, own, others, asked, about),
        direction=_direction(call, own),
        other=shown,
        other_name="" if name == shown else name,
        muted=own.muted,
        recording="off" if not ids else "paused" if ids <= paused else "on",
        since=moment(own.bridged_us or own.answered_us or own.created_us),
        conversation_id=about.conversation_id,
        contact_id=about.contact_id,
        queue=about.queue,
        transfer=transfer,
    )


def _state(call: Call, own: Leg, other: Leg | None, asked: Leg | None, about: About) -> str:
    if asked is not None:
        return "consulting"
    if own.bridged_to or own.conference:
        return "talking"
    if held_leg(call, own) is not None:
        return "held"
    if about.ringing or (other is not None and other.state != "answered"):
        return "ringing"
    return "connecting"


def _direction(call: Call, own: Leg) -> str:
    """As the agent sees it: a call that begins with their own leg is one that they placed."""
    first = call.legs[0] if call.legs else own
    if first.uuid == own.uuid:
        return "outbound"
    return "inbound" if first.agent else call.direction
