"""What sessions read from the store and write into it: coroutines for the asyncio side, one crossing each.

Everything names the tenant and the agent that the session is about, so that nobody reaches another one's work.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec import Struct

from core import log
from core.clock import now_us
from core.errors import NotFound
from core.model.mos import Heard
from core.model.records import Call
from core.model.signaling import AgentSeen, Devices, Quality, Reserved, moment
from core.model.signaling_spine import Keep
from core.storage import agents, calls, leg_quality, reservations
from core.storage.database import Database
from core.storage.entries import NewEntry

_encode = msgspec.json.Encoder().encode


class Who(Struct, frozen=True):
    """Whose session it is."""

    tenant_id: str
    agent_id: str
    user_id: str


class Found(Struct, frozen=True):
    """All that a session begins with."""

    agent: AgentSeen
    reserved: list[Reserved]
    calls: list[Call]


async def find(db: Database, tenant_id: str, user_id: str) -> AgentSeen | None:
    """The agent that a user is."""
    agent = await agents.agent_of_user(db, tenant_id, user_id)
    return None if agent is None else seen(agent)


async def begin(db: Database, who: Who, session: str, controller: str) -> Found:
    """Hold the agent from now on, and see what they have in hand."""
    agent = await agents.online(db, who.tenant_id, who.agent_id, session=session, controller=controller)
    reserved = await reservations.open_of_agent(db, who.tenant_id, who.agent_id)
    live = await calls.calls_of_agent(db, who.tenant_id, who.agent_id)
    return Found(seen(agent), [as_reserved(one) for one in reserved], live)


async def end(db: Database, who: Who, session: str) -> None:
    """The page is gone."""
    await agents.offline(db, who.tenant_id, who.agent_id, session=session)


async def keep(db: Database, who: Who, what: Keep) -> dict[str, Any]:
    """Do one operation of a session. Raises what the storage raises."""
    return await OPERATIONS[what.do](db, who, what.args)


def seen(agent: agents.Agent) -> AgentSeen:
    return msgspec.json.decode(_encode(agent), type=AgentSeen)


def as_reserved(one: reservations.Reservation) -> Reserved:
    return msgspec.json.decode(_encode(one), type=Reserved)


Result = dict[str, Any]


async def _accept(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    await reservations.accept(db, who.tenant_id, args["offer"], who.agent_id)
    return {}


async def _decline(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    await reservations.decline(db, who.tenant_id, args["offer"], who.agent_id, reason=args["reason"])
    return {}


async def _withdraw(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    # (the session knows the id only because it made the offer itself)
    await reservations.decline(db, who.tenant_id, args["offer"], args["agent"], reason="withdrawn")
    return {}


async def _connected(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    await reservations.connected(db, who.tenant_id, args["offer"], who.agent_id, agent_leg=args["leg"])
    return {}


async def _failed(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    await reservations.failed(db, who.tenant_id, args["offer"], who.agent_id, reason=args["reason"])
    return {}


async def _finish(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    await reservations.finish(
        db,
        who.tenant_id,
        args["offer"],
        who.agent_id,
        disposition=args["disposition"],
        notes=args["notes"],
    )
    return {}


async def _extend(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    after = await reservations.extend(db, who.tenant_id, args["offer"], who.agent_id, seconds=args["seconds"])
    return {"until": moment(after.wrap_until_us)}


async def _state(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    agent = await agents.set_state(
        db, who.tenant_id, who.agent_id, args["state"], reason=args["reason"], actor=who.user_id
    )
    return {"agent": seen(agent)}


async def _find(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    to: str = args["to"]
    if to.startswith("agt_"):
        return {"agent": await _agent(db, who.tenant_id, to)}
    agent = await agents.by_extension(db, who.tenant_id, to)
    return {"agent": None if agent is None else seen(agent)}


async def _agent(db: Database, tenant_id: str, agent_id: str) -> AgentSeen | None:
    try:
        return seen(await agents.get_agent(db, tenant_id, agent_id))
    except NotFound:
        return None


async def _offer_direct(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    made = await reservations.offer_direct(
        db,
        who.tenant_id,
        agent_id=args["agent"],
        node=args["node"],
        call_id=args["call_id"],
        leg=args["leg"],
        caller=args["caller"],
        caller_name=args["caller_name"],
        ring_s=args["ring_s"],
    )
    return {"reservation": made.id}


async def _devices(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    given: Devices = args["devices"]
    data = {"microphone": given.microphone, "speaker": given.speaker, "network": given.network}
    await _note(db, who, "agent.devices", who.agent_id, data)
    return {}


async def _quality(db: Database, who: Who, args: Mapping[str, Any]) -> Result:
    given: Quality = args["quality"]
    heard = Heard(
        codec=args["codec"],
        received=given.received,
        lost=given.lost,
        rtt_ms=given.rtt_ms,
        jitter_ms=given.jitter_ms,
    )
    await leg_quality.keep(
        db, who.tenant_id, args["call_id"], given.leg, heard, heard_by="browser", at_us=now_us()
    )
    return {}


async def _note(db: Database, who: Who, kind: str, resource: str, data: Mapping[str, Any]) -> None:
    entry = NewEntry(
        tenant_id=who.tenant_id, type=kind, resource=resource, data=_encode(data), occurred_us=now_us()
    )
    async with db.tenant(who.tenant_id) as connection:
        await log.append(connection, [entry])


OPERATIONS: dict[str, Callable[[Database, Who, Mapping[str, Any]], Awaitable[Result]]] = {
    "accept": _accept,
    "decline": _decline,
    "withdraw": _withdraw,
    "connected": _connected,
    "failed": _failed,
    "finish": _finish,
    "extend": _extend,
    "state": _state,
    "find": _find,
    "offer_direct": _offer_direct,
    "devices": _devices,
    "quality": _quality,
}
"""What `Keep.do` names."""
