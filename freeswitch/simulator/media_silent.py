"""Answers to browsers' offers with nobody behind them: legs that cost nothing, for benches and for tests of orders.

What is said over SIP and over the Event Socket is the same as with sound; no packet is sent or read.
"""

import secrets

from freeswitch.simulator.media import Port
from freeswitch.simulator.webrtc_sdp import Local, read_offer, write_answer

NOWHERE = 9
"""The discard port: what a browser would send there is nobody's."""


class SilentMedia:
    """The `media.Media` of a switch whose ``sound`` is off."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._versions: dict[Port, int] = {}
        self._fingerprint = ":".join(f"{byte:02X}" for byte in secrets.token_bytes(32))

    async def answer(self, offer: str, port: Port | None = None) -> tuple[Port, str]:
        """Answer an offer, anew when there is a ``port`` already. Raises `OfferError`."""
        read = read_offer(offer)
        place = Port() if port is None else port
        version = self._versions[place] = self._versions.get(place, 0) + 1
        candidate = (
            f"{secrets.randbelow(10**10)} 1 udp 2130706431 {self._host} {NOWHERE} typ host generation 0"
        )
        local = Local(
            host=self._host,
            port=NOWHERE,
            session=1_795_000_000,
            version=version,
            ufrag=secrets.token_hex(8),
            password=secrets.token_hex(12),
            fingerprint=self._fingerprint,
            candidates=(candidate,),
            ssrc=secrets.randbits(32),
            name=secrets.token_hex(8),
            stream=secrets.token_hex(16),
        )
        return place, write_answer(read, local)

    def flush(self) -> None:
        """Nothing is sent."""

    def release(self, port: Port) -> None:
        """The leg is over."""
        self._versions.pop(port, None)
