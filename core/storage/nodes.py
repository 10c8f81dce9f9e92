"""The switches: where they are, in which state, and who may write for them.

A switch belongs to the platform, not to a tenant: only the system sees this table. Its address is kept twice,
whole but sealed (`core.storage.sealing`), and readable without its password.

The fencing token (``fence``) only grows, and is drawn here: whoever holds the newest one may write what happens
on the switch (`core.storage.calls.write_changes`). Drawing waits for writes that are under way, so a new owner
that reads the store after drawing reads everything the old one wrote.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import msgspec
from msgspec import Struct, field

from core.clock import now_us
from core.config import SwitchAddress, hide_password, inside_of
from core.errors import Conflict, NotFound, RequestError
from core.ids import new_id
from core.model.entries import LogEntry
from core.storage import incidents
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.sealing import Sealer

DIAL_TEMPLATE = "sofia/gateway/carrier/{number}"
"""How a number is dialled when the operator says nothing else: through a gateway that they named ``carrier``."""
STATES = ("active", "draining", "drained")
PURPOSE = "nodes"
DEFAULT_PORT = 8021

_COLUMNS = (
    "n.id, n.name, n.url, n.secret, n.state, n.owner, n.fence, n.default_tenant, n.dial_template, n.settings,"
    " n.version, n.created_at, s.status, s.status_at"
)
_FROM = "from nodes n left join node_status s on s.node = n.id"


class Node(Struct, frozen=True):
    """One switch. Times are RFC 3339 texts, empty where there is none."""

    id: str
    name: str
    url: str
    """``esl://…?inside=…``; with the passwords only when it was read with the installation's secret."""
    host: str
    port: int
    state: str
    """``active``, ``draining`` (takes no new calls) or ``drained`` (has none left)."""
    owner: str
    """The controller that drew the newest token."""
    fence: int
    default_tenant: str
    dial_template: str
    settings: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    status_at: str = ""
    version: int = 1
    created_at: str = ""


async def all_nodes(db: Database, *, secret: str) -> list[Node]:
    """Every switch with its whole address, by name. Raises `core.storage.sealing.WrongSecret`."""
    return await _read(db, Sealer(secret, PURPOSE))


async def list_nodes(db: Database) -> list[Node]:
    """Every switch as it may be shown, by name."""
    return await _read(db, None)


async def get_node(db: Database, node_id: str) -> Node:
    """One switch as it may be shown. Raises `NotFound`."""
    async with db.system() as connection:
        return await _get(connection, node_id)


async def create_node(
    db: Database,
    *,
    secret: str,
    name: str,
    url: str,
    default_tenant: str = "tnt_main",
    dial_template: str = DIAL_TEMPLATE,
    settings: Mapping[str, Any] | None = None,
) -> Node:
    """Add a switch. Raises `Conflict` when the name is taken, `NotFound` for a tenant that is none."""
    node_id = new_id("node")
    async with db.system() as connection:
        try:
            await connection.execute(
                "insert into nodes (id, name, url, secret, default_tenant, dial_template, settings)"
                " values ($1, $2, $3, $4, $5, $6, $7)",
                node_id,
                name,
                hide_password(url),
                Sealer(secret, PURPOSE).seal(checked_url(url)),
                default_tenant,
                checked_template(dial_template),
                _text(settings or {}),
            )
        except asyncpg.UniqueViolationError:
            raise Conflict(f"a switch named {name} exists already", code="name_taken") from None
        except asyncpg.ForeignKeyViolationError:
            raise NotFound(f"there is no tenant {default_tenant}", code="no_such_tenant") from None
        await _tell(connection, node_id, "node.created")
        return await _get(connection, node_id)


async def ensure_nodes(db: Database, switches: Iterable[SwitchAddress], *, secret: str) -> list[Node]:
    """Make the switches of the configuration be there, by name, with these addresses; others stay as they are."""
    known = {node.name: node for node in await all_nodes(db, secret=secret)}
    found = []
    for switch in switches:
        node = known.get(switch.name)
        if node is None:
            try:
                node = await create_node(db, secret=secret, name=switch.name, url=switch.url)
            except Conflict:  # another process that starts with the same configuration was faster
                known = {one.name: one for one in await all_nodes(db, secret=secret)}
                node = known[switch.name]
        elif node.url != switch.url:
            node = await update_node(db, node.id, secret=secret, url=switch.url)
        found.append(node)
    return found


async def update_node(
    db: Database,
    node_id: str,
    *,
    secret: str = "",
    version: int | None = None,
    name: str | None = None,
    url: str | None = None,
    default_tenant: str | None = None,
    dial_template: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Node:
    """Change what is not None. ``secret`` is needed for a new ``url``.

    Raises `NotFound`, and `Conflict` when the name is taken or ``version`` is not the present one.
    """
    changes: dict[str, object] = {}
    if name is not None:
        changes["name"] = name
    if url is not None:
        changes["url"] = hide_password(url)
        changes["secret"] = Sealer(secret, PURPOSE).seal(checked_url(url))
    if default_tenant is not None:
        changes["default_tenant"] = default_tenant
    if dial_template is not None:
        changes["dial_template"] = checked_template(dial_template)
    if settings is not None:
        changes["settings"] = _text(settings)
    async with db.system() as connection:
        present = await _lock(connection, node_id)
        if version is not None and version != present["version"]:
            raise Conflict("the switch has been changed since it was read", code="version_mismatch")
        if changes:
            assignments = ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, start=2))
            try:
                await connection.execute(
                    f"update nodes set {assignments}, version = version + 1, updated_at = now()"  # noqa: S608
                    " where id = $1",
                    node_id,
                    *changes.values(),
                )
            except asyncpg.UniqueViolationError:
                raise Conflict(f"a switch named {name} exists already", code="name_taken") from None
            except asyncpg.ForeignKeyViolationError:
                raise NotFound(f"there is no tenant {default_tenant}", code="no_such_tenant") from None
            await _tell(connection, node_id, "node.updated")
        return await _get(connection, node_id)


async def delete_node(db: Database, node_id: str) -> None:
    """Forget a switch. Raises `NotFound`, and `Conflict` while it has live calls."""
    async with db.system() as connection:
        await _lock(connection, node_id)
        if await connection.fetchval("select exists (select from calls where node = $1 and live)", node_id):
            raise Conflict("the switch has live calls: drain it first", code="has_calls")
        await _tell(connection, node_id, "node.deleted")
        await connection.execute("delete from nodes where id = $1", node_id)


async def draw_fence(db: Database, node_id: str, *, owner: str = "") -> int:
    """The next fencing token: from now on nobody else may write for the switch. Raises `NotFound`."""
    async with db.system() as connection:
        fence: int | None = await connection.fetchval(
            "update nodes set fence = fence + 1, owner = $2 where id = $1 returning fence", node_id, owner
        )
        if fence is None:
            raise NotFound(f"there is no switch {node_id}", code="no_such_node")
        await _tell(connection, node_id, "node.owned")
    return fence


async def set_state(db: Database, node_id: str, state: str) -> dict[str, list[LogEntry]]:
    """Drain or resume a switch; the new entries of the log by tenant, none if it was so already."""
    if state not in STATES:
        raise RequestError(f"a switch is {', '.join(STATES)}; not {state}", code="bad_value")
    async with db.system() as connection:
        present = await _lock(connection, node_id)
        if present["state"] == state:
            return {}
        await connection.execute(
            "update nodes set state = $2, version = version + 1, updated_at = now() where id = $1",
            node_id,
            state,
        )
        return await _tell(connection, node_id, f"node.{state}")


async def set_status(db: Database, node_id: str, fence: int, status: Mapping[str, Any]) -> bool:
    """Show what the owner sees of its switch. False, and nothing is shown, for a token that is not the newest."""
    async with db.system() as connection:
        done: str = await connection.execute(
            "insert into node_status (node, status, status_at)"
            " select id, $3, now() from nodes where id = $1 and fence = $2"
            " on conflict (node) do update set status = excluded.status, status_at = excluded.status_at",
            node_id,
            fence,
            _text(status),
        )
    return done.endswith(" 1")


async def note_reach(db: Database, node_id: str, *, up: bool, reason: str = "") -> dict[str, list[LogEntry]]:
    """Note that the owner of a switch reaches it, or does not: an incident, and an entry of the log (by tenant).

    Noting again what is noted already adds nothing.
    """
    component = f"switch:{node_id}"
    if up:
        if await incidents.close_incident(db, component) is None:
            return {}
    else:
        name = (await get_node(db, node_id)).name
        summary = f"the switch {name} is out of reach"
        _, fresh = await incidents.open_incident(
            db, component, severity="down", summary=summary, cause=reason[:200]
        )
        if not fresh:
            return {}
    async with db.system() as connection:
        return await _tell(connection, node_id, "node.connected" if up else "node.lost")


async def note_journal(db: Database, node_id: str, *, failure: str) -> None:
    """Note that the flight recorder of a switch cannot write (``failure`` says why), or, with an empty text, that it
    can: an incident that begins or ends. Noting again what is noted already changes nothing."""
    component = f"journal:{node_id}"
    if failure:
        name = (await get_node(db, node_id)).name
        summary = f"the flight recorder of the switch {name} cannot write; calls and records go on"
        await incidents.open_incident(
            db, component, severity="degraded", summary=summary, cause=failure[:200]
        )
    else:
        await incidents.close_incident(db, component)


def load_of(node: Node) -> float:
    """How busy a switch is: 0.0 idle, 1.0 as many sessions as it allows. Unknown limits count as 1000."""
    sessions = node.status.get("sessions", node.status.get("calls", 0))
    most = node.status.get("max_sessions") or 1000
    return float(sessions) / float(most)


def checked_url(url: str) -> str:
    """``url`` if it is one of an Event Socket. Raises `RequestError` without repeating it."""
    try:
        parts = urlsplit(url)
        good = parts.scheme == "esl" and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good or not url.isprintable() or " " in url:
        raise RequestError("a switch's address looks like esl://:password@host:8021", code="bad_url")
    inside_of(url)
    return url


def checked_template(template: str) -> str:
    """``template`` if a number can be put into it."""
    if "{number}" not in template or not template.isprintable():
        raise RequestError("a dial template holds {number}", code="bad_template")
    return template


async def _read(db: Database, sealer: Sealer | None) -> list[Node]:
    async with db.system() as connection:
        rows = await connection.fetch(f"select {_COLUMNS} {_FROM} order by n.name")
    return [_node(row, sealer) for row in rows]


async def _get(connection: Connection, node_id: str) -> Node:
    row = await connection.fetchrow(f"select {_COLUMNS} {_FROM} where n.id = $1", node_id)
    if row is None:
        raise NotFound(f"there is no switch {node_id}", code="no_such_node")
    return _node(row, None)


async def _lock(connection: Connection, node_id: str) -> Any:
    row = await connection.fetchrow("select version, state from nodes where id = $1 for update", node_id)
    if row is None:
        raise NotFound(f"there is no switch {node_id}", code="no_such_node")
    return row


async def _tell(connection: Connection, node_id: str, kind: str) -> dict[str, list[LogEntry]]:
    """Put it into the log of the switch's tenant: the last statement of a transaction."""
    row = await connection.fetchrow(
        "select name, state, owner, fence, default_tenant from nodes where id = $1", node_id
    )
    told = {key: row[key] for key in ("name", "state", "owner", "fence")}
    entry = NewEntry(
        tenant_id=row["default_tenant"],
        type=kind,
        resource=node_id,
        data=msgspec.json.encode({"node": {"id": node_id, **told}}),
        occurred_us=now_us(),
    )
    return await append(connection, [entry])


def _node(row: Any, sealer: Sealer | None) -> Node:
    parts = urlsplit(row["url"])
    return Node(
        id=row["id"],
        name=row["name"],
        url=row["url"] if sealer is None else sealer.open(row["secret"]),
        host=parts.hostname or "",
        port=parts.port or DEFAULT_PORT,
        state=row["state"],
        owner=row["owner"],
        fence=row["fence"],
        default_tenant=row["default_tenant"],
        dial_template=row["dial_template"],
        settings=msgspec.json.decode(row["settings"]),
        status=msgspec.json.decode(row["status"]) if row["status"] else {},
        status_at=_moment(row["status_at"]),
        version=row["version"],
        created_at=_moment(row["created_at"]),
    )


def _text(value: Mapping[str, Any]) -> str:
    return msgspec.json.encode(value).decode()


def _moment(value: datetime | None) -> str:
    return "" if value is None else value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
