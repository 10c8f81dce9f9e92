"""The ``socket`` application: FreeSWITCH connects to a controller and lets it drive one call.

An async socket parks the channel and runs the connection beside it; a sync one makes the connection the
channel's own thread, so a ``sendmsg`` is answered when its application has ended.
"""

import re
import socket
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

import trio

from freeswitch.simulator import executing
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.executing import app
from freeswitch.simulator.listener import Listener
from freeswitch.simulator.message import Message
from freeswitch.simulator.timing import Thread

if TYPE_CHECKING:
    from freeswitch.simulator.server import Simulator

DEFAULT_PORT = 8084
HOSTS_LIMIT = 50
CONNECT_TIMEOUT_S = 127.0
"""The operating system's own patience: a silent host holds the call for two minutes."""


class Control:
    """One outbound connection and the channel it drives."""

    def __init__(self, channel: Channel, hosts: list[tuple[str, int]], *, sync: bool, full: bool) -> None:
        self.channel = channel
        self.hosts = hosts
        self.sync = sync
        self.full = full
        self.listener: Listener | None = None
        self.ended = False
        self._todo: deque[tuple[Message, Callable[[], object]]] = deque()

    def opened(self, listener: Listener) -> None:
        """The peer accepted: the connection controls the channel from now on."""
        self.listener = listener
        self.channel.holders.add(listener)
        listener.on_closed = self.closed
        listener.sync = self.sync
        listener.full = self.full
        listener.controlled = self
        self.channel.wake()

    def closed(self) -> None:
        """The connection is over, or never came about."""
        self.ended = True
        if self.listener is not None:
            self.channel.holders.discard(self.listener)
        while self._todo:
            self._todo.popleft()
        self.channel.wake()

    def run_inline(self, message: Message, done: Callable[[], object]) -> None:
        """Let the channel's thread run a message of a sync socket and call ``done`` afterwards."""
        if self.channel.down or self.ended:
            done()
            return
        self._todo.append((message, done))
        self.channel.wake()

    def serve(self) -> Thread:
        """Be the thread of a channel on a sync socket."""
        channel = self.channel
        while channel.ready and not self.ended:
            if self._todo:
                message, done = self._todo.popleft()
                yield from executing.run_message(channel, message, announce=False)
                done()
                continue
            yield None
        for _, done in self._todo:
            done()
        self._todo.clear()


@app("socket")
def socket_app(channel: Channel, data: str) -> Thread:
    """``host:port[/path] [async] [full]``; hosts separated by ``|`` are tried in order."""
    words = data.split(" ")
    flags = " ".join(words[1:])
    hosts: list[tuple[str, int]] = []
    path = ""
    for one in words[0].split("|")[:HOSTS_LIMIT]:
        host, slash, rest = one.partition("/")
        path = rest if slash else path
        host, _, port = host.partition(":")
        hosts.append((host, int(port) if port.isdigit() else DEFAULT_PORT))
    if not hosts or channel.switch.connect_out is None:
        return
    if path:
        channel.set("socket_path", path)
    channel.set("socket_host", hosts[0][0])
    control = Control(
        channel,
        hosts,
        sync=re.search(r"\basync\b", flags) is None,
        full=re.search(r"\bfull\b", flags) is not None,
    )
    channel.switch.connect_out(control)
    while control.listener is None and not control.ended and channel.ready:
        yield None
    if control.listener is None:
        return
    if control.sync:
        yield from control.serve()
        return
    yield from executing.stay_parked(channel, until=lambda: control.ended)


async def dial(simulator: "Simulator", control: Control) -> None:
    """Connect to the first host that answers; the channel waits as long as the system does."""
    for host, port in control.hosts:
        control.channel.set("socket_host", host)
        try:
            with trio.fail_after(CONNECT_TIMEOUT_S):
                stream = await trio.open_tcp_stream(host, port)
        except (OSError, trio.TooSlowError):
            continue
        # The connection goes on as a plain socket, like those that are accepted.
        sock = socket.socket(fileno=stream.socket.detach())
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if control.channel.down or simulator.switch is not control.channel.switch:
            sock.close()
            break
        listener = simulator.adopt(sock, host, control.channel)
        if listener is not None:
            control.opened(listener)
            return
    control.closed()
