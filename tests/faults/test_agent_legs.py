"""A controller dies while agents talk: their legs go on, and its heir goes on with them."""

import asyncio
import json
import uuid
from typing import Any

import asyncpg
import pytest

from bench.stack import owner_of, owner_pid, present, wait_until
from core.bus import Bus
from core.clock import now_us
from core.errors import PeerError
from core.model.orders import Order, Outcome
from tests.faults.scene import POLL_S, Scene
from tests.telephony.browser import offer

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

AGENT = "agt_01"


class Switchboard:
    """Gives orders as the front doors do."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self._node = str(scene.ask("select id from nodes")[0]["id"])

    def order(self, action: str, call_id: str = "", *, again: bool = False, **args: Any) -> Outcome:
        """``again``: as often as it takes, because it may be."""

        async def give() -> Outcome:
            bus = await Bus.open(self._scene.stack.env["REDIS_URL"])
            try:
                await asyncio.wait_for(bus.listening.wait(), 10)
                deadline_us = now_us() + 20_000_000
                while True:
                    try:
                        return await bus.ask(
                            Order(
                                id=f"ord_{uuid.uuid4().hex}",
                                action=action,
                                node=self._node,
                                tenant_id="tnt_main",
                                deadline_us=deadline_us,
                                call_id=call_id,
                                args=args,
                            )
                        )
                    except PeerError:
                        if not again or now_us() > deadline_us:
                            raise
                        await asyncio.sleep(0.1)
            finally:
                await bus.aclose()

        return asyncio.run(give())


def leg_in_store(scene: Scene, leg: str) -> dict[str, Any] | None:
    found = scene.ask(
        "select l::text as leg from calls, json_array_elements(doc::json -> 'legs') l"
        f" where live and l ->> 'uuid' = '{leg}'"
    )
    return json.loads(found[0]["leg"]) if found else None


def caller(scene: Scene) -> tuple[str, str]:
    """Somebody calls and is parked; the call and the leg."""
    leg = scene.esl("sim call to=4930100 context=carrier talk=inf patience=inf").split()[-1]
    wait_until(
        lambda: (leg_in_store(scene, leg) or {}).get("parked"), "the caller is parked", 20, every_s=POLL_S
    )
    call = scene.ask(f"select id from calls where live and doc::text like '%{leg}%'")[0]["id"]
    return str(call), leg


def with_two_controllers(scene: Scene) -> Switchboard:
    scene.begin(controllers=2, rate=0, talk=0, agents=True)
    wait_until(
        lambda: {one.pid for one in scene.controllers} <= present(scene.stack), "an heir stands by", 20
    )
    return Switchboard(scene)


def kill_owner(scene: Scene) -> None:
    owner = owner_of(scene.stack, scene.controllers)
    owner.kill()
    scene.controllers.remove(owner)
    wait_until(lambda: owner_pid(scene.stack) not in (0, owner.pid), "an heir owns it", 20)


def talking(scene: Scene, board: Switchboard) -> tuple[str, str, str]:
    call, customer = caller(scene)
    leg = str(uuid.uuid4())
    outcome = board.order("agent.call", call, agent=AGENT, leg=leg, sdp=offer(), join=customer)
    assert outcome.status == "done", outcome
    wait_until(
        lambda: (leg_in_store(scene, leg) or {}).get("bridged_to") == customer,
        "they talk",
        20,
        every_s=POLL_S,
    )
    return call, customer, leg


def test_the_kill_of_the_controller_in_an_agents_call_ends_nothing_and_its_heir_goes_on(scene: Scene) -> None:
    board = with_two_controllers(scene)
    call, customer, leg = talking(scene, board)
    kill_owner(scene)
    renewed = board.order("agent.renew", again=True, agent=AGENT, leg=leg, sdp=offer(2))
    assert renewed.status == "done" and str(renewed.result["sdp"]).startswith("v=0")
    stored = leg_in_store(scene, leg)
    assert stored is not None and stored["bridged_to"] == customer and stored["agent"] == AGENT
    assert board.order("call.hold", call, again=True, leg=customer).status == "done"
    assert board.order("call.unhold", call, again=True, leg=customer).status == "done"
    assert board.order("call.hangup", call, again=True).status == "done"
    scene.settled().check(scene.ear)


def test_a_leg_whose_controller_died_before_it_heard_of_it_is_ended_by_the_heir(scene: Scene) -> None:
    board = with_two_controllers(scene)
    _, customer, leg = talking(scene, board)
    # What a controller leaves that dies between its INVITE and the answer: a note without a dialog.
    run(scene, "update agent_legs set dialog = null")
    kill_owner(scene)
    wait_until(lambda: leg_in_store(scene, leg) is None, "the leg is ended", 20, every_s=POLL_S)
    wait_until(
        lambda: scene.esl(f"uuid_exists {customer}").strip() == "false",
        "and the caller with it",
        20,
        every_s=POLL_S,
    )
    scene.settled().check(scene.ear)


def run(scene: Scene, statement: str) -> None:
    async def go() -> None:
        connection = await asyncpg.connect(scene.url)
        try:
            await connection.execute("set irisx.tenant = '*'")
            await connection.execute(statement)
        finally:
            await connection.close()

    asyncio.run(go())
