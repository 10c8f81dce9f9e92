"""What has to be in the database before anything runs: schema, the switches, somebody who can sign in.

A process of its own (``python -m api.up.prepare``), so that the supervisor stays small and a hung database can be given
up. Its settings are the environment's; what it found is one JSON object on standard output, the only place
where the first operator's password ever appears.
"""

import asyncio
import sys

import msgspec
from msgspec import Struct

from api.up.desk import set_up_desk
from core import logs
from core.access.people import first_operator
from core.config import Settings
from core.errors import IrisxError
from core.storage import migrate
from core.storage import nodes as node_store
from core.storage.database import Database

DESK = "--desk"
"""The switch is a simulated one: its callers are to be answered by somebody."""


class Prepared(Struct, frozen=True):
    """What was done."""

    versions: list[str]
    """Schema versions that were applied now."""
    switches: list[str]
    """Names of the switches that are registered, as given by SWITCHES."""
    email: str = ""
    password: str = ""
    """The first operator's, when there was none."""


async def _fill(settings: Settings, desk: bool) -> tuple[list[str], tuple[str, str] | None]:
    database = await Database.open(settings.database_url, max_size=2)
    try:
        nodes = await node_store.ensure_nodes(database, settings.switches, secret=settings.secret)
        operator = await first_operator(database)
        if desk:
            await set_up_desk(database)
        return [node.name for node in nodes], operator
    finally:
        await database.close()


def prepare(settings: Settings, *, desk: bool = False) -> Prepared:
    """Migrate, register, make the first operator, with ``desk`` also their queue. May be repeated. Raises `IrisxError`."""
    versions = migrate.migrate(settings.database_url)
    names, operator = asyncio.run(_fill(settings, desk))
    email, password = operator or ("", "")
    return Prepared(versions, names, email, password)


def main() -> int:
    # (to standard error: what stands on standard output is the answer)
    logs.set_up(process="prepare")
    try:
        said = prepare(Settings.from_env(), desk=DESK in sys.argv[1:])
    except IrisxError as error:
        print(error.detail, file=sys.stderr)
        return 1
    sys.stdout.buffer.write(msgspec.json.encode(said))
    return 0


if __name__ == "__main__":
    sys.exit(main())
