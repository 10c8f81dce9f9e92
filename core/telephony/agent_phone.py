"""The legs that lead to agents' browsers, on one switch: their SIP dialogs, kept so that an heir goes on with them.

A leg is noted in the store before the switch is asked for it, its dialog after the answer and before every renewal. So the
heir of a controller finds each leg that may be there (`AgentPhone.adopt`): those with a dialog it can renew, those without
were never answered as far as anybody knows and are ended, and so are legs on the switch that nobody noted.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol

import msgspec
import trio

from core.config import Inside
from core.errors import Conflict, PeerError, PeerTimeout, RequestError
from core.logs import get_logger
from core.storage import agent_legs as store
from core.telephony.parts import Parts
from freeswitch.beside import beside
from freeswitch.conf import REALM
from freeswitch.sip import Answered, Dialog, Identity
from freeswitch.sip.phone import CallFailed, Phone, Place, open_phone

LOG = get_logger("agent-phone")

EXTENSION = "agent"


class Notes(Protocol):
    """Where the legs of one switch are noted; see `core.storage.agent_legs`. Its methods raise `PeerError`."""

    async def begin(self, tenant_id: str, leg: str, agent_id: str) -> None: ...
    async def keep(self, tenant_id: str, leg: str, dialog: Dialog) -> None: ...
    async def all(self) -> list[store.StoredLeg]: ...
    async def forget(self, legs: Sequence[str]) -> None: ...


class StoredNotes:
    """The store, one crossing for each note."""

    def __init__(self, parts: Parts, node: str) -> None:
        self._parts = parts
        self._node = node

    async def begin(self, tenant_id: str, leg: str, agent_id: str) -> None:
        begin = partial(store.begin, leg=leg, node=self._node, agent_id=agent_id)
        await self._parts.bridge.run(begin, self._parts.db, tenant_id)

    async def keep(self, tenant_id: str, leg: str, dialog: Dialog) -> None:
        await self._parts.bridge.run(store.keep, self._parts.db, tenant_id, leg, dialog)

    async def all(self) -> list[store.StoredLeg]:
        return await self._parts.bridge.run(store.of_node, self._parts.db, self._node)

    async def forget(self, legs: Sequence[str]) -> None:
        await self._parts.bridge.run(store.forget, self._parts.db, self._node, legs)


class AgentPhone:
    """Made by `open_agent_phone`, for as long as a switch is ours."""

    def __init__(self, notes: Notes, phone: Phone) -> None:
        self._notes = notes
        self._phone = phone
        self._noted: set[str] = set()
        """Legs that the store has."""

    @property
    def up(self) -> bool:
        return self._phone.up

    async def adopt(self) -> None:
        """Go on with the legs that a predecessor noted."""
        for one in await self._notes.all():
            self._noted.add(one.leg)
            if one.dialog:
                self._phone.restore(msgspec.convert(one.dialog, Dialog))

    def knows(self, leg: str) -> bool:
        """Whether a leg was answered to us, or to a predecessor who noted that."""
        return self._phone.knows(leg)

    async def call(
        self, tenant_id: str, leg: str, sdp: str, *, agent: str, caller: str, headers: dict[str, str]
    ) -> str:
        """Have the switch take a browser's offer; its answer. The leg is answered and parked then.

        Raises `Conflict` and `RequestError` for what the switch refuses, `PeerTimeout` when nobody knows, `PeerError`.
        """
        outcome: list[Answered] = []
        self._noted.add(leg)

        async def invite() -> None:
            outcome.append(await self._phone.call(leg, EXTENSION, sdp, headers=headers, caller=caller))

        async def note() -> None:
            await self._notes.begin(tenant_id, leg, agent)

        try:
            # The switch answers in 6-30 ms; the store meanwhile.
            async with beside_each_other() as nursery:
                nursery.start_soon(note)
                await invite()
        except CallFailed as failed:
            raise _meant(failed) from None
        except ValueError:
            raise RequestError("a value of this call cannot be sent", code="invalid_value") from None
        await self._notes.keep(tenant_id, leg, outcome[0].dialog)
        return outcome[0].sdp

    async def renew(self, tenant_id: str, leg: str, sdp: str) -> str:
        """The switch's answer to a new offer within a leg. Raises like `call`; `Conflict` for a leg that ended."""
        try:
            answered = await self._phone.renew(leg, sdp, keep=partial(self._notes.keep, tenant_id, leg))
        except KeyError:
            raise Conflict("the leg has ended meanwhile", code="leg_ended") from None
        except ValueError:
            raise Conflict("an offer of this leg waits for its answer", code="busy") from None
        except CallFailed as failed:
            raise _meant(failed) from None
        await self._notes.keep(tenant_id, leg, answered.dialog)
        return answered.sdp

    async def tidy(self, live: set[str], calling: set[str]) -> None:
        """Forget, here and in the store, the legs that are over: all but those on the switch and those on their way."""
        over = self._noted - live - calling
        if over:
            for leg in over:
                self._phone.forget(leg)
            try:
                await self._notes.forget(list(over))
            except PeerError as failed:
                LOG.info("legs that are over are forgotten later", error=failed.code)
                return
            self._noted -= over

    async def drain_ends(self) -> None:
        """The Event Socket tells of every end; the phone's own news of them is thrown away."""
        while True:
            await self._phone.next_end()


@asynccontextmanager
async def beside_each_other() -> AsyncIterator[trio.Nursery]:
    """A nursery whose only error leaves as it is."""
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except* (CallFailed, PeerError, ValueError) as group:
        raise group.exceptions[0] from None


@asynccontextmanager
async def open_agent_phone(notes: Notes, inside: Inside) -> AsyncIterator[AgentPhone]:
    """A phone to the switch's inside profile for as long as the block lasts."""
    identity = Identity(inside.user, REALM, inside.password)
    async with open_phone(Place(inside.host, inside.port), identity) as phone:
        agents = AgentPhone(notes, phone)
        async with beside(agents.drain_ends):
            yield agents


def _meant(failed: CallFailed) -> Exception:
    if failed.status == 0:
        return PeerTimeout("the connection to the switch was lost over it", code="outcome_unknown")
    if failed.status == 408:
        return PeerTimeout("the switch did not answer in time", code="outcome_unknown")
    if failed.status == 481:
        return Conflict("the leg has ended meanwhile", code="leg_ended")
    if failed.status in (406, 415, 488, 606):
        return RequestError("the switch does not take this offer", code="invalid_sdp")
    if failed.status in (401, 403, 407):
        return Conflict("the switch's inside profile refuses our credentials", code="phone_refused")
    return Conflict(f"the switch answered {failed.status}", code="switch_refused")
