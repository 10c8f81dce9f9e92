"""Asking a fresh child whether it is ready. Each probe answers None, or what is still missing."""

import socket
from collections.abc import Sequence

import httpx
import msgspec
import redis
import trio
from redis.exceptions import RedisError

from api.up.parts import Probe
from core.bus import HOSTS, NODE_AGENTS, PRESENCE

_PATIENCE_S = 1.0


def simulator(host: str, port: int) -> Probe:
    """Its Event Socket asks us to log in."""

    async def ask(_pid: int) -> str | None:
        with trio.move_on_after(_PATIENCE_S):
            try:
                stream = await trio.open_tcp_stream(host, port)
            except OSError:
                return f"nobody listens on port {port}"
            async with stream:
                greeting = await stream.receive_some(64)
                return None if b"auth/request" in greeting else "another program answers on its port"
        return f"port {port} does not answer"

    return ask


def controller(redis_url: str) -> Probe:
    """It shows itself on the bus: then it has reached database and bus, and stands by for its switches."""
    return _shown(redis_url, PRESENCE)


def channel_host(redis_url: str) -> Probe:
    """It shows itself on the bus: then it has reached database and bus."""
    return _shown(redis_url, HOSTS)


def node_agent(redis_url: str) -> Probe:
    """It shows itself on the bus: then it has reached database and bus, and holds its folder."""
    return _shown(redis_url, NODE_AGENTS)


def _shown(redis_url: str, kind: str) -> Probe:
    def look(pid: int) -> bool:
        with redis.Redis.from_url(
            redis_url, socket_timeout=_PATIENCE_S, socket_connect_timeout=_PATIENCE_S
        ) as client:
            names = list(client.scan_iter(match=kind + "*", count=100))
            for said in client.mget(names) if names else []:
                if said is None:
                    continue
                shown = msgspec.json.decode(said, type=dict[str, object])
                if shown.get("pid") == pid and shown.get("host") == socket.gethostname():
                    return True
        return False

    async def ask(pid: int) -> str | None:
        try:
            seen = await trio.to_thread.run_sync(look, pid)
        except (RedisError, OSError, msgspec.MsgspecError) as error:
            return f"the bus cannot be asked ({type(error).__name__})"
        return None if seen else "it has not shown itself on the bus"

    return ask


def fakes(bases: Sequence[str]) -> Probe:
    """All of them show who wrote to them: they listen only when their accounts are connected."""

    async def ask(_pid: int) -> str | None:
        try:
            async with httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False) as client:
                for base in bases:
                    if (await client.get(f"{base}/_fake/messages")).status_code != httpx.codes.OK:
                        return f"another program answers at {base}"
        except httpx.HTTPError as error:
            return f"one does not answer ({type(error).__name__})"
        return None

    return ask


def api(address: str) -> Probe:
    """It says that it can serve."""

    async def ask(_pid: int) -> str | None:
        try:
            async with httpx.AsyncClient(timeout=_PATIENCE_S, trust_env=False) as client:
                answer = await client.get(f"{address}/v1/health/ready")
        except httpx.HTTPError as error:
            return f"it does not answer ({type(error).__name__})"
        return (
            None
            if answer.status_code == httpx.codes.OK
            else f"it answers {answer.status_code}: {answer.text[:200]}"
        )

    return ask
