"""Keys (DTMF): sent to the far end, or let in as if the far end had pressed them."""

import re

from freeswitch.simulator import answering
from freeswitch.simulator.channel import Channel

KEYS = "0123456789*#ABCDabcdFfWw"
SAMPLES = 2000
"""How long a key sounds when nobody says how long, in samples at 8 kHz (250 ms)."""
PAUSE_SAMPLES = 2000
SEND_LIMIT = 99
"""Longer strings are ignored (switch_core_session_send_dtmf_string)."""


def _parts(text: str) -> list[tuple[str, int]]:
    """Split ``12@100+3`` into keys and how many samples each of them sounds."""
    found: list[tuple[str, int]] = []
    for part in text.split("+"):
        keys, _, length = part.partition("@")
        samples = int(length) * 8 if length.isdigit() and int(length) > 50 else SAMPLES
        found += [(key, samples) for key in keys if key in KEYS]
    return found


def send(channel: Channel, text: str) -> bool:
    """Send keys to the far end; an unanswered inbound leg is pre-answered for that. False when nothing was sent."""
    text = text.removeprefix("~")
    if channel.down or not text or len(text) > SEND_LIMIT:
        return False
    answering.pre_answer(channel)
    keys = _parts(text)
    if keys:
        total = sum(samples + PAUSE_SAMPLES for _, samples in keys)
        channel.set("last_dtmf_duration", str(total // 8))
        if channel.leg is not None:
            channel.leg.send_keys([(key, samples // 8) for key, samples in keys])
    return bool(keys)


def press(channel: Channel, key: str, source: str = "RTP", samples: int = SAMPLES) -> None:
    """Let one key of the far end reach the channel."""
    if not channel.down:
        channel.dtmf.append((key, samples, source))
        channel.wake()


def receive(channel: Channel, text: str) -> None:
    """Let keys in that nobody pressed (`uuid_recv_dtmf`)."""
    for key, samples in _parts(re.sub("[Ww]", "", text)):
        press(channel, key, "APP", samples)
