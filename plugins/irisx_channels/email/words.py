"""Bytes that claim to be text, and header values that claim to be encoded: read whatever is there, never fail.

Mail is where charsets go wrong: names that do not exist, UTF-8 called Latin-1, a character cut in two by the encoding
of a header. The order below is what browsers do (WHATWG Encoding) where the name is known, then UTF-8, whose errors
are hardly ever chance, then Windows-1252, which can show every byte.
"""

import base64
import binascii
import codecs
import quopri
import re
from email.utils import getaddresses

from irisx_channels.email.mail import MAX_ADDRESSES, MAX_HEADER
from irisx_sdk import Address

_ALIASES = {
    # (https://encoding.spec.whatwg.org/#names-and-labels: Latin-1 and ASCII mean Windows-1252, GB2312 means GB 18030)
    "us-ascii": "cp1252", "ascii": "cp1252", "ansi_x3.4-1968": "cp1252",
    "iso-8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252", "iso8859-1": "cp1252",
    "iso-8859-9": "cp1254", "iso-8859-11": "cp874", "tis-620": "cp874",
    "gb2312": "gb18030", "gbk": "gb18030", "x-gbk": "gb18030", "gb_2312-80": "gb18030",
    "ks_c_5601-1987": "cp949", "euc-kr": "cp949", "ks_c_5601": "cp949",
    "shift_jis": "cp932", "shift-jis": "cp932", "x-sjis": "cp932", "windows-31j": "cp932", "sjis": "cp932",
    "iso-8859-8-i": "iso-8859-8", "iso-8859-8-e": "iso-8859-8", "big5": "big5hkscs",
    "unicode-1-1-utf-8": "utf-8", "utf8mb4": "utf-8", "utf-8mb4": "utf-8", "x-unicode-2-0-utf-7": "utf-7",
    "x-mac-roman": "mac_roman", "macintosh": "mac_roman",
}  # fmt: skip
# Codecs of Python that are no charsets of mail; some take quadratic time (idna, punycode).
_NEVER = frozenset(
    {"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem", "palmos"}
)
_WORD = re.compile(r"=\?([^?\s]{1,40})\?([bBqQ])\?([^?]*)\?=")
_FOLD = re.compile(r"\r?\n(?=[ \t])")
_BREAK = re.compile(r"[\r\n]+")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HALVES = re.compile("[\ud800-\udfff]")


def decoded(raw: bytes, charset: str = "") -> str:
    """The text that ``raw`` most likely is."""
    name = charset.strip().strip("\"'").partition("*")[0].lower()
    name = _ALIASES.get(name, name)
    # ASCII and Latin-1 are what programs say that know nothing: UTF-8 is believed before them.
    first = ["utf-8", name] if name in ("", "cp1252") else [name, "utf-8"]
    for one in (*first, "cp1252"):
        try:
            if one and codecs.lookup(one).name not in _NEVER:
                return storable(raw.decode(one))
        except (LookupError, ValueError, AssertionError):
            continue
    return storable(raw.decode("cp1252", "replace"))


def storable(text: str) -> str:
    """``text`` without NUL and without halves of characters: no database keeps those."""
    if "\0" in text:
        text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        text = _HALVES.sub("\ufffd", text)
    return text


def header(value: str) -> str:
    """A header's value in one line, its encoded words (RFC 2047) read."""
    value = value[:MAX_HEADER]
    if not value.isascii():
        # Bytes that no encoding was told for; the parser keeps them as surrogates.
        value = decoded(value.encode("utf-8", "surrogateescape"))
    value = _unfolded(value)
    if "=?" in value:
        value = _with_words(value)
    return _CONTROL.sub("", storable(value)).strip()


def _unfolded(value: str) -> str:
    """Folded lines (RFC 5322, 2.2.3) put together; any other line break is a space."""
    return _BREAK.sub(" ", _FOLD.sub("", value)) if "\n" in value or "\r" in value else value


def _with_words(value: str) -> str:
    """Encoded words read. Neighbours of one charset are put together first: writers cut characters in two."""
    out: list[str] = []
    pending, charset, end = b"", "", 0
    for found in _WORD.finditer(value):
        between = value[end : found.start()]
        raw = _word_bytes(found.group(2), found.group(3))
        same = found.group(1).lower() == charset.lower()
        if end and not between.strip():
            if not same:
                out.append(decoded(pending, charset))
                pending = b""
        else:
            out += [decoded(pending, charset), between]
            pending = b""
        pending, charset, end = pending + raw, found.group(1), found.end()
    return "".join([*out, decoded(pending, charset), value[end:]])


def _word_bytes(kind: str, text: str) -> bytes:
    raw = text.encode("ascii", "ignore")
    if kind in "qQ":
        return quopri.decodestring(raw, header=True)
    try:
        return base64.b64decode(raw + b"=" * (-len(raw) % 4))
    except (binascii.Error, ValueError):
        return raw


def addresses(value: str) -> list[Address]:
    """The addresses in a header's raw value, names decoded, groups opened; what is none is left out."""
    found = []
    for name, address in getaddresses([_unfolded(value[:MAX_HEADER])])[:MAX_ADDRESSES]:
        plain = header(address)
        if is_address(plain):
            found.append(Address("email", plain, header(name)))
    return found


def is_address(text: str) -> bool:
    """Whether it could be the address of a mailbox, and nothing that changes the meaning of a line around it."""
    local, at, domain = text.rpartition("@")
    return bool(
        at and local and domain and len(text) <= 254 and "@" not in local.strip('"')
        and not _CONTROL.search(text) and not set(text) & set(" <>,;:\t\\()[]") and ".." not in domain
    )  # fmt: skip


def wire(address: str) -> str:
    """An address in ASCII: a domain of other letters in its ASCII form; empty for what no such form has.

    (A left side of other letters needs SMTPUTF8 at every server on the way, which few have.)
    """
    local, _, domain = address.rpartition("@")
    if address.isascii():
        return address
    try:
        return f"{local}@{domain.encode('idna').decode()}" if local.isascii() else ""
    except UnicodeError:
        return ""


def one_line(text: str) -> str:
    """``text`` fit for a header: no line breaks, no control characters."""
    return _CONTROL.sub("", " ".join(storable(text).split()))
