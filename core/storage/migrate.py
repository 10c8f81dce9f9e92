"""Bring a database to the newest schema.

Any number of starters may call it at once: an advisory lock lets one work and the others then find nothing to do.
All pending versions are one transaction, so a failed or killed migration leaves the old schema whole.

Blocking, because alembic is: call it from a worker thread where a loop must not wait.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from core.storage.errors import translated

SCHEMA = Path(__file__).parent / "schema"
LOCK = 0x1815_0001
"""The key of our advisory lock: any number, as long as it is always the same."""
WAIT_S = 60.0
"""The longest to wait for another starter's migration, and for ours to run."""

T = TypeVar("T")


def migrate(url: str) -> list[str]:
    """Apply what is pending; return the versions that were applied. Raises `core.errors.PeerError` and kin."""

    def apply(connection: Connection) -> list[str]:
        connection.exec_driver_sql(f"select pg_advisory_lock({LOCK})")
        # A session lock: committing here ends the transaction that reading began, and keeps the lock.
        connection.commit()
        waiting = _pending(connection)
        connection.commit()
        if waiting:
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            connection.commit()
        return waiting

    return _with_connection(url, apply)


def pending(url: str) -> list[str]:
    """The versions that ``url`` lacks, oldest first."""
    return _with_connection(url, _pending)


def _pending(connection: Connection) -> list[str]:
    script = ScriptDirectory.from_config(_config())
    done = MigrationContext.configure(connection).get_current_heads()
    applied = {step.revision for head in done for step in script.iterate_revisions(head, "base")}
    steps = [step.revision for step in script.walk_revisions() if step.revision not in applied]
    return list(reversed(steps))


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(SCHEMA).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def _with_connection(url: str, act: Callable[[Connection], T]) -> T:
    async def connect() -> asyncpg.Connection:
        # The driver reads the URL itself: the same rules (sockets, TLS, passwords) as everywhere else.
        return await asyncpg.connect(url, timeout=10, command_timeout=WAIT_S)

    async def go() -> T:
        engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
        try:
            async with engine.connect() as connection:
                return await connection.run_sync(act)
        finally:
            await engine.dispose()

    with translated():
        try:
            return asyncio.run(go())
        except DBAPIError as exc:
            raise _drivers_own(exc) from None


def _drivers_own(exc: BaseException) -> BaseException:
    """The driver's error inside SQLAlchemy's."""
    inner: BaseException | None = exc
    while inner is not None and not isinstance(
        inner, asyncpg.PostgresError | asyncpg.InterfaceError | OSError
    ):
        inner = inner.__cause__
    return inner or exc
