"""Start the parts in order, keep each alive, stop them in reverse. Knows nothing of what they are.

A part that dies comes back after a pause that doubles; one that dies too often within a short time ends the
whole: something is wrong that starting again does not mend, and a supervisor that hides it helps nobody.
"""

import contextlib
import math
import os
import random
import signal
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

import trio
from msgspec import Struct

from api.up.parts import Part, PartFailed, last_words


class Patience(Struct, frozen=True):
    """How often, and how fast, a dead part is started again."""

    first_pause_s: float = 0.1
    max_pause_s: float = 5.0
    calm_s: float = 30.0
    """A part that lived this long starts over with the shortest pause."""
    deaths: int = 8
    window_s: float = 120.0


class Teller(Protocol):
    """Where the supervisor says what it does."""

    def begin(self, number: int, total: int, name: str, about: str) -> None: ...
    def done(self, number: int, total: int, name: str, about: str, seconds: float) -> None: ...
    def note(self, name: str, text: str, *, bad: bool = False) -> None: ...


class Act(Struct, frozen=True):
    """Something to do once between two parts; returns what it found, to be shown."""

    name: str
    about: str
    run: Callable[[], Awaitable[str]]


class Supervisor:
    """Runs a plan of parts and acts."""

    def __init__(self, plan: Sequence[Part | Act], tell: Teller, patience: Patience = Patience()) -> None:  # noqa: B008 - frozen
        self._patience = patience
        self._plan = plan
        self._tell = tell
        self._running: list[Part] = []
        self.restarts = 0

    async def run(self, ready: Callable[[], None], stop: trio.Event) -> None:
        """Start everything, call ``ready``, and keep it up until ``stop`` is set; then stop in reverse.

        Raises `PartFailed` when something does not come up or cannot be kept up; all is stopped then, too.
        """
        failed: list[PartFailed] = []
        try:
            async with trio.open_nursery() as keepers:
                keepers.start_soon(self._cancel_on, stop, keepers.cancel_scope)
                for number, step in enumerate(self._plan, 1):
                    await self._start(number, step)
                    if isinstance(step, Part):
                        keepers.start_soon(self._keep, step)
                ready()
        except* PartFailed as group:
            # Raised further down: what is raised in here comes out wrapped in a group on Python 3.11.2.
            failed.append(_first(group))
        finally:
            await self._stop_all()
        if failed:
            raise failed[0]

    def force(self) -> None:
        """Somebody has no time for an orderly stop: kill what still runs."""
        for part in self._running:
            if pid := part.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    async def _cancel_on(self, stop: trio.Event, scope: trio.CancelScope) -> None:
        await stop.wait()
        scope.cancel()

    async def _start(self, number: int, step: Part | Act) -> None:
        began, total = trio.current_time(), len(self._plan)
        self._tell.begin(number, total, step.name, step.about)
        about = step.about
        if isinstance(step, Part):
            self._running.append(step)
            await step.start()
        else:
            about = await step.run()
        self._tell.done(number, total, step.name, about, trio.current_time() - began)

    async def _keep(self, part: Part) -> None:
        patience = self._patience
        deaths: deque[float] = deque(maxlen=patience.deaths)
        pause = patience.first_pause_s
        lived_from = trio.current_time()
        while True:
            how = await part.ended()
            now = trio.current_time()
            if now - lived_from > patience.calm_s:
                pause = patience.first_pause_s
            while True:
                deaths.append(now)
                if len(deaths) == patience.deaths and now - deaths[0] < patience.window_s:
                    raise PartFailed(
                        f"{part.name} died {patience.deaths} times in {math.ceil(now - deaths[0])} s, the last time: {how}; "
                        f"{last_words(part.log)} (all of it in {part.log})"
                    )
                self._tell.note(part.name, f"{how}; starting it again in {pause:.1f} s", bad=True)
                await trio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(pause * 2, patience.max_pause_s)
                try:
                    await part.start()
                except PartFailed as failed:
                    how, now = str(failed), trio.current_time()
                    continue
                break
            self.restarts += 1
            lived_from = trio.current_time()
            self._tell.note(part.name, "is back")

    async def _stop_all(self) -> None:
        with trio.CancelScope(shield=True):
            while self._running:
                part, began = self._running[-1], trio.current_time()
                lived = bool(part.pid)
                await part.stop()
                self._running.pop()
                if lived:
                    self._tell.note(part.name, f"stopped in {trio.current_time() - began:.1f} s")


def _first(group: BaseExceptionGroup[PartFailed]) -> PartFailed:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, PartFailed)  # noqa: S101 - `except*` picked nothing else
    return error
