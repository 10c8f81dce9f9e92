"""uvicorn as we run it: which protocols, which limits, and how it ends."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import uvicorn

from api.http.wire import Http, Socket
from core.logs import get_logger

LOG = get_logger("api")

DRAIN_S = 1.0
"""How long we say "not ready" before we stop accepting: load balancers look about once a second."""
GRACE_S = 10.0
"""How long running requests may take to finish when we stop."""
KEEP_ALIVE_S = 20
MAX_WS_MESSAGE = 16 * 1024


class Server(uvicorn.Server):
    """uvicorn, ending in order: first not ready, then no new connections, then done."""

    def __init__(self, config: uvicorn.Config, drain: Callable[[], None]) -> None:
        """``drain`` makes the application say that it is not ready."""
        super().__init__(config)
        self._drain = drain
        self._stopping: asyncio.Task[None] | None = None

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        numbers = (signal.SIGTERM, signal.SIGINT)
        for number in numbers:
            loop.add_signal_handler(number, partial(self.stop, number))
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Stop in order; a second time: at once."""
        if self._stopping is not None:
            self.should_exit = self.force_exit = True
            return
        LOG.info("stopping", signal=signal.Signals(number).name)
        self._stopping = asyncio.get_running_loop().create_task(self._stop())

    async def _stop(self) -> None:
        self._drain()
        await asyncio.sleep(DRAIN_S)
        self.should_exit = True


def server_of(application: Any, **options: Any) -> Server:
    """A server for an `api.app.Application`, not started. ``options`` are uvicorn's (host, port, uds, fd)."""
    config = uvicorn.Config(
        application,
        http=Http,
        ws=Socket,
        loop="uvloop",
        lifespan="on",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(GRACE_S),
        ws_max_size=MAX_WS_MESSAGE,
        # Compressing for each client would undo "encode once", and mixes secrets with what others chose.
        ws_per_message_deflate=False,
        backlog=2048,
        **options,
    )
    return Server(config, application.drain)
