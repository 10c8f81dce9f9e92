"""How everything is: tried at this moment, and said in words.

States are few: ``good``, ``attention`` (works, but somebody should look) and ``bad`` (something does not work). The
sentence beside each is for people; programs compare the state.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec
from msgspec import Struct
from redis.exceptions import RedisError

from api.http.ask import Ask
from api.http.health_outgoing import Part, outgoing_parts
from api.http.health_recordings import recording_parts
from api.http.orders import visible
from api.http.services import Services
from core.clock import monotonic, now_us
from core.errors import IrisxError, Unavailable
from core.storage import nodes as node_store
from core.storage.nodes import Node

State = Literal["good", "attention", "bad"]
_WORST = {"good": 0, "attention": 1, "bad": 2}

TRY_S = 2.0
"""How long a part may take to answer before it counts as away."""
SLOW_MS = 250.0
"""A store slower than this gets attention."""
FRESH_S = 10.0
"""A switch whose status is older has no controller that works."""


class Check(Struct):
    """One part, tried."""

    name: str
    state: State
    detail: str
    took_ms: float


class Deep(Struct):
    state: State
    checks: list[Check]


class Component(Struct):
    """One part of the platform."""

    name: str
    kind: Literal[
        "store",
        "bus",
        "api",
        "controller",
        "switch",
        "channel-host",
        "messages",
        "webhooks",
        "recordings",
        "node-agent",
    ]
    state: State
    detail: str
    """In words."""
    id: str
    """Of a switch: its id; of a controller: its name."""


class Components(Struct):
    data: list[Component]


class Status(Struct):
    """Everything in one sentence."""

    state: State
    summary: str
    good: int
    attention: int
    bad: int


class Incident(Struct):
    """Something that went wrong, from when to when."""

    id: str
    component: str
    severity: Literal["notice", "degraded", "down"]
    summary: str
    cause: str
    started_at: str
    seen_at: str
    ended_at: str | None


class IncidentList(Struct):
    data: list[Incident]


async def not_ready(services: Services) -> list[str]:
    """Why this process should not get requests now; empty when it should."""
    if services.draining:
        return ["this process is about to stop"]
    check = await _tried("database", lambda: _database(services))
    return [] if check.state != "bad" else [check.detail]


async def deep(services: Services) -> Deep:
    """Try everything; the database is the one part that cannot be done without."""
    checks = list(
        await asyncio.gather(
            _tried("database", lambda: _database(services)),
            _tried("bus", lambda: _redis(services), worst="attention"),
            _tried("objects", lambda: _objects(services), worst="attention"),
        )
    )
    if services.draining:
        checks.append(Check("api", "attention", "this process is about to stop", 0.0))
    return Deep(_worst(check.state for check in checks), checks)


async def components(services: Services, ask: Ask[Any]) -> list[Component]:
    """The stores, the controllers and the switches that the caller may see."""
    database, bus = await asyncio.gather(
        _tried("database", lambda: _database(services)), _tried("bus", lambda: _redis(services))
    )
    found = [
        Component("Database", "store", database.state, database.detail, ""),
        Component("Command bus", "bus", bus.state, bus.detail, ""),
        Component("API", "api", "attention" if services.draining else "good", _api_words(services), ""),
    ]
    controllers = await _controllers(services) if bus.state != "bad" else None
    if ask.actor.operator:
        found += _controller_components(controllers)
    if database.state != "bad":
        nodes = await node_store.list_nodes(services.database)
        found += [_switch(node) for node in nodes if visible(ask, node.default_tenant)]
        found += await outgoing(services, ask)
        found += _of_parts(await recording_parts(services, ask))
    return found


async def outgoing(services: Services, ask: Ask[Any]) -> list[Component]:
    """What sends and delivers, and what waits: an operator's without a tenant named are everybody's."""
    return _of_parts(await outgoing_parts(services, ask))


def _of_parts(parts: Iterable[Part]) -> list[Component]:
    return [Component(part.name, part.kind, part.said.level, part.said.text, part.id) for part in parts]


async def status(services: Services, ask: Ask[Any]) -> Status:
    """The worst state, and what it means."""
    found = await components(services, ask)
    counts = {state: sum(1 for one in found if one.state == state) for state in _WORST}
    worst = _worst(one.state for one in found)
    if worst == "good":
        summary = "Everything works."
    else:
        named = [f"{one.name}: {one.detail}" for one in found if one.state == worst]
        more = f" And {len(named) - 3} more." if len(named) > 3 else ""
        summary = " ".join(named[:3]) + more
    return Status(worst, summary, counts["good"], counts["attention"], counts["bad"])


async def _tried(name: str, attempt: Callable[[], Awaitable[str]], *, worst: State = "bad") -> Check:
    began = monotonic()
    try:
        async with asyncio.timeout(TRY_S):
            detail = await attempt()
    except TimeoutError:
        return Check(name, worst, f"No answer within {TRY_S:g} s.", round((monotonic() - began) * 1000, 2))
    except IrisxError as exc:
        return Check(name, worst, f"Out of reach: {exc.detail}.", round((monotonic() - began) * 1000, 2))
    took = round((monotonic() - began) * 1000, 2)
    slow = took > SLOW_MS
    return Check(
        name, "attention" if slow else "good", f"{detail} It took {took:g} ms." if slow else detail, took
    )


async def _database(services: Services) -> str:
    async with services.database.reader("*") as conn:
        await conn.fetchval("select count(*) from tenants where id = 'tnt_main'")
    return "Answers."


async def _redis(services: Services) -> str:
    try:
        await services.bus.redis.ping()
    except (RedisError, OSError) as exc:
        raise Unavailable("commands and live updates wait until it is back") from exc
    if not services.bus.listening.is_set():
        raise Unavailable("it answers, but we do not hear it yet")
    return "Answers."


async def _objects(services: Services) -> str:
    await asyncio.to_thread(services.try_objects)
    return "Answers."


async def _controllers(services: Services) -> list[dict[str, Any]] | None:
    try:
        return [msgspec.json.decode(said) for said in await services.bus.who_is_present()]
    except (IrisxError, msgspec.DecodeError):
        return None


def _controller_components(said: list[dict[str, Any]] | None) -> list[Component]:
    if said is None:
        return [Component("Controllers", "controller", "attention", "Not known while the bus is away.", "")]
    if not said:
        return [Component("Controllers", "controller", "bad", "None runs: nobody controls the switches.", "")]
    return [
        Component(
            str(one.get("name", "")),
            "controller",
            "good",
            f"Runs on {one.get('host', '?')}, commands {len(one.get('owns', []))} of {len(one.get('nodes', []))} switches.",
            str(one.get("name", "")),
        )
        for one in sorted(said, key=lambda one: str(one.get("name", "")))
    ]


def _switch(node: Node) -> Component:
    state: State = "good"
    if not node.status_at or _age_s(node) > FRESH_S:
        state, detail = "bad", "No controller watches it."
    elif node.status.get("up") is not True:
        state, detail = "bad", "Out of reach; its calls are in doubt."
    elif node.status.get("store_away") is True:
        state, detail = "attention", "Works; its facts wait on the controller's disk for the database."
    elif node.status.get("journal_failing") is True:
        state, detail = "attention", "Works; its flight recorder cannot write to the controller's disk."
    elif node.state != "active":
        state, detail = "attention", f"{node.state.capitalize()}: takes no new calls."
    else:
        detail = f"Works, {node.status.get('calls', 0)} live calls."
    return Component(node.name, "switch", state, detail, node.id)


def _age_s(node: Node) -> float:
    return now_us() / 1e6 - parse_moment(node.status_at)


def parse_moment(text: str) -> float:
    """An RFC 3339 text as seconds since the epoch."""
    return datetime.fromisoformat(text).timestamp()


def _api_words(services: Services) -> str:
    if services.draining:
        return "This process is about to stop."
    return f"Answers, for {_duration(monotonic() - services.started)}."


def _duration(seconds: float) -> str:
    for size, word in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {word}"
    return f"{int(seconds)} seconds"


def _worst(states: Iterable[State]) -> State:
    return max(states, key=_WORST.__getitem__, default="good")
