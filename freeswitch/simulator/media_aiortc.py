"""Browsers' sound over WebRTC: ICE and DTLS by aiortc, in a thread and an asyncio loop of their own.

Only the transports of aiortc are used. Its senders and receivers take a thread and a jitter buffer for each call, mark
every packet, and know no keys (RFC 4733); packets are read and written by `media_stream`, at a quarter of the cost.

A `Peer` is one browser's RTCPeerConnection. An offer with another fingerprint is another one (the page was loaded again):
it gets a new peer behind the same `Port`. An offer with the same one and new ICE credentials is an ICE restart: DTLS goes
on over a new ICE connection (`_Path`), and the old one is used until the new one is there.
"""

import asyncio
import logging
import secrets
import threading
import time
from collections.abc import Coroutine
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

import aioice
import trio
from aiortc import RTCCertificate
from aiortc.rtcdtlstransport import RTCDtlsFingerprint, RTCDtlsParameters, RTCDtlsTransport

from freeswitch.simulator import rtp
from freeswitch.simulator.media import Port
from freeswitch.simulator.media_stream import Stream
from freeswitch.simulator.webrtc_sdp import Local, Offer, OfferError, read_offer, write_answer

CONNECT_S = 30.0
"""How long a browser may take until ICE and DTLS are done; the page gives up earlier."""
ANSWER_S = 5.0
_STREAM = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_T = TypeVar("_T")

LOG = logging.getLogger("freeswitch.simulator")
# It reports each check of each pair of addresses; what fails is seen in the legs.
logging.getLogger("aioice").setLevel(logging.WARNING)


def _look(done: "Future[None]") -> None:
    """Say what went wrong where nobody waits for it."""
    if not done.cancelled() and (wrong := done.exception()) is not None:
        LOG.error("the sound of browsers has failed", exc_info=wrong)


class _Ice(aioice.Connection):
    """An ICE connection from one address, loopback too, which aioice leaves out by itself."""

    def __init__(self, host: str, port: Port) -> None:
        super().__init__(ice_controlling=False)
        self._host = host
        self._port = port

    def request_received(self, message: Any, addr: tuple[str, int], protocol: Any) -> None:
        if not self._port.cut:
            super().request_received(message, addr, protocol)

    async def get_component_candidates(
        self, component: int, addresses: list[str], timeout: int = 5
    ) -> list[aioice.Candidate]:
        return await super().get_component_candidates(component, [self._host], timeout)


class _Path:
    """What DTLS goes over: one ICE connection after the other."""

    role = "controlled"

    def __init__(self) -> None:
        self.ice: aioice.Connection | None = None
        self._came: asyncio.Queue[bytes | None] = asyncio.Queue(1000)

    async def take(self, ice: aioice.Connection) -> None:
        """Go over this connection from now on, and leave the one before."""
        before, self.ice = self.ice, ice
        if before is not None:
            await before.close()

    async def pump(self, ice: aioice.Connection) -> None:
        """Bring what comes over a connection until it closes."""
        try:
            while True:
                data = await ice.recv()
                if not self._came.full():
                    self._came.put_nowait(data)
        except ConnectionError:
            if ice is self.ice and not self._came.full():
                self._came.put_nowait(None)

    async def _recv(self) -> bytes:
        data = await self._came.get()
        if data is None:
            raise ConnectionError("the browser is gone")
        return data

    async def _send(self, data: bytes) -> None:
        if self.ice is not None:
            await self.ice.send(data)


class _Secured(RTCDtlsTransport):
    """DTLS whose packets of sound go to a peer as they are."""

    def __init__(self, path: _Path, certificate: RTCCertificate, peer: "_Peer") -> None:
        super().__init__(path, [certificate])  # type: ignore[arg-type]  # all that it uses of one
        self._peer = peer

    async def _handle_rtp_data(self, data: bytes, arrival_time_ms: int) -> None:
        self._peer.stream.received(data, time.monotonic())

    async def _handle_rtcp_data(self, data: bytes) -> None:
        self._peer.stream.told(data, time.monotonic())


class _Peer:
    """One RTCPeerConnection of a browser."""

    def __init__(self, offer: Offer, port: Port, certificate: RTCCertificate, seat: "_Seat") -> None:
        self.offer = offer
        self._port = port
        self.stream = Stream(offer, port, seat.source, seat.name)
        self.newest: aioice.Connection | None = None
        """The ICE connection of its last offer, which may not be there yet."""
        self.path = _Path()
        self.dtls = _Secured(self.path, certificate, self)
        self.tasks: set[asyncio.Task[None]] = set()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def connect(self, ice: aioice.Connection, *, again: bool) -> None:
        """ICE, and DTLS when this is no restart."""
        try:
            async with asyncio.timeout(CONNECT_S):
                await ice.connect()
        except (ConnectionError, TimeoutError):
            await ice.close()
            return
        except asyncio.CancelledError:
            await ice.close()
            raise
        await self.path.take(ice)
        self.begin(self.path.pump(ice))
        if again:
            return
        self.dtls._set_role("server" if self.offer.setup == "active" else "client")
        fingerprints = [RTCDtlsFingerprint(algorithm=a, value=v) for a, v in self.offer.fingerprints]
        try:
            async with asyncio.timeout(CONNECT_S):
                await self.dtls.start(RTCDtlsParameters(fingerprints=fingerprints))
        except TimeoutError:
            await ice.close()

    async def close(self) -> None:
        await self.dtls.stop()
        tasks = list(self.tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for ice in {self.newest, self.path.ice}:
            if ice is not None:
                await ice.close()

    async def send(self) -> None:
        """Send what the port has for the browser."""
        while (frame := self._port.hear()) is not None:
            if self.dtls.state == "connected":
                await self._carry(self.stream.packets(frame))
        if self.dtls.state == "connected":
            report = self.stream.report(time.monotonic(), time.time())
            if report is not None:
                await self._carry([report])

    async def _carry(self, packets: list[bytes]) -> None:
        for data in packets:
            with suppress(ConnectionError):
                await self.dtls._send_rtp(data)


class _Seat:
    """What the media thread keeps of one port."""

    def __init__(self) -> None:
        self.peer: _Peer | None = None
        self.source = rtp.Sequencer(
            secrets.randbits(32), sequence=secrets.randbits(15), timestamp=secrets.randbits(32)
        )
        self.session = 1_790_000_000 + secrets.randbelow(9_000_000)
        self.version = 0
        self.name = "".join(secrets.choice(_STREAM) for _ in range(16))
        self.stream = "".join(secrets.choice(_STREAM) for _ in range(32))


class AiortcMedia:
    """The `media.Media` that browsers talk to. Used from trio; `run` holds its thread."""

    def __init__(self, host: str) -> None:
        """Candidates are of ``host``, on ports that the system chooses."""
        self._host = host
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="media", daemon=True)
        self._seats: dict[Port, _Seat] = {}
        self._flushing = False
        self._certificate = RTCCertificate.generateCertificate()
        self._sha256 = next(
            one.value for one in self._certificate.getFingerprints() if one.algorithm == "sha-256"
        )

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def start(self) -> None:
        """Begin the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End all peers and the thread; waits for it."""
        if not self._thread.is_alive():
            return
        asyncio.run_coroutine_threadsafe(self._close_all(), self._loop)
        self._thread.join(ANSWER_S)

    async def _close_all(self) -> None:
        try:
            for port in list(self._seats):
                await self._leave(port)
        finally:
            others = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
            self._loop.call_soon(self._loop.stop)

    # From the switch's thread.

    async def answer(self, offer: str, port: Port | None = None) -> tuple[Port, str]:
        """Answer an offer, anew when there is a ``port`` already. Raises `OfferError`."""
        read = read_offer(offer)
        place = Port() if port is None else port
        return place, await self._ask(self._answer(read, place))

    def flush(self) -> None:
        """Frames have been pushed into ports: send them."""
        if not self._flushing:
            self._flushing = True
            asyncio.run_coroutine_threadsafe(self._send_all(), self._loop).add_done_callback(_look)

    def release(self, port: Port) -> None:
        """The leg is over."""
        if self._thread.is_alive():
            asyncio.run_coroutine_threadsafe(self._leave(port), self._loop).add_done_callback(_look)

    async def _ask(self, work: Coroutine[Any, Any, _T]) -> _T:
        done = trio.Event()
        token = trio.lowlevel.current_trio_token()
        asked: Future[_T] = asyncio.run_coroutine_threadsafe(work, self._loop)

        def tell(_: object) -> None:
            try:
                token.run_sync_soon(done.set)
            except trio.RunFinishedError:
                return

        asked.add_done_callback(tell)
        with trio.move_on_after(ANSWER_S):
            await done.wait()
        if not asked.done():
            asked.cancel()
            raise OfferError("the sound's side does not answer")
        return asked.result()

    # In the media thread.

    async def _answer(self, offer: Offer, port: Port) -> str:
        seat = self._seats.setdefault(port, _Seat())
        peer = seat.peer
        same = (
            peer is not None
            and peer.offer.fingerprints == offer.fingerprints
            and peer.dtls.state == "connected"
        )
        if peer is None or not same or peer.offer.codec != offer.codec:
            if peer is not None:
                await peer.close()
            peer = seat.peer = _Peer(offer, port, self._certificate, seat)
            same = False
        ice = peer.newest
        if ice is None or peer.offer.ufrag != offer.ufrag:
            ice = peer.newest = await self._ice(offer, port)
            peer.begin(peer.connect(ice, again=same))
        peer.offer = offer
        seat.version += 1
        ours = ice.local_candidates
        return write_answer(
            offer,
            Local(
                host=self._host,
                port=ours[0].port,
                session=seat.session,
                version=seat.version,
                ufrag=ice.local_username,
                password=ice.local_password,
                fingerprint=self._sha256,
                candidates=tuple(f"{one.to_sdp()} generation 0" for one in ours),
                ssrc=seat.source.ssrc,
                name=seat.name,
                stream=seat.stream,
            ),
        )

    async def _ice(self, offer: Offer, port: Port) -> aioice.Connection:
        ice = _Ice(self._host, port)
        await ice.gather_candidates()
        if not ice.local_candidates:
            raise OfferError("no port is to be had")
        ice.remote_username, ice.remote_password = offer.ufrag, offer.password
        # More may come as long as the end is not said: the browser's own checks bring its addresses.
        for line in offer.candidates:
            if (candidate := self._usable(line)) is not None:
                await ice.add_remote_candidate(candidate)
        return ice

    def _usable(self, line: str) -> aioice.Candidate | None:
        """A candidate that can be reached from our address; names (mDNS) are found by the browser's own checks."""
        try:
            candidate = aioice.Candidate.from_sdp(line)
        except (ValueError, IndexError):
            return None
        loopback = candidate.host.startswith("127.") or candidate.host == "::1"
        ours = self._host.startswith("127.") or self._host == "::1"
        is_name = candidate.host.endswith(".local")
        return None if is_name or candidate.transport.lower() != "udp" or loopback != ours else candidate

    async def _send_all(self) -> None:
        self._flushing = False
        for seat in list(self._seats.values()):
            if seat.peer is not None:
                await seat.peer.send()

    async def _leave(self, port: Port) -> None:
        seat = self._seats.pop(port, None)
        if seat is not None and seat.peer is not None:
            await seat.peer.close()
