"""Comparing what we know of a switch's calls with the switch itself, and closing the difference.

Needed after every connect, after a loss was noticed or suspected, at takeover, and when somebody asks. The
switch's list comes from its SQL table and lags behind (`show channels`), while our own view comes from events that
may still be on their way. So nothing is ended on the list's word alone:

- a leg of ours that is missing there is asked for by name (``uuid_exists`` is exact), after a pause in which its
  end may still arrive as an event, with its true cause and times;
- a leg there that we do not know is read whole (``uuid_dump``) and attached as if we had seen it from the start.
"""

from collections.abc import Callable

import msgspec
import trio
from freeswitch.switch import Switch

from core.clock import now_us
from core.logs import get_logger
from core.model.records import Change
from core.model.switchboard import Switchboard
from core.telephony.translate import translate_dump
from freeswitch.errors import CommandRefused

LOG = get_logger("resync")

GRACE_S = 1.0
"""Time for events that were on their way when the list was made; HANGUP_COMPLETE lags by up to 0.2 s."""
AT_ONCE = 32
"""Questions under way together on the command connection: it answers in order, about 15,000 a second."""


class Report(msgspec.Struct, frozen=True):
    """What a resync found."""

    listed: int
    attached: int
    ended: int


async def resync(switch: Switch, board: Switchboard, take: Callable[[list[Change]], None]) -> Report:
    """Make ``board`` agree with the switch. Raises what `Switch.api` raises; what was done until then stays."""
    since_us = now_us()
    rows = await switch.channels()
    listed = {row.uuid for row in rows}
    known = board.live_legs()
    attached = 0
    for uuid in listed - known:
        attached += await _attach(switch, board, take, uuid)
    missing = sorted(known - listed)
    ended = 0
    if missing:
        await trio.sleep(GRACE_S)
        gone = await _gone(switch, [uuid for uuid in missing if uuid in board.live_legs()])
        changes = board.vanished(gone, at_us=since_us)
        ended = len(gone)
        take(changes)
    take(board.confirmed(listed | (known - set(missing)), at_us=since_us))
    return Report(listed=len(listed), attached=attached, ended=ended)


async def _attach(switch: Switch, board: Switchboard, take: Callable[[list[Change]], None], uuid: str) -> int:
    try:
        text = await switch.api(f"uuid_dump {uuid} json")
    except CommandRefused:
        return 0  # it ended since the list was made
    fact = translate_dump(text)
    if fact is None:
        return 0
    take(board.advance(fact))
    return 1


async def _gone(switch: Switch, uuids: list[str]) -> list[str]:
    """Which of these the switch does not have."""
    gone: list[str] = []
    limiter = trio.CapacityLimiter(AT_ONCE)

    async def ask(uuid: str) -> None:
        async with limiter:
            if (await switch.api(f"uuid_exists {uuid}")).strip() == "false":
                gone.append(uuid)

    async with trio.open_nursery() as nursery:
        for uuid in uuids:
            nursery.start_soon(ask, uuid)
    return gone
