"""What handlers work with: made once at start, handed to every request."""

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from api.http.metrics import Metrics
from api.http.ratelimit import RateLimits
from core.access.service import Access
from core.bus import Bus
from core.clock import monotonic
from core.config import Settings
from core.storage.database import Database


class Services:
    """The parts of one API process."""

    def __init__(
        self,
        *,
        settings: Settings,
        database: Database,
        bus: Bus,
        access: Access,
        limits: RateLimits,
        metrics: Metrics,
        pages: Path | None,
    ) -> None:
        self.settings = settings
        self.database = database
        self.bus = bus
        self.access = access
        self.limits = limits
        self.metrics = metrics
        self.pages = pages
        self.started = monotonic()
        self.draining = False
        """True from the moment we are asked to stop: not ready for new work, finishing the old."""
        self._background: set[asyncio.Task[None]] = set()

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something that the answer need not wait for; `finish` waits for all of it."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def finish(self, seconds: float) -> None:
        """Wait for background work, at most ``seconds``; then cancel what is left."""
        if self._background:
            _, late = await asyncio.wait(self._background, timeout=seconds)
            for task in late:
                task.cancel()
