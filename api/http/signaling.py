"""The way of an agent's browser to a controller: a token, addresses, ICE servers. The protocol itself is in
``docs/signaling.md``; the controllers' numbers are in the metrics."""

import random
from collections.abc import Iterator
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct
from prometheus_client.core import GaugeMetricFamily, Metric

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.operation import SIGNED_IN, Group
from core.access.tokens import SIGNALING_S
from core.bus import Bus
from core.clock import now_us
from core.config import Settings
from core.errors import Conflict, Unavailable
from core.model.signaling import moment
from core.model.turn import IceServer, ice_servers
from core.storage import agents

signaling = Group("auth")


class SignalingToken(Struct):
    """How an agent's browser connects: use it at once."""

    token: str
    """For `hello`, within the next minute. What has begun does not end with it."""
    expires_at: str
    urls: list[str]
    """Controllers that live, in an order of chance: try one after the other."""
    ice_servers: list[IceServer]
    """As `RTCPeerConnection` takes them; TURN credentials hold for six hours."""


class _Said(Struct):
    name: str = ""
    signaling: str = ""
    signaling_numbers: dict[str, float] = {}


@signaling.operation(
    "POST",
    "/auth/tokens/signaling",
    permission=SIGNED_IN,
    summary="Get a token for the phone in the browser",
    answers=SignalingToken,
    status=201,
    problems=[409, 503],
    idempotency="none",
)
async def create_signaling_token(ask: Ask[None]) -> Answer:
    """For people who are agents of the tenant; 409 `no_agent` otherwise, 503 when no controller serves browsers now."""
    actor, services = ask.need_person(), ask.services
    agent = await agents.agent_of_user(services.database, ask.tenant_id, actor.id)
    if agent is None:
        raise Conflict("you are no agent: somebody who manages agents can make you one", code="no_agent")
    urls = [one.signaling for one in await _controllers(services.bus) if one.signaling]
    if not urls:
        raise Unavailable("no controller serves browsers now", code="no_signaling")
    random.shuffle(urls)
    token = services.access.signaling_token(actor, ask.tenant_id)
    settings = services.settings
    servers = ice_servers(
        settings.stun_urls, settings.turn_urls, settings.turn_secret, who=agent.id, now_us=now_us()
    )
    return json_answer(SignalingToken(token, moment(now_us() + SIGNALING_S * 1_000_000), urls, servers), 201)


async def _controllers(bus: Bus) -> list[_Said]:
    """What the living controllers say of themselves."""
    found = []
    for said in await bus.who_is_present():
        try:
            found.append(msgspec.json.decode(said, type=_Said))
        except msgspec.MsgspecError:
            continue  # another version's words
    return found


async def signaling_metrics(bus: Bus) -> list[Metric]:
    """The numbers of all controllers, one family each; none while the bus is away."""
    try:
        return list(_families(await _controllers(bus)))
    except Unavailable:
        return []


def _families(said: list[_Said]) -> Iterator[Metric]:
    families: dict[str, GaugeMetricFamily] = {}
    for one in said:
        for name, value in one.signaling_numbers.items():
            if name not in families:
                families[name] = GaugeMetricFamily(
                    f"irisx_signaling_{name}", "As the controller reported it last", labels=["controller"]
                )
            families[name].add_metric([one.name], value)
    yield from families.values()


def connect_sources(settings: Settings) -> tuple[str, ...]:
    """Where pages may connect to beside us: what browsers reach controllers by.

    The origins of ``IRISX_SIGNALING_URL``. Without it controllers are reached where they listen, on any port: they
    may choose one anew when they start, and a page that is open must still reach them.
    """
    found = []
    for url in settings.signaling_url.split():
        parts = urlsplit(url)
        found.append(f"{parts.scheme}://{parts.netloc}")
    address = settings.signaling_address()
    if not found and address is not None:
        host = f"[{address[0]}]" if ":" in address[0] else address[0]
        found.append(f"ws://{host}:*")
    return tuple(found)
