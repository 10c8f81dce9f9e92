"""One tenant's queues: read the log, bring the board up to date, decide, store the offers, and do what time does.

A round is one crossing to asyncio; fresh entries of the log begin one at once, what time does at most `LOOK_S` later. A round that fails
(the store is away) is begun again with a board that is read anew: nothing is kept that was not stored.
"""

import random

import trio

from core.aio import Inbox
from core.bus import Bus
from core.cluster.lease import Lease
from core.errors import IrisxError
from core.logs import get_logger
from core.queueing.attending import Attendants
from core.queueing.rounds import Rounds
from core.telephony.parts import Parts

LOG = get_logger("queues")

LOOK_S = 0.25
"""How late what time does (an offer runs out, a wrap-up ends) may be noticed."""
IDLE_S = 2.0
"""How often the log is looked into although nobody says that there is something."""
RECONCILE_S = 10.0
FIRST_REST_S = 0.2
MAX_REST_S = 5.0
WAKES = 64
"""Wake-ups that may wait; one is as good as many, so more are dropped."""
HEARD = 1_000
"""Ends of sounds that may wait to be told to attendants; a lost one costs a second of music."""


class TenantKeeper:
    """Keeps the queues of one tenant."""

    def __init__(self, parts: Parts, lease: Lease, tenant_id: str) -> None:
        self._parts = parts
        self._lease = lease
        self._tenant_id = tenant_id
        self._rounds = Rounds(parts.db, tenant_id)

    async def run(self) -> None:
        """Until it is cancelled."""
        wakes: Inbox[str] = Inbox(WAKES)
        heard: Inbox[tuple[str, str]] = Inbox(HEARD)
        async with trio.open_nursery() as nursery:
            attendants = Attendants(self._parts, self._lease, self._tenant_id, nursery)
            nursery.start_soon(self._parts.bridge.run, listen, self._parts.bus, self._tenant_id, wakes, heard)
            nursery.start_soon(attendants.hear, heard)
            nursery.start_soon(self._reconcile)
            rest = FIRST_REST_S
            while True:
                try:
                    done = await self._parts.bridge.run(self._rounds.round)
                except IrisxError as exc:
                    LOG.info("the queues of a tenant wait", tenant=self._tenant_id, error=exc.code)
                    self._rounds.forget()
                    await trio.sleep(rest * random.uniform(0.5, 1.0))
                    rest = min(rest * 2, MAX_REST_S)
                    continue
                rest = FIRST_REST_S
                for goodbye in done:
                    attendants.say_goodbye(goodbye)
                board = self._rounds.board
                if board is not None:
                    attendants.look(board, self._rounds.now_us())
                await self._pause(wakes)

    async def _reconcile(self) -> None:
        """Talks are compared with calls: nobody is busy for ever with one that has ended."""
        while True:
            await trio.sleep(RECONCILE_S * random.uniform(0.8, 1.2))
            try:
                await self._parts.bridge.run(self._rounds.reconcile)
            except IrisxError as exc:
                LOG.info("comparing talks with calls waits", tenant=self._tenant_id, error=exc.code)

    async def _pause(self, wakes: Inbox[str]) -> None:
        """Until there is a fresh entry, something is due, or `IDLE_S` have passed (an entry may go unheard)."""
        with trio.move_on_after(IDLE_S * random.uniform(0.8, 1.2)):
            while True:
                with trio.move_on_after(LOOK_S):
                    await wakes.take()
                    return
                if self._rounds.due():
                    return


async def listen(bus: Bus, tenant_id: str, wakes: Inbox[str], heard: Inbox[tuple[str, str]]) -> None:
    """Wake the keeper for every fresh entry, and tell attendants of sounds that have ended. asyncio."""
    async with bus.follow(tenant_id) as follower:
        while True:
            for entry in await follower.take(60.0):
                if entry.type == "call.playback_stopped":
                    heard.offer((entry.resource, entry.type))
            wakes.offer(tenant_id)
