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
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self

import asyncpg

from core.clock import monotonic
from core.errors import PeerError, PeerTimeout, Unavailable
from core.model.entries import LogEntry
from core.storage.errors import raise_ours, translate, translated
from core.storage.pool import CONNECT_S, Entries, Pool, Session

SYSTEM = "*"
"""The tenant that sees all of them."""
STATEMENT_S = 15.0
"""How long any statement may take before we give it up; Postgres itself stops it a little earlier."""
VERSIONS = Path(__file__).parent / "schema" / "versions"

Show = Callable[[str, Sequence[LogEntry]], Awaitable[None]]
Connection = Any
"""An asyncpg connection: ``fetch``, ``fetchrow``, ``fetchval``, ``execute``, ``executemany``."""


class Database:
    """A pool of such connections. ``async with await Database.open(url) as db:`` closes it."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.show: Show = _nobody
        """Told the new entries of a tenant's log once they are committed (`core.bus.Bus.publish`). Must not raise."""

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
        """Close all sessions; those still in use are cut off."""
        await self._pool.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    def reader(self, tenant_id: str) -> AbstractAsyncContextManager[Connection]:
        """A connection for single statements (each its own transaction) that sees one tenant.

        Errors of the store come out as ours: `Unavailable`, `core.errors.Conflict` and so on.
        """
        return _Reader(self, tenant_id)

    def tenant(self, tenant_id: str) -> AbstractAsyncContextManager[Connection]:
        """A connection in a transaction that sees one tenant: committed on leaving, undone by an exception.

        Raises like `reader`; and `PeerTimeout` when the connection broke during the commit, for then nobody
        knows whether it happened.
        """
        return _Writer(self, tenant_id)

    def keyed_reader(self, tenant_id: str) -> AbstractAsyncContextManager[Connection]:
        """Like `reader`, for statements that are asked all the time and find their rows by keys.

        Postgres makes their plans once a session, for any values and with the indexes, however small the tables are at
        that moment. Otherwise it plans statements over several tables anew each time, which costs more than to run them.
        """
        return _Reader(self, tenant_id, keyed=True)

    def keyed(self, tenant_id: str) -> AbstractAsyncContextManager[Connection]:
        """Like `tenant`, with plans as those of `keyed_reader`."""
        return _Writer(self, tenant_id, keyed=True)

    def system(self) -> AbstractAsyncContextManager[Connection]:
        """Like `tenant`, for the system itself: sees every tenant."""
        return _Writer(self, SYSTEM)

    async def lacking(self) -> list[str]:
        """The versions of the schema that this database has not got: empty when `core.storage.migrate` is done."""
        wanted = sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))
        async with self.reader(SYSTEM) as connection:
            if not await connection.fetchval("select to_regclass('alembic_version') is not null"):
                return wanted
            have = await connection.fetchval("select version_num from alembic_version")
        return [version for version in wanted if have is None or version > have]

    def statistics(self) -> dict[str, int]:
        """Sessions: open, idle, the most there may be; and how many askers wait for one."""
        return self._pool.statistics()


async def _nobody(_tenant_id: str, _entries: Sequence[LogEntry]) -> None:
    """Nobody follows what this program writes."""


def show_later(connection: Connection, written: Entries) -> None:
    """Show these entries to those who follow the log, if and when ``connection`` has committed them."""
    if written and isinstance(connection, Session):
        connection.fresh.append(written)


class _Reader:
    """Borrows a session. A class, not a generator: this is in the path of every read."""

    __slots__ = ("_database", "_keyed", "_pool", "_session", "_tenant_id")

    def __init__(self, database: Database, tenant_id: str, *, keyed: bool = False) -> None:
        self._database = database
        self._pool = database._pool
        self._tenant_id = tenant_id
        self._keyed = keyed

    async def __aenter__(self) -> Connection:
        try:
            self._session = await self._pool.acquire(self._tenant_id, keyed=self._keyed)
        except Exception as exc:
            raise_ours(exc)
            raise
        return self._session

    async def __aexit__(self, _kind: object, exc: BaseException | None, _traceback: object) -> None:
        fresh = self._session.fresh
        self._pool.release(self._session)
        if exc is not None:
            raise_ours(exc)
        elif fresh:
            for written in fresh:
                for tenant_id, entries in written.items():
                    await self._database.show(tenant_id, entries)


class _Writer(_Reader):
    """Borrows a session and keeps it in a transaction."""

    __slots__ = ("_transaction",)

    async def __aenter__(self) -> Connection:
        session = await super().__aenter__()
        self._transaction = session.transaction()
        try:
            await self._transaction.start()
        except BaseException as exc:
            self._pool.release(session)
            raise_ours(exc)
            raise
        return session

    async def __aexit__(self, kind: object, exc: BaseException | None, traceback: object) -> None:
        try:
            if exc is None:
                await self._commit()
            else:
                await self._roll_back()
        except BaseException as late:
            await super().__aexit__(type(late), late, None)
            raise
        await super().__aexit__(kind, exc, traceback)

    async def _commit(self) -> None:
        try:
            await self._transaction.commit()
        except Exception as exc:
            if isinstance(exc, asyncpg.IntegrityConstraintViolationError):
                raise  # a deferred constraint: certainly not committed
            if isinstance(translate(exc), PeerError):
                raise PeerTimeout("the database did not confirm: it may or may not be stored") from None
            raise

    async def _roll_back(self) -> None:
        try:
            await self._transaction.rollback()
        except Exception as exc:
            # A broken connection rolls back by itself, and what broke it is already on its way to the caller.
            if translate(exc) is None:
                raise


async def _open_pool(url: str, min_size: int, max_size: int) -> Pool:
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
    pool = Pool(url, {"command_timeout": STATEMENT_S, "server_settings": settings}, max_size=max_size)
    try:
        await pool.fill(min_size)
    except BaseException:
        await pool.close()
        raise
    return pool
