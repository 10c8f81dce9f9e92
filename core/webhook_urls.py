"""Addresses that tenants enter for webhooks: looked at when they are entered, so that a person hears at once what is wrong.

asyncio. What decides is the look at every connection (`core.channel_tools`): a name may point elsewhere a moment later.
"""

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import httpx

from core.channel_tools import may_reach
from core.errors import RequestError

RESOLVE_S = 4.0
MAX_URL = 2000


async def check_url(url: str, networks: Sequence[str] = ()) -> str:
    """The address, if deliveries may go there: https, or http within ``networks`` (an operator's setting).

    Raises `RequestError` (``bad_webhook_url``, ``private_address``).
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        raise _bad("it is not an address") from None
    if parsed.scheme not in ("https", "http") or not parsed.host or len(url) > MAX_URL:
        raise _bad("it must be like https://host.example/path")
    if parsed.userinfo or parsed.fragment:
        raise _bad("leave out user, password and fragment: deliveries are signed")
    if parsed.port is not None and not 0 < parsed.port < 65536:
        raise _bad("there is no such port")
    port = parsed.port or (443 if parsed.scheme == "https" else 80)
    allowed = [ip_network(one, strict=False) for one in networks]
    addresses = await _resolve(parsed.host, port)
    reached = [one for one in addresses if may_reach(one, local=False, networks=allowed)]
    if not reached:
        raise RequestError(
            "its address is in a private network, where webhooks may not go (operators allow some)",
            code="private_address",
        )
    if parsed.scheme == "http" and not all(
        any(ip_address(one.partition("%")[0]) in network for network in allowed) for one in reached
    ):
        raise _bad("use https: what is delivered must not be read on the way")
    return url


async def _resolve(host: str, port: int) -> list[str]:
    try:
        async with asyncio.timeout(RESOLVE_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError, TimeoutError):
        raise _bad("the name of its host is not known") from None
    return list(dict.fromkeys(str(one[4][0]) for one in found))


def _bad(why: str) -> RequestError:
    return RequestError(f"url: {why}", code="bad_webhook_url")
