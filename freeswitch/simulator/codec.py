"""Codecs as a client hears of them: agreed on by SIP, or changed by an application that mixes sound."""

from freeswitch.simulator import origins as at
from freeswitch.simulator.channel import Channel
from freeswitch.simulator.headers import BIT_RATES, RATES
from freeswitch.simulator.wire import Pair


def agree(channel: Channel, codec: str = "PCMU") -> None:
    """Agree on a codec with the far end and say so (two CODEC events)."""
    channel.codec = channel.read_codec = codec
    channel.touch()
    channel.fire(at.CODEC_READ, after=_read_headers(codec))
    channel.fire(at.CODEC_WRITE, after=_write_headers(codec))


def agree_loopback(channel: Channel) -> None:
    """Set up a loopback leg: L16, reading first, then writing."""
    read_as(channel, "L16")
    channel.codec = "L16"
    channel.touch()
    channel.set("write_codec", "L16")
    channel.set("write_rate", "8000")
    channel.fire(at.CODEC_WRITE, after=_write_headers("L16"))


def read_as(channel: Channel, codec: str) -> None:
    """Let an application read the leg's sound in ``codec`` (L16 to mix it) and say so (CODEC)."""
    channel.read_codec = codec
    channel.touch()
    channel.set("read_codec", codec)
    channel.set("read_rate", RATES.get(codec, "8000"))
    channel.fire(at.CODEC_READ_APP, after=_read_headers(codec))


def read_as_agreed(channel: Channel) -> None:
    """Read again what was agreed on."""
    read_as(channel, channel.codec or "PCMU")


def _read_headers(codec: str) -> tuple[Pair, ...]:
    return (
        ("channel-read-codec-name", codec),
        ("channel-read-codec-rate", RATES.get(codec, "8000")),
        ("channel-read-codec-bit-rate", BIT_RATES[codec]),
    )


def _write_headers(codec: str) -> tuple[Pair, ...]:
    # The odd capitals are FreeSWITCH's.
    return (
        ("Channel-Write-Codec-Name", codec),
        ("Channel-Write-Codec-Rate", RATES.get(codec, "8000")),
        ("Channel-Write-codec-bit-rate", BIT_RATES[codec]),
    )
