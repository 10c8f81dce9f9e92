"""Where a switch listens, and a TCP connection to it that notices when the other side has gone."""

import socket
from collections.abc import Awaitable, Callable
from urllib.parse import unquote, urlsplit

import msgspec
import trio

from freeswitch.errors import CommandError

_KEEPALIVE = ((socket.TCP_KEEPIDLE, 10), (socket.TCP_KEEPINTVL, 5), (socket.TCP_KEEPCNT, 3))
_USER_TIMEOUT_MS = 10_000


class Endpoint(msgspec.Struct, frozen=True):
    """Where a switch listens and how it lets us in."""

    host: str
    port: int = 8021
    password: str = "ClueCon"  # noqa: S105 - the password that a stock FreeSWITCH has
    user: str = ""
    """``name@domain`` for ``userauth``; empty for the plain password."""

    @classmethod
    def parse(cls, url: str) -> "Endpoint":
        """Read ``esl://[user]:password@host[:port]``; what stands behind a ``?`` is not about the Event Socket. Raises
        `CommandError` without repeating the text."""
        try:
            parts = urlsplit(url)
            port = parts.port or 8021
        except ValueError:
            raise CommandError("not an address of a switch (esl://:password@host:port)") from None
        if parts.scheme != "esl" or not parts.hostname or parts.path.strip("/"):
            raise CommandError("not an address of a switch (esl://:password@host:port)")
        password = "ClueCon" if parts.password is None else unquote(parts.password)
        return cls(parts.hostname, port, password, unquote(parts.username or ""))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __repr__(self) -> str:
        return f"Endpoint({self})"


Connect = Callable[[Endpoint], Awaitable[trio.abc.Stream]]
"""Makes a stream to a switch; raises OSError when it cannot."""


async def dial(endpoint: Endpoint) -> trio.SocketStream:
    """A TCP connection that notices a peer that has gone: keep-alive when idle, a limit on unacknowledged data."""
    stream = await trio.open_tcp_stream(endpoint.host, endpoint.port)
    try:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option, value in _KEEPALIVE:
            stream.setsockopt(socket.IPPROTO_TCP, option, value)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _USER_TIMEOUT_MS)
    except OSError:  # it was reset meanwhile
        await trio.aclose_forcefully(stream)
        raise
    return stream
