"""The schema: brought up to date by whoever starts first, whole or not at all."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import asyncpg
import pytest

from core.errors import PeerError, Unavailable
from core.storage.database import VERSIONS, Database
from core.storage.migrate import migrate, pending


def versions() -> list[str]:
    return sorted(path.name[:4] for path in VERSIONS.glob("[0-9]*.py"))


def test_an_empty_database_is_brought_up_to_date_and_then_left_alone(empty_database_url: str) -> None:
    assert pending(empty_database_url) == versions()
    began = time.monotonic()
    assert migrate(empty_database_url) == versions()
    assert time.monotonic() - began < 1.5 * 4  # 1.5 s are promised; other programs share this machine
    assert migrate(empty_database_url) == []
    assert pending(empty_database_url) == []


def test_starters_that_come_together_do_not_collide(empty_database_url: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        applied = list(pool.map(migrate, [empty_database_url] * 3))
    assert sorted(applied) == [[], [], versions()]


def test_a_migration_that_fails_changes_nothing(empty_database_url: str) -> None:
    async def prepare() -> None:
        connection = await asyncpg.connect(empty_database_url)
        # A table in the way of a later statement of the first version.
        await connection.execute("create table incidents (id text)")
        await connection.close()

    async def tables() -> set[str]:
        connection = await asyncpg.connect(empty_database_url)
        rows = await connection.fetch(
            "select relname from pg_class where relkind = 'r' and relnamespace = 2200"
        )
        await connection.close()
        return {row["relname"] for row in rows}

    asyncio.run(prepare())
    with pytest.raises(Exception, match="42P07"):
        migrate(empty_database_url)
    assert asyncio.run(tables()) <= {"incidents", "alembic_version"}


@pytest.mark.asyncio_loop
async def test_a_process_can_tell_whether_its_schema_is_there(empty_database_url: str) -> None:
    async with await Database.open(empty_database_url) as db:
        assert await db.lacking() == versions()
        await asyncio.to_thread(migrate, empty_database_url)
        assert await db.lacking() == []


@pytest.mark.asyncio_loop
async def test_a_superuser_is_told_to_migrate_first(empty_database_url: str, admin_url: str) -> None:
    connection = await asyncpg.connect(admin_url)
    other_tests_made_it = await connection.fetchval("select 1 from pg_roles where rolname = 'irisx_app'")
    await connection.close()
    if other_tests_made_it:
        pytest.skip("the role exists in this server already")
    with pytest.raises(Unavailable, match="migrate"):
        await Database.open(empty_database_url.replace("irisx@", "postgres@"), patience_s=0)


def test_a_database_that_is_not_there_is_the_peers_fault(empty_database_url: str) -> None:
    with pytest.raises(PeerError) as failed:
        migrate(empty_database_url.replace("/test_", "/nowhere_test_"))
    assert "nowhere" not in str(failed.value)
