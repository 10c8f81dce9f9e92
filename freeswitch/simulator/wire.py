"""How a FreeSWITCH event looks as bytes: percent-coding, plain, json and xml. Pure.

Names are never coded; values are, byte by byte, in plain and xml. The rules (which bytes, upper-case
hex, a ``%`` followed by two upper-case hex digits left alone) are those of ``switch_url_encode`` as seen
in the captures; json carries values raw, so it is the only lossless form.

Inside the simulator a value is a ``str`` that may hold lone surrogates for bytes which are not UTF-8.
"""

import functools
import re
from collections.abc import Iterable, Sequence

Value = str | list[str]
Pair = tuple[str, Value]

_SAFE = "A-Za-z0-9/*'()$!,~_.\\-"
_UNSAFE_TEXT = re.compile(f"[^{_SAFE}]")
_UNSAFE_BYTE = re.compile(f"%(?![0-9A-F]{{2}})|[^{_SAFE}%]".encode())
_CODES = {bytes([n]): b"%%%02X" % n for n in range(256)}

_TABLE = [chr(n) if n < 128 and re.match(f"[{_SAFE}]", chr(n)) else f"%{n:02X}" for n in range(256)]

# cJSON escapes these seven, the other control characters as \u00xx (lower-case hex), and nothing else.
_JSON_ESCAPES = {
    '"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t",
}  # fmt: skip
_JSON_UNSAFE = re.compile(r'["\\\x00-\x1f]')


@functools.lru_cache(maxsize=16384)
def encode(value: str) -> str:
    """Return ``value`` percent-coded as it stands in event-plain and event-xml.

    Remembered, because a call shows the same name, number and channel on dozens of events.
    """
    if _UNSAFE_TEXT.search(value) is None:
        return value
    raw = value.encode("utf-8", "surrogateescape")
    if b"%" in raw:
        return _UNSAFE_BYTE.sub(lambda m: _CODES[m[0]], raw).decode("ascii")
    return "".join([_TABLE[byte] for byte in raw])


def array_text(values: Sequence[str]) -> str:
    """Return the plain form of a header with several values (``ARRAY::one|:two``)."""
    return "ARRAY::" + "|:".join(values)


def plain_line(name: str, value: Value) -> str:
    """Return one header line of event-plain. An empty value travels as ``_undef_``."""
    text = value if isinstance(value, str) else array_text(value)
    return f"{name}: {encode(text) or '_undef_'}\n"


def plain_lines(pairs: Iterable[Pair]) -> str:
    """Return the header lines of ``pairs`` in event-plain."""
    return "".join([plain_line(name, value) for name, value in pairs])


def plain_tail(body: str | None) -> str:
    """Return what follows the headers of event-plain: an empty line, and the raw body if there is one."""
    if not body:
        return "\n"
    return f"Content-Length: {len(body.encode('utf-8', 'surrogateescape'))}\n\n{body}"


@functools.lru_cache(maxsize=16384)
def json_value(value: str) -> str:
    """Return a string as cJSON prints it."""
    if _JSON_UNSAFE.search(value) is None:
        return f'"{value}"'
    escaped = _JSON_UNSAFE.sub(lambda m: _JSON_ESCAPES.get(m[0]) or f"\\u{ord(m[0]):04x}", value)
    return f'"{escaped}"'


def json_text(pairs: Iterable[Pair], body: str | None) -> str:
    """Return event-json: one compact object; names may repeat, exactly as FreeSWITCH writes them."""
    parts: list[str] = []
    for name, value in pairs:
        if isinstance(value, str):
            parts.append(f"{json_value(name)}:{json_value(value)}")
        else:
            parts.append(f"{json_value(name)}:[{','.join(map(json_value, value))}]")
    if body:
        size = len(body.encode("utf-8", "surrogateescape"))
        parts.append(f'"Content-Length":"{size}"')
        parts.append(f'"_body":{json_value(body)}')
    return "{" + ",".join(parts) + "}"


def _xml_escape(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def xml_text(pairs: Iterable[Pair], body: str | None) -> str:
    """Return event-xml: pretty-printed, values percent-coded, no declaration."""
    lines = ["<event>\n  <headers>\n"]
    for name, value in pairs:
        for one in [value] if isinstance(value, str) else value:
            coded = encode(one)
            lines.append(f"    <{name}>{coded}</{name}>\n" if coded else f"    <{name}></{name}>\n")
    lines.append("  </headers>\n")
    if body:
        size = len(body.encode("utf-8", "surrogateescape"))
        lines.append(f"  <Content-Length>{size}</Content-Length>\n  <body>{_xml_escape(body)}</body>\n")
    lines.append("</event>\n")
    return "".join(lines)


def to_bytes(text: str) -> bytes:
    """Return the bytes of ``text``; lone surrogates become the bytes they stand for."""
    return text.encode("utf-8", "surrogateescape")


def from_bytes(data: bytes) -> str:
    """Return ``data`` as text; bytes that are not UTF-8 become lone surrogates."""
    return data.decode("utf-8", "surrogateescape")
