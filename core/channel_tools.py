"""What the platform lends to a channel at work: a client that reaches public addresses only, files, a place to keep something.

trio. A tenant chooses the addresses in an account's settings and providers name more of them, so every name is resolved
here, private addresses are refused, and the connection goes to the very address that was looked at. The one exception
is this machine itself, where the operator allows it and an account's own settings name it: that is how fake providers are
reached.
"""

import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

import httpx
import msgspec
import trio
from msgspec import Struct

from core.aio import Bridge
from core.attachments import Links
from core.clock import now_us
from core.errors import NotFound, PeerError
from core.http_client import Transport
from core.lean_client import LeanClient
from core.storage import channels, sending
from core.storage.blobs import Blobs
from core.storage.database import Database
from irisx_sdk import Misconfigured, NotSent, Refused, Tools

Network = IPv4Network | IPv6Network

CONNECT_S = 5.0
ANSWER_S = 15.0
"""Until the next bytes of an answer; a whole sending has `core.outbox.SEND_S`. A channel that polls says its own."""
CONNECTIONS = 64
"""To the provider of one account; what is under way together (`core.outbox.AT_ONCE`), and polls."""
MOST_ADDRESSES = 4
"""Of one name, that are tried one after the other."""


def may_reach(address: str, *, local: bool, networks: Iterable[Network] = ()) -> bool:
    """Whether connections may go there.

    ``local`` allows this machine, ``networks`` those of an operator's setting, and still nothing else that is private.
    """
    ip = ip_address(address.partition("%")[0])
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    public = ip.is_global and not ip.is_multicast
    return public or (local and ip.is_loopback) or any(ip in network for network in networks)


def names_this_machine(settings: Struct) -> bool:
    """Whether an account's own settings name 127.0.0.1 as where its provider is."""
    said: dict[str, Any] = msgspec.to_builtins(settings)
    for name, value in said.items():
        if not isinstance(value, str):
            continue
        if name in ("host", "base_url") or name.endswith("_base_url"):
            try:
                host = urlsplit(value).hostname if "://" in value else value
            except ValueError:
                continue
            if host == "127.0.0.1":
                return True
    return False


async def addresses_of(host: str, port: int, *, local: bool, networks: Iterable[Network] = ()) -> list[str]:
    """Where ``host`` is, without what may not be reached. Raises `OSError` for no such name, `Misconfigured` for none left."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError:
        raise OSError("that is no name of a host") from None
    addresses = list(dict.fromkeys(str(one[4][0]) for one in found))
    allowed = [one for one in addresses if may_reach(one, local=local, networks=networks)]
    if not allowed:
        raise Misconfigured(
            "this address is in a private network, which may not be reached from here", code="private_address"
        )
    return allowed[:MOST_ADDRESSES]


class UnknownName(httpx.ConnectError):
    """No such host."""


class CheckedTransport(Transport):
    """HTTP to addresses that were looked at. (TLS still checks the certificate against the name, not the address.)"""

    def __init__(
        self,
        context: ssl.SSLContext,
        *,
        local: bool = False,
        networks: Sequence[Network] = (),
        connections: int = CONNECTIONS,
    ) -> None:
        super().__init__(context, self._to_checked, connections=connections)
        self._local = local
        self._networks = networks

    async def _to_checked(self, host: str, port: int) -> trio.SocketStream:
        try:
            addresses = await addresses_of(host, port, local=self._local, networks=self._networks)
        except OSError:
            raise UnknownName("its name is not known") from None
        failed: OSError = OSError("no address")
        for address in addresses:
            try:
                with trio.fail_after(CONNECT_S / len(addresses)):
                    return await trio.open_tcp_stream(address, port)
            except trio.TooSlowError:
                failed = TimeoutError("it does not answer")
            except OSError as exc:
                failed = exc
        raise failed


@asynccontextmanager
async def open_tools(
    bridge: Bridge,
    db: Database,
    blobs: Blobs,
    context: ssl.SSLContext,
    *,
    tenant_id: str,
    channel_id: str,
    settings: Struct,
    local_allowed: bool = False,
    links: Links | None = None,
) -> AsyncIterator[Tools]:
    """The tools of one account, while the block lasts.

    ``local_allowed``: the operator lets accounts reach this machine when their own settings name it
    (`core.config.Settings.reaches_this_machine`).
    """
    local = local_allowed and names_this_machine(settings)

    async def read_file(file_id: str) -> bytes:
        try:
            key = await bridge.run(sending.file_key, db, tenant_id, file_id)
            return await trio.to_thread.run_sync(blobs.get, key, abandon_on_cancel=True)
        except NotFound:
            raise Refused("a file of this message is not there", code="no_such_file") from None
        except PeerError:
            raise NotSent("the store of files is out of reach", code="no_file_store") from None

    async def load() -> bytes:
        return await bridge.run(channels.load_place, db, tenant_id, channel_id)

    async def save(place: bytes) -> None:
        await bridge.run(channels.save_place, db, tenant_id, channel_id, place)

    async def file_url(file_id: str) -> str:
        address = links.address(file_id, now_us=now_us()) if links is not None else ""
        if not address:
            raise Refused(
                "this provider gets files by a public address, and the platform has none", code="file address"
            )
        return address

    async def reach(host: str, port: int) -> str:
        try:
            with trio.fail_after(CONNECT_S):
                return (await addresses_of(host, port, local=local))[0]
        except (OSError, trio.TooSlowError):
            raise NotSent("the name of the provider's host was not resolved", code="no_such_host") from None

    async with LeanClient(
        transport=CheckedTransport(context, local=local),
        timeout=httpx.Timeout(ANSWER_S, connect=CONNECT_S, pool=CONNECT_S),
        follow_redirects=False,
        trust_env=False,
    ) as http:
        yield Tools(http, read_file, now_us, load, save, file_url=file_url, reach=reach)
