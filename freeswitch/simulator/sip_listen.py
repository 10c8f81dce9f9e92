"""The inside profile's TCP port: connections of controllers, the legs they bring, and the thread of the sound."""

import random
import socket
from contextlib import suppress

import trio

from freeswitch.beside import beside
from freeswitch.simulator import sip_server as sip
from freeswitch.simulator.hearing import Hearing
from freeswitch.simulator.media import Media
from freeswitch.simulator.sdp import tag
from freeswitch.simulator.settings import SimulatorSettings
from freeswitch.simulator.sip_challenge import Guard
from freeswitch.simulator.sip_legs import Legs, SwitchOf
from freeswitch.simulator.sip_replies import Place
from freeswitch.sip.stream import SipError

_RANDOM = random.SystemRandom()
RECEIVE_BYTES = 64 * 1024
MOST_CONNECTIONS = 200
"""Beyond, new ones are closed at once."""
SEND_S = 5.0
"""A peer that takes nothing for so long has stopped reading: its connection is closed."""


class SipListener:
    """One profile's SIP over TCP."""

    def __init__(self, settings: SimulatorSettings, switch: SwitchOf, media: Media) -> None:
        """Take the port. Raises `OSError`."""
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        self._listening = trio.socket.socket(family, socket.SOCK_STREAM)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._address = (settings.host, settings.sip_port or 0)
        self._settings = settings
        self._switch = switch
        self._media = media
        self._lines: set[trio.SocketStream] = set()
        self.port = 0
        self.server: sip.Server
        self.legs: Legs

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; ``started`` gives the port."""
        with self._listening as listening:
            await listening.bind(self._address)
            listening.listen(50)
            self.port = listening.getsockname()[1]
            place = Place(self._settings.host, self.port)
            guard = Guard(self._settings.inside_user, self._settings.inside_password)
            self.server = sip.Server(place, guard, token=lambda: tag(_RANDOM))
            async with trio.open_nursery() as nursery:
                self.legs = Legs(self._switch, self._media, nursery.start_soon)
                self.attach()
                task_status.started(self.port)
                await trio.serve_listeners(
                    self._serve, [trio.SocketListener(listening)], handler_nursery=nursery
                )

    async def _serve(self, stream: trio.SocketStream) -> None:
        if len(self._lines) >= MOST_CONNECTIONS:
            await trio.aclose_forcefully(stream)
            return
        self._lines.add(stream)
        host, port = stream.socket.getpeername()[:2]
        line = self.server.connect((host, port))
        said = trio.Event()

        def on_output() -> None:
            said.set()

        async def write() -> None:
            nonlocal said
            while True:
                await said.wait()
                said = trio.Event()
                try:
                    with trio.fail_after(SEND_S):
                        await stream.send_all(line.output())
                except (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
                    await trio.aclose_forcefully(stream)  # the reader notices
                    return

        line.on_output = on_output
        gone = (trio.BrokenResourceError, trio.ClosedResourceError, SipError)
        try:
            async with stream:
                with suppress(*gone):
                    async with beside(write):
                        while data := await stream.receive_some(RECEIVE_BYTES):
                            for event in line.receive(bytes(data), now=trio.current_time()):
                                self.legs.handle(event)
        finally:
            line.closed = True
            self._lines.discard(stream)

    def attach(self) -> None:
        """Give the switch of the moment its sound and its port."""
        switch = self._switch()
        if self._settings.sound:
            switch.hearing = Hearing(switch, self._media)
        switch.sip_ports["inside"] = self.port

    def reset(self) -> None:
        """The machine begins anew: no leg, no connection of before."""
        self.legs.drop()
        for dialog in list(self.server.dialogs.values()):
            self.server.forget(dialog)
        for stream in self._lines:
            stream.socket.close()
        self.attach()
