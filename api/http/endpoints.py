"""Telephones that register at a switch: made here, told their password once, seen where they are.

An agent's browser needs none of this: it has no registration at all.
"""

import asyncio
from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from api.http import orders
from api.http.answer import Answer, encode, json_answer
from api.http.ask import Ask
from api.http.lists import rows_answer, versioned
from api.http.operation import Group, Path
from api.http.patterns import whole
from api.http.shapes import Body, Name
from core.clock import now_us
from core.errors import IrisxError
from core.ids import new_id
from core.logs import get_logger
from core.model.directory import DOMAIN
from core.model.orders import Order
from core.storage import endpoints as store
from core.storage import nodes as node_store
from core.storage.endpoints import EndpointRow

LOG = get_logger("endpoints")

endpoints = Group("endpoints", "Telephones that register at a switch, and who is registered where.")

ENDPOINT = Path("endpoint_id", "The endpoint's id: `ept_…`.")
AgentId = Annotated[str, Meta(pattern=whole(r"(agt_[0-9a-z]{1,40})?"))]
Number = Annotated[str, Meta(pattern=whole(r"(\+?[0-9]{1,32})?"))]
ASK_S = 4.0
"""How long one switch may take to say who is registered with it."""


class Endpoint(Struct):
    """A telephone. Times are microseconds since 1970."""

    id: str
    name: str
    username: str
    """What it registers as; unique over all tenants."""
    agent_id: str
    """Whose it is; empty: nobody's in particular."""
    caller_number: str
    """What those see whom it calls; empty: the switch's own."""
    enabled: bool
    secret_changed_us: int
    version: int
    created_us: int
    updated_us: int


class NewEndpoint(Body):
    name: Name
    agent_id: AgentId = ""
    caller_number: Number = ""


class EndpointChange(Body):
    name: Name | UnsetType = UNSET
    agent_id: AgentId | UnsetType = UNSET
    caller_number: Number | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET


class EndpointSecret(Struct):
    """What is typed into the telephone. The password is shown this once."""

    endpoint: Endpoint
    username: str
    domain: str
    """SIP domain and digest realm."""
    secret: str | None
    """Null when the request is repeated: it is kept nowhere."""


class Registration(Struct):
    """One telephone where it is now."""

    endpoint_id: str
    name: str
    node: str
    contact: str
    address: str
    transport: str
    expires_at_us: int


class Registrations(Struct):
    data: list[Registration]
    unanswered: int
    """How many switches did not say in time who is registered with them."""


@endpoints.operation(
    "GET",
    "/endpoints",
    permission="endpoints:read",
    summary="List telephones, newest first",
    answers=Endpoint,
    listing=True,
)
async def list_endpoints(ask: Ask[None]) -> Answer:
    """Where they are registered is asked for apart: only the switches know."""
    page = ask.query.page
    rows = await store.list_endpoints(
        ask.services.database, ask.tenant_id, after=page.after, most=page.limit + 1
    )
    return rows_answer(ask, rows, lambda one: (one.created_us, one.id))


@endpoints.operation(
    "POST",
    "/endpoints",
    permission="endpoints:write",
    summary="Add a telephone",
    body=NewEndpoint,
    answers=EndpointSecret,
    status=201,
    problems=[409],
)
async def create_endpoint(ask: Ask[NewEndpoint]) -> Answer:
    """It can register at once. Its password is in this answer alone."""
    row, password = await store.create_endpoint(
        ask.services.database,
        ask.tenant_id,
        secret=ask.services.secret,
        name=ask.body.name,
        agent_id=ask.body.agent_id,
        caller_number=ask.body.caller_number,
    )
    answer = _told(row, password, 201)
    answer.headers = [(b"location", f"/v1/endpoints/{row.id}".encode())]
    return answer


@endpoints.operation(
    "GET",
    "/endpoints/{endpoint_id}",
    permission="endpoints:read",
    summary="One telephone",
    answers=Endpoint,
    paths=[ENDPOINT],
    problems=[404],
    etag=True,
)
async def get_endpoint(ask: Ask[None]) -> Answer:
    """Without its password, which nobody knows."""
    return versioned(ask, await _endpoint(ask))


@endpoints.operation(
    "PATCH",
    "/endpoints/{endpoint_id}",
    permission="endpoints:write",
    summary="Change a telephone",
    body=EndpointChange,
    answers=Endpoint,
    paths=[ENDPOINT],
    problems=[404, 409, 412],
    etag=True,
    if_match=True,
)
async def update_endpoint(ask: Ask[EndpointChange]) -> Answer:
    """Disabled, it cannot register or call any more; the call that it is in goes on."""
    given = {
        name: value for name in ask.body.__struct_fields__ if (value := getattr(ask.body, name)) is not UNSET
    }
    row = await store.update_endpoint(
        ask.services.database, ask.tenant_id, ask.path["endpoint_id"], given, version=ask.if_match
    )
    if "enabled" in given:
        ask.services.later(_forget(ask, row))
    return versioned(ask, row)


@endpoints.operation(
    "DELETE",
    "/endpoints/{endpoint_id}",
    permission="endpoints:write",
    summary="Remove a telephone",
    paths=[ENDPOINT],
    problems=[404],
)
async def delete_endpoint(ask: Ask[None]) -> Answer:
    """Its user name is never given to another one."""
    row = await store.delete_endpoint(ask.services.database, ask.tenant_id, ask.path["endpoint_id"])
    ask.services.later(_forget(ask, row))
    return Answer(204)


@endpoints.operation(
    "POST",
    "/endpoints/{endpoint_id}/rotate",
    permission="endpoints:write",
    summary="Give a telephone a new password",
    answers=EndpointSecret,
    paths=[ENDPOINT],
    problems=[404],
)
async def rotate_endpoint(ask: Ask[None]) -> Answer:
    """The old one is refused from the next registration on; a switch that is out of reach now remembers it for a minute."""
    row, password = await store.rotate_secret(
        ask.services.database, ask.tenant_id, ask.path["endpoint_id"], secret=ask.services.secret
    )
    ask.services.later(_forget(ask, row))
    return _told(row, password, 200)


@endpoints.operation(
    "GET",
    "/registrations",
    permission="endpoints:read",
    summary="Which telephones are registered where",
    answers=Registrations,
    bucket="calls",
)
async def list_registrations(ask: Ask[None]) -> Answer:
    """Asked of every switch at this moment. Switches that do not answer in time are counted."""
    nodes = await node_store.list_nodes(ask.services.database)
    answers = await asyncio.gather(*(_registered(ask, node) for node in nodes))
    found = [(node, row) for node, rows in zip(nodes, answers, strict=True) for row in rows or ()]
    known = await store.by_usernames(
        ask.services.database, ask.tenant_id, [row["reg_user"] for _, row in found]
    )
    shown = [
        Registration(
            endpoint_id=known[row["reg_user"]].id,
            name=known[row["reg_user"]].name,
            node=node.name,
            contact=row["url"],
            address=f"{row['network_ip']}:{row['network_port']}",
            transport=row["network_proto"],
            expires_at_us=int(row["expires"]) * 1_000_000 if row["expires"].isdigit() else 0,
        )
        for node, row in found
        if row["reg_user"] in known
    ]
    return json_answer(Registrations(shown, sum(rows is None for rows in answers)))


async def _registered(ask: Ask[Any], node: node_store.Node) -> list[dict[str, str]] | None:
    try:
        outcome = await orders.carry_out(ask, "node.registrations", node=node.id, args={}, deadline_s=ASK_S)
    except IrisxError:
        return None
    rows = outcome.result.get("registrations")
    return rows if isinstance(rows, list) else []


async def _forget(ask: Ask[Any], row: EndpointRow) -> None:
    """Have every switch ask anew about this telephone. One that cannot be told asks within a minute by itself."""

    async def tell(node: node_store.Node) -> None:
        order = Order(
            id=new_id("ord"),
            action="node.forget_user",
            node=node.id,
            tenant_id=ask.tenant_id,
            deadline_us=now_us() + round(ASK_S * 1e6),
            args={"user": row.username},
        )
        try:
            await ask.services.bus.ask(order)
        except IrisxError as exc:
            LOG.info("a switch asks later", node=node.id, endpoint=row.id, error=exc.code)

    nodes = await node_store.list_nodes(ask.services.database)
    await asyncio.gather(*(tell(node) for node in nodes))


async def _endpoint(ask: Ask[Any]) -> EndpointRow:
    return await store.get_endpoint(ask.services.database, ask.tenant_id, ask.path["endpoint_id"])


def _told(row: EndpointRow, password: str, status: int) -> Answer:
    shown = Endpoint(**{name: getattr(row, name) for name in Endpoint.__struct_fields__})
    answer = json_answer(EndpointSecret(shown, row.username, DOMAIN, password))
    answer.status = status
    answer.kept = encode(EndpointSecret(shown, row.username, DOMAIN, None))
    return answer
