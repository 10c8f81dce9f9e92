"""Channel hosts, messages on their way out and webhooks, for the pages that say how everything is, and for metrics."""

import socket
from collections.abc import Iterator
from typing import Any, Literal

import msgspec
from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily, Metric

from api.http.ask import Ask
from api.http.services import Services
from core.bus import HOSTS
from core.errors import IrisxError
from core.model import outgoing
from core.model.outgoing import Said
from core.storage.database import SYSTEM
from core.storage.outgoing_facts import OutgoingFacts, outgoing_facts


class Part(Struct, frozen=True):
    """One component."""

    name: str
    kind: Literal["channel-host", "messages", "webhooks", "recordings", "node-agent"]
    said: Said
    id: str = ""


async def outgoing_parts(services: Services, ask: Ask[Any]) -> list[Part]:
    """Operators see the hosts and everybody's figures, others their tenant's. What nobody uses is not told of."""
    everything = ask.actor.operator
    facts = await outgoing_facts(services.database, SYSTEM if everything else ask.tenant_id)
    found: list[Part] = []
    if everything:
        found += _hosts(await hosts(services), needed=outgoing.needs_host(facts))
    if facts.accounts or facts.misconfigured or facts.messages_waiting:
        found.append(Part("Messages out", "messages", outgoing.messages(facts)))
    if facts.endpoints or facts.switched_off:
        found.append(Part("Webhooks", "webhooks", outgoing.endpoints(facts)))
    return found


async def hosts(services: Services) -> list[dict[str, Any]] | None:
    """What the living channel hosts say of themselves, by name; None while the bus is away."""
    try:
        said = [
            msgspec.json.decode(one, type=dict[str, Any]) for one in await services.bus.who_is_present(HOSTS)
        ]
    except (IrisxError, msgspec.MsgspecError):
        return None
    return sorted(said, key=lambda one: str(one.get("name", "")))


def _hosts(said: list[dict[str, Any]] | None, *, needed: bool) -> Iterator[Part]:
    if said is None:
        yield Part("Channel hosts", "channel-host", Said("attention", "Not known while the bus is away."))
    elif not said and needed:
        yield Part("Channel hosts", "channel-host", Said("bad", "None runs: nothing is sent or delivered."))
    for one in said or ():
        held, hooks = len(one.get("listens", ())), one.get("webhooks", {})
        doing = hooks.get("under_way", 0)
        text = (
            f"Runs on {one.get('host', '?')}, serves {_plural(one.get('accounts', 0), 'account')}, holds"
            f" {_plural(held, 'connection')}, delivers {_plural(doing, 'webhook')} now."
        )
        name = str(one.get("name", ""))
        yield Part(name, "channel-host", Said("good", text), name)


async def outgoing_metrics(services: Services) -> list[Metric]:
    """Everybody's figures; none while the database is out of reach."""
    try:
        facts = await outgoing_facts(services.database, SYSTEM)
    except IrisxError:
        return []
    return [*_gauges(facts), *_of_hosts(await hosts(services) or [])]


def _gauges(facts: OutgoingFacts) -> Iterator[Metric]:
    for name, about, value in (
        ("accounts_misconfigured", "Connected accounts that do not work", facts.misconfigured),
        ("outbox_waiting", "Messages that are due and not sent", facts.messages_waiting),
        ("outbox_oldest_seconds", "Since when the oldest of them has been due", facts.oldest_message_s),
        ("webhook_endpoints", "Endpoints that are switched on", facts.endpoints),
        ("webhook_endpoints_failing", "Of these, those whose last attempts failed", facts.failing),
        ("webhook_endpoints_off", "Endpoints that were switched off by failure", facts.switched_off),
        ("webhook_waiting", "Deliveries that wait for their turn or next try", facts.deliveries_waiting),
        ("webhook_oldest_seconds", "Since when the oldest of them has waited", facts.oldest_delivery_s),
    ):
        yield GaugeMetricFamily(f"irisx_{name}", about, value)


def _of_hosts(said: list[dict[str, Any]]) -> Iterator[Metric]:
    accounts = GaugeMetricFamily("irisx_channel_host_accounts", "Accounts it serves", labels=["host"])
    under_way = GaugeMetricFamily(
        "irisx_channel_host_webhooks_under_way", "Webhooks it is just delivering", labels=["host"]
    )
    attempts = GaugeMetricFamily(
        "irisx_channel_host_webhook_attempts",
        "Attempts since it started, by how they ended",
        labels=["host", "step"],
    )
    for one in said:
        name, hooks = str(one.get("name", socket.gethostname())), one.get("webhooks", {})
        accounts.add_metric([name], float(one.get("accounts", 0)))
        under_way.add_metric([name], float(hooks.get("under_way", 0)))
        for step in ("delivered", "again", "failed"):
            attempts.add_metric([name, step], float(hooks.get(step, 0)))
    yield from (accounts, under_way, attempts)


def _plural(count: int, one: str) -> str:
    return f"{count} {one if count == 1 else one + 's'}"
