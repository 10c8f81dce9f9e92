"""The query string: plain parameters, filters ``field[op]=value`` and pages. One grammar for every list.

Anything that is not known is refused: a filter with a typing error that is silently ignored would answer with
everything.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct

from api.http.problem import FieldError, Invalid, bad_parameter

MAX_LIMIT = 200
DEFAULT_LIMIT = 50
MAX_IN = 50
"""Values in one ``in`` list."""
MAX_QUERY_BYTES = 8192
REMEMBERED = 256
REMEMBERED_BYTES = 200
"""Query strings that an operation remembers, and how long one of them may be."""

Kind = Literal["text", "word", "time", "integer", "boolean", "set"]

OPS: dict[Kind, tuple[str, ...]] = {
    "text": ("eq", "ne", "in", "prefix"),
    "word": ("eq", "ne", "in"),
    "time": ("gt", "gte", "lt", "lte"),
    "integer": ("eq", "ne", "gt", "gte", "lt", "lte"),
    "boolean": ("eq",),
    # Members that are lists: whether they hold the value, or one of several.
    "set": ("eq", "ne", "in"),
}
MAX_INTEGER = 2**53 - 1
"""What every JSON reader can hold exactly."""

Value = str | int | bool | datetime | list[str]


class Filter(Struct, frozen=True):
    """A member that a list may be filtered by."""

    name: str
    kind: Kind = "text"
    words: tuple[str, ...] = ()
    """The values there are, for ``word``."""


class Condition(Struct, frozen=True):
    """One filter as it was asked for."""

    field: str
    op: str
    value: Value


class Param(Struct, frozen=True):
    """A plain query parameter: its JSON schema for the documents, and how it is read."""

    name: str
    schema: Mapping[str, Any]
    description: str
    parse: Callable[[str], Any]
    required: bool = False


class Page(Struct, frozen=True):
    """Which part of a list is wanted: at most ``limit`` rows, after the row that ``after`` names."""

    limit: int = DEFAULT_LIMIT
    after: tuple[int, str] | None = None
    """(sort value, id) of the last row seen."""


class Query(Struct, frozen=True):
    """A query string, read. Shared by requests that are the same: nobody changes it."""

    page: Page
    conditions: list[Condition]
    fields: str
    values: dict[str, Any]


NOTHING_ASKED = Query(Page(), [], "", {})


def integer(low: int, high: int) -> Callable[[str], int]:
    """A reader of whole numbers within bounds."""

    def read(text: str) -> int:
        if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= 17):
            raise ValueError("not a whole number")
        value = int(text)
        if not low <= value <= high:
            raise ValueError(f"not within {low} and {high}")
        return value

    return read


def boolean(text: str) -> bool:
    if text not in ("true", "false"):
        raise ValueError("neither true nor false")
    return text == "true"


def words(text: str) -> list[str]:
    """A list separated by commas."""
    found = [part for part in text.split(",") if part]
    if not found or len(found) > MAX_IN:
        raise ValueError(f"name 1 to {MAX_IN} values")
    return found


def plain(text: str) -> str:
    if len(text) > 200:
        raise ValueError("longer than 200 characters")
    if "\x00" in text:
        raise ValueError("has a NUL character")
    return text


def int_param(name: str, low: int, high: int, description: str, default: int | None = None) -> Param:
    schema: dict[str, Any] = {"type": "integer", "minimum": low, "maximum": high}
    if default is not None:
        schema["default"] = default
    return Param(name, schema, description, integer(low, high))


def bool_param(name: str, description: str) -> Param:
    return Param(name, {"type": "boolean"}, description, boolean)


def words_param(name: str, description: str) -> Param:
    item = {"type": "string", "minLength": 1, "maxLength": 100, "pattern": "^[A-Za-z0-9_.:*-]+$"}
    schema = {"type": "array", "items": item, "minItems": 1, "maxItems": MAX_IN}

    def read(text: str) -> list[str]:
        found = words(text)
        for one in found:
            if len(one) > 100 or not all(c.isascii() and (c.isalnum() or c in "_.:*-") for c in one):
                raise ValueError("has a value that cannot be a name")
        return found

    return Param(name, schema, description, read)


def text_param(name: str, description: str) -> Param:
    return Param(name, {"type": "string", "maxLength": 200}, description, plain)


def encode_cursor(sort: int, row_id: str) -> str:
    """The opaque text that names a place in a list: right after this row."""
    return base64.urlsafe_b64encode(msgspec.json.encode([sort, row_id])).rstrip(b"=").decode()


def decode_cursor(text: str) -> tuple[int, str]:
    """Raises `Invalid` for anything `encode_cursor` did not make."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        sort, row_id = msgspec.json.decode(raw, type=tuple[int, str])
    except (binascii.Error, ValueError, msgspec.MsgspecError) as exc:
        raise bad_parameter("cursor", "this is not a cursor of ours") from exc
    if not abs(sort) < 2**63 or len(row_id) > 100 or "\x00" in row_id:
        raise bad_parameter("cursor", "this is not a cursor of ours")
    return sort, row_id


class QueryReader:
    """Reads the query strings of one operation."""

    def __init__(
        self, *, params: tuple[Param, ...], filters: tuple[Filter, ...], paged: bool, trimmed: bool
    ) -> None:
        self._params = {param.name: param for param in params}
        self._required = [param.name for param in params if param.required]
        self._filters = {f"{f.name}[{op}]": (f, op) for f in filters for op in OPS[f.kind]}
        self._paged = paged
        self._trimmed = trimmed
        # The same few queries come again and again, from pages that poll.
        self._remembered = lru_cache(REMEMBERED)(self._read)

    def read(self, raw: bytes) -> Query:
        """Raises `Invalid`, naming every parameter that is wrong."""
        return self._remembered(raw) if len(raw) <= REMEMBERED_BYTES else self._read(raw)

    def _read(self, raw: bytes) -> Query:
        if len(raw) > MAX_QUERY_BYTES:
            raise Invalid("the query string is too long", code="query_too_long")
        limit, after, fields = DEFAULT_LIMIT, None, ""
        conditions: list[Condition] = []
        values: dict[str, Any] = {}
        errors: list[FieldError] = []
        seen: set[str] = set()
        try:
            pairs = parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=60)
        except ValueError as exc:
            raise Invalid("the query string is not valid text or has too many parameters") from exc
        for name, text in pairs:
            try:
                if name in seen:
                    raise ValueError("is given twice")
                seen.add(name)
                if name in self._params:
                    values[name] = self._params[name].parse(text)
                elif name in self._filters:
                    conditions.append(_condition(*self._filters[name], text))
                elif name == "limit" and self._paged:
                    limit = integer(1, MAX_LIMIT)(text)
                elif name == "cursor" and self._paged:
                    after = decode_cursor(text)
                elif name == "fields" and self._trimmed:
                    fields = plain(text)
                    if not fields:
                        raise ValueError("name at least one member")
                else:
                    errors.append(FieldError("unknown", "there is no such parameter", parameter=name[:100]))
            except Invalid as exc:
                errors.extend(exc.errors)
            except ValueError as exc:
                errors.append(FieldError("invalid", str(exc), parameter=name[:100]))
        for name in self._required:
            if name not in seen:
                errors.append(FieldError("missing", "is required", parameter=name))
        if errors:
            first = errors[0]
            raise Invalid(f"{first.parameter}: {first.detail}", errors)
        return Query(Page(limit, after), conditions, fields, values)


def _condition(field: Filter, op: str, text: str) -> Condition:
    if op == "in":
        many = words(text)
        for one in many:
            _single(field, one)
        return Condition(field.name, op, many)
    return Condition(field.name, op, _single(field, text))


def _single(field: Filter, text: str) -> str | int | bool | datetime:
    if field.kind == "integer":
        return integer(-MAX_INTEGER, MAX_INTEGER)(text)
    if field.kind == "boolean":
        return boolean(text)
    if field.kind == "time":
        return _moment(text)
    if field.kind == "word" and text not in field.words:
        raise ValueError(f"none of {', '.join(field.words)}")
    return plain(text)


def _moment(text: str) -> datetime:
    try:
        moment = msgspec.convert(text.replace(" ", "+"), datetime, strict=False)
    except msgspec.ValidationError as exc:
        raise ValueError("not a time such as 2026-11-22T10:00:00Z") from exc
    if moment.tzinfo is None:
        raise ValueError("has no offset from UTC; end it with Z")
    try:
        return moment.astimezone(UTC)
    except OverflowError as exc:
        raise ValueError("is beyond the years we can count") from exc
