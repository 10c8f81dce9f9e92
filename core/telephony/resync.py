"""Comparing what we know of a switch's calls with the switch itself, and closing the difference.

Needed after every connect, after a loss was noticed or suspected, at takeover, and when somebody asks. The
switch's list comes from its SQL table and lags behind (`show channels`), while our own view comes from events that
may still be on their way. So nothing is ended on the list's word alone:

- a leg there that we do not know is read whole (``uuid_dump``) and attached as if we had seen it from the start;
- a leg of ours that is missing there is asked for by name (``uuid_exists`` is exact), after a pause in which its
  end may still arrive as an event, with its true cause and times.
"""

from collections.abc import Awaitable, Callable, Iterable

import msgspec
import trio

from core.clock import now_us
from core.model.facts import Channel
from core.model.records import Change
from core.model.switchboard import Switchboard
from core.telephony.translate import channel_of_row, translate
from freeswitch.errors import CommandRefused, EslError, ProtocolError
from freeswitch.esl import Event
from freeswitch.switch import Switch

GRACE_S = 1.0
"""Time for events that were on their way when the list was made; HANGUP_COMPLETE lags by up to 0.2 s."""
AT_ONCE = 32
"""Questions under way together on the command connection: it answers in order, about 15,000 a second."""


class Report(msgspec.Struct, frozen=True):
    """What a resync found."""

    listed: int
    """Channels that the switch has."""
    attached: int
    """Of these, the ones that we had not known."""
    ended: int
    """Legs of ours that it does not have any more."""


async def resync(
    switch: Switch,
    board: Switchboard,
    take: Callable[[list[Change]], None],
    mark: Callable[..., None],
) -> Report:
    """Make ``board`` agree with the switch. Raises what `Switch.api` raises; what was done until then stays.

    ``mark`` notes in the flight recorder what was concluded from, so that a replay concludes the same.
    """
    asked_us = now_us()
    rows = await switch.channels()
    listing = {row.uuid: channel_of_row(msgspec.to_builtins(row)) for row in rows}
    unknown = [uuid for uuid in listing if board.call_of(uuid) is None]
    attached = await _attach(switch, board, take, unknown)
    for uuid in unknown:
        if board.call_of(uuid) is None:
            del listing[uuid]  # it ended since the list was made
    missing = [uuid for uuid in _live(board) if uuid not in listing]
    ended = 0
    if missing:
        await trio.sleep(GRACE_S)
        still = _live(board)
        missing = [uuid for uuid in missing if uuid in still]
        gone = await _gone(switch, missing)
        ended = len(gone)
        listing |= {uuid: Channel(uuid=uuid) for uuid in still if uuid not in gone and uuid not in listing}
    known = {row.uuid: msgspec.to_builtins(row) for row in rows}
    mark("listing", since_us=asked_us, rows=[known.get(uuid, {"uuid": uuid}) for uuid in listing])
    take(board.reconcile(list(listing.values()), at_us=asked_us, since_us=asked_us))
    return Report(listed=len(rows), attached=attached, ended=ended)


def _live(board: Switchboard) -> set[str]:
    return {leg.uuid for call in board.calls.values() for leg in call.legs if leg.state != "ended"}


async def _attach(
    switch: Switch, board: Switchboard, take: Callable[[list[Change]], None], uuids: Iterable[str]
) -> int:
    """Read unknown legs whole; how many were really there."""
    attached = 0

    async def read(uuid: str) -> None:
        nonlocal attached
        try:
            text = await switch.api(f"uuid_dump {uuid} json")
            fact = translate(Event.from_json(text.encode("utf-8", "surrogateescape")))
        except (CommandRefused, ProtocolError):
            return  # it is gone again
        if fact is not None:
            attached += 1
            take(board.advance(fact))

    await _each(read, uuids)
    return attached


async def _gone(switch: Switch, uuids: Iterable[str]) -> set[str]:
    """Which of these the switch does not have."""
    gone: set[str] = set()

    async def ask(uuid: str) -> None:
        if (await switch.api(f"uuid_exists {uuid}")).strip() == "false":
            gone.add(uuid)

    await _each(ask, uuids)
    return gone


async def _each(ask: Callable[[str], Awaitable[None]], uuids: Iterable[str]) -> None:
    """Ask for all of them, `AT_ONCE` at a time. The first error of the switch ends it and is raised as it is."""
    limiter = trio.CapacityLimiter(AT_ONCE)
    failed: list[EslError] = []

    async def one(uuid: str) -> None:
        async with limiter:
            try:
                await ask(uuid)
            except EslError as exc:
                failed.append(exc)
                nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for uuid in uuids:
            nursery.start_soon(one, uuid)
    if failed:
        raise failed[0]
