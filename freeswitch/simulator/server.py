"""The simulator as a program: sockets, the clock's driver, restarts.

One task drives the heap of timers, one accepts, and each connection has one that reads and one that waits
for a full socket. Calls have no tasks: they are generators in the heap (`timing`).
"""

import contextlib
import ipaddress
import itertools
import random
import socket
import sys

import msgspec
import trio

from freeswitch.simulator import commands, faults, machine, outbound
from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.listener import Listener
from freeswitch.simulator.media import Media
from freeswitch.simulator.media_silent import SilentMedia
from freeswitch.simulator.settings import SimulatorSettings
from freeswitch.simulator.sip_listen import SipListener
from freeswitch.simulator.switch import Switch
from freeswitch.simulator.traffic import Stream
from freeswitch.simulator.transport import Wire


class Simulator:
    """A simulated switch and its sockets. Use `serve`; tests in the same process may reach in here."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.settings = settings
        self.rng = random.Random(settings.seed)
        self.port = settings.port
        self.sip_port = 0
        """Where the inside profile listens, when the settings want one; 0 for nowhere."""
        self.sip: SipListener | None = None
        self._kick = trio.Event()
        self._numbers = itertools.count(1)
        self._nursery: trio.Nursery | None = None
        self.wires: dict[int, Wire] = {}
        self.restarts = 0
        self.stopped = trio.Event()
        self.accepting = True
        self._networks = [ipaddress.ip_network(network) for network in settings.acl]
        self.switch: Switch
        self.stream: Stream
        self._begin()

    def _begin(self) -> None:
        core_uuid = "" if self.restarts else self.settings.core_uuid
        switch = self.switch = machine.assemble(
            self.settings, trio.current_time, self._earlier, core_uuid=core_uuid, rng=self.rng
        )
        switch.on_stop = self._stop
        switch.on_stuck = lambda listener: faults.stuck(self, listener)
        switch.connect_out = self.connect_out
        switch.control = self
        switch.start()
        self.stream = Stream(switch, self.settings.traffic)

    # -- time ----------------------------------------------------------------------------------------

    def _earlier(self) -> None:
        self._kick.set()

    async def _drive(self) -> None:
        while True:
            self._kick = trio.Event()
            due = self.switch.threads.run_due()
            now = trio.current_time()
            if due is not None and due <= now:
                await trio.lowlevel.checkpoint()
                continue
            if self._kick.is_set():
                await trio.lowlevel.checkpoint()
                continue
            with trio.move_on_at(due if due is not None else now + 3600):
                await self._kick.wait()

    # -- connections ---------------------------------------------------------------------------------

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen and live until cancelled or shut down."""
        family = socket.AF_INET6 if ":" in self.settings.host else socket.AF_INET
        with socket.socket(family, socket.SOCK_STREAM) as listening:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.bind((self.settings.host, self.settings.port))
            listening.listen(self.settings.backlog)
            listening.setblocking(False)
            self.port = listening.getsockname()[1]
            try:
                async with trio.open_nursery() as nursery:
                    self._nursery = nursery
                    nursery.start_soon(self._drive)
                    nursery.start_soon(self._accept, listening)
                    if self.settings.sip_port is not None:
                        await nursery.start(self._inside)
                    task_status.started(self.port)
                    await self.stopped.wait()
                    nursery.cancel_scope.cancel()
            finally:
                for wire in list(self.wires.values()):
                    wire.abandon()
                self.switch.power_off()

    async def _inside(self, *, task_status: trio.TaskStatus[None]) -> None:
        """The inside profile with its sound."""

        async def listen(media: Media) -> None:
            self.sip = SipListener(self.settings, lambda: self.switch, media)
            async with trio.open_nursery() as nursery:
                self.sip_port = await nursery.start(self.sip.run)
                task_status.started()

        if not self.settings.sound:
            await listen(SilentMedia(self.settings.host))
            return
        from freeswitch.simulator.media_aiortc import AiortcMedia

        media = AiortcMedia(self.settings.host)
        media.start()
        try:
            await listen(media)
        finally:
            media.stop()

    async def _accept(self, listening: socket.socket) -> None:
        while True:
            await trio.lowlevel.wait_readable(listening)
            if not self.accepting or self.switch.frozen:
                # Nobody accepts: the kernel's backlog fills, and peers wait without a banner.
                await trio.sleep(0.05)
                continue
            try:
                sock, address = listening.accept()
            except OSError:
                continue
            self.adopt(sock, address[0])

    def adopt(self, sock: socket.socket, remote: str, channel: Channel | None = None) -> Listener | None:
        """Make a connection of a connected socket."""
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire = Wire(sock, self.rng)
        wire.segment = self.settings.faults.segment or faults.on(self.switch, "segment")
        wire.drip_bytes_s = self.settings.faults.drip_bytes_s
        number = next(self._numbers)
        listener = Listener(self.switch, wire, number, remote, commands.execute, channel=channel)
        wire.on_writable = listener.writable
        self.wires[number] = wire
        nursery = self._nursery
        if nursery is None:
            return None
        nursery.start_soon(wire.pump_out)
        if channel is None and not self._admitted(remote):
            wire.send(b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n")
            listener.disconnect("Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n")
            return None
        listener.open()
        nursery.start_soon(self._read, wire, listener)
        return listener

    def _admitted(self, remote: str) -> bool:
        address = ipaddress.ip_address(remote.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        return any(address in network for network in self._networks if network.version == address.version)

    async def _read(self, wire: Wire, listener: Listener) -> None:
        try:
            while data := await wire.receive():
                listener.received(data)
        finally:
            self.wires.pop(listener.number, None)
        if not wire.stalled:
            listener.peer_left()
            wire.abandon()

    def connect_out(self, control: outbound.Control) -> None:
        """Connect to a controller for the ``socket`` application."""
        if self._nursery is not None:
            self._nursery.start_soon(outbound.dial, self, control)

    # -- the machine ---------------------------------------------------------------------------------

    def _stop(self, how: str) -> None:
        """Go away (`fsctl shutdown`); ``restart`` comes back with a new Core-UUID."""
        switch = self.switch
        switch.desk.fire(at.SHUTDOWN, before=(("Event-Info", "System Shutting Down"),))
        if how == "restart":
            self.restart(notice="The system is being shut down.\n")
            return
        for listener in list(switch.listeners.values()):
            listener.pump()
            listener.disconnect("The system is being shut down.\n")
        self.stopped.set()

    def restart(self, notice: str = "") -> None:
        """Come back as another FreeSWITCH: new Core-UUID, no calls, all connections gone (cut, or told why)."""
        old = self.switch
        for listener in list(old.listeners.values()):
            if notice:
                listener.pump()
                listener.disconnect(notice)
            else:
                wire = self.wires.get(listener.number)
                listener.end()
                if wire is not None:
                    wire.reset()
        old.power_off()
        self.restarts += 1
        self._begin()
        if self.sip is not None:
            self.sip.reset()
        self._kick.set()


async def serve(
    settings: SimulatorSettings, *, task_status: trio.TaskStatus[Simulator] = trio.TASK_STATUS_IGNORED
) -> None:
    """Run a simulated switch until cancelled or shut down; ``started`` gives the `Simulator` (see its ``port``).

    Raises `OSError` when the port cannot be had.
    """
    simulator = Simulator(settings)
    async with trio.open_nursery() as nursery:
        await nursery.start(simulator.run)
        task_status.started(simulator)


def run(settings: SimulatorSettings, *, announce: bool = True) -> None:
    """Run a simulated switch in the foreground; blocks until it is shut down or interrupted.

    ``announce`` prints one line of JSON with host and port (and ``sip_port``) when it is ready.
    """

    async def main() -> None:
        async with trio.open_nursery() as nursery:
            simulator: Simulator = await nursery.start(
                lambda *, task_status: serve(settings, task_status=task_status)
            )
            if announce:
                ready = {
                    "host": settings.host,
                    "port": simulator.port,
                    "core_uuid": simulator.switch.core_uuid,
                }
                if simulator.sip_port:
                    ready["sip_port"] = simulator.sip_port
                sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
                sys.stdout.flush()

    with contextlib.suppress(KeyboardInterrupt):
        trio.run(main)
