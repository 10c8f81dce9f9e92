"""How many segments a text message costs, and where it is cut: GSM-7, UCS-2 and the header of long messages.

A segment carries 140 octets: 160 septets or 70 UTF-16 units. A longer text gives up some of that in every part for a
header that says which part it is: 153 or 67 are left with a reference of 8 bits, 152 or 66 with one of 16 bits.
What cannot be cut in two moves to the next part as a whole: the two septets of ``€`` and its like, the two units of an
emoji. So dividing the length by 153 gives a wrong bill; the text has to be walked. Table and numbers: 3GPP TS 23.038,
6.1.2 and 6.2.1; 3GPP TS 23.040, 9.2.3.24.1.

National language tables (23.038, annex A) are never used for sending: not every network knows them.
"""

from typing import Literal

from msgspec import Struct

Encoding = Literal["gsm7", "ucs2"]

MAX_PARTS = 255
"""The header counts in one octet."""

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENSION = {
    "\f": 0x0A, "^": 0x14, "{": 0x28, "}": 0x29, "\\": 0x2F,
    "[": 0x3C, "~": 0x3D, "]": 0x3E, "|": 0x40, "€": 0x65,
}  # fmt: skip
_ESCAPE = 0x1B
_TO_BASIC = {character: code for code, character in enumerate(_BASIC) if code != _ESCAPE}
_FROM_EXTENSION = {code: character for character, code in _EXTENSION.items()}
_COST = dict.fromkeys(_TO_BASIC, 1) | dict.fromkeys(_EXTENSION, 2)

_LIMITS: dict[tuple[Encoding, bool], tuple[int, int]] = {
    ("gsm7", False): (160, 153),
    ("gsm7", True): (160, 152),
    ("ucs2", False): (70, 67),
    ("ucs2", True): (70, 66),
}

_SMART = str.maketrans({
    "‘": "'", "’": "'", "‚": ",", "‛": "'", "′": "'", "“": '"', "”": '"', "„": '"', "‟": '"', "″": '"',
    "«": '"', "»": '"', "‹": "'", "›": "'", "‐": "-", "‑": "-", "‒": "-", "–": "-", "—": "-", "−": "-",
    "…": "...", "\u00a0": " ", "\u2007": " ", "\u2009": " ", "\u202f": " ", "\u200b": "", "\ufeff": "", "\t": " ",
})  # fmt: skip


class Count(Struct, frozen=True):
    """What a text costs. ``units`` are septets or UTF-16 units, headers not counted."""

    encoding: Encoding
    units: int
    segments: int


def encoding_of(text: str) -> Encoding:
    """The cheapest alphabet that can write the whole text."""
    return "gsm7" if all(character in _COST for character in text) else "ucs2"


def count(text: str, *, wide_reference: bool = False) -> Count:
    """The exact cost. An empty text is one segment: it is sent and paid like any other."""
    encoding = encoding_of(text)
    return Count(encoding, _units(text, encoding), len(split(text, wide_reference=wide_reference)))


def split(text: str, *, wide_reference: bool = False) -> list[str]:
    """The parts as they are sent, in order; together they are the text. ``wide_reference``: the header has 16 bits."""
    encoding = encoding_of(text)
    alone, shared = _LIMITS[encoding, wide_reference]
    if _units(text, encoding) <= alone:
        return [text]
    parts: list[str] = []
    start = used = 0
    for place, character in enumerate(text):
        cost = _cost(character, encoding)
        if used + cost > shared:
            parts.append(text[start:place])
            start, used = place, 0
        used += cost
    parts.append(text[start:])
    return parts


def smart(text: str) -> str:
    """The same text with typographic quotes, dashes and spaces written in GSM-7, as providers offer to do.

    Only worth while, and only done, when the result needs no UCS-2 any more; otherwise the text comes back as it was.
    """
    plain = text.translate(_SMART)
    return plain if encoding_of(plain) == "gsm7" else text


def to_gsm7(text: str) -> bytes:
    """One octet a septet, an escape before each character of the extension. Raises `ValueError` for other texts."""
    out = bytearray()
    for character in text:
        if (code := _TO_BASIC.get(character)) is not None:
            out.append(code)
        elif (code := _EXTENSION.get(character)) is not None:
            out += bytes((_ESCAPE, code))
        else:
            raise ValueError("the text has characters that GSM-7 has not")
    return bytes(out)


def from_gsm7(octets: bytes) -> str:
    """The text of unpacked septets. Never fails: a network's odd octets must not lose the rest of a message.

    An escape before an unknown code shows that code's basic character (23.038, 6.2.1.1: "receiving an unknown
    extension"); octets above 127 are no septets and become U+FFFD.
    """
    out: list[str] = []
    escaped = False
    for octet in octets:
        if octet == _ESCAPE and not escaped:
            escaped = True
            continue
        if octet > 0x7F:
            out.append("\ufffd")
        elif octet == _ESCAPE:
            out.append(" ")  # two escapes are reserved for a further table: shown as a space
        elif escaped:
            out.append(_FROM_EXTENSION.get(octet) or _BASIC[octet])
        else:
            out.append(_BASIC[octet])
        escaped = False
    return "".join(out)


def _cost(character: str, encoding: Encoding) -> int:
    if encoding == "gsm7":
        return _COST[character]
    return 2 if character > "\uffff" else 1


def _units(text: str, encoding: Encoding) -> int:
    return sum(_cost(character, encoding) for character in text)
