"""Connections to Postgres that speak for one tenant.

The database keeps tenants apart (row level security, forced): each connection says whom it speaks for in the
setting ``irisx.tenant``, and no statement sees or writes another tenant's row. Without a tenant nothing is
visible at all. The setting belongs to the session and is remembered with the pooled connection, so it costs a
round trip only when a connection changes tenants: a read is one round trip, a small transaction three.

If the URL's role is one that Postgres does not bind by row level security (a superuser), connections step down
to the role ``irisx_app`` that the first migration made.

asyncio. The pooled connections keep session state and prepared statements, so a pooler between us and Postgres
must pool sessions, not transactions.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import asyncpg

from core.clock import monotonic
from core.errors import PeerError, PeerTimeout, Unavailable
from core.storage.errors import translate, translated

SYSTEM = "*"
"""The tenant that sees all of them."""
ACQUIRE_S = 5.0
"""How long to wait for a free connection before saying that the store is busy."""
STATEMENT_S = 15.0
"""How long any statement may take before we give it up; Postgres itself stops it a little earlier."""
CONNECT_S = 5.0

VERSIONS = Path(__file__).parent / "schema" / "versions"

Connection = Any
"""An asyncpg connection: ``fetch``, ``fetchrow``, ``fetchval``, ``execute``, ``executemany``."""


class _Session(asyncpg.Connection):  # type: ignore[misc]  # the driver ships no types
    """A connection that knows for whom it speaks; None while that is not certain."""

    __slots__ = ("_tenant",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._tenant: str | None = None

    async def speak_for(self, tenant_id: str) -> None:
        if self._tenant != tenant_id:
            self._tenant = None
            # Outside any transaction: a rollback would take the setting back without telling us.
            await self.execute("select set_config('irisx.tenant', $1, false)", tenant_id)
            self._tenant = tenant_id


class Database:
    """A pool of such connections. ``async with await Database.open(url) as db:`` closes it."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str, *, min_size: int = 1, max_size: int = 10, patience_s: float = 10.0) -> Self:
        """Connect, waiting up to ``patience_s`` for a database that is just starting.

        Raises `Unavailable` when none answers by then, `PeerError` when it does not let us in.
        """
        deadline = monotonic() + patience_s
        delay = 0.05
        while True:
            try:
                with translated():
                    return cls(await _open_pool(url, min_size, max_size))
            except Unavailable:
                if monotonic() + delay > deadline:
                    raise
            await asyncio.sleep(delay * random.uniform(0.5, 1.0))
            delay = min(delay * 2, 1.0)

    async def close(self) -> None:
        """Close all connections; those still in use after some seconds are cut."""
        try:
            async with asyncio.timeout(ACQUIRE_S):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    @asynccontextmanager
    async def reader(self, tenant_id: str) -> AsyncIterator[Connection]:
        """A connection for single statements (each its own transaction) that sees one tenant.

        Errors of the store come out as ours: `Unavailable`, `core.errors.Conflict` and so on.
        """
        with translated():
            connection = await self._pool.acquire(timeout=ACQUIRE_S)
            try:
                await connection.speak_for(tenant_id)
                yield connection
            finally:
                await self._pool.release(connection)

    @asynccontextmanager
    async def tenant(self, tenant_id: str) -> AsyncIterator[Connection]:
        """A connection in a transaction that sees one tenant: committed on leaving, undone by an exception.

        Raises like `reader`; and `PeerTimeout` when the connection broke during the commit, for then nobody
        knows whether it happened.
        """
        async with self.reader(tenant_id) as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                yield connection
            except BaseException as exc:
                await _roll_back(transaction, exc)
                raise
            try:
                await transaction.commit()
            except Exception as exc:
                if isinstance(exc, asyncpg.IntegrityConstraintViolationError):
                    raise  # a deferred constraint: certainly not committed
                if isinstance(translate(exc), PeerError):
                    raise PeerTimeout("the database did not confirm: it may or may not be stored") from None
                raise

    def system(self) -> Any:
        """Like `tenant`, for the system itself: sees every tenant."""
        return self.tenant(SYSTEM)

    async def lacking(self) -> list[str]:
        """The versions of the schema that this database has not got: empty when `core.storage.migrate` is done."""
        wanted = sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
        async with self.reader(SYSTEM) as connection:
            if not await connection.fetchval("select to_regclass('alembic_version') is not null"):
                return wanted
            have = await connection.fetchval("select version_num from alembic_version")
        return [version for version in wanted if have is None or version > have]

    def statistics(self) -> dict[str, int]:
        """Connections: open, idle, and the most there may be."""
        return {
            "open": self._pool.get_size(),
            "idle": self._pool.get_idle_size(),
            "max": self._pool.get_max_size(),
        }


async def _roll_back(transaction: Any, cause: BaseException) -> None:
    try:
        await transaction.rollback()
    except Exception as exc:
        # A broken connection rolls back by itself; the cause is the more telling error.
        if translate(exc) is None:
            raise exc from cause


async def _open_pool(url: str, min_size: int, max_size: int) -> asyncpg.Pool:
    settings = {
        "application_name": "irisx",
        "timezone": "UTC",
        # Compiling pays for reports over millions of rows; for ours it costs more than it saves.
        "jit": "off",
        "statement_timeout": str(round(STATEMENT_S * 900)),
        "lock_timeout": str(round(STATEMENT_S * 600)),
        "idle_in_transaction_session_timeout": str(round(STATEMENT_S * 2000)),
    }
    probe = await asyncpg.connect(url, timeout=CONNECT_S)
    try:
        unbound = await probe.fetchval(
            "select rolsuper or rolbypassrls from pg_roles where rolname = current_user"
        )
        if unbound and not await probe.fetchval("select 1 from pg_roles where rolname = 'irisx_app'"):
            raise Unavailable("the database has no schema yet: run irisx migrate", code="not_migrated")
    finally:
        await probe.close(timeout=CONNECT_S)
    if unbound:
        settings["role"] = "irisx_app"
    return await asyncpg.create_pool(
        url,
        min_size=min_size,
        max_size=max_size,
        timeout=CONNECT_S,
        command_timeout=STATEMENT_S,
        max_inactive_connection_lifetime=300.0,
        connection_class=_Session,
        # What a session keeps is the tenant, on purpose. The driver's own reset costs a round trip a use.
        reset=_keep,
        server_settings=settings,
    )


async def _keep(_connection: asyncpg.Connection) -> None:
    return None
