"""Tenants are kept apart by the database itself, whatever role the URL names."""

import pytest

from core.storage.database import Database

pytestmark = pytest.mark.asyncio_loop

TENANT_TABLES = ("log_heads", "events", "calls", "cdrs", "conferences", "jobs")
SYSTEM_TABLES = ("nodes", "node_status", "incidents")


@pytest.fixture(params=["owner", "superuser"])
def url(request: pytest.FixtureRequest, database_url: str) -> str:
    """The same database as its owner, and as a superuser (who must step down)."""
    if request.param == "owner":
        return database_url
    return database_url.replace("irisx@", "postgres@")


async def test_the_application_is_bound_by_row_level_security(database_url: str) -> None:
    async with await Database.open(database_url) as db, db.system() as connection:
        row = await connection.fetchrow(
            "select rolsuper, rolbypassrls from pg_roles where rolname = current_user"
        )
        loose = await connection.fetch(
            "select relname from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace"
            " and not (relrowsecurity and relforcerowsecurity) and relname <> 'alembic_version'"
        )
    assert not row["rolsuper"]
    assert not row["rolbypassrls"]
    assert [r["relname"] for r in loose] == []
