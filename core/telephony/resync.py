"""Comparing what we know of a switch's calls with the switch itself, and closing the difference.

Needed after every connect, after a loss was noticed or suspected, at takeover, and when somebody asks. The
switch's list comes from its SQL table and lags behind (`show channels`), while our own view comes from events that
may still be on their way. So the list only says which legs to ask for, and nothing is concluded from its rows:

- every leg, known to us or not, is read from the switch itself (``uuid_dump``): what it shows and which event it
  shows it after, so that a look which is older than an event we had changes nothing;
- a leg of ours that the switch does not have is asked for once more (``uuid_exists``), after a pause in which its
  end may still arrive as an event, with its true cause and times.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

import msgspec
import trio

from core.clock import now_us
from core.model.facts import Channel
from core.model.records import Change
from core.model.switchboard import Switchboard
from core.telephony.translate import translate
from freeswitch.errors import CommandRefused, EslError, ProtocolError
from freeswitch.esl import frame_of
from freeswitch.event import Event
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


class Journal(Protocol):
    """Where it is noted what was concluded from, so that a replay concludes the same (`core.recorder.Recorder`)."""

    def write(self, data: bytes) -> None: ...
    def mark(self, mark: str, **values: object) -> None: ...


async def resync(
    switch: Switch, board: Switchboard, take: Callable[[list[Change]], None], journal: Journal
) -> Report:
    """Make ``board`` agree with the switch. Raises what `Switch.api` raises; what was done until then stays."""
    asked_us = now_us()
    listed = {row.uuid for row in await switch.channels()}
    ours = _live(board)
    attached = 0

    async def read(uuid: str) -> bool:
        nonlocal attached
        known = board.call_of(uuid) is not None
        there = await _read(switch, board, take, journal, uuid)
        attached += there and not known
        return there

    # Strangers first: if the link breaks again meanwhile, those are the ones of which we know nothing at all.
    there = await _which(read, [*(listed - ours), *ours])
    missing = ours - there
    ended: set[str] = set()
    if missing:
        await trio.sleep(GRACE_S)
        missing &= _live(board)

        async def exists(uuid: str) -> bool:
            return (await switch.api(f"uuid_exists {uuid}")).strip() != "false"

        ended = missing - await _which(exists, missing)
    stay = _live(board) - ended
    journal.mark("listing", since_us=asked_us, rows=[{"uuid": uuid} for uuid in stay])
    take(board.reconcile([Channel(uuid=uuid) for uuid in stay], at_us=asked_us, since_us=asked_us))
    return Report(listed=len(there), attached=attached, ended=len(ended))


def _live(board: Switchboard) -> set[str]:
    return {leg.uuid for call in board.calls.values() for leg in call.legs if leg.state != "ended"}


async def _read(
    switch: Switch,
    board: Switchboard,
    take: Callable[[list[Change]], None],
    journal: Journal,
    uuid: str,
) -> bool:
    """Look at one leg; False when the switch does not have it."""
    try:
        text = await switch.api(f"uuid_dump {uuid} json")
        event = Event.from_json(text.encode("utf-8", "surrogateescape"))
    except (CommandRefused, ProtocolError):
        return False
    fact = translate(event)
    if fact is None:
        return False
    journal.write(frame_of(event))
    take(board.advance(fact))
    return True


async def _which(ask: Callable[[str], Awaitable[bool]], uuids: Iterable[str]) -> set[str]:
    """The ones for which ``ask`` says yes, `AT_ONCE` at a time. The switch's first error is raised as it is."""
    yes: set[str] = set()
    failed: list[EslError] = []
    waiting = iter(list(uuids))

    async def worker() -> None:
        try:
            for uuid in waiting:
                if await ask(uuid):
                    yes.add(uuid)
        except EslError as exc:
            failed.append(exc)
            nursery.cancel_scope.cancel()

    async with trio.open_nursery() as nursery:
        for _ in range(AT_ONCE):
            nursery.start_soon(worker)
    if failed:
        raise failed[0]
    return yes
