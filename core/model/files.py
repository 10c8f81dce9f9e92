"""What a file really is, from its first bytes: whether it is what its sender says, and whether a browser may show it. Pure.

A file that can act (a program, a page, a picture made of markup) or that lies about its type is kept, for people may need
it, and marked: it is only ever handed out to be saved. Nobody's virus scanner is replaced by this.
"""

import re

import puremagic
from msgspec import Struct

HEAD = 4096
"""First bytes that are looked at."""
MAX_NAME = 240
UNKNOWN = "application/octet-stream"
EXECUTABLE = "executable"
ACTIVE = "active_content"
MISMATCH = "type_mismatch"

INLINE = frozenset(
    {
        "image/png", "image/jpeg", "image/gif", "image/webp", "image/bmp", "audio/mpeg", "audio/ogg", "audio/wav",
        "audio/x-wav", "audio/mp4", "audio/aac", "audio/amr", "audio/webm", "audio/flac", "video/mp4", "video/webm",
        "video/ogg", "video/quicktime", "video/3gpp",
    }
)  # fmt: skip
"""Types that cannot act in a browser. Everything else is saved, not shown."""
_SHOWN = ("image/", "audio/", "video/", "application/pdf")
"""Types whose first bytes always tell them: a file of another kind that claims one is lying."""
_PROGRAMS = (b"MZ", b"\x7fELF", b"\xfe\xed\xfa\xce", b"\xfe\xed\xfa\xcf", b"\xce\xfa\xed\xfe", b"\xcf\xfa\xed\xfe",
             b"\xca\xfe\xba\xbe", b"#!", b"L\x00\x00\x00\x01\x14\x02\x00", b"dex\n")  # fmt: skip
_AMR = b"#!AMR"
"""How a telephone's voice message begins (RFC 4867, section 5.1): no script."""
_PROGRAM_NAMES = frozenset(
    [
        "exe",
        "dll",
        "com",
        "scr",
        "pif",
        "bat",
        "cmd",
        "msi",
        "msp",
        "ps1",
        "vbs",
        "vbe",
        "js",
        "jse",
        "mjs",
        "wsf",
        "wsh",
        "hta",
        "lnk",
        "reg",
        "jar",
        "apk",
        "app",
        "sh",
        "cpl",
        "inf",
        "iso",
        "img",
        "dmg",
        "appimage",
    ]
)
_ACTIVE_NAMES = frozenset(
    ["html", "htm", "xhtml", "shtml", "mhtml", "mht", "svg", "svgz", "xml", "xsl", "xslt", "swf"]
)
_ACTIVE_TYPES = ("text/html", "application/xhtml", "image/svg", "text/xml", "application/xml", "text/xsl",
                 "application/javascript", "text/javascript", "application/x-shockwave-flash", "multipart/related")  # fmt: skip
# Where a browser would begin to see markup: its sniffing skips blanks and comments (WHATWG mimesniff, 7.1).
_MARKUP = re.compile(
    rb"(?:<!--.*?-->|\s|\xef\xbb\xbf)*<(?:!doctype|html|head|body|script|svg|iframe|table|title|style|meta|img|div|p|a|h1|br|b"
    rb"|font|object|embed|\?xml)(?:[\s>/]|$)",
    re.IGNORECASE | re.DOTALL,
)
_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,80}/[a-z0-9][a-z0-9!#$&^_.+-]{0,80}")
_UNNAMED = re.compile(r"[\x00-\x1f\x7f/\\\u202a-\u202e\u2066-\u2069]")


class Look(Struct, frozen=True):
    """What a look at a file tells."""

    media_type: str
    reason: str = ""
    download_only: bool = False


def look(head: bytes, declared: str, name: str) -> Look:
    """What ``head`` (the first `HEAD` bytes) says of a file that came as ``declared`` and ``name``."""
    said = plain_type(declared)
    seen = _sniffed(head)
    ending = name.rpartition(".")[2].casefold() if "." in name else ""
    if (head.startswith(_PROGRAMS) and not head.startswith(_AMR)) or ending in _PROGRAM_NAMES:
        return Look(UNKNOWN, EXECUTABLE, True)
    if said.startswith(_ACTIVE_TYPES) or ending in _ACTIVE_NAMES or _MARKUP.match(head):
        return Look(said if said.startswith(_ACTIVE_TYPES) else UNKNOWN, ACTIVE, True)
    if said == UNKNOWN:
        return Look(seen or UNKNOWN)
    if said.startswith(_SHOWN) and _kind(seen) != _kind(said):
        return Look(seen or UNKNOWN, MISMATCH, True)
    return Look(said)


def shown_inline(media_type: str, download_only: bool) -> bool:
    """Whether a browser may show it."""
    return media_type in INLINE and not download_only


def plain_type(declared: str) -> str:
    """A media type without its parameters; `UNKNOWN` for what is none."""
    said = declared.partition(";")[0].strip().lower()
    return said if _TYPE.fullmatch(said) else UNKNOWN


def plain_name(name: str) -> str:
    """A name that no file system and no header takes for more than a name; control and direction marks are left out."""
    cleaned = _UNNAMED.sub("_", name).strip(" .")
    return cleaned[-MAX_NAME:] or "file"


def _kind(media_type: str) -> str:
    # (sound and film share their containers: ogg, mp4, webm, 3gp)
    kind = media_type.partition("/")[0]
    if kind in ("audio", "video") or media_type in ("application/ogg", "application/mp4"):
        return "sound or film"
    return media_type if kind == "application" else kind


def _sniffed(head: bytes) -> str:
    if not head:
        return ""
    if head.startswith((_AMR, b"\xff\xf1", b"\xff\xf9", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")):
        return "audio/amr" if head.startswith(_AMR) else "audio/mpeg"
    try:
        found = puremagic.magic_string(head)
    except (puremagic.PureError, ValueError):
        return ""
    return next((plain_type(one.mime_type) for one in found if one.mime_type), "")
