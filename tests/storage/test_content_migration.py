"""A database that is in use when its schema grows: people who were there before are found afterwards."""

import asyncio

import asyncpg
from alembic import command

from core.storage import migrate
from core.storage.contact_search import search
from core.storage.database import Database


def _at(url: str, version: str) -> None:
    def apply(connection: object) -> None:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, version)

    migrate._with_connection(url, apply)


def test_who_was_there_before_the_index_of_words_is_found_by_it(empty_database_url: str) -> None:
    async def write() -> None:
        connection = await asyncpg.connect(empty_database_url)
        await connection.execute("select set_config('irisx.tenant', '*', false)")
        await connection.execute(
            "insert into contacts (tenant_id, id, name, created_us, updated_us) values ('tnt_1', 'ctc_1', 'Ann Lee', 1, 1);"
            "insert into identities (tenant_id, id, contact_id, kind, value, created_us)"
            " values ('tnt_1', 'idn_1', 'ctc_1', 'phone', '+49301234567', 1)"
        )
        await connection.close()

    async def find(text: str) -> bytes:
        async with await Database.open(empty_database_url) as db:
            return (await search(db, "tnt_1", text, limit=5, after=None)).data

    _at(empty_database_url, "0005")
    asyncio.run(write())
    _at(empty_database_url, "head")
    for text in ("lee", "4567"):
        assert b"Ann Lee" in asyncio.run(find(text))
