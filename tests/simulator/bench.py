"""A simulated switch on a test bench: no sockets, and time that passes only when the test says so."""

from freeswitch.simulator import SimulatorSettings, commands
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.listener import Listener
from freeswitch.simulator.machine import assemble
from freeswitch.simulator.outbound import Control
from freeswitch.simulator.scripts import Caller, Person
from freeswitch.simulator.traffic import Stream, call_in
from tests.simulator.frames import Frame, Pairs, frames, pairs

START_US = 1_795_374_000_123_456
"""The bench's wall clock begins here, whatever the machine's shows."""
STEP_LIMIT = 2_000_000
"""So many timers in one test mean that something turns in circles."""


class Peer:
    """One connection, seen from the client: what was sent to it, and when."""

    def __init__(self, bench: "Bench") -> None:
        self._bench = bench
        self.received = bytearray()
        self.stamps: list[tuple[int, float]] = []
        self.sizes: list[int] = []
        """The size of every single write."""
        self.open = True
        self.congested = False
        self._read = 0
        self._inbox: list[Frame] = []
        self.listener: Listener | None = None

    # What a `Pipe` does.

    def send(self, data: bytes) -> None:
        self.received += data
        self.sizes.append(len(data))
        self.stamps.append((len(self.received), self._bench.now))

    def close(self) -> None:
        self.open = False

    # What a client does.

    def say(self, text: str) -> None:
        """Send bytes and let the switch look at them."""
        assert self.listener is not None
        self.listener.received(text.encode())

    def leave(self) -> None:
        """Close the connection."""
        assert self.listener is not None
        self.listener.peer_left()
        self.open = False

    def _collect(self) -> list[Frame]:
        found = list(frames(bytes(self.received[self._read :])))
        if found:
            self._read += found[-1].end
            self._inbox += found
        return self._inbox

    def frames(self) -> list[Frame]:
        """Every frame that nobody has looked at yet."""
        found, self._inbox = self._collect(), []
        return found

    def events(self) -> list[Pairs]:
        """Every event that nobody has looked at yet; other frames go unread."""
        return [pairs(frame) for frame in self.frames() if frame.kind.startswith("text/event-")]

    def ask(self, text: str, wait_s: float = 5.0) -> Frame:
        """Send a command and return its answer, which must come within ``wait_s``; events stay unread."""
        seen = len(self._collect())
        self.say(text + "\n\n")
        until = self._bench.now + wait_s
        while True:
            for frame in self._collect()[seen:]:
                if frame.kind in ("command/reply", "api/response"):
                    self._inbox.remove(frame)
                    return frame
            assert self._bench.now < until, f"no answer to {text!r}"
            self._bench.run(0.01)

    def api(self, line: str, wait_s: float = 5.0) -> str:
        """Run an api command and return its output."""
        return self.ask(f"api {line}", wait_s).body.decode("utf-8", "surrogateescape")


class Bench:
    """A switch whose time is ``now``."""

    def __init__(self, settings: SimulatorSettings | None = None) -> None:
        self.settings = settings or SimulatorSettings(port=0, seed=1)
        self.now = 1000.0
        self.switch = assemble(
            self.settings, lambda: self.now, core_uuid=self.settings.core_uuid, now_us=START_US
        )
        self.switch.start()
        self.switch.connect_out = self._connect_out
        self.peers: list[Peer] = []
        self.outbound: list[Peer] = []

    def connect(self, password: str | None = None, subscribe: str = "") -> Peer:
        """Open a connection and log in."""
        peer = self._open(None)
        if password is None:
            password = self.settings.password
        peer.say(f"auth {password}\n\n")
        if subscribe:
            peer.say(f"event {subscribe}\n\n")
        return peer

    def _open(self, channel: Channel | None) -> Peer:
        peer = Peer(self)
        number = len(self.peers) + 1
        peer.listener = Listener(self.switch, peer, number, "127.0.0.1", commands.execute, channel=channel)
        self.peers.append(peer)
        peer.listener.open()
        return peer

    def _connect_out(self, control: Control) -> None:
        peer = self._open(control.channel)
        assert peer.listener is not None
        self.outbound.append(peer)
        control.opened(peer.listener)

    def start_traffic(self) -> None:
        """Let the callers of the settings' traffic come."""
        Stream(self.switch, self.settings.traffic)

    def call(self, caller: Caller, person: Person | None = None, uuid: str = "") -> Channel:
        """Let somebody call."""
        return call_in(self.switch, caller, person or Person(), uuid=uuid)

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.run_until(self.now + seconds)

    def run_until(self, when: float) -> None:
        """Let time pass until ``when``."""
        threads = self.switch.threads
        for _ in range(STEP_LIMIT):
            due = threads.run_due()
            if due is None or due > when:
                self.now = max(self.now, when)
                threads.run_due()
                return
            self.now = max(self.now, due)
        raise AssertionError("the switch does not come to rest")
