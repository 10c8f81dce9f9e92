"""What handlers work with: made once at the start, handed to every request."""

import asyncio
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from typing import Any

from redis.exceptions import RedisError

from api.http.metrics import Metrics
from api.http.origin import Origins
from api.http.ratelimit import RateLimits
from api.http.share import Recent, Same, Together
from api.http.stream_hub import StreamHub
from api.http.timeline import Timeline
from core.access.service import Access
from core.boards import Boards
from core.bus import LEASE, Bus
from core.channels import Channels
from core.clock import monotonic
from core.config import Settings
from core.errors import Unavailable
from core.storage import access_actors
from core.storage import calls as call_store
from core.storage.blobs import open_blobs
from core.storage.database import Database
from core.storage.listing import Page
from irisx_sdk.loading import Plugin

REMEMBER_TENANT_S = 5.0
MOST_TENANTS = 1000
MOST_CALL_NODES = 10_000


class Services:
    """The parts of one API process."""

    def __init__(
        self,
        *,
        settings: Settings,
        secret: str,
        database: Database,
        bus: Bus,
        access: Access,
        limits: RateLimits,
        metrics: Metrics,
        origins: Origins,
        channels: Channels,
        plugins: Sequence[Plugin] = (),
    ) -> None:
        self.settings = settings
        self.secret = secret
        self.database = database
        self.bus = bus
        self.access = access
        self.limits = limits
        self.metrics = metrics
        self.origins = origins
        self.channels = channels
        self.plugins = plugins
        self.boards = Boards(database, channels.known)
        self.streams = StreamHub(database, bus, access, metrics)
        self.timeline = Timeline(database)
        self.calls: Together[str, bytes] = Together(self._read_calls)
        self.call_pages: Same[tuple[str, bytes], Page] = Same()
        self.started = monotonic()
        self.draining = False
        """True from the moment we are asked to stop: not ready for new work, finishing the old."""
        self.address_of = origins.address
        self.is_secure = origins.is_secure
        self.is_own_origin = origins.is_own
        self._tenants: OrderedDict[str, tuple[float, dict[str, Any] | None]] = OrderedDict()
        self._unwatch = access.remembered.watch(self._forget_tenant)
        self._background: set[asyncio.Task[None]] = set()
        self.call_nodes: Recent[tuple[str, str], str] = Recent(MOST_CALL_NODES)
        """The switch of a call that an order was given about: (tenant, call) -> node."""
        self.finishing: dict[tuple[str, str, str], asyncio.Task[None]] = {}
        """Answers to requests with an ``Idempotency-Key`` that are just being kept: at most one for each request."""

    def later(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do something that the answer need not wait for; `finish` waits for all of it."""
        task = asyncio.get_running_loop().create_task(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task

    def drain(self) -> None:
        """Stop being ready, and send the live streams away."""
        self.draining = True
        self.streams.drain()

    async def finish(self, seconds: float) -> None:
        """Wait for background work, at most ``seconds``; then cancel what is left."""
        self._unwatch()
        await self.streams.aclose()
        if self._background:
            _, late = await asyncio.wait(set(self._background), timeout=seconds)
            for task in late:
                task.cancel()

    async def tenant_limits(self, tenant_id: str) -> dict[str, Any] | None:
        """The limits of a tenant that an operator names; None when there is no such tenant."""
        now = monotonic()
        known = self._tenants.get(tenant_id)
        if known is not None and known[0] > now:
            return known[1]
        async with self.database.reader("*") as conn:
            found = await access_actors.tenant_facts(conn, tenant_id)
        limits = None if found is None or found[0] == "deleted" else found[1]
        self._tenants[tenant_id] = now + REMEMBER_TENANT_S, limits
        while len(self._tenants) > MOST_TENANTS:
            self._tenants.popitem(last=False)
        return limits

    def _forget_tenant(self, whom: str) -> None:
        self._tenants.pop(whom, None)

    async def _read_calls(self, tenant_id: str, ids: list[str]) -> dict[str, bytes]:
        return await call_store.get_calls_json(self.database, tenant_id, ids)

    async def leases(self, nodes: Sequence[str]) -> list[tuple[str, int]]:
        """(holder, milliseconds left) of each switch's lease; ("", 0) where nobody holds it. Raises `Unavailable`."""
        try:
            async with self.bus.redis.pipeline(transaction=False) as pipe:
                for node in nodes:
                    pipe.get(LEASE + node)
                    pipe.pttl(LEASE + node)
                said = await pipe.execute() if nodes else []
        except (RedisError, OSError) as exc:
            raise Unavailable("the leases are out of reach", code="bus_down") from exc
        return [
            (holder.decode(), max(int(left), 0)) if holder else ("", 0)
            for holder, left in zip(said[::2], said[1::2], strict=True)
        ]

    def try_objects(self) -> None:
        """Raise `core.errors.PeerError` unless objects can be written now. Blocking: call it in a thread."""
        open_blobs(self.settings).check()
