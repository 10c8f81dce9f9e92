"""The inside profile on a bench: its SIP, its legs and their sound, without sockets, threads or real time."""

import itertools
from collections.abc import Callable, Coroutine
from typing import Any

from freeswitch.simulator import SimulatorSettings
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.hearing import Hearing
from freeswitch.simulator.media import FRAME_S, PREFETCH, Port
from freeswitch.simulator.sip_challenge import Guard
from freeswitch.simulator.sip_legs import Legs
from freeswitch.simulator.sip_replies import Place
from freeswitch.simulator.sip_server import Line, Server
from freeswitch.simulator.sound import voice
from freeswitch.simulator.webrtc_sdp import Local, read_offer, write_answer
from freeswitch.sip import Event, Identity, UserAgent
from tests.simulator.bench import Bench

PASSWORD = "inside-secret"
OFFER = """\
v=0
o=- 1 2 IN IP4 127.0.0.1
s=-
t=0 0
m=audio 40402 UDP/TLS/RTP/SAVPF 111 110
c=IN IP4 127.0.0.1
a=candidate:1 1 udp 2122194687 127.0.0.1 40402 typ host
a=ice-ufrag:rHUf
a=ice-pwd:csB/a+6WEjCQAfGAE2DpdgpS
a=fingerprint:sha-256 9A:02
a=setup:actpass
a=mid:0
a=rtcp-mux
a=rtpmap:111 opus/48000/2
a=rtpmap:110 telephone-event/48000
""".replace("\n", "\r\n")


class StillMedia:
    """Answers every offer that can be read; the far ends are ports that the test moves."""

    def __init__(self) -> None:
        self.ports: list[Port] = []
        self.released: list[Port] = []

    async def answer(self, offer: str, port: Port | None = None) -> tuple[Port, str]:
        read = read_offer(offer)
        place = port or Port()
        place.takes_keys = read.keys is not None
        self.ports.append(place)
        local = Local(
            host="127.0.0.1", port=20540, session=1, version=len(self.ports), ufrag="u", password="p",
            fingerprint="AA", candidates=(), ssrc=1, name="n", stream="s",
        )  # fmt: skip
        return place, write_answer(read, local)

    def flush(self) -> None:
        return

    def release(self, port: Port) -> None:
        self.released.append(port)


def _at_once(work: Callable[..., Coroutine[Any, Any, None]], *arguments: Any) -> None:
    running = work(*arguments)
    try:
        running.send(None)
    except StopIteration:
        return
    raise AssertionError("nothing has to be waited for here")


class Inside:
    """A bench with an inside profile and a controller that calls it."""

    def __init__(self, **changes: object) -> None:
        self.bench = Bench(SimulatorSettings(**{"port": 0, "seed": 1, **changes}))  # type: ignore[arg-type]
        self.media = StillMedia()
        switch = self.bench.switch
        self.hearing = switch.hearing = Hearing(switch, self.media)
        numbers = itertools.count()
        self.server = Server(
            Place("127.0.0.1", 5080), Guard("irisx", PASSWORD), token=lambda: f"s{next(numbers)}"
        )
        self.legs = Legs(lambda: switch, self.media, _at_once)
        self.line: Line
        self.phone = self.new_phone(PASSWORD)

    def new_phone(self, password: str) -> UserAgent:
        """Another controller, over a connection of its own."""
        numbers = itertools.count()
        phone = UserAgent(
            Identity("irisx", "127.0.0.1", password), token=lambda size: f"{next(numbers):0{2 * size}x}"
        )
        phone.connected("127.0.0.1", 51361)
        self.line = self.server.connect(("127.0.0.1", 51361))
        return phone

    def exchange(self, phone: UserAgent | None = None) -> list[Event]:
        """Bring to both sides what the other one has said, until there is nothing more."""
        agent, found = phone or self.phone, list[Event]()
        while said := agent.output():
            for event in self.line.receive(said, now=self.bench.now):
                self.legs.handle(event)
            self.bench.run(0.05)
            found += agent.receive(self.line.output(), now=self.bench.now)
        found += agent.receive(self.line.output(), now=self.bench.now)
        return found

    def call(self, leg: str, number: str = "agent", **headers: str) -> list[Event]:
        """Begin a leg."""
        self.phone.invite(leg, number, OFFER, now=self.bench.now, headers=headers)
        return self.exchange()

    def leg(self, uuid: str, number: str = "agent") -> tuple[Channel, Port]:
        """A leg that stands."""
        self.call(uuid, number)
        return self.bench.switch.channels[uuid], self.media.ports[-1]

    def talk(self, seconds: float, **speaking: int) -> dict[str, bytes]:
        """Let time pass while the legs named speak at a pitch; returns what every leg has heard."""
        ports = {one.uuid: one.leg.port for one in self.bench.switch.channels.values() if one.leg is not None}
        heard = {uuid: bytearray() for uuid in ports}
        for n in range(round(seconds / FRAME_S)):
            for uuid, pitch in speaking.items():
                port = ports[uuid]
                for _ in range(PREFETCH if n == 0 else 1):
                    port.say(voice(pitch, n))
                port.packets_in += 1
            self.bench.run(FRAME_S)
            for uuid, port in ports.items():
                while (frame := port.hear()) is not None:
                    heard[uuid] += frame
        return {uuid: bytes(sound) for uuid, sound in heard.items()}
