"""The sound of a leg, seen from the switch: frames of 20 ms, and who makes an answer of an offer. Pure.

The switch works at 8 kHz, as its callers' telephones do: mixing is plain arithmetic there, and cheap. `Port` stands
between two threads: the switch's, and that of whoever sends and receives packets (`media_aiortc`).
"""

from collections import deque
from typing import Protocol

RATE = 8000
FRAME_S = 0.02
SAMPLES = 160
FRAME_BYTES = 2 * SAMPLES
"""One frame: 16 bit samples, one channel."""
SILENCE = bytes(FRAME_BYTES)

PREFETCH = 3
"""Frames that are waited for before the first one is used: what comes unevenly goes out evenly."""
MOST_WAITING = 10
"""Frames that wait on either side of a port; beyond, the oldest are dropped and counted: late sound is no use."""
MOST_KEYS = 100


class Port:
    """What one far end says, and what it is to hear. It stays when the browser's page is loaded again."""

    def __init__(self) -> None:
        self._said: deque[bytes] = deque()
        self._to_hear: deque[bytes] = deque()
        self._pressed: deque[tuple[str, int]] = deque(maxlen=MOST_KEYS)
        self.keys: deque[tuple[str, int]] = deque(maxlen=MOST_KEYS)
        """Keys that the far end is to get as keys, and how long each lasts in milliseconds."""
        self._filling = True
        self.takes_keys = False
        """Whether keys reach the far end as such (RFC 4733); otherwise it has to hear them."""
        self.cut = False
        """Whatever is sent either way is lost, as when the browser's network is gone."""
        self.packets_in = 0
        """Packets of any kind; when this stands still the far end is gone."""
        self.bytes_in = 0
        self.packets_out = 0
        self.bytes_out = 0
        self.dropped = 0

    # The switch's side.

    def pull(self) -> bytes | None:
        """The next frame that the far end has said; None when there is nothing."""
        if self._filling and len(self._said) < PREFETCH:
            return None
        try:
            frame = self._said.popleft()
        except IndexError:
            self._filling = True
            return None
        self._filling = False
        return frame

    def push(self, frame: bytes) -> None:
        """Let the far end hear a frame."""
        self._keep(self._to_hear, frame)

    def pressed(self) -> list[tuple[str, int]]:
        """The keys that the far end has pressed since, and how long in milliseconds."""
        found = []
        while self._pressed:
            found.append(self._pressed.popleft())
        return found

    # The far end's side.

    def say(self, frame: bytes) -> None:
        """The far end has said a frame."""
        self._keep(self._said, frame)

    def hear(self) -> bytes | None:
        """The next frame for the far end, if there is one."""
        try:
            return self._to_hear.popleft()
        except IndexError:
            return None

    def press(self, key: str, milliseconds: int) -> None:
        """The far end has pressed a key."""
        self._pressed.append((key, milliseconds))

    def _keep(self, queue: deque[bytes], frame: bytes) -> None:
        if len(queue) >= MOST_WAITING:
            self.dropped += 1
            queue.popleft()
        queue.append(frame)


class Media(Protocol):
    """Who talks to browsers."""

    async def answer(self, offer: str, port: Port | None = None) -> tuple[Port, str]:
        """Answer an offer, anew when there is a ``port`` already. Raises `webrtc_sdp.OfferError`."""

    def flush(self) -> None:
        """Frames have been pushed into ports: send them."""

    def release(self, port: Port) -> None:
        """The leg is over."""
