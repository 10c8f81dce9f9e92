"""What ties two legs to each other: who ends when the other one does.

Two things do, and neither needs a controller once it is set:

- ``park_after_bridge`` decides what the end of one leg means for the leg it talks to: ``true``, and the other one
  stays, parked; ``false``, and it ends too. It is true while legs are moved, and false once two legs talk as a pair.
- A bound leg (`bind`) carries an order to the switch to end the other one when it ends, wherever the other one is then.

Any leg may hang up between any two of our commands. So two that belong together are bound *before* the first command
that would let one survive the other, and unbound only when something else holds them: at every moment at least one of
the two is in force, or there is a task of ours that looks after who is left.
"""

from collections.abc import Iterable

import trio

from core.model.records import Leg
from core.telephony.desk import Desk
from freeswitch import commands
from freeswitch.errors import CommandRefused
from freeswitch.event import Event

STAY = "park_after_bridge"
PARTNER = "bridge_to"
SHOWN_S = 2.0
"""How long the legs may take to show a bridge that was told: milliseconds, unless the switch is short of breath."""
LOOK_S = 0.05
HOOK = "api_reporting_hook"
"""Run by the switch when a leg has ended (switch_core_state_machine.c). Not ``api_hangup_hook``: an operator's own
dialplan may use that one."""
CLEARED = "NORMAL_CLEARING"
PARKED = frozenset([("CS_PARK", "6"), ("CS_EXECUTE", "4")])
"""Where a leg that waits is: told to park, or running ``park``; name of the state that its thread is in and number of
the state that it is told to go to (switch_types.h)."""


async def set_all(desk: Desk, uuids: Iterable[str], **variables: str) -> None:
    """Set channel variables; an empty value removes one."""
    for uuid in uuids:
        for name, value in variables.items():
            await desk.api(commands.uuid_setvar(uuid, name, value))


async def bind(desk: Desk, one: Leg, two: Leg, cause: str = CLEARED) -> None:
    """Have the switch end either of two legs when the other one ends. Raises `CommandRefused` when one has ended: then
    the other one ends as well, if it got as far as carrying the order."""
    for leg, other in ((one, two), (two, one)):
        await set_all(desk, (leg.uuid,), **{HOOK: commands.uuid_kill(other.uuid, cause)})


async def unbind(desk: Desk, *legs: Leg) -> None:
    """Have the end of these legs be nobody else's any more."""
    await set_all(desk, (leg.uuid for leg in legs), **{HOOK: ""})


async def pair_up(desk: Desk, one: Leg, two: Leg) -> None:
    """From here on the end of one of two legs that talk is the end of the other, as in any call."""
    try:
        # Bound until they are seen together, so that at no moment the end of one would leave the other one behind.
        await bind(desk, one, two)
        await set_all(desk, (one.uuid, two.uuid), **{STAY: "false"})
        together = await _come_together(desk, one, two)
        await unbind(desk, one, two)
    except CommandRefused:
        together = False
    if not together:
        # One of them was on its way out before it was bound, and the other one may have been parked for it.
        for leg in (one, two):
            await let_go(desk, leg.uuid, CLEARED)


async def _come_together(desk: Desk, one: Leg, two: Leg) -> bool:
    """Whether they are; FreeSWITCH tells of a bridge a moment before the legs show it."""
    with trio.move_on_after(SHOWN_S):
        while not (together := await _together(desk, one, two)):
            if desk.leg(one.uuid) is None or desk.leg(two.uuid) is None:
                return False
            await trio.sleep(LOOK_S)
        return together
    return False


async def _together(desk: Desk, one: Leg, two: Leg) -> bool:
    """Whether the switch has these legs bridged to each other now. A leg's partner is forgotten first, and then looked
    whether to park it, so a leg that still has one after `STAY` was set to false will not be parked."""
    for leg, other in ((one, two), (two, one)):
        if (await desk.api(commands.uuid_getvar(leg.uuid, PARTNER))).strip() != other.uuid:
            return False
    return True


async def lives(desk: Desk, uuid: str) -> bool:
    """Whether the switch has this leg, and it has not hung up: events of its end may still be on their way."""
    try:
        await desk.api(commands.uuid_getvar(uuid, STAY))
    except CommandRefused:
        return False
    return True


async def is_parked(desk: Desk, uuid: str) -> bool:
    """Whether the switch has this leg parked. Raises `CommandRefused` when it has ended."""
    text = await desk.api(commands.uuid_dump(uuid))
    shown = Event.from_json(text.encode("utf-8", "surrogateescape"))
    return (shown.get("Channel-State"), shown.get("Channel-State-Number")) in PARKED


async def let_go(desk: Desk, uuid: str, cause: str = CLEARED) -> None:
    """Hang a leg up; nothing when it is gone already."""
    try:
        await desk.api(commands.uuid_kill(uuid, cause))
    except CommandRefused:
        return
