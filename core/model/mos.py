"""How good a leg sounded, as a number that people know: MOS by the simplified E-model (ITU-T G.107). Pure.

    R  = 93.2 - Id - Ie,eff
    Id = 0.024 d + 0.11 (d - 177.3) [d > 177.3]
    Ie,eff = Ie + (95 - Ie) Ppl / (Ppl / BurstR + Bpl)

The curve is narrowband's. Others use other start values and other polynomials, and FreeSWITCH's own figure knows neither
delay nor codec, so numbers of different makers cannot be compared: the inputs are kept (``leg_quality``) and `VERSION`
stands beside every result.
"""

from msgspec import Struct

VERSION = "g107-simplified-1"
START = 93.2
"""R without delay and impairments, at G.107's default values."""
PACKET_MS = 20.0
"""Of one packet of sound; with it comes the codec's own delay, which is far smaller."""
POOR = 3.6
"""Below it many listeners are not satisfied; the share of such calls says more than the mean of all."""


class Codec(Struct, frozen=True):
    """How much a codec takes away (Ie), and how well it hides losses (Bpl). ITU-T G.113, appendix I."""

    ie: float
    bpl: float


CODECS: dict[str, Codec] = {
    "PCMU": Codec(0.0, 25.1),
    "PCMA": Codec(0.0, 25.1),
    "G729": Codec(11.0, 19.0),
    "G723": Codec(15.0, 16.1),
}
"""With packet loss concealment, which every telephone and FreeSWITCH have (G.711 without it: Bpl 4.3)."""
ALIKE = CODECS["PCMU"]
"""What other codecs are estimated by: for Opus and other wideband codecs the curve does not hold at all."""


class Heard(Struct, frozen=True, kw_only=True):
    """What was measured on a leg."""

    codec: str = "PCMU"
    received: int = 0
    """Packets."""
    lost: int = 0
    rtt_ms: float = 0.0
    jitter_ms: float = 0.0
    burst_r: float = 1.0
    """1: losses come at random; more: in bursts."""


class Quality(Struct, frozen=True, kw_only=True):
    """What it comes to."""

    mos: float
    r: float
    version: str = VERSION
    estimate: bool = False
    """The codec is one that the curve was not made for."""


def delay_ms(heard: Heard) -> float:
    """From mouth to ear, as far as we know: half the round trip, a jitter buffer of twice the jitter, a packet."""
    return heard.rtt_ms / 2 + 2 * heard.jitter_ms + PACKET_MS


def loss_percent(heard: Heard) -> float:
    """0 when nothing was sent."""
    sent = heard.received + max(heard.lost, 0)
    return 100.0 * max(heard.lost, 0) / sent if sent else 0.0


def quality(heard: Heard) -> Quality:
    """The quality of one direction of a leg."""
    name = heard.codec.upper().partition("/")[0].replace(".", "").replace("G711", "PCMU")
    known = CODECS.get(name)
    r = rating(delay_ms(heard), loss_percent(heard), codec=known or ALIKE, burst_r=max(heard.burst_r, 1.0))
    return Quality(mos=round(mos(r), 2), r=round(r, 1), estimate=known is None)


def rating(delay_ms: float, loss: float, *, codec: Codec = ALIKE, burst_r: float = 1.0) -> float:
    """R for a one-way delay in milliseconds and a loss in per cent."""
    delayed = 0.024 * delay_ms + 0.11 * max(delay_ms - 177.3, 0.0)
    impaired = codec.ie + (95 - codec.ie) * loss / (loss / burst_r + codec.bpl)
    return START - delayed - impaired


def mos(r: float) -> float:
    """1 to 4.5."""
    if r <= 0:
        return 1.0
    if r >= 100:
        return 4.5
    # The polynomial dips below 1 for small R; opinions do not.
    return max(1 + 0.035 * r + 7e-6 * r * (r - 60) * (100 - r), 1.0)
