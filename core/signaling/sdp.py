"""Is this what a browser offers? Looked at before it goes anywhere, because the far end is a C parser. Pure.

A browser's offer for a telephone call has one audio section, a certificate's fingerprint, ICE credentials and at least one
candidate that is an address: there is no trickle (FreeSWITCH takes none), so an offer without candidates can never connect.
Errors name what is missing and repeat nothing of the text; nothing of it is ever logged.
"""

import re
from ipaddress import ip_address

from core.model.signaling import MOST_SDP

MOST_LINES = 400
MOST_CANDIDATES = 64
MOST_FORMATS = 40
"""Chromium offers 14 formats of audio, Firefox 6."""
_FINGERPRINT = re.compile(r"a=fingerprint:sha-(?:256|384|512) (?:[0-9A-Fa-f]{2}:){31,63}[0-9A-Fa-f]{2}")
_UFRAG = re.compile(r"a=ice-ufrag:[A-Za-z0-9+/=\-_]{4,256}")
_PWD = re.compile(r"a=ice-pwd:[A-Za-z0-9+/=\-_]{22,256}")
_SETUP = re.compile(r"a=setup:(?:actpass|active|passive)")
_AUDIO = re.compile(r"m=audio [0-9]{1,5} UDP/TLS/RTP/SAVPF((?: [0-9]{1,3})+)")
_LINE = re.compile(r"[a-z]=[\x20-\x7e]*")


def fault_of(sdp: str) -> str:
    """What is wrong with an offer, in words for people; empty when nothing is."""
    if len(sdp) > MOST_SDP:
        return f"the offer is larger than {MOST_SDP >> 10} KiB"
    lines = sdp.replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(lines) > MOST_LINES:
        return f"the offer has more than {MOST_LINES} lines"
    if lines[0] != "v=0" or not all(_LINE.fullmatch(line) for line in lines):
        return "the offer is no SDP"
    sections = [line for line in lines if line.startswith("m=")]
    if len(sections) != 1:
        return "the offer must have one section, and that for audio"
    audio = _AUDIO.fullmatch(sections[0])
    if audio is None:
        return "the offer's section must be audio over UDP/TLS/RTP/SAVPF"
    if len(audio[1].split()) > MOST_FORMATS:
        return f"the offer has more than {MOST_FORMATS} formats"
    for pattern, what in (
        (_FINGERPRINT, "a fingerprint (SHA-256 or longer)"),
        (_UFRAG, "ICE credentials"),
        (_PWD, "ICE credentials"),
        (_SETUP, "a setup line"),
    ):
        if not any(pattern.fullmatch(line) for line in lines):
            return f"the offer has no {what}"
    candidates = [line for line in lines if line.startswith("a=candidate:")]
    if len(candidates) > MOST_CANDIDATES:
        return f"the offer has more than {MOST_CANDIDATES} candidates"
    if not any(map(_usable, candidates)):
        return "the offer has no candidate that is an address: gather before offering"
    return ""


def _usable(line: str) -> bool:
    """A UDP candidate with an address. FreeSWITCH drops names (mDNS) and ignores TCP."""
    words = line.split()
    if len(words) < 8 or words[2].lower() != "udp" or words[6] != "typ":
        return False
    try:
        ip_address(words[4])
    except ValueError:
        return False
    return words[5].isdigit() and 0 < int(words[5]) < 65536
