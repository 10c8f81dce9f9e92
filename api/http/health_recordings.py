"""Recordings on the page that says how everything is: what is missing, what waits, and who brings it."""

from collections.abc import Iterator
from typing import Any

import msgspec

from api.http.ask import Ask
from api.http.health_outgoing import Part
from api.http.services import Services
from core.bus import NODE_AGENTS
from core.clock import now_us
from core.errors import IrisxError
from core.model.outgoing import Said
from core.storage import recording_work
from core.storage.database import SYSTEM
from core.storage.recording_work import Figures

LATE_S = 600
"""A whole recording that nobody has brought for so long."""


async def recording_parts(services: Services, ask: Ask[Any]) -> list[Part]:
    """Operators see every switch's process and everybody's figures, others their tenant's. Whoever records nothing is not
    told of it."""
    everything = ask.actor.operator
    facts = await recording_work.figures(
        services.database, SYSTEM if everything else ask.tenant_id, now_us=now_us()
    )
    agents = await node_agents(services) if everything else []
    found = list(_agents(agents or []))
    if facts.today or facts.waiting or facts.missing:
        found.append(Part("Recordings", "recordings", judged(facts, beside=agents != [])))
    return found


async def node_agents(services: Services) -> list[dict[str, Any]] | None:
    """What the living `irisx node` processes say of themselves, by name; None while the bus is away."""
    try:
        said = await services.bus.who_is_present(NODE_AGENTS)
        found = [msgspec.json.decode(one, type=dict[str, Any]) for one in said]
    except (IrisxError, msgspec.MsgspecError):
        return None
    return sorted(found, key=lambda one: str(one.get("name", "")))


def judged(facts: Figures, *, beside: bool) -> Said:
    """A judgement and a sentence. ``beside``: whether an `irisx node` lives, as far as we know."""
    text = f"{facts.today} of calls of the last 24 hours; {facts.waiting} on their way to the object store."
    if facts.missing:
        one = facts.missing == 1
        return Said("bad", f"{facts.missing} {'is' if one else 'are'} missing. {text}")
    if facts.waiting and facts.oldest_s > LATE_S:
        why = "" if beside else " No irisx node runs."
        return Said("attention", f"The oldest has waited for {facts.oldest_s // 60:.0f} minutes.{why} {text}")
    return Said("good", text)


def _agents(said: list[dict[str, Any]]) -> Iterator[Part]:
    for one in said:
        name = str(one.get("name", ""))
        text = f"Runs on {one.get('host', '?')}; {one.get('waiting', 0)} files wait there."
        level = Said("good", text)
        if one.get("open") or one.get("unknown"):
            strange = f"{one.get('open', 0)} do not close, {one.get('unknown', 0)} belong to no call."
            level = Said("attention", f"{text} {strange}")
        if one.get("lacking"):
            level = Said("attention", f"{text} The bucket: {', '.join(map(str, one['lacking']))}.")
        if one.get("trouble"):
            level = Said("bad", f"{text} The object store takes nothing ({one['trouble']}).")
        yield Part(name, "node-agent", level, str(one.get("node", "")))
