"""Sessions with Postgres, shared by a program.

asyncpg has a pool of its own; ours exists because a session here speaks for a tenant, and because of its price:
a read through asyncpg's costs more processor time for the pool (a proxy, a shielded task, a reset) than for the
read. What it gives up is the reset: a session that comes back in the middle of something is thrown away instead.

`Pool.acquire` prefers a session that speaks for the wanted tenant already. When all are in use askers wait in
line, at most `ACQUIRE_S`: the queue is as long as there are requests, and each of those has a deadline.
"""

import asyncio
from collections import deque
from typing import Any

import asyncpg

from core.errors import Unavailable
from core.model.entries import LogEntry

ACQUIRE_S = 5.0
"""How long to wait for a free session before saying that the store is busy."""
CONNECT_S = 5.0
CLOSE_S = 3.0


Entries = dict[str, list[LogEntry]]
_ARRAYS = {
    199: 114, 1000: 16, 1001: 17, 1005: 21, 1007: 23, 1016: 20, 1022: 701, 1182: 1082, 1185: 1184, 1231: 1700, 3807: 3802,
}  # fmt: skip
"""The arrays that our statements take and the types of their members, the same in every database (pg_type.dat of PostgreSQL).
The driver asks each new session what they are: a dozen milliseconds of the server's time, three or four times."""
_ARRAY_ROWS = [
    {
        "oid": oid, "ns": "pg_catalog", "name": f"_{member}", "kind": b"b", "basetype": None, "elemtype": member,
        "elemdelim": b",", "range_subtype": None, "attrtypoids": None, "attrnames": None, "depth": 0,
        "basetype_name": None, "elemtype_name": str(member), "range_subtype_name": None,
    }
    for oid, member in _ARRAYS.items()
]  # fmt: skip

_BECOME = """
select set_config('irisx.tenant', $1, false), set_config('plan_cache_mode', $2, false),
    set_config('enable_seqscan', $3, false), set_config('enable_hashjoin', $3, false),
    set_config('enable_mergejoin', $3, false)
"""


class Session(asyncpg.Connection):  # type: ignore[misc]  # the driver ships no types
    """A connection that knows for whom it speaks (None while that is not certain), and what it put into the log."""

    __slots__ = ("fresh", "keyed", "speaks_for")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.speaks_for: str | None = None
        self.keyed = False
        """Whether its plans are made once, for any values, and go by the indexes (`core.storage.database.Database.keyed`)."""
        self.fresh: list[Entries] = []
        """Entries of the log that this borrower wrote, by tenant: shown when they are committed."""

    async def speak_for(self, tenant_id: str, *, keyed: bool) -> None:
        self.speaks_for = None
        # Outside any transaction: a rollback would take the setting back without telling us.
        if keyed == self.keyed:
            await self.execute("select set_config('irisx.tenant', $1, false)", tenant_id)
        else:
            await self.execute(
                _BECOME, tenant_id, *(("force_generic_plan", "off") if keyed else ("auto", "on"))
            )
            self.keyed = keyed
        self.speaks_for = tenant_id


class Pool:
    """At most ``max_size`` sessions, made when they are needed."""

    def __init__(self, url: str, options: dict[str, Any], *, max_size: int) -> None:
        self._url = url
        self._options = options
        self._idle: list[Session] = []
        self._busy: set[Session] = set()
        self._connecting = 0
        self._max_size = max_size
        # A waiter gets a session, or None: then there is room to make one.
        self._waiters: deque[asyncio.Future[Session | None]] = deque()
        self._closed = False

    async def acquire(self, tenant_id: str, *, keyed: bool = False) -> Session:
        """A session that speaks for ``tenant_id``; give it back with `release`."""
        session = self._take_idle(tenant_id, keyed)
        if session is None:
            session = await self._wait_or_connect()
        self._busy.add(session)
        if session.speaks_for != tenant_id or session.keyed != keyed:
            try:
                await session.speak_for(tenant_id, keyed=keyed)
            except BaseException:
                self.release(session)
                raise
        return session

    def release(self, session: Session) -> None:
        """Take a session back; one that is in the middle of something is ended."""
        self._busy.discard(session)
        session.fresh = []
        protocol = session._protocol
        if not session.is_closed() and (
            self._closed
            or session.speaks_for is None
            or session.is_in_transaction()
            or protocol._is_cancelling()
            or protocol.is_in_transaction()
        ):
            session.terminate()
        alive = not session.is_closed()
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(session if alive else None)
                return
        if alive:
            self._idle.append(session)

    async def fill(self, size: int) -> None:
        """Make sessions until there are ``size``."""
        fresh = []
        try:
            while self.size < size:
                session = await self._connect()
                self._busy.add(session)
                fresh.append(session)
        finally:
            for session in fresh:
                session.speaks_for = ""
                self.release(session)

    async def close(self) -> None:
        """End all sessions; those in use are cut off."""
        self._closed = True
        idle, self._idle = self._idle, []
        for session in idle:
            try:
                await session.close(timeout=CLOSE_S)
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
                session.terminate()
        for session in list(self._busy):
            session.terminate()

    @property
    def size(self) -> int:
        return len(self._idle) + len(self._busy) + self._connecting

    def statistics(self) -> dict[str, int]:
        """Sessions: open, idle, the most there may be; and how many askers wait for one."""
        waiting = sum(not waiter.done() for waiter in self._waiters)
        return {"open": self.size, "idle": len(self._idle), "max": self._max_size, "waiting": waiting}

    def _take_idle(self, tenant_id: str, keyed: bool) -> Session | None:
        if self._closed:
            raise Unavailable("the database has been closed", code="database_down")
        idle = self._idle
        for at in range(len(idle) - 1, -1, -1):
            if idle[at].is_closed():
                del idle[at]
            elif idle[at].speaks_for == tenant_id and idle[at].keyed == keyed:
                return idle.pop(at)
        return idle.pop() if idle else None

    async def _wait_or_connect(self) -> Session:
        while self.size >= self._max_size:
            waiter: asyncio.Future[Session | None] = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                async with asyncio.timeout(ACQUIRE_S):
                    session = await waiter
            except BaseException as exc:
                if waiter.done() and not waiter.cancelled():
                    self._pass_on(waiter.result())  # it came in the moment we gave up
                if isinstance(exc, TimeoutError):
                    raise Unavailable("the database is busy", code="database_busy") from None
                raise
            if session is not None:
                return session
        try:
            return await self._connect()
        except BaseException:
            self._pass_on(None)
            raise

    def _pass_on(self, session: Session | None) -> None:
        if session is not None:
            self.release(session)
            return
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    async def _connect(self) -> Session:
        self._connecting += 1
        try:
            session: Session = await asyncpg.connect(
                self._url, connection_class=Session, timeout=CONNECT_S, **self._options
            )
        finally:
            self._connecting -= 1
        session._protocol.get_settings().register_data_types(_ARRAY_ROWS)
        if self._closed:
            session.terminate()
            raise Unavailable("the database has been closed", code="database_down")
        return session
