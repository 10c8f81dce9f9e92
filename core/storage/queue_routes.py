"""Where calls that come in go: numbers, and beginnings of numbers, that lead to a queue or to one agent."""

from collections.abc import Iterable

from msgspec import Struct

from core.model.queueing_records import Skills
from core.storage.database import Connection
from core.storage.queue_rows import value_of

COLUMNS = "id, number, prefix, queue_id, agent_id, priority, skills, enabled, version, created_us, updated_us"


class Route(Struct, frozen=True, kw_only=True):
    """Who is reached by a number."""

    id: str
    number: str
    prefix: bool = False
    queue_id: str = ""
    agent_id: str = ""
    priority: float = 0.0
    skills: Skills = {}
    enabled: bool = True
    version: int = 1
    created_us: int = 0
    updated_us: int = 0


async def routes_of(connection: Connection, tenant_id: str) -> list[Route]:
    """Those that are enabled. A tenant has some hundreds."""
    rows = await connection.fetch(
        f"select {COLUMNS} from inbound_routes where tenant_id = $1 and enabled",  # noqa: S608
        tenant_id,
    )
    return [value_of(row, Route, "skills") for row in rows]


def route_of(routes: Iterable[Route], destination: str) -> Route | None:
    """The route of a number: its own, else that of its longest beginning. A leading ``+`` makes no difference, since
    carriers agree about it no more than people do."""
    wanted = plain(destination)
    best: Route | None = None
    for one in routes:
        number = plain(one.number)
        if not one.prefix and number == wanted:
            return one
        longer = best is None or len(number) > len(plain(best.number))
        if one.prefix and wanted.startswith(number) and longer:
            best = one
    return best


def plain(number: str) -> str:
    return number.strip().removeprefix("+")
