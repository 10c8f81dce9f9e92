"""Connections that a channel holds: what is said on them arrives, also after they were lost."""

import contextlib
from typing import Any

from irisx_sdk.channel import Parsed, Tools
from irisx_sdk.conformance.scene import MARK, Broken, Scene, Skipped
from irisx_sdk.messages import Text

_ARRIVES_S = 12.0
_AGAIN_S = 0.5
_ENDS_S = 5.0
_PAUSE_S = 0.2


def run(scene: Scene) -> None:
    """All of them; none applies to a channel that holds no connection."""
    with scene.check("what is said on its connection arrives, also after a restart") as remarks:
        if not scene.channel.capabilities.listens:
            raise Skipped("the channel holds no connection")
        held = _Held(scene)
        scene.fake.webhook_url = ""
        remarks.append(scene.run(held.all, backend="trio"))


class _Held:
    """One channel that listens, and what it delivered."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.texts: dict[str, str] = {}
        """By the provider's id."""
        self.failures: list[BaseException] = []
        self.wanted = ""
        self.arrived: Any = None

    async def deliver(self, parsed: Parsed) -> None:
        for message in parsed.messages:
            if isinstance(message.content, Text):
                self.texts[message.id] = message.content.text.strip()
                self.scene.met = message
                if self.texts[message.id].startswith(self.wanted):
                    self.arrived.set()

    async def all(self, lent: Tools) -> str:
        first = await self._round("first", lent)
        second = await self._round("second", lent)
        twice = [text for text in set(self.texts.values()) if list(self.texts.values()).count(text) > 1]
        if twice:
            raise Broken(f"{len(twice)} messages have two ids")
        return f"after {first:.1f} s, after a restart {second:.1f} s"

    async def _round(self, name: str, lent: Tools) -> float:
        """Listen, let somebody write until it arrives, and stop listening. Seconds until it arrived."""
        import trio

        begun = trio.current_time()
        arrived = self.arrived = trio.Event()
        self.wanted = name
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep, lent)
            with trio.move_on_after(_ARRIVES_S):
                number = 0
                while not arrived.is_set():
                    number += 1
                    await trio.to_thread.run_sync(self._say, f"{name} {number} {MARK}")
                    with trio.move_on_after(_AGAIN_S):
                        await arrived.wait()
            took = trio.current_time() - begun
            await trio.sleep(_PAUSE_S)
            asked = trio.current_time()
            nursery.cancel_scope.cancel()
        if not arrived.is_set():
            raise Broken(f"nothing arrived in {_ARRIVES_S:.0f} s ({self._why()})")
        if trio.current_time() - asked > _ENDS_S:
            raise Broken(f"took {trio.current_time() - asked:.0f} s to end when it was told to")
        return took

    async def _keep(self, lent: Tools) -> None:
        """Start it again whenever it ends, as the platform does."""
        import trio

        while True:
            try:
                await self.scene.channel.listen(self.scene.account, lent, self.deliver)
            except Exception as error:  # noqa: BLE001 - a stranger's code: told when nothing arrives
                self.failures.append(error)
                self.scene.errors.append(error)
            await trio.sleep(_PAUSE_S)

    def _say(self, text: str) -> None:
        fake: Any = self.scene.fake
        with contextlib.suppress(Exception):  # nobody is connected yet
            fake.do(fake.say, fake.someone(), text)

    def _why(self) -> str:
        if not self.failures:
            return "listen did not fail"
        last = self.failures[-1]
        return f"listen failed {len(self.failures)} times, last {type(last).__name__}: {str(last)[:150]}"
