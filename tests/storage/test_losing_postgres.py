"""What callers hear when Postgres fails, and that they get it back when it returns."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from core.errors import Conflict, InternalError, IrisxError, PeerError, PeerTimeout, RequestError, Unavailable
from core.storage import nodes
from core.storage.calls import write_changes
from core.storage.database import Database
from core.storage.embedded import EmbeddedPostgres
from core.storage.errors import translated
from core.storage.migrate import migrate
from tests.storage.samples import SECRET, life

pytestmark = pytest.mark.asyncio_loop


@asynccontextmanager
async def a_postgres(folder: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(folder)
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        await asyncio.to_thread(server.stop)


@pytest.mark.faults
async def test_a_killed_postgres_is_unavailable_and_then_there_again_with_everything(tmp_path: Path) -> None:
    async with a_postgres(tmp_path) as server:
        await asyncio.to_thread(migrate, server.url)
        async with await Database.open(server.url) as db:
            node = (await nodes.create_node(db, secret=SECRET, name="a", url="esl://h")).id
            fence = await nodes.draw_fence(db, node)
            changes = life(node=node, tenant="tnt_k")
            first = await write_changes(db, node=node, fence=fence, changes=changes[:3])
            os.kill(server.pid, signal.SIGKILL)
            # A backend whose postmaster was killed serves on for the moment it takes to notice.
            with pytest.raises(PeerError):
                async with asyncio.timeout(5):
                    while True:
                        await write_changes(db, node=node, fence=fence, changes=changes[:3])
            for _ in range(3):
                with pytest.raises(PeerError):
                    await write_changes(db, node=node, fence=fence, changes=changes)
            await asyncio.to_thread(server.stop)
            await asyncio.to_thread(server.start)
            again = await write_changes(db, node=node, fence=fence, changes=changes)
            # What was acknowledged before the kill is there under its numbers.
            assert again["tnt_k"][:3] == first["tnt_k"]
            assert [entry.seq for entry in again["tnt_k"]] == [1, 2, 3, 4, 5]


@pytest.mark.faults
async def test_a_write_in_flight_when_postgres_dies_is_safe_to_repeat(tmp_path: Path) -> None:
    async with a_postgres(tmp_path) as server:
        await asyncio.to_thread(migrate, server.url)
        async with await Database.open(server.url) as db:
            node = (await nodes.create_node(db, secret=SECRET, name="a", url="esl://h")).id
            fence = await nodes.draw_fence(db, node)
            batches = [life(node=node, tenant="tnt_f") for _ in range(150)]
            asyncio.get_running_loop().call_later(0.1, lambda: os.kill(server.pid, signal.SIGKILL))
            failures = 0
            for batch in batches:
                while True:
                    try:
                        await write_changes(db, node=node, fence=fence, changes=batch)
                        break
                    except PeerError:
                        failures += 1
                        await asyncio.to_thread(server.stop)
                        await asyncio.to_thread(server.start)
            assert failures
            async with db.reader("tnt_f") as connection:
                rows = await connection.fetch("select seq from events order by seq")
                records = await connection.fetchval("select count(*) from cdrs")
    assert [row["seq"] for row in rows] == list(range(1, 150 * 5 + 1))
    assert records == 150 * 3


async def test_nobody_there_is_said_within_the_patience(tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as failed:
        await Database.open(f"postgresql://irisx:hush@/irisx?host={tmp_path}", patience_s=0.3)
    with pytest.raises(Unavailable):
        await Database.open("postgresql://irisx:hush@127.0.0.1:9/irisx", patience_s=0)
    assert "hush" not in str(failed.value)
    assert str(tmp_path) not in str(failed.value)


async def test_a_busy_pool_is_said_and_not_waited_for_for_ever(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.storage.pool.ACQUIRE_S", 0.1)
    async with await Database.open(database_url, max_size=1) as db, db.reader("tnt_a"):
        with pytest.raises(Unavailable):
            async with db.reader("tnt_a"):
                pass
        assert db.statistics() == {"open": 1, "idle": 0, "max": 1, "waiting": 0}


async def test_askers_wait_in_line_and_a_gone_one_takes_nothing_with_it(database_url: str) -> None:
    async with await Database.open(database_url, max_size=2) as db:

        async def read(seconds: float) -> None:
            async with db.reader("tnt_a") as connection:
                await connection.fetchval("select pg_sleep($1)", seconds)

        tasks = [asyncio.create_task(read(0.2)) for _ in range(20)]
        async with asyncio.timeout(5):
            while (statistics := db.statistics())["open"] < 2 or statistics["waiting"] < 18:
                await asyncio.sleep(0.005)
        assert db.statistics() == {"open": 2, "idle": 0, "max": 2, "waiting": 18}
        for task in tasks[::3]:
            task.cancel()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(one is None or isinstance(one, asyncio.CancelledError) for one in done)
        await read(0)
        assert db.statistics()["waiting"] == 0
        assert db.statistics()["open"] <= 2
    with pytest.raises(Unavailable):
        await read(0)


async def test_connections_that_died_are_replaced(database_url: str, admin_url: str) -> None:
    async with await Database.open(database_url, min_size=3, max_size=3) as db:
        killer = await asyncpg.connect(admin_url)
        await killer.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'irisx'"
            " and datname = $1",
            database_url.split("/")[3].split("?")[0],
        )
        await killer.close()
        await asyncio.sleep(0.1)
        for _ in range(4):
            async with db.reader("tnt_a") as connection:
                assert await connection.fetchval("select 1") == 1


async def test_a_commit_that_was_not_confirmed_is_an_unknown_outcome(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        with pytest.raises(PeerTimeout):
            async with db.tenant("tnt_a") as connection:
                await connection.execute("select 1")
                connection._transport.abort()
                await asyncio.sleep(0)
        with pytest.raises(Unavailable):  # before the commit it is certain: nothing happened
            async with db.tenant("tnt_a") as connection:
                connection._transport.abort()
                await asyncio.sleep(0)
                await connection.execute("select 1")
        async with db.tenant("tnt_a") as connection:
            assert await connection.fetchval("select 1") == 1


@pytest.mark.parametrize(
    ("statement", "kind", "code"),
    [
        ("select 1/0", RequestError, "bad_value"),
        ("select 'x'::int", RequestError, "bad_value"),
        ("insert into tenants (id, name) values ('tnt_main', 'again')", Conflict, "already_exists"),
        ("insert into tenants (id, name, state) values ('tnt_z', 'z', 'odd')", RequestError, "bad_value"),
        ("select nothing from nowhere", InternalError, "sql_42P01"),
        ("set statement_timeout = 10; select pg_sleep(5)", Unavailable, "database_down"),
        ("select pg_terminate_backend(pg_backend_pid())", Unavailable, "database_down"),
    ],
)
async def test_failures_are_told_in_our_words_without_theirs(
    database_url: str, statement: str, kind: type[IrisxError], code: str
) -> None:
    async with await Database.open(database_url) as db:
        with pytest.raises(kind) as failed:
            async with db.reader("*") as connection:
                await connection.execute(statement)
    assert failed.value.code == code
    assert failed.value.__suppress_context__
    for word in ("tnt_main", "nowhere", "select", "insert"):
        assert word not in str(failed.value)


async def test_a_value_that_cannot_be_sent_is_the_callers_fault(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        for value in (2**70, "\ud800", "a\x00b"):
            with pytest.raises(RequestError):
                async with db.reader("*") as connection:
                    kind = "bigint" if isinstance(value, int) else "text"
                    await connection.fetchval(f"select $1::{kind}", value)


@pytest.mark.parametrize("bug", [KeyError("x"), ValueError("x"), TypeError("x")])
def test_bugs_of_ours_are_not_dressed_up(bug: Exception) -> None:
    with pytest.raises(type(bug)) as seen, translated():
        raise bug
    assert seen.value is bug


def test_the_drivers_own_complaints_are_translated() -> None:
    with pytest.raises(Unavailable), translated():
        raise asyncpg.InterfaceError("connection is closed")
