"""Orders about a switch: drain, resume, resync, probe, channels, and the telephones that are registered there."""

import msgspec

from core.clock import monotonic
from core.model.directory import DOMAIN
from core.model.orders import Order
from core.telephony import values
from core.telephony.actions import Result
from core.telephony.desk import Desk
from freeswitch.listing import read_registrations


async def drain(desk: Desk, order: Order) -> Result:
    """Take no new calls; live ones go on to their end.

    The switch refuses inbound ones (503), the controller outbound ones. Not ``fsctl pause`` for both: then a live
    call could not be transferred any more.
    """
    await turn_away(desk)
    await desk.set_state("draining")
    return {"state": desk.state, "calls_left": len(desk.board.calls)}


async def turn_away(desk: Desk) -> None:
    """Let the switch refuse new inbound calls. A switch that restarts has forgotten it."""
    await desk.api("fsctl pause inbound")


async def resume(desk: Desk, order: Order) -> Result:
    """Take calls again."""
    await desk.api("fsctl resume inbound")
    await desk.set_state("active")
    return {"state": desk.state}


async def resync(desk: Desk, order: Order) -> Result:
    """Compare what we know with the switch's own list, now."""
    report = await desk.resync("asked for")
    return msgspec.to_builtins(report)  # type: ignore[no-any-return]


async def probe(desk: Desk, order: Order) -> Result:
    """One round trip to the switch over its command connection."""
    began = monotonic()
    text = await desk.api("version")
    return {"round_trip_ms": round((monotonic() - began) * 1000, 2), "version": text.strip()}


async def channels(desk: Desk, order: Order) -> Result:
    """The switch's own list of channels: for comparing by eye."""
    rows = await desk.switch.channels()
    return {"channels": msgspec.to_builtins(rows)}


async def registrations(desk: Desk, order: Order) -> Result:
    """The telephones that are registered with the phones profile now."""
    rows = read_registrations(await desk.api("show registrations as json"))
    return {"registrations": [msgspec.to_builtins(row) for row in rows if row.realm == DOMAIN]}


async def forget_user(desk: Desk, order: Order) -> Result:
    """Have the switch ask anew about a telephone's user (``user``): its password has changed, or it is none any more."""
    user = values.directory_user(order.args.get("user"))
    # (1.10.12 answers OK also for one that it did not remember)
    await desk.api(f"xml_flush_cache id {user} {DOMAIN}")
    return {"user": user}
