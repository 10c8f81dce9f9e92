"""Acting on switches (drain, resume, compare, probe), and what is known of them right now."""

from typing import Any

from msgspec import Struct

from api.http import orders
from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.metrics import numbers_of
from api.http.nodes import NODE, NodeInfo, find, info
from api.http.operation import Group
from core.storage import nodes as node_store

node_actions = Group("nodes")

PROBE_S = 8.0
"""How long an order to a switch may take."""


class NodeOutcome(Struct):
    """What came of an order to a switch."""

    node: NodeInfo
    result: dict[str, Any]


class Channels(Struct):
    """The switch's own list of channels, with its own names."""

    data: list[dict[str, Any]]


class NodeMetrics(Struct):
    """What is counted about a switch: its heartbeat, the link to it, the calls on it."""

    node: str
    status_at: str
    metrics: dict[str, float]


class Lease(Struct):
    """Who commands a switch now."""

    node: str
    name: str
    owner: str
    """Who holds the lease in Redis at this moment; empty: nobody."""
    recorded_owner: str
    """Who drew the fencing token, in Postgres."""
    fence: int
    expires_in_ms: int


class LeaseList(Struct):
    data: list[Lease]


async def _order(ask: Ask[Any], action: str) -> Answer:
    node = await find(ask)
    outcome = await orders.carry_out(ask, action, node=node.id, args={}, deadline_s=PROBE_S)
    return json_answer(NodeOutcome(info(await find(ask)), outcome.result))


def _simple(path: str, summary: str, text: str) -> None:
    async def handler(ask: Ask[None]) -> Answer:
        return await _order(ask, f"node.{path}")

    handler.__name__ = f"{path}_node"
    handler.__doc__ = text
    node_actions.operation(
        "POST",
        f"/nodes/{{node_id}}/{path}",
        permission="nodes:control",
        summary=summary,
        answers=NodeOutcome,
        paths=[NODE],
        problems=[404, 409, 502, 503, 504],
        bucket="calls",
    )(handler)


_simple(
    "drain", "Drain a switch", "It takes no new calls, in either direction; live ones go on to their end."
)
_simple("resume", "Resume a switch", "It takes calls again.")
_simple(
    "resync",
    "Compare with the switch's own list",
    "Now, and close the difference with events marked `inferred`.",
)
_simple("probe", "Probe a switch", "One round trip over the command connection, measured.")


@node_actions.operation(
    "GET",
    "/nodes/{node_id}/channels",
    permission="nodes:control",
    summary="The switch's own list of channels",
    answers=Channels,
    paths=[NODE],
    problems=[404, 409, 502, 503, 504],
    bucket="calls",
)
async def list_node_channels(ask: Ask[None]) -> Answer:
    """Asked of the switch at this moment, of all tenants: for operators who compare by eye."""
    node = await find(ask)
    outcome = await orders.carry_out(ask, "node.channels", node=node.id, args={}, deadline_s=PROBE_S)
    return json_answer({"data": outcome.result.get("channels", [])})


@node_actions.operation(
    "GET",
    "/nodes/{node_id}/metrics",
    permission="nodes:read",
    summary="What is counted about a switch",
    answers=NodeMetrics,
    paths=[NODE],
    problems=[404],
)
async def get_node_metrics(ask: Ask[None]) -> Answer:
    """All numbers of its status, flat."""
    node = await find(ask)
    return json_answer(NodeMetrics(node.id, node.status_at, numbers_of(node.status)))


@node_actions.operation(
    "GET",
    "/control/leases",
    permission="nodes:read",
    summary="Who commands which switch now",
    answers=LeaseList,
)
async def list_leases(ask: Ask[None]) -> Answer:
    """Read from Redis at this moment, beside what Postgres recorded. 503 while Redis is away."""
    rows = await node_store.list_nodes(ask.services.database)
    seen = [row for row in rows if orders.visible(ask, row.default_tenant)]
    held = await ask.services.leases([row.id for row in seen])
    return json_answer(
        LeaseList(
            [
                Lease(row.id, row.name, owner, row.owner, row.fence, left_ms)
                for row, (owner, left_ms) in zip(seen, held, strict=True)
            ]
        )
    )
