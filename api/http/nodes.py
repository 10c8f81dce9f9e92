"""Switches: what they are, how they are, and draining, resuming, comparing and probing them.

A switch belongs to the platform. Operators see and change all of them; a tenant sees those that are its own, which
means that calls without a tenant of their own on it are the tenant's.
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from msgspec import UNSET, Meta, Struct, UnsetType, field

from api.http import orders
from api.http.answer import Answer
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.problem import bad_value
from api.http.query import Condition, Filter
from api.http.shapes import Body, Name
from core.access import people
from core.config import parse_switches
from core.errors import NotFound, RequestError
from core.storage import access_tenants
from core.storage import nodes as node_store

nodes = Group("nodes", "Switches and who controls them.")

NODE = Path("node_id", "The switch's id: `node_…`.")
Url = Annotated[str, Meta(min_length=6, max_length=300, description="`esl://user:password@host:port`.")]
DialTemplate = Annotated[
    str,
    Meta(
        min_length=3,
        max_length=300,
        pattern=whole(r"[A-Za-z0-9_./@:;=${}-]*\{number\}[A-Za-z0-9_./@:;=${}-]*"),
        description="How a number becomes something this switch can dial: `sofia/gateway/carrier/{number}`.",
    ),
]
TenantId = Annotated[str, Meta(pattern=whole(r"tnt_[0-9a-z]{1,40}"))]
SettingValue = Annotated[str, Meta(max_length=300, pattern=whole(r"[^\x00-\x1f\x7f]*"))]


class NodeInfo(Struct):
    """One switch, as its controller saw it last. Times are RFC 3339, empty where there is none."""

    id: str
    name: str
    host: str
    port: int
    state: Literal["active", "draining", "drained"]
    owner: str
    """The controller that commands it; empty while none does."""
    fence: int
    """The fencing token of the newest ownership: grows with every takeover."""
    default_tenant: str
    dial_template: str
    settings: dict[str, Any]
    status: dict[str, Any]
    """`up`, `calls`, `resyncs`, `surprises`, the switch's last `heartbeat`, the `link`'s counters ..."""
    status_at: str
    """When `status` was true. Older than a few seconds: nobody watches the switch now."""
    version: int
    created_at: str


class NewNode(Body):
    url: Url
    name: Name | None = None
    """Unique; the host when it is not given."""
    default_tenant: TenantId = "tnt_main"
    dial_template: DialTemplate | None = None
    settings: dict[str, SettingValue] = field(default_factory=dict)


class NodeChange(Body):
    name: Name | UnsetType = UNSET
    url: Url | UnsetType = UNSET
    """A new address or password; the controllers follow within seconds."""
    default_tenant: TenantId | UnsetType = UNSET
    dial_template: DialTemplate | UnsetType = UNSET
    settings: dict[str, SettingValue] | UnsetType = UNSET
    """All of them: what is not in it is gone."""


FILTERS = (Filter("name"), Filter("state", "word", ("active", "draining", "drained")))


def info(node: node_store.Node) -> NodeInfo:
    return NodeInfo(**{name: getattr(node, name) for name in NodeInfo.__struct_fields__})


@nodes.operation(
    "GET",
    "/nodes",
    permission="nodes:read",
    summary="List switches, newest first",
    answers=NodeInfo,
    listing=True,
    filters=FILTERS,
)
async def list_nodes(ask: Ask[None]) -> Answer:
    """Operators see all of them, others their tenant's."""
    # A platform has some dozens of switches: all are read, and cut into pages here.
    found = [
        info(node)
        for node in await node_store.list_nodes(ask.services.database)
        if orders.visible(ask, node.default_tenant)
        and all(meets(node, asked) for asked in ask.query.conditions)
    ]
    found.sort(key=_place, reverse=True)
    after = ask.query.page.after
    if after is not None:
        found = [node for node in found if _place(node) < after]
    return rows_answer(ask, found[: ask.query.page.limit + 1], _place)


def _place(node: NodeInfo) -> tuple[int, str]:
    # An id begins with the moment it was made.
    return 0, node.id


@nodes.operation(
    "POST",
    "/nodes",
    permission="nodes:write",
    summary="Add a switch",
    body=NewNode,
    answers=NodeInfo,
    status=201,
    problems=[409],
    etag=True,
)
async def create_node(ask: Ask[NewNode]) -> Answer:
    """The controllers connect to it within seconds. The password is kept sealed and never shown."""
    body = ask.body
    await _check_tenant(ask, body.default_tenant)
    url = _checked_url(body.url)
    node = await node_store.create_node(
        ask.services.database,
        secret=ask.services.secret,
        name=body.name or urlsplit(url).hostname or url,
        url=url,
        default_tenant=body.default_tenant,
        dial_template=node_store.DIAL_TEMPLATE if body.dial_template is None else body.dial_template,
        settings=body.settings,
    )
    answer = versioned(ask, info(node), 201)
    answer.headers = [(b"location", f"/v1/nodes/{node.id}".encode())]
    return answer


@nodes.operation(
    "GET",
    "/nodes/{node_id}",
    permission="nodes:read",
    summary="One switch",
    answers=NodeInfo,
    paths=[NODE],
    problems=[404],
    etag=True,
)
async def get_node(ask: Ask[None]) -> Answer:
    """With what its controller reported last. The ETag is that of its description, not of its status."""
    return versioned(ask, info(await find(ask)))


@nodes.operation(
    "PATCH",
    "/nodes/{node_id}",
    permission="nodes:write",
    summary="Change a switch",
    body=NodeChange,
    answers=NodeInfo,
    paths=[NODE],
    problems=[404, 409],
    etag=True,
    if_match=True,
)
async def update_node(ask: Ask[NodeChange]) -> Answer:
    """What is not given stays as it is."""
    body, node = ask.body, await find(ask)
    people.check_version(node.version, ask.if_match)
    if body.default_tenant is not UNSET:
        await _check_tenant(ask, body.default_tenant)
    changed = await node_store.update_node(
        ask.services.database,
        node.id,
        secret=ask.services.secret,
        version=ask.if_match,
        name=None if body.name is UNSET else body.name,
        url=None if body.url is UNSET else _checked_url(body.url),
        default_tenant=None if body.default_tenant is UNSET else body.default_tenant,
        dial_template=None if body.dial_template is UNSET else body.dial_template,
        settings=None if body.settings is UNSET else body.settings,
    )
    return versioned(ask, info(changed))


@nodes.operation(
    "DELETE",
    "/nodes/{node_id}",
    permission="nodes:write",
    summary="Remove a switch",
    paths=[NODE],
    problems=[404, 409],
    if_match=True,
)
async def delete_node(ask: Ask[None]) -> Answer:
    """409 while it has live calls: drain it first. The calls it had stay in the records."""
    node = await find(ask)
    people.check_version(node.version, ask.if_match)
    await node_store.delete_node(ask.services.database, node.id)
    return Answer(204)


async def find(ask: Ask[Any]) -> node_store.Node:
    """The switch in the path. Raises `NotFound`, also for one that the caller may not know of."""
    node = await node_store.get_node(ask.services.database, ask.path["node_id"])
    if not orders.visible(ask, node.default_tenant):
        raise NotFound(f"there is no switch {node.id}", code="no_such_node")
    return node


def meets(node: node_store.Node, asked: Condition) -> bool:
    """Whether a switch meets a filter."""
    has, wanted = getattr(node, asked.field), asked.value
    if asked.op == "in":
        return isinstance(wanted, list) and has in wanted
    if asked.op == "prefix":
        return str(has).startswith(str(wanted))
    return bool(has == wanted) == (asked.op == "eq")


async def _check_tenant(ask: Ask[Any], tenant_id: str) -> None:
    async with ask.services.database.reader("*" if ask.actor.operator else ask.tenant_id) as conn:
        if await access_tenants.get_tenant(conn, tenant_id) is None:
            raise bad_value("/default_tenant", "there is no such tenant", code="unknown")


def _checked_url(url: str) -> str:
    try:
        found = parse_switches(url)
        checked = node_store.checked_url(url)
    except RequestError as exc:
        raise bad_value("/url", "expected esl://user:password@host:port") from exc
    if len(found) != 1 or found[0].url != checked:
        raise bad_value("/url", "expected one address: esl://user:password@host:port")
    return checked
