"""Agents and what is offered to them: who holds an agent, what becomes of an offer, and that the log tells all of it."""

import asyncio
from typing import Any

import msgspec
import pytest

from core import log
from core.errors import Conflict, NotFound
from core.ids import new_id
from core.model.capacity import CAPACITY
from core.storage import agents, reservations
from core.storage.database import Database
from core.storage.queue_moves import insert_rows
from core.storage.reservations import Reservation

pytestmark = pytest.mark.asyncio_loop


async def agent(db: Database, tenant: str, **more: Any) -> str:
    made = {"tenant_id": tenant, "id": new_id("agt"), "user_id": new_id("usr"), "name": "Ann", "since_us": 1,
            "capacity": msgspec.to_builtins(CAPACITY), "created_us": 1, "updated_us": 1}  # fmt: skip
    async with db.tenant(tenant) as connection:
        await insert_rows(connection, "agents", [{**made, **more}])
    return str({**made, **more}["id"])


async def present(db: Database, tenant: str, **more: Any) -> str:
    """An agent who is ready and holds a page."""
    agent_id = await agent(db, tenant, **more)
    await agents.online(db, tenant, agent_id, session="s1", controller="c1")
    await agents.set_state(db, tenant, agent_id, "ready")
    return agent_id


async def offered(db: Database, tenant: str, agent_id: str, *, ring_s: float = 20) -> Reservation:
    return await reservations.offer_direct(
        db, tenant, agent_id=agent_id, node="n1", call_id="call_1", leg="leg-1", caller="100", caller_name="Bo",
        ring_s=ring_s,
    )  # fmt: skip


async def told(db: Database, tenant: str) -> list[str]:
    return [msgspec.json.decode(one)["type"] for one in await log.read(db, tenant, limit=100)]


async def test_a_page_holds_its_agent_until_it_or_another_one_lets_go(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        ann = await agent(db, tenant, extension="100")
        one = await agents.online(db, tenant, ann, session="s1", controller="c1")
        assert (one.state, one.reason, one.session) == ("not_ready", "signed_in", "s1")
        assert (await agents.set_state(db, tenant, ann, "ready")).state == "ready"
        two = await agents.online(db, tenant, ann, session="s2", controller="c2")
        assert (two.state, two.session) == ("ready", "s2")
        assert not await agents.offline(db, tenant, ann, session="s1")
        assert await agents.beat(db, [(tenant, ann, "s1")]) == set()
        assert await agents.beat(db, [(tenant, ann, "s2")]) == {(tenant, ann)}
        assert await agents.offline(db, tenant, ann, session="s2")
        gone = await agents.by_extension(db, tenant, "100")
        assert gone is not None and (gone.state, gone.session) == ("offline", "")
        assert await told(db, tenant) == [
            "agent.online", "agent.state_changed", "agent.online", "agent.offline",
        ]  # fmt: skip


async def test_who_is_silent_is_let_go_and_who_beats_is_not(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        ann, bo = await present(db, tenant), await present(db, tenant)
        async with db.tenant(tenant) as connection:
            await connection.execute("update agents set seen_at = seen_at - interval '31 seconds'")
        await agents.beat(db, [(tenant, bo, "s1")])
        quiet = [one for one in await agents.silent(db) if one[0] == tenant]
        assert quiet == [(tenant, ann)]
        assert await agents.let_go(db, tenant, [ann, bo]) == 1
        assert (await agents.get_agent(db, tenant, ann)).reason == "silent"
        assert (await agents.get_agent(db, tenant, bo)).state == "ready"


async def test_an_offer_is_accepted_once_and_then_busy(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        ann = await present(db, tenant)
        one = await offered(db, tenant, ann)
        assert (await agents.get_agent(db, tenant, ann)).activity == "reserved"
        both = await asyncio.gather(
            *(reservations.accept(db, tenant, one.id, ann) for _ in range(2)), return_exceptions=True
        )
        (refused,) = [each for each in both if isinstance(each, Conflict)]
        assert refused.code == "offer_gone"
        assert (await agents.get_agent(db, tenant, ann)).activity == "busy"
        talking = await reservations.connected(db, tenant, one.id, ann, agent_leg="leg-2")
        assert (talking.state, talking.agent_leg) == ("connected", "leg-2")
        with pytest.raises(Conflict) as busy:
            await offered(db, tenant, ann)
        assert busy.value.code == "agent_busy"
        assert (await told(db, tenant))[-3:] == [
            "reservation.offered", "reservation.accepted", "reservation.connected",
        ]  # fmt: skip


async def test_an_offer_that_has_run_out_cannot_be_accepted(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        ann = await present(db, tenant)
        one = await offered(db, tenant, ann, ring_s=0)
        with pytest.raises(Conflict) as late:
            await reservations.accept(db, tenant, one.id, ann)
        assert late.value.code == "offer_gone"


async def test_another_agents_offer_is_not_found(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        ann, bo = await present(db, tenant), await present(db, tenant)
        one = await offered(db, tenant, ann)
        for act in (reservations.accept, reservations.decline, reservations.finish):
            with pytest.raises(NotFound):
                await act(db, tenant, one.id, bo)
        with pytest.raises(NotFound):
            await reservations.accept(db, new_id("tnt"), one.id, ann)


async def test_who_declines_or_fails_is_free_again(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        ann = await present(db, tenant)
        one = await offered(db, tenant, ann)
        declined = await reservations.decline(db, tenant, one.id, ann, reason="at lunch")
        assert (declined.state, declined.reason) == ("declined", "at lunch")
        two = await offered(db, tenant, ann)
        await reservations.accept(db, tenant, two.id, ann)
        await reservations.failed(db, tenant, two.id, ann, reason="caller_gone")
        assert await reservations.open_of_agent(db, tenant, ann) == []
        with pytest.raises(Conflict):
            await reservations.finish(db, tenant, two.id, ann)


async def test_nobody_is_called_who_is_not_there(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        tenant = new_id("tnt")
        ann = await agent(db, tenant)
        with pytest.raises(Conflict) as away:
            await offered(db, tenant, ann)
        assert away.value.code == "agent_offline"
        assert await agents.agent_of_user(db, tenant, "usr_nobody") is None
