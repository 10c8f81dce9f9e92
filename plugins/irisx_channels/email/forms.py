"""Webhook bodies that are forms, urlencoded or multipart: read from whatever bytes come.

Multipart is read by the library `multipart` (the one below Litestar): it needs no I/O and copies nothing twice.
"""

from urllib.parse import parse_qsl

import multipart
from msgspec import Struct

from irisx_channels import lenient
from irisx_channels.email import words
from irisx_channels.email.mail import MAX_FILES
from irisx_channels.email.mime import file_name, keeps_words
from irisx_sdk import File, Malformed, Request

MAX_FIELDS = MAX_FILES + 200
MAX_BODY = 64 << 20


class Form(Struct, frozen=True):
    """The fields, the last of each name, as bytes; the files by the name of their field."""

    raw: dict[str, bytes]
    files: dict[str, File]

    def text(self, name: str, charset: str = "utf-8") -> str:
        """A field as text, empty without one."""
        value = self.raw.get(name)
        return words.decoded(value, charset) if value else ""


def read(request: Request) -> Form:
    """The form in a request. Raises `Malformed` when there is none."""
    if len(request.body) > MAX_BODY:
        raise Malformed(f"a form of more than {MAX_BODY >> 20} MB")
    kind = request.headers.get("content-type", "")
    if kind.strip().lower().startswith("multipart/form-data"):
        return _multipart(kind, request.body)
    if not kind.strip().lower().startswith("application/x-www-form-urlencoded"):
        raise Malformed("the body is not a form")
    try:
        pairs = parse_qsl(request.body.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_FIELDS, encoding="latin-1")  # fmt: skip
    except ValueError:
        raise Malformed(f"the form has more than {MAX_FIELDS} fields") from None
    return Form({name: value.encode("latin-1", "replace") for name, value in pairs}, {})


def _multipart(kind: str, body: bytes) -> Form:
    raw: dict[str, bytes] = {}
    files: dict[str, File] = {}
    try:
        _, options = multipart.parse_options_header(kind)
        segments = multipart.PushMultipartParser(
            options.get("boundary", ""),
            max_header_size=16_384,
            max_segment_count=MAX_FIELDS,
            header_charset="latin-1",
        )
        segment: multipart.MultipartSegment | None = None
        content: list[bytes] = []
        with segments:
            for event in segments.parse(body):
                if isinstance(event, multipart.MultipartSegment):
                    segment, content = event, []
                elif event:
                    content.append(bytes(event))
                elif segment is not None:
                    _take(segment, b"".join(content), raw, files)
                    segment = None
    except (multipart.MultipartError, ValueError, LookupError, TypeError, AssertionError):
        raise Malformed("the form cannot be taken apart") from None
    return Form(raw, files)


def _take(
    segment: "multipart.MultipartSegment", content: bytes, raw: dict[str, bytes], files: dict[str, File]
) -> None:
    if segment.filename is None:
        raw[segment.name or ""] = content
        return
    kind = words.one_line(segment.content_type or "").partition(";")[0].strip().lower()
    kind = kind if kind.count("/") == 1 and kind.isascii() else "application/octet-stream"
    name = words.decoded(segment.filename.encode("latin-1", "replace"))
    files[segment.name or ""] = File(file_name(words.header(name), kind), kind, len(content), content=content)


def headers(value: object) -> tuple[tuple[str, str], ...]:
    """Headers that came as JSON, ``[[name, value], …]`` or ``[{"Name": …, "Value": …}, …]``; what is neither is left out."""
    found = []
    for one in value[:MAX_FIELDS] if isinstance(value, list) else ():
        if isinstance(one, dict):
            one = [one.get("Name", one.get("name")), one.get("Value", one.get("value"))]
        if isinstance(one, list) and len(one) == 2 and all(isinstance(half, str) for half in one):
            name, said = one
            found.append((name, said if keeps_words(name) else words.header(said)))
    return tuple(found)


def query(url: str) -> list[tuple[str, str]]:
    """The fields of an address's query; too many are none."""
    try:
        return parse_qsl(
            url.partition("?")[2].partition("#")[0], keep_blank_values=True, max_num_fields=MAX_FIELDS
        )
    except ValueError:
        return []


def json_object(raw: bytes) -> dict[str, object]:
    """The object in a field; empty for anything else."""
    try:
        return lenient.document(raw)
    except Malformed:
        return {}


def json_list(raw: bytes) -> list[lenient.Json]:
    """The objects of a list that is the whole body. Raises `Malformed` when it is none, or holds no objects."""
    whole = lenient.document(b'{"all":' + raw + b"}")
    found = lenient.parts(whole, "all")
    if not found or set(whole) != {"all"}:
        raise Malformed("the body is not a list of objects")
    return found
