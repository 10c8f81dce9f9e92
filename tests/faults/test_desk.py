"""Agents at work while controllers are killed: an offer, a call, a wrap-up and a queue outlive the controller they were seen at.

The agents have no browsers; they speak the signaling protocol as pages do, and go to another controller when theirs is gone.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import redis
import websockets

from bench.desk import Agent, Refused, offer, token
from bench.hundred_users import NUMBER, TENANT, wait_for_signaling
from bench.stack import Child, wait_until
from core.clock import monotonic
from core.model.queueing_records import QueueSettings
from core.storage.agent_admin import NewAgent, insert_agent
from core.storage.database import Database
from core.storage.queue_lists import ROUTES
from core.storage.queues import create_queue
from tests.faults.scene import Scene

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]

USER = "usr_desk"
PATIENCE_S = 30.0


class Page:
    """An agent's page that finds another controller by itself."""

    def __init__(self, office: "Office") -> None:
        self._office = office
        self.agent: Agent | None = None
        self.events: list[dict[str, Any]] = []
        self.hello: dict[str, Any] = {}
        self.url = ""

    async def connect(self, *, but: str = "") -> None:
        """To any controller that lives (not ``but``)."""
        deadline = monotonic() + PATIENCE_S
        while True:
            for url in self._office.urls():
                if url == but:
                    continue
                agent = Agent(url, token(self._office.scene.stack.secret, USER), self._on)
                with contextlib.suppress(OSError, TimeoutError, Refused, websockets.WebSocketException):
                    await agent.__aenter__()
                    self.agent, self.url, self.hello = agent, url, agent.hello
                    return
            assert monotonic() < deadline, "no controller takes the page"
            await asyncio.sleep(0.05)

    async def _on(self, agent: Agent, frame: dict[str, Any], at: float) -> None:
        self.events.append(frame)
        if frame["type"] == "probe":
            await agent.ask("probed", probe=frame["probe"])

    async def ask(self, kind: str, **members: Any) -> dict[str, Any]:
        assert self.agent is not None
        return await self.agent.ask(kind, **members)

    async def asked_again(self, kind: str, **members: Any) -> dict[str, Any]:
        """What a person does who is told to try again: an owner that died is replaced within two seconds."""
        deadline = monotonic() + PATIENCE_S
        while True:
            try:
                return await self.ask(kind, **members)
            except Refused:
                if monotonic() > deadline:
                    raise
                await asyncio.sleep(0.2)

    async def until(
        self, kind: str, holds: Callable[[dict[str, Any]], bool] = lambda _: True
    ) -> dict[str, Any]:
        """The first event of this kind for which ``holds``."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                for frame in self.events:
                    if frame["type"] == kind and holds(frame):
                        return frame
                await asyncio.sleep(0.02)

    async def leave(self) -> None:
        if self.agent is not None:
            with contextlib.suppress(OSError, websockets.WebSocketException):
                await self.agent.__aexit__()


class Office:
    """Two controllers, a switch, a queue and one agent."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        scene.begin(controllers=2, rate=0, talk=0, agents=True, env={"IRISX_SIGNALING": "127.0.0.1:0"})
        wait_for_signaling(scene.stack, 2)

    def urls(self) -> list[str]:
        return [one["signaling"] for one in self._present() if one.get("signaling")]

    def _present(self) -> list[dict[str, Any]]:
        with redis.Redis.from_url(self.scene.stack.env["REDIS_URL"]) as client:
            said = [client.get(key) for key in client.scan_iter("irisx:controller:*")]
        return [json.loads(one) for one in said if one]

    async def people(self) -> None:
        db = await Database.open(self.scene.url, max_size=2)
        try:
            settings = QueueSettings(wrap_up_s=60, offer_s=60)
            queue = await create_queue(db, TENANT, name="Support", settings=settings)
            await ROUTES.create(db, TENANT, {"number": NUMBER, "queue_id": queue.id})
            async with db.tenant(TENANT) as connection:
                new = NewAgent(user_id=USER, name="Ada", extension="100", queues={queue.id: 1})
                await insert_agent(connection, TENANT, new)
        finally:
            await db.close()

    def call(self) -> str:
        """A customer calls the queue's number; their leg."""
        return self.scene.esl(f"sim call to={NUMBER} context=carrier talk=inf patience=inf").split()[-1]

    def kill(self, url: str) -> None:
        """kill -9 of the controller that serves this address."""
        pid = next(one["pid"] for one in self._present() if one.get("signaling") == url)
        child: Child = next(one for one in self.scene.controllers if one.pid == pid)
        child.kill()
        self.scene.controllers.remove(child)

    def bridged(self, leg: str) -> bool:
        return "true" in self.scene.esl(f"uuid_exists {leg}") and bool(
            self.scene.esl(f"uuid_getvar {leg} bridge_to").replace("_undef_", "").strip()
        )


@asynccontextmanager
async def at_work(office: Office) -> AsyncIterator[Page]:
    await office.people()
    page = Page(office)
    try:
        await page.connect()
        await page.ask("state", state="ready", reason="")
        yield page
    finally:
        await page.leave()


async def answered(office: Office, page: Page) -> tuple[str, dict[str, Any]]:
    """A customer is being talked with: their leg, and the call."""
    customer = await asyncio.to_thread(office.call)
    shown = (await page.until("offer"))["offer"]
    await page.ask("accept", offer=shown["id"], sdp=offer())
    call = (await page.until("call", lambda frame: bool(frame["call"]["state"] == "talking")))["call"]
    await asyncio.to_thread(wait_until, lambda: office.bridged(customer), "they talk", 20)
    return customer, call


def test_an_offer_outlives_the_controller_that_showed_it(scene: Scene) -> None:
    office = Office(scene)

    async def story() -> None:
        async with at_work(office) as page:
            customer = await asyncio.to_thread(office.call)
            shown = (await page.until("offer"))["offer"]
            office.kill(page.url)
            await page.connect(but=page.url)
            assert [one["id"] for one in page.hello["offers"]] == [shown["id"]]
            await page.asked_again("accept", offer=shown["id"], sdp=offer())
            await asyncio.to_thread(wait_until, lambda: office.bridged(customer), "they talk", 20)

    asyncio.run(story())


def test_a_call_outlives_the_controller_and_its_agent_is_in_control_again(scene: Scene) -> None:
    office = Office(scene)

    async def story() -> None:
        async with at_work(office) as page:
            customer, call = await answered(office, page)
            office.kill(page.url)
            assert office.bridged(customer)
            await page.connect(but=page.url)
            (found,) = page.hello["calls"]
            assert (found["id"], found["leg"], found["state"]) == (call["id"], call["leg"], "talking")
            renewed = await page.asked_again("renew", leg=call["leg"], sdp=offer(2))
            assert renewed["sdp"].startswith("v=0")
            await page.asked_again("hold", call=call["id"])
            await page.asked_again("unhold", call=call["id"])
            await page.asked_again("hangup", call=call["id"])
            wrap_up = await page.until("wrap_up")
            await page.asked_again("wrap_up", offer=wrap_up["offer"], disposition="", notes="")

    asyncio.run(story())
    scene.settled().check(scene.ear)


def test_a_wrap_up_and_the_queue_outlive_both_controllers_that_there_were(scene: Scene) -> None:
    office = Office(scene)

    async def story() -> None:
        async with at_work(office) as page:
            _, call = await answered(office, page)
            await page.ask("hangup", call=call["id"])
            wrap_up = await page.until("wrap_up")
            waiting = await asyncio.to_thread(office.call)
            office.kill(page.url)
            await page.connect(but=page.url)
            assert [one["offer"] for one in page.hello["wrap_ups"]] == [wrap_up["offer"]]
            scene.controllers.append(
                scene.stack.controller("controller-3", {"IRISX_SIGNALING": "127.0.0.1:0"})
            )
            await asyncio.to_thread(
                wait_until, lambda: len(office.urls()) >= 2, "another controller is there", 30
            )
            office.kill(page.url)
            await page.connect(but=page.url)
            await page.asked_again("wrap_up", offer=wrap_up["offer"], disposition="", notes="")
            shown = (await page.until("offer", lambda one: bool(one["offer"]["id"] != wrap_up["offer"])))[
                "offer"
            ]
            await page.asked_again("accept", offer=shown["id"], sdp=offer())
            await asyncio.to_thread(wait_until, lambda: office.bridged(waiting), "they talk", 20)

    asyncio.run(story())
