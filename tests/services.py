"""Real services for tests: one Postgres and one Valkey for the whole run, a database of its own for each module.

The databases are copies of one that was migrated once, so a module pays some ten milliseconds and never sees
another's rows. Nothing is mocked: row level security, locks and numbers are Postgres's own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

# Drivers, alembic and SQLAlchemy take a second to import: only those who use a fixture wait for them.
if TYPE_CHECKING:
    from core.storage.embedded import EmbeddedPostgres, EmbeddedValkey

_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running Postgres without crash safety (tests that kill one start their own)."""
    from core.storage.embedded import EmbeddedPostgres

    server = EmbeddedPostgres(tmp_path_factory.mktemp("pg"), durable=False)
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def admin_url(postgres: EmbeddedPostgres) -> str:
    """The superuser's URL, for what the application's own role may not do."""
    return postgres.admin_url


@pytest.fixture(scope="session")
def database_template(postgres: EmbeddedPostgres) -> str:
    """The name of a migrated database that nobody is connected to."""
    from core.storage.migrate import migrate

    migrate(postgres.url)
    return "irisx"


@pytest.fixture(scope="module")
def database_url(postgres: EmbeddedPostgres, database_template: str) -> Iterator[str]:
    """A fresh migrated database for this module, reached as its owner ``irisx``, who is no superuser."""
    with _new_database(postgres, f"template {database_template}") as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres) -> Iterator[str]:
    """A fresh database without any schema, for one test."""
    with _new_database(postgres, "template template0") as url:
        yield url


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedValkey]:
    """A running Valkey for the whole run."""
    from core.storage.embedded import EmbeddedValkey

    server = EmbeddedValkey(tmp_path_factory.mktemp("vk"))
    server.start()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def redis_url(valkey: EmbeddedValkey) -> str:
    """The URL of a Valkey that is empty when the module begins."""
    import redis

    with redis.Redis.from_url(valkey.url) as client:
        client.flushall()
    return valkey.url


@contextmanager
def _new_database(server: EmbeddedPostgres, how: str) -> Iterator[str]:
    name = f"test_{next(_numbers)}"
    _execute(server.admin_url, f'create database "{name}" owner irisx {how}')
    try:
        yield server.url.replace("/irisx?", f"/{name}?")
    finally:
        _execute(server.admin_url, f'drop database "{name}" with (force)')


def _execute(url: str, statement: str) -> None:
    import asyncpg

    async def go() -> None:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute(statement, timeout=30)
        finally:
            await connection.close()

    asyncio.run(go())
