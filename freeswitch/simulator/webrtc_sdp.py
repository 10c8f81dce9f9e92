"""A browser's offer, read, and the switch's answer to it, line for line as mod_sofia gives one. Pure.

The answer of the real switch has neither ``a=mid`` nor a BUNDLE group; ours has both, because newer browsers ask for
them. It has no ``a=sendrecv`` either: that is the default, and the switch's SIP stack leaves it out.
"""

import re

from msgspec import Struct

MOST_CANDIDATES = 64
_RTPMAP = re.compile(r"rtpmap:(\d{1,3}) ([^/\s]+)/(\d+)")
_CODECS = ("opus", "PCMU", "PCMA")
"""What the inside profile takes, in the order of its wish (``inbound-codec-prefs``)."""
_STATIC = {0: ("PCMU", 8000), 8: ("PCMA", 8000)}
_TURNED = {"sendonly": "recvonly", "recvonly": "sendonly", "inactive": "inactive"}


class OfferError(ValueError):
    """Not an offer that can be answered: the switch says 488."""


class Codec(Struct, frozen=True):
    """How the sound is coded, and which payload type means it."""

    name: str
    payload_type: int
    clock_rate: int


class Offer(Struct, frozen=True, kw_only=True):
    """What matters of a browser's offer."""

    mid: str
    ufrag: str
    password: str
    fingerprints: tuple[tuple[str, str], ...]
    """Hash and value, as written."""
    setup: str
    codec: Codec
    keys: Codec | None
    """How keys come in the media (RFC 4733)."""
    comfort_noise: bool
    candidates: tuple[str, ...]
    """The values of its ``a=candidate`` lines."""
    direction: str


def read_offer(text: str) -> Offer:
    """Read an offer with one section of sound. Raises `OfferError`."""
    lines = [line.rstrip("\r") for line in text.split("\n")]
    starts = [n for n, line in enumerate(lines) if line.startswith("m=")]
    if not text.startswith("v=0") or len(starts) != 1 or not lines[starts[0]].startswith("m=audio "):
        raise OfferError("expected one section of sound")
    media = lines[starts[0]].split(" ")
    if len(media) < 4 or media[2] not in ("UDP/TLS/RTP/SAVPF", "RTP/SAVPF") or media[1] == "0":
        raise OfferError("expected sound over DTLS")
    # What is not said about the section is said about the whole.
    found: dict[str, list[str]] = {}
    for line in [*lines[starts[0] :], *lines[: starts[0]]]:
        if line.startswith("a="):
            name, _, value = line[2:].partition(":")
            found.setdefault(name, []).append(value)

    def one(name: str) -> str:
        if not found.get(name, [""])[0]:
            raise OfferError(f"no a={name}")
        return found[name][0]

    fingerprints = tuple(
        (algorithm, value)
        for algorithm, _, value in (each.partition(" ") for each in found.get("fingerprint", []))
        if value
    )
    if not fingerprints or "rtcp-mux" not in found:
        raise OfferError("expected a fingerprint and rtcp-mux")
    codec, keys = _codecs(lines, media[3:])
    directions = [name for name in ("sendrecv", *_TURNED) if name in found]
    return Offer(
        mid=found.get("mid", ["0"])[0],
        ufrag=one("ice-ufrag"),
        password=one("ice-pwd"),
        fingerprints=fingerprints,
        setup=found.get("setup", ["actpass"])[0],
        codec=codec,
        keys=keys,
        comfort_noise="13" in media[3:],
        candidates=tuple(found.get("candidate", [])[:MOST_CANDIDATES]),
        direction=directions[0] if directions else "sendrecv",
    )


def _codecs(lines: list[str], formats: list[str]) -> tuple[Codec, Codec | None]:
    known = dict(_STATIC)
    for line in lines:
        if (match := _RTPMAP.match(line, 2)) is not None:
            known[int(match[1])] = (match[2], int(match[3]))
    offered = [
        Codec(*known[n][:1], n, known[n][1]) for n in map(int, filter(str.isdigit, formats)) if n in known
    ]
    for name in _CODECS:
        for codec in offered:
            if codec.name.lower() == name.lower():
                events = [one for one in offered if one.name.lower() == "telephone-event"]
                # One that ticks as the sound does is better.
                events.sort(key=lambda one: one.clock_rate != codec.clock_rate)
                return codec, events[0] if events else None
    raise OfferError("no codec in common")


class Local(Struct, frozen=True, kw_only=True):
    """Our side of one answer."""

    host: str
    port: int
    session: int
    version: int
    ufrag: str
    password: str
    fingerprint: str
    """Of sha-256."""
    candidates: tuple[str, ...]
    ssrc: int
    name: str
    """Canonical name of our source (RFC 3550)."""
    stream: str


def write_answer(offer: Offer, local: Local) -> str:
    """The answer to ``offer``."""
    payloads = [offer.codec.payload_type]
    lines = [f"a=rtpmap:{offer.codec.payload_type} {offer.codec.name}/{offer.codec.clock_rate}"]
    if offer.codec.name.lower() == "opus":
        lines[0] += "/2"
        lines.append(f"a=fmtp:{offer.codec.payload_type} useinbandfec=1; minptime=10")
    if offer.keys is not None:
        payloads.append(offer.keys.payload_type)
        lines.append(f"a=rtpmap:{offer.keys.payload_type} telephone-event/{offer.keys.clock_rate}")
    if offer.comfort_noise:
        payloads.append(13)
        lines.append("a=rtpmap:13 CN/8000")
    if offer.direction != "sendrecv":
        lines.append(f"a={_TURNED[offer.direction]}")
    kind = "IP6" if ":" in local.host else "IP4"
    source = f"a=ssrc:{local.ssrc}"
    whole = [
        "v=0",
        f"o=FreeSWITCH {local.session} {local.session + local.version} IN {kind} {local.host}",
        "s=FreeSWITCH",
        f"c=IN {kind} {local.host}",
        "t=0 0",
        f"a=group:BUNDLE {offer.mid}",
        f"a=msid-semantic: WMS {local.stream}",
        f"m=audio {local.port} UDP/TLS/RTP/SAVPF {' '.join(map(str, payloads))}",
        f"a=mid:{offer.mid}",
        *lines,
        "a=ptime:20",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        # A browser offers both; who offers one half gets the other (RFC 5763, 5).
        f"a=setup:{'passive' if offer.setup == 'active' else 'active'}",
        "a=rtcp-mux",
        f"a=rtcp:{local.port} IN {kind} {local.host}",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        *(f"a=candidate:{one}" for one in local.candidates),
        "a=end-of-candidates",
        f"{source} cname:{local.name}",
        f"{source} msid:{local.stream} a0",
        f"{source} mslabel:{local.stream}",
        f"{source} label:{local.stream}a0",
    ]
    return "\r\n".join(whole) + "\r\n"
