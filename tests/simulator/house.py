"""A simulated switch with its inside profile, a controller's phone, and browsers to talk with."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from freeswitch.simulator import SimulatorSettings, api, serve
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.server import Simulator
from freeswitch.sip import Identity
from freeswitch.sip.phone import Phone, Place, open_phone
from tests.simulator.browser import LIMIT_S, Browser, Browsers, browsers

PASSWORD = "inside-secret"


class House:
    """All of it."""

    def __init__(self, simulator: Simulator, phone: Phone, make: Browsers) -> None:
        self.simulator = simulator
        self.phone = phone
        self._make = make

    async def leg(self, pitch: float, number: str = "agent", **headers: str) -> tuple[Browser, str]:
        """A browser whose microphone hears ``pitch``, and its leg at an extension of the inside profile."""
        browser, uuid_ = self._make.open(pitch), str(uuid.uuid4())
        answered = await self.phone.call(uuid_, number, await browser.offer(), headers=headers)
        await browser.answered(answered.sdp)
        return browser, uuid_

    async def renew(self, browser: Browser, uuid_: str) -> None:
        """The page is loaded again in the call."""
        answered = await self.phone.renew(uuid_, await browser.offer())
        await browser.answered(answered.sdp)

    async def restart(self, browser: Browser, uuid_: str) -> None:
        """The network has changed in the call."""
        answered = await self.phone.renew(uuid_, await browser.restart())
        await browser.restarted(answered.sdp)

    def channel(self, uuid_: str) -> Channel:
        return self.simulator.switch.channels[uuid_]

    def api(self, line: str) -> str:
        """Run an api command that answers at once."""
        name, _, argument = line.partition(" ")
        said: list[str] = []
        api.run(api.Call(self.simulator.switch, name, argument), said.append)
        return said[0]

    async def caller(self, pitch: int) -> str:
        """A simulated person who has called, was answered and waits."""
        words = f"sim call to=9001 context=default profile=carrier pitch={pitch}"
        return self.api(words).split()[1]

    async def until(self, condition: Any) -> None:
        """Wait for something that happens soon."""
        with trio.fail_after(LIMIT_S):
            while not condition():
                await trio.sleep(0.02)


@asynccontextmanager
async def house(**changes: object) -> AsyncIterator[House]:
    """One of these, for as long as the block lasts."""
    settings = SimulatorSettings(
        **{"port": 0, "sip_port": 0, "inside_password": PASSWORD, "seed": 1, **changes}  # type: ignore[arg-type]
    )
    with browsers() as make:
        async with trio.open_nursery() as nursery:
            simulator: Simulator = await nursery.start(
                lambda *, task_status: serve(settings, task_status=task_status)
            )
            identity = Identity("irisx", "127.0.0.1", PASSWORD)
            async with open_phone(Place("127.0.0.1", simulator.sip_port), identity) as phone:
                yield House(simulator, phone, make)
            nursery.cancel_scope.cancel()
