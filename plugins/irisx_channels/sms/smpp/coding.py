"""Texts in SMPP, pure: alphabets, the three ways of sending a long text, and reading all of them back.

SMPP v3.4, 5.2.19 (``data_coding``); 3GPP TS 23.040, 9.2.3.24 (the header in front of a part).
"""

from collections.abc import Callable
from typing import Literal

from msgspec import Struct

from irisx_channels.sms.smpp import words
from irisx_channels.sms.smpp.codec import Short
from irisx_sdk import segments

Alphabet = Literal["gsm7", "latin1"]
"""What a centre takes ``data_coding`` 0 for."""
Way = Literal["udh", "sar", "payload"]
"""How long texts are sent: a header in the text, optional fields beside it, or whole in one optional field."""

GSM, ASCII, LATIN, CYRILLIC, HEBREW, UCS2 = 0, 1, 3, 6, 7, 8
BINARY = frozenset([2, 4])
_CODECS = {
    ASCII: "ascii",
    LATIN: "latin-1",
    5: "shift_jis",
    CYRILLIC: "iso8859_5",
    HEBREW: "iso8859_8",
    10: "iso2022_jp",
    14: "euc_kr",
}
_CONCAT, _CONCAT_WIDE = 0x00, 0x08
_PORTS = frozenset([0x04, 0x05])
MAX_PAYLOAD = 0xFFFF


class Part(Struct, frozen=True):
    """What of a message goes into one ``submit_sm``."""

    message: bytes
    data_coding: int
    esm_class: int = 0
    tlvs: tuple[tuple[int, bytes], ...] = ()


class Came(Struct, frozen=True):
    """What a ``deliver_sm`` brings."""

    text: str
    binary: bool = False
    """Nothing for people: addressed to a program of the handset, or in no alphabet."""
    reference: int = 0
    number: int = 1
    total: int = 1


def parts(text: str, reference: int, *, way: Way, alphabet: Alphabet) -> list[Part]:
    """The message in as many parts as it needs, in order. ``reference`` tells its parts from those of others."""
    data_coding, encoded = _encoded(text, alphabet)
    pieces = [encoded(piece) for piece in _pieces(text, data_coding)]
    if len(pieces) == 1:
        return [Part(pieces[0], data_coding)]
    total = len(pieces)
    if way == "payload":
        return [Part(b"", data_coding, tlvs=((words.PAYLOAD, encoded(text)),))]
    if way == "sar":
        common = (
            (words.SAR_REFERENCE, (reference & 0xFFFF).to_bytes(2, "big")),
            (words.SAR_TOTAL, bytes((total,))),
        )
        return [
            Part(piece, data_coding, tlvs=(*common, (words.SAR_NUMBER, bytes((number,)))))
            for number, piece in enumerate(pieces, 1)
        ]
    return [
        Part(bytes((5, _CONCAT, 3, reference & 0xFF, total, number)) + piece, data_coding, words.UDHI)
        for number, piece in enumerate(pieces, 1)
    ]


def _encoded(text: str, alphabet: Alphabet) -> tuple[int, Callable[[str], bytes]]:
    if segments.encoding_of(text) == "ucs2":
        return UCS2, _to_ucs2
    if alphabet == "gsm7":
        return GSM, segments.to_gsm7
    try:
        text.encode("latin-1")
    except UnicodeEncodeError:
        return UCS2, _to_ucs2  # (a € has a place in GSM-7 and none in Latin-1)
    return GSM, _to_latin


def _to_ucs2(text: str) -> bytes:
    return text.encode("utf-16-be")


def _to_latin(text: str) -> bytes:
    return text.encode("latin-1")


def _pieces(text: str, data_coding: int) -> list[str]:
    """Where it is cut. What the network sends is GSM-7 or UCS-2, so it is cut for that even if it is written in Latin-1."""
    if data_coding == UCS2 and segments.encoding_of(text) != "ucs2":
        return _wide(text)
    return segments.split(text)


def _wide(text: str) -> list[str]:
    if len(text) <= 70:
        return [text]
    return [text[start : start + 67] for start in range(0, len(text), 67)]


def read(short: Short, alphabet: Alphabet) -> Came:
    """The text of a delivery, and which part of a longer one it is. Never fails."""
    octets = short.tlv(words.PAYLOAD) if not short.message else short.message
    octets = octets or b""
    reference, number, total, binary = 0, 1, 1, False
    if short.esm_class & words.UDHI and octets:
        header, octets = octets[1 : 1 + octets[0]], octets[1 + octets[0] :]
        reference, number, total, binary = _header(header)
    sar = [short.tlv(tag) for tag in (words.SAR_REFERENCE, words.SAR_NUMBER, words.SAR_TOTAL)]
    if total == 1 and all(sar):
        reference, number, total = (int.from_bytes(one or b"", "big") for one in sar)
    if not 1 <= number <= total <= segments.MAX_PARTS:
        number = total = 1
    text, unknown = _decoded(octets, short.data_coding, alphabet)
    return Came(text, binary or unknown, reference, number, total)


def _header(header: bytes) -> tuple[int, int, int, bool]:
    """Reference, number and total out of the elements of a user data header, and whether it names a port."""
    reference, number, total, port = 0, 1, 1, False
    at = 0
    while at + 2 <= len(header):
        kind, length = header[at], header[at + 1]
        value = header[at + 2 : at + 2 + length]
        if kind == _CONCAT and len(value) == 3:
            reference, total, number = value
        elif kind == _CONCAT_WIDE and len(value) == 4:
            reference, total, number = int.from_bytes(value[:2], "big"), value[2], value[3]
        port = port or kind in _PORTS
        at += 2 + length
    return reference, number, total, port


def _decoded(octets: bytes, data_coding: int, alphabet: Alphabet) -> tuple[str, bool]:
    coding = _group(data_coding)
    if coding in BINARY:
        return "", True
    if coding == UCS2:
        # (an odd octet at the end is cut off, a broken pair becomes U+FFFD)
        return octets[: len(octets) & ~1].decode("utf-16-be", "replace"), False
    if coding == GSM:
        return (segments.from_gsm7(octets) if alphabet == "gsm7" else octets.decode("latin-1")), False
    return octets.decode(_CODECS.get(coding, "latin-1"), "replace"), False


def _group(data_coding: int) -> int:
    """The alphabet of a coding group with message classes (3GPP TS 23.038, 4), or the number itself."""
    if data_coding & 0xF0 == 0xF0:
        return 4 if data_coding & 0x04 else GSM
    if data_coding & 0xC0 == 0xC0:  # waiting indications
        return UCS2 if data_coding & 0xF0 == 0xE0 else GSM
    if data_coding & 0xF0 == 0x10:
        return {0x00: GSM, 0x04: 4, 0x08: UCS2}.get(data_coding & 0x0C, GSM)
    return data_coding
