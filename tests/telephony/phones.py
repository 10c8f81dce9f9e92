"""Telephones for tests against a real switch: SIP over UDP and sound over RTP, all on 127.0.0.1.

One `Exchange` is a carrier's side: its telephones call the switch, and ring when the switch calls a number. What a
called person does follows from the first digit of the number (`MANNERS`). Every telephone speaks a tone of its own
without pause and listens for the tones of the others, so a test can ask what somebody really hears.

No more of SIP than these tests need: no retransmissions of ours but of BYE, one codec (PCMU), no authentication.
"""

import math
import re
import secrets
import socket
import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import trio
from msgspec import Struct

TONES = (700, 900, 1100, 1300, 1800)
"""What telephones speak, in Hz. Multiples of 50, so that 20 ms hold whole periods and every packet is the same."""
MUSIC = 1500
RINGING = 440
WINDOW_S = 0.16
FRAME = 160
AGAIN_S = (0.5, 1.0, 2.0)
AUDIBLE = 0.02
"""Share of full scale from which a tone counts as heard; the telephones speak at 0.25."""


class Manner(Struct, frozen=True):
    """What somebody who is called does."""

    ring_s: float = 0.02
    answer_s: float = 0.1
    status: int = 200
    talk_s: float = math.inf
    early_media: bool = False


MANNERS = {
    "1": Manner(),
    "2": Manner(answer_s=0.05, status=486),
    "3": Manner(answer_s=math.inf),
    "4": Manner(ring_s=math.inf, answer_s=0.02, status=404),
    "5": Manner(talk_s=0.4),
    "6": Manner(early_media=True, answer_s=0.4),
    "7": Manner(answer_s=0.6),
}
"""By the first digit of the number: answers, is busy, lets it ring, does not exist, hangs up soon, sends sound
before the answer, answers late."""


def _law() -> tuple[list[int], bytes]:
    """G.711 µ-law: from a code to 16-bit samples, and from (sample + 32768) >> 2 to a code."""
    linear = []
    for code in range(256):
        inverse = ~code & 0xFF
        magnitude = (((inverse & 0x0F) << 3) + 0x84 << ((inverse & 0x70) >> 4)) - 0x84
        linear.append(-magnitude if inverse & 0x80 else magnitude)
    by_value = sorted(range(256), key=lambda code: linear[code])
    table, at = bytearray(), 0
    for step in range(16384):
        sample = (step << 2) - 32768
        while at < 255 and abs(linear[by_value[at + 1]] - sample) <= abs(linear[by_value[at]] - sample):
            at += 1
        table.append(by_value[at])
    return linear, bytes(table)


_LINEAR, _CODES = _law()
_SILENCE = bytes([0xFF]) * FRAME


def _tone(hertz: int) -> bytes:
    samples = (int(8192 * math.sin(2 * math.pi * hertz * n / 8000)) for n in range(FRAME))
    return bytes(_CODES[(sample + 32768) >> 2] for sample in samples)


_SPOKEN = {hertz: _tone(hertz) for hertz in TONES}
_WAVES = {
    hertz: [
        complex(math.cos(a), -math.sin(a)) * (1 - math.cos(2 * math.pi * n / FRAME))
        for n, a in ((n, 2 * math.pi * hertz * n / 8000) for n in range(FRAME))
    ]
    for hertz in (*TONES, MUSIC, RINGING)
}


def tones_in(frames: list[bytes]) -> set[int]:
    """Which of the known tones sound in some packets of PCMU; each frame by itself, so gaps do no harm."""
    return tones_of([[_LINEAR[code] for code in frame] for frame in frames if len(frame) == FRAME])


def tones_of(frames: Sequence[Sequence[int]]) -> set[int]:
    """The same for 16-bit samples, 160 a frame."""
    heard = set()
    for hertz, wave in _WAVES.items():
        parts = [abs(sum(s * w for s, w in zip(frame, wave, strict=True))) for frame in frames]
        # Most of the packets, so that the last one of a tone that has just ended does not count.
        loud = [part / FRAME * 2 / 32768 > AUDIBLE for part in parts]
        if loud and sum(loud) * 2 > len(loud):
            heard.add(hertz)
    return heard


def _udp() -> trio.socket.SocketType:
    sock = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    return sock


class Telephone:
    """One end of one call, outside the switch."""

    def __init__(self, exchange: "Exchange", call_id: str, number: str, tone: int) -> None:
        self.exchange = exchange
        self.call_id = call_id
        self.number = number
        self.tone = tone
        self.inbound = False
        """True when this telephone called the switch."""
        self.status = 0
        """The last final SIP status of its INVITE, on either side."""
        self.answered = trio.Event()
        self.ringing = trio.Event()
        self.ended = trio.Event()
        self.parted = trio.Event()
        """Its BYE was answered."""
        self.silent = False
        self.keys = ""
        """Keys that were pressed at the far side and came here."""
        self.packets = 0
        self._heard: deque[tuple[float, bytes]] = deque(maxlen=100)
        self._rtp: trio.socket.SocketType | None = None
        self._to_rtp: tuple[str, int] | None = None
        self.local_tag = secrets.token_hex(4)
        self.remote = ""
        self.local = ""
        self.target = ""
        self.cseq = 1
        self.invite: Message | None = None
        self._press: deque[tuple[int, bytes]] = deque()
        self._event_stamp = 0

    @property
    def caller_shown(self) -> str | None:
        """Who calls, as the INVITE says."""
        return self.remote.partition(";tag=")[0] if self.invite is not None else None

    # -- what a person does

    async def hang_up(self) -> None:
        """Put the receiver down: BYE, CANCEL or a refusal, whatever fits."""
        if self.ended.is_set():
            return
        if self.answered.is_set():
            await self.exchange.request(self, "BYE")
            self.exchange.nursery.start_soon(self._insist)
        elif self.inbound:
            await self.exchange.cancel(self)
        elif self.invite is not None:
            await self.exchange.answer(self.invite, self, 480)
        self.ended.set()

    async def _insist(self) -> None:
        """Send the BYE again until it is answered: a switch without a moment's time loses packets (RFC 3261, 17.1.2)."""
        for pause_s in AGAIN_S:
            with trio.move_on_after(pause_s):
                await self.parted.wait()
                return
            await self.exchange.request(self, "BYE", again=True)

    async def press(self, keys: str) -> None:
        """Press keys (RFC 4733), 80 ms each."""
        for key in keys:
            code = "0123456789*#ABCD".index(key.upper())
            for step in range(4):
                end = 0x80 if step == 3 else 0
                self._press.append((step == 0, struct.pack("!BBH", code, end | 10, FRAME * (step + 1))))
            self._press.append((False, b""))
        while self._press:
            await trio.sleep(0.01)

    def hears(self) -> set[int]:
        """The tones that came in the last moments."""
        since = trio.current_time() - WINDOW_S
        return tones_in([frame for at, frame in self._heard if at >= since])

    def listens(self) -> bool:
        """Whether any sound packets come at all."""
        return bool(self._heard) and self._heard[-1][0] >= trio.current_time() - WINDOW_S

    # -- sound

    async def open_sound(self) -> int:
        self._rtp = _udp()
        await self._rtp.bind(("127.0.0.1", 0))
        port: int = self._rtp.getsockname()[1]
        self.exchange.nursery.start_soon(self._listen, self._rtp)
        self.exchange.nursery.start_soon(self._speak, self._rtp)
        return port

    def aim_sound(self, sdp: str) -> None:
        host = re.search(r"^c=IN IP4 (\S+)", sdp, re.MULTILINE)
        port = re.search(r"^m=audio (\d+)", sdp, re.MULTILINE)
        if host and port:
            self._to_rtp = host[1], int(port[1])

    async def _listen(self, sock: trio.socket.SocketType) -> None:
        with self._while_up(sock):
            while True:
                packet, _ = await sock.recvfrom(2048)
                kind = packet[1] & 0x7F
                if kind == 0:
                    self.packets += 1
                    self._heard.append((trio.current_time(), packet[12:]))
                elif kind == 101 and len(packet) >= 16:
                    stamp = struct.unpack("!I", packet[4:8])[0]
                    if packet[13] & 0x80 and stamp != self._event_stamp:
                        self._event_stamp = stamp
                        self.keys += "0123456789*#ABCD"[packet[12]]

    async def _speak(self, sock: trio.socket.SocketType) -> None:
        seq, stamp, ssrc = 0, 0, secrets.randbits(32)
        event_at = 0
        due = trio.current_time()
        with self._while_up(sock):
            while True:
                if self._to_rtp is not None:
                    kind, marker, at = 0, 0, stamp
                    payload = _SILENCE if self.silent else _SPOKEN[self.tone]
                    if self._press:
                        first, event = self._press.popleft()
                        if event:
                            kind, payload, marker = 101, event, 0x80 if first else 0
                            event_at = stamp if first else event_at
                            at = event_at
                    head = struct.pack("!BBHII", 0x80, kind | marker, seq & 0xFFFF, at & 0xFFFFFFFF, ssrc)
                    await sock.sendto(head + payload, self._to_rtp)
                    seq, stamp = seq + 1, stamp + FRAME
                due += 0.02
                await trio.sleep_until(max(due, trio.current_time()))

    @contextmanager
    def _while_up(self, sock: trio.socket.SocketType) -> Iterator[None]:
        """Cancels what is inside when the call ends, and closes the sound's socket."""
        with sock, trio.CancelScope() as scope:

            async def watch() -> None:
                await self.ended.wait()
                scope.cancel()

            self.exchange.nursery.start_soon(watch)
            try:
                yield
            except (OSError, trio.ClosedResourceError):
                return  # the other half was quicker to hear of the end


class Message:
    """One SIP message."""

    def __init__(self, data: bytes, source: tuple[str, int]) -> None:
        head, _, body = data.decode("utf-8", "replace").partition("\r\n\r\n")
        self.first, *lines = head.split("\r\n")
        self.headers = [
            (name.strip().lower(), value.strip())
            for name, _, value in (line.partition(":") for line in lines)
        ]
        self.body = body
        self.source = source

    def get(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key == name]


class Exchange:
    """The carrier: telephones behind one UDP port. Made by `open_exchange`."""

    def __init__(self, sock: trio.socket.SocketType, switch: tuple[str, int], nursery: trio.Nursery) -> None:
        self._sock = sock
        self._switch = switch
        self.nursery = nursery
        self.port: int = sock.getsockname()[1]
        self.telephones: dict[str, Telephone] = {}
        """By Call-ID, those that have hung up too."""
        self.came = trio.Event()
        self._tones = 0

    def _next_tone(self) -> int:
        self._tones += 1
        return TONES[(self._tones - 1) % len(TONES)]

    # -- calling the switch

    async def call(self, to: str, number: str, name: str = "") -> Telephone:
        """Call the switch; returns when the INVITE is out."""
        phone = Telephone(self, f"{secrets.token_hex(8)}@phones", number, self._next_tone())
        phone.inbound = True
        self.telephones[phone.call_id] = phone
        host = f"127.0.0.1:{self.port}"
        phone.target = f"sip:{to}@{self._switch[0]}:{self._switch[1]}"
        shown = f'"{name}" ' if name else ""
        phone.local = f"{shown}<sip:{number}@{host}>;tag={phone.local_tag}"
        phone.remote = f"<{phone.target}>"
        port = await phone.open_sound()
        await self.request(phone, "INVITE", _sdp(port))
        return phone

    async def request(self, phone: Telephone, method: str, body: str = "", *, again: bool = False) -> None:
        if method not in ("ACK", "CANCEL") and not again:
            phone.cseq += 1
        await self._send(
            [
                f"{method} {phone.target} SIP/2.0",
                f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{phone.call_id[:8]}{phone.cseq}",
                "Max-Forwards: 70",
                f"From: {phone.local}",
                f"To: {phone.remote}",
                f"Call-ID: {phone.call_id}",
                f"CSeq: {phone.cseq} {method}",
                f"Contact: <sip:{phone.number}@127.0.0.1:{self.port}>",
            ],
            body,
            self._switch,
        )

    async def cancel(self, phone: Telephone) -> None:
        await self.request(phone, "CANCEL")

    async def _send(self, lines: list[str], body: str, to: tuple[str, int]) -> None:
        if body:
            lines = [*lines, "Content-Type: application/sdp"]
        lines = [*lines, f"Content-Length: {len(body.encode())}", "", body]
        await self._sock.sendto("\r\n".join(lines).encode(), to)

    # -- what the switch says

    async def run(self) -> None:
        with self._sock:
            while True:
                data, source = await self._sock.recvfrom(65536)
                if not data.strip():
                    continue
                message = Message(data, source)
                if message.first.startswith("SIP/2.0 "):
                    await self._on_response(message)
                else:
                    await self._on_request(message)

    async def _on_response(self, message: Message) -> None:
        phone = self.telephones.get(message.get("call-id"))
        status = int(message.first.split()[1])
        if phone is not None and message.get("cseq").endswith("BYE"):
            phone.parted.set()
        if phone is None or not message.get("cseq").endswith("INVITE"):
            return
        if status in (180, 183):
            phone.ringing.set()
        if message.body:
            phone.aim_sound(message.body)
        if status < 200:
            return
        phone.status = status
        phone.remote = message.get("to")
        if contact := re.search(r"<(sip:[^>]+)>", message.get("contact")):
            phone.target = contact[1] if status < 300 else phone.target
        await self.request(phone, "ACK")
        if status < 300:
            phone.answered.set()
        else:
            phone.ended.set()

    async def _on_request(self, message: Message) -> None:
        method = message.first.split()[0]
        phone = self.telephones.get(message.get("call-id"))
        if method == "INVITE":
            if phone is None:
                self.nursery.start_soon(self._be_called, message)
            elif phone.answered.is_set():
                phone.aim_sound(message.body)
                await self.answer(message, phone, 200, renegotiate=True)
            return
        if method == "ACK":
            return
        await self.answer(message, phone, 200 if phone is not None else 481)
        if phone is not None and method in ("BYE", "CANCEL"):
            if method == "CANCEL" and phone.invite is not None and not phone.answered.is_set():
                await self.answer(phone.invite, phone, 487)
            phone.ended.set()

    async def _be_called(self, invite: Message) -> None:
        number = re.match(r"INVITE sip:([^@;>]+)@", invite.first)
        phone = Telephone(self, invite.get("call-id"), number[1] if number else "", self._next_tone())
        phone.invite = invite
        phone.local = f"{invite.get('to')};tag={phone.local_tag}"
        phone.remote = invite.get("from")
        contact = re.search(r"<(sip:[^>]+)>", invite.get("contact"))
        phone.target = contact[1] if contact else ""
        self.telephones[phone.call_id] = phone
        self.came.set()
        self.came = trio.Event()
        manner = MANNERS.get(phone.number[:1], Manner())
        await self.answer(invite, phone, 100)
        if manner.ring_s < math.inf:
            if not await self._wait(phone, manner.ring_s):
                return
            await self.answer(invite, phone, 183 if manner.early_media else 180)
            phone.ringing.set()
        if not await self._wait(phone, manner.answer_s):
            return
        await self.answer(invite, phone, manner.status)
        if manner.status >= 300:
            phone.ended.set()
            return
        phone.answered.set()
        if manner.talk_s < math.inf and await self._wait(phone, manner.talk_s):
            await phone.hang_up()

    async def _wait(self, phone: Telephone, seconds: float) -> bool:
        """False when the call ended meanwhile."""
        with trio.move_on_after(seconds):
            await phone.ended.wait()
        return not phone.ended.is_set()

    async def answer(
        self, request: Message, phone: Telephone | None, status: int, *, renegotiate: bool = False
    ) -> None:
        """Answer a request of the switch; a 183 or 200 for an INVITE opens the sound."""
        body = ""
        is_invite = request.first.startswith("INVITE")
        if phone is not None and is_invite and status in (183, 200):
            if phone._rtp is None:
                port = await phone.open_sound()
                phone.aim_sound(request.body)
            else:
                port = phone._rtp.getsockname()[1]
            body = _sdp(port)
        to = request.get("to")
        if phone is not None and status > 100 and "tag=" not in to:
            to = f"{to};tag={phone.local_tag}"
        lines = [f"SIP/2.0 {status} {'OK' if status == 200 else 'As You Wish'}"]
        lines += [f"Via: {via}" for via in request.all("via")]
        lines += [f"Record-Route: {route}" for route in request.all("record-route")]
        lines += [f"From: {request.get('from')}", f"To: {to}", f"Call-ID: {request.get('call-id')}"]
        lines += [f"CSeq: {request.get('cseq')}", f"Contact: <sip:phone@127.0.0.1:{self.port}>"]
        await self._send(lines, body, request.source)


def _sdp(port: int) -> str:
    return (
        f"v=0\r\no=phone {secrets.randbits(31)} 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 0 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\n"
        "a=ptime:20\r\n"
    )


async def open_exchange(switch: tuple[str, int], nursery: trio.Nursery) -> Exchange:
    """Open the carrier's port and serve it in ``nursery``."""
    sock = _udp()
    await sock.bind(("127.0.0.1", 0))
    exchange = Exchange(sock, switch, nursery)
    nursery.start_soon(exchange.run)
    return exchange
