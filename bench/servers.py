"""A Postgres and a Valkey that several stacks use, one after the other.

Making a database folder and migrating it costs more than most tests of faults: here it is done once, and each stack
gets a copy of the migrated database. A server that the stack before killed is started again.
"""

import asyncio
import itertools
from pathlib import Path
from typing import Self

from core.storage.embedded import EmbeddedPostgres, EmbeddedValkey


class Servers:
    """Use as a context manager; `fresh` for each stack."""

    def __init__(self, folder: Path, *, durable: bool = False, killable: bool = False) -> None:
        """``durable``: a Postgres as in production. ``killable``: one that keeps what it has confirmed when it is
        killed, though not when the machine is; that costs no wait for a disk."""
        self._killable = killable
        self.postgres = EmbeddedPostgres(folder / "postgres", durable=durable)
        self.valkey = EmbeddedValkey(folder / "valkey")
        self._numbers = itertools.count(1)

    def __enter__(self) -> Self:
        from core.storage.migrate import migrate

        try:
            self.postgres.start()
            self.valkey.start()
            migrate(self.postgres.url)
            if self._killable:
                # What was handed to the kernel outlives the process: only the commit must wait for that.
                _execute(self.postgres.admin_url, "alter role irisx set synchronous_commit = on")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.valkey.stop()
        self.postgres.stop()

    def fresh(self) -> tuple[str, str]:
        """The URLs of a migrated, empty database and of an empty Valkey, both running."""
        import redis

        self.revive()
        name = f"stack_{next(self._numbers)}"
        _execute(self.postgres.admin_url, f'create database "{name}" owner irisx template irisx')
        with redis.Redis.from_url(self.valkey.url) as client:
            client.flushall()
        return self.postgres.url.replace("/irisx?", f"/{name}?"), self.valkey.url

    def revive(self) -> None:
        """Start what was killed."""
        for server in (self.postgres, self.valkey):
            if not server.running:
                server.stop()
                server.start()


def _execute(url: str, statement: str) -> None:
    import asyncpg

    async def go() -> None:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute(statement, timeout=30)
        finally:
            await connection.close()

    asyncio.run(go())
