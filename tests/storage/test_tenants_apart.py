"""Tenants are kept apart by the database itself, whatever role the URL names."""

import asyncio

import pytest

from core import log
from core.errors import InternalError
from core.storage.database import Database
from core.storage.entries import NewEntry
from core.storage.migrate import migrate
from tests.storage.samples import START

pytestmark = pytest.mark.asyncio_loop

TENANT_TABLES = ("log_heads", "events", "calls", "cdrs", "conferences", "jobs")
SYSTEM_TABLES = ("nodes", "node_status", "incidents")


@pytest.fixture(scope="module", params=["owner", "superuser"])
def url(request: pytest.FixtureRequest, postgres: object, database_template: str) -> str:
    """The same schema made and used by an ordinary owner, and by a superuser (who must step down)."""
    if request.param == "owner":
        return str(request.getfixturevalue("database_url"))
    from tests.services import _new_database

    context = _new_database(postgres, "template template0")  # type: ignore[arg-type]
    as_superuser = context.__enter__().replace("irisx@", "postgres@")
    request.addfinalizer(lambda: context.__exit__(None, None, None))
    migrate(as_superuser)
    return as_superuser


def entry(tenant: str, name: str) -> NewEntry:
    return NewEntry(
        tenant_id=tenant, type="test.said", resource=name, occurred_us=START, id=f"evt_{tenant}_{name}"
    )


async def fill(db: Database) -> None:
    async with db.system() as system:
        await log.append(system, [entry("tnt_a", "one"), entry("tnt_b", "two")])


async def test_the_application_is_bound_by_row_level_security(url: str) -> None:
    async with await Database.open(url) as db, db.system() as connection:
        role = await connection.fetchrow(
            "select rolsuper, rolbypassrls from pg_roles where rolname = current_user"
        )
        loose = await connection.fetch(
            "select relname from pg_class where relkind in ('r', 'p') and relnamespace = 'public'::regnamespace"
            " and not (relrowsecurity and relforcerowsecurity) and relname <> 'alembic_version'"
        )
    assert not role["rolsuper"]
    assert not role["rolbypassrls"]
    assert [row["relname"] for row in loose] == []


async def test_a_tenant_sees_its_own_rows_and_no_others(url: str) -> None:
    async with await Database.open(url) as db:
        await fill(db)
        async with db.tenant("tnt_a") as connection:
            assert [row["resource"] for row in await connection.fetch("select resource from events")] == [
                "one"
            ]
            assert (
                await connection.execute("update events set type = 'x' where resource = 'two'") == "UPDATE 0"
            )
            assert await connection.execute("delete from events where resource = 'two'") == "DELETE 0"
        async with db.reader("tnt_b") as connection:
            assert [row["resource"] for row in await connection.fetch("select resource from events")] == [
                "two"
            ]
        async with db.system() as connection:
            assert await connection.fetchval("select count(*) from events") == 2


async def test_without_a_tenant_nothing_is_there(url: str) -> None:
    async with await Database.open(url) as db:
        await fill(db)
        async with db.reader("tnt_a") as connection:
            await connection.execute("reset irisx.tenant")
            for table in (*TENANT_TABLES, *SYSTEM_TABLES, "tenants"):
                assert await connection.fetchval(f"select count(*) from {table}") == 0, table
            await connection.execute("select set_config('irisx.tenant', '', false)")
            assert await connection.fetchval("select count(*) from events") == 0


async def test_a_row_for_another_tenant_is_refused(url: str) -> None:
    async with await Database.open(url) as db:
        await fill(db)
        with pytest.raises(InternalError, match="42501"):
            async with db.tenant("tnt_a") as connection:
                await log.append(connection, [entry("tnt_b", "forged")])
        with pytest.raises(InternalError, match="42501"):
            async with db.tenant("tnt_a") as connection:
                await connection.execute("update events set tenant_id = 'tnt_b'")
        assert await log.bounds(db, "tnt_b") == (1, 1)


async def test_a_tenant_sees_nothing_of_the_platform(url: str) -> None:
    async with await Database.open(url) as db:
        async with db.system() as connection:
            await connection.execute(
                "insert into incidents (id, component, severity, summary) values ('inc_1', 'x', 'down', 's')"
                " on conflict do nothing"
            )
        async with db.reader("tnt_main") as connection:
            assert await connection.fetchval("select count(*) from incidents") == 0
            assert await connection.fetchval("select count(*) from tenants") == 1
            with pytest.raises(InternalError, match="42501"):
                async with db.tenant("tnt_main") as writer:
                    await writer.execute(
                        "insert into incidents (id, component, severity, summary) values ('inc_2', 'y', 'down', 's')"
                    )


async def test_many_readers_of_two_tenants_on_few_connections_never_mix(url: str) -> None:
    async with await Database.open(url, max_size=3) as db:
        await fill(db)

        async def read(tenant: str, wanted: str) -> None:
            for _ in range(20):
                async with db.reader(tenant) as connection:
                    rows = await connection.fetch("select resource from events")
                assert [row["resource"] for row in rows] == [wanted]

        await asyncio.gather(
            *(read("tnt_a", "one") for _ in range(5)), *(read("tnt_b", "two") for _ in range(5))
        )


async def test_a_failed_transaction_leaves_its_connection_with_the_right_tenant(url: str) -> None:
    async with await Database.open(url, max_size=1) as db:
        await fill(db)
        with pytest.raises(ZeroDivisionError):
            async with db.tenant("tnt_b") as connection:
                await connection.execute("delete from events")
                raise ZeroDivisionError
        async with db.reader("tnt_a") as connection:
            assert await connection.fetchval("select resource from events") == "one"
        async with db.reader("tnt_b") as connection:
            assert await connection.fetchval("select resource from events") == "two"


async def test_a_cancelled_reader_leaves_a_connection_that_works(url: str) -> None:
    async with await Database.open(url, max_size=1) as db:
        await fill(db)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05), db.tenant("tnt_b") as connection:
                await connection.fetchval("select pg_sleep(5)")
        async with db.reader("tnt_a") as connection:
            assert await connection.fetchval("select resource from events") == "one"


async def test_a_read_is_one_round_trip_once_a_connection_knows_its_tenant(url: str) -> None:
    async with await Database.open(url, max_size=1) as db:
        async with db.reader("tnt_a") as connection:
            await connection.fetchval("select 1")
            before = connection._protocol.queries_count
        async with db.reader("tnt_a") as connection:
            await connection.fetchval("select 1")
            assert connection._protocol.queries_count == before + 1
