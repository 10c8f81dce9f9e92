"""A stand-in for browsers: aiortc as the one who offers, in a thread of its own, speaking a tone and listening.

It needs what FreeSWITCH's answers leave out (``a=sendrecv``), and 127.0.0.1 among its addresses, which aioice leaves out.
"""

import array
import asyncio
import fractions
import math
import re
import threading
from collections import deque
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, TypeVar

import aioice
import aioice.ice
import trio
from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCPeerConnection,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from av import AudioFrame, AudioResampler

RATE = 8000
LIMIT_S = 15.0
"""How long a test waits for a sound: the machine may be busy."""
_T = TypeVar("_T")


def tone(pitch: float, samples: int, begin: int = 0, level: int = 8000) -> "array.array[int]":
    """Some samples of a tone."""
    step = 2 * math.pi * pitch / RATE
    return array.array("h", [round(level * math.sin(step * (begin + n))) for n in range(samples)])


def loudness(sound: "array.array[int]", pitch: float) -> float:
    """How loud a pitch is in a sound (Goertzel), on the scale of its samples."""
    if not sound:
        return 0.0
    turn = 2 * math.cos(2 * math.pi * pitch / RATE)
    one = two = 0.0
    for sample in sound:
        one, two = sample + turn * one - two, one
    power = one * one + two * two - turn * one * two
    return 2 * math.sqrt(max(0.0, power)) / len(sound)


class _Voice(MediaStreamTrack):
    """Speaks a tone, 20 ms at a time."""

    kind = "audio"

    def __init__(self, pitch: float) -> None:
        super().__init__()
        self.pitch = pitch
        self._frame = 0
        self._began = 0.0

    async def recv(self) -> AudioFrame:
        now = asyncio.get_running_loop().time()
        self._began = self._began or now
        await asyncio.sleep(max(0.0, self._began + self._frame * 0.02 - now))
        frame = AudioFrame(format="s16", layout="mono", samples=160)
        frame.planes[0].update(tone(self.pitch, 160, self._frame * 160).tobytes())
        frame.pts = self._frame * 160
        frame.sample_rate = RATE
        frame.time_base = fractions.Fraction(1, RATE)
        self._frame += 1
        return frame


class _Way:
    """What a connection's packets go over: aiortc cannot change it, browsers can (ICE restart)."""

    def __init__(self, ice: aioice.Connection) -> None:
        self._ice = ice
        self._came: asyncio.Queue[bytes] = asyncio.Queue()
        self._pump: asyncio.Task[None] | None = None

    async def recv(self) -> bytes:
        if self._pump is None:
            self._pump = asyncio.create_task(self._run(self._ice))
        return await self._came.get()

    async def send(self, data: bytes) -> None:
        await self._ice.send(data)

    async def change(self, ice: aioice.Connection) -> None:
        before, self._ice = self._ice, ice
        self._pump = asyncio.create_task(self._run(ice))
        await before.close()

    async def close(self) -> None:
        await self._ice.close()

    async def _run(self, ice: aioice.Connection) -> None:
        with suppress(ConnectionError):
            while True:
                self._came.put_nowait(await ice.recv())


class Browser:
    """One page with a telephone in it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, pitch: float) -> None:
        self._loop = loop
        self._pitch = pitch
        self._heard: deque[bytes] = deque(maxlen=25)
        self.frames = 0
        self._connection: RTCPeerConnection | None = None
        self._way: _Way
        self._next: aioice.Connection

    async def _run(self, work: Coroutine[Any, Any, _T]) -> _T:
        asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        return await trio.to_thread.run_sync(asked.result, LIMIT_S)

    async def offer(self) -> str:
        """A whole offer of a new RTCPeerConnection; the one before is left as a reloaded page leaves it."""
        return await self._run(self._offer())

    async def answered(self, sdp: str) -> None:
        """Take the switch's answer."""
        await self._run(self._answered(sdp))

    async def restart(self) -> str:
        """An offer of the same RTCPeerConnection over another path (``iceRestart``)."""
        return await self._run(self._restart())

    async def restarted(self, sdp: str) -> None:
        """Take the switch's answer to that."""
        await self._run(self._restarted(sdp))

    async def close(self) -> None:
        """Close the page."""
        await self._run(self.left())

    async def left(self) -> None:
        """The same, in the browsers' own thread."""
        if self._connection is not None:
            await self._connection.close()
            await self._way.close()

    async def _offer(self) -> str:
        await self.left()
        connection = self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        connection.addTrack(_Voice(self._pitch))
        connection.on("track", lambda track: self._loop.create_task(self._listen(track)))
        await connection.setLocalDescription(await connection.createOffer())
        transport = connection.getSenders()[0].transport.transport
        self._way = _Way(transport._connection)
        transport._recv, transport._send = self._way.recv, self._way.send
        return str(connection.localDescription.sdp)

    async def _restart(self) -> str:
        assert self._connection is not None
        ice = self._next = aioice.Connection(ice_controlling=True)
        await ice.gather_candidates()
        (candidate,) = ice.local_candidates
        text = str(self._connection.localDescription.sdp)
        for pattern, by in (
            (r"a=ice-ufrag:.*", f"a=ice-ufrag:{ice.local_username}"),
            (r"a=ice-pwd:.*", f"a=ice-pwd:{ice.local_password}"),
            (r"a=candidate:.*", f"a=candidate:{candidate.to_sdp()}"),
        ):
            text = re.sub(pattern, by + "\r", text)
        return text

    async def _restarted(self, sdp: str) -> None:
        ice = self._next
        ice.remote_username = re.findall(r"a=ice-ufrag:(\S+)", sdp)[0]
        ice.remote_password = re.findall(r"a=ice-pwd:(\S+)", sdp)[0]
        for candidate in re.findall(r"a=candidate:(.*?)\r", sdp):
            await ice.add_remote_candidate(aioice.Candidate.from_sdp(candidate))
        await ice.add_remote_candidate(None)
        await ice.connect()
        await self._way.change(ice)

    async def _answered(self, sdp: str) -> None:
        assert self._connection is not None
        sdp = sdp.replace("a=ptime:20", "a=ptime:20\r\na=sendrecv")
        await self._connection.setRemoteDescription(RTCSessionDescription(sdp, "answer"))

    async def _listen(self, track: MediaStreamTrack) -> None:
        resampler = AudioResampler(format="s16", layout="mono", rate=RATE, frame_size=160)
        try:
            while True:
                heard = await track.recv()
                assert isinstance(heard, AudioFrame)
                for frame in resampler.resample(heard):
                    self._heard.append(bytes(frame.planes[0])[:320])
                    self.frames += 1
        except MediaStreamError:
            return

    def hears(self, pitch: float) -> float:
        """How loud it has heard a pitch in the last half second."""
        return loudness(array.array("h", b"".join(self._heard)), pitch)

    def forget(self) -> None:
        """What was heard up to now does not count."""
        self._heard.clear()

    async def wait_for(self, *pitches: float, without: tuple[float, ...] = (), above: float = 1500.0) -> None:
        """Wait until it hears all of these pitches, and none of the others. Raises `trio.TooSlowError`."""
        with trio.fail_after(LIMIT_S):
            while not (
                len(self._heard) == 25
                and all(self.hears(pitch) > above for pitch in pitches)
                and all(self.hears(pitch) < above / 5 for pitch in without)
            ):
                await trio.sleep(0.05)

    async def wait_for_silence(self) -> None:
        """Wait until half a second without a sound has come."""
        with trio.fail_after(LIMIT_S):
            while len(self._heard) < 25 or max(map(abs, array.array("h", b"".join(self._heard)))) > 200:
                await trio.sleep(0.05)

    async def wait_for_nothing(self) -> None:
        """Wait until no frame comes any more."""
        with trio.fail_after(LIMIT_S):
            seen = -1
            while seen != self.frames:
                seen = self.frames
                await trio.sleep(0.3)


class Browsers:
    """Makes browsers."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: list[Browser] = []

    def open(self, pitch: float) -> Browser:
        """A page whose microphone hears a tone."""
        made = Browser(self._loop, pitch)
        self._open.append(made)
        return made

    async def close(self) -> None:
        """Close all pages."""
        for one in self._open:
            await one.close()


@contextmanager
def browsers() -> Iterator[Browsers]:
    """A thread for browsers."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    before = aioice.ice.get_host_addresses
    aioice.ice.get_host_addresses = lambda use_ipv4, use_ipv6: ["127.0.0.1"]
    made = Browsers(loop)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(_end(made), loop).result(LIMIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
        aioice.ice.get_host_addresses = before


async def _end(made: Browsers) -> None:
    for one in made._open:
        await one.left()
    others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
