"""Rate decks as CSV: what rows say, and why a row cannot be used. Pure.

The first line names the columns, in any order and any case: ``prefix`` and ``price`` must be there, ``connect_fee``,
``minimum``, ``increment``, ``valid_from`` and ``valid_to`` (dates or times, UTC) may be. Comma, semicolon or tab, as the first
line has it; a decimal comma is understood where the separator is none. A row that cannot be used is kept with its reason,
and spoils no other.
"""

import csv
import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation

from msgspec import Struct

from core.model.rates import FOR_EVER_US

MOST_ROWS = 500_000
MOST_PRICE = Decimal(1000)
MAX_TEXT = 200
_PREFIX = re.compile(r"[0-9]{0,15}\Z")
_NAMES = {
    "prefix": "prefix", "code": "prefix", "dial_code": "prefix", "destination": "prefix",
    "price": "price", "rate": "price",
    "connect_fee": "connect_fee", "setup_fee": "connect_fee",
    "minimum": "minimum", "increment": "increment",
    "valid_from": "valid_from", "valid_to": "valid_to", "effective_from": "valid_from", "effective_to": "valid_to",
}  # fmt: skip


class DeckRow(Struct, frozen=True, kw_only=True):
    """One usable row."""

    prefix: str
    price: Decimal
    connect_fee: Decimal
    minimum: int
    increment: int
    valid_from_us: int
    valid_to_us: int


class Rejected(Struct, frozen=True):
    """A row that cannot be used."""

    line: int
    """From 1, the line with the names."""
    text: str
    reason: str


class Deck(Struct, frozen=True):
    """What a file holds."""

    rows: list[DeckRow]
    rejected: list[Rejected]


class BadFile(ValueError):
    """The file as a whole cannot be read; the text is for people."""


def read(text: str) -> Deck:
    """Read a file. Raises `BadFile`."""
    text = text.removeprefix("\ufeff")
    first = text.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    try:
        head = [_NAMES.get(name.strip().lower().replace(" ", "_"), "") for name in next(lines, [])]
    except csv.Error as exc:
        raise BadFile(f"this is no CSV: {exc}") from None
    for needed in ("prefix", "price"):
        if head.count(needed) != 1:
            raise BadFile(f"the first line must name one column {needed}")
    rows: list[DeckRow] = []
    rejected: list[Rejected] = []
    seen: set[tuple[str, int]] = set()
    for line, cells in _numbered(lines):
        if not any(cell.strip() for cell in cells):
            continue
        if len(rows) + len(rejected) >= MOST_ROWS:
            raise BadFile(f"a deck may have {MOST_ROWS} rows")
        named = {name: cell.strip() for name, cell in zip(head, cells, strict=False) if name}
        try:
            row = _row(named, decimal_comma=mark != ",")
            if (row.prefix, row.valid_from_us) in seen:
                raise ValueError(f"prefix {row.prefix or '(all)'} stands in the file twice")
        except ValueError as exc:
            rejected.append(Rejected(line, mark.join(cells)[:MAX_TEXT], str(exc)))
        else:
            seen.add((row.prefix, row.valid_from_us))
            rows.append(row)
    return Deck(rows, rejected)


def _numbered(lines: "Iterator[list[str]]") -> Iterator[tuple[int, list[str]]]:
    number = 1
    while True:
        number += 1
        try:
            cells = next(lines)
        except StopIteration:
            return
        except csv.Error as exc:
            raise BadFile(f"line {number}: {exc}") from None
        yield number, cells


def _row(named: dict[str, str], *, decimal_comma: bool) -> DeckRow:
    prefix = re.sub(r"[\s.()-]", "", named.get("prefix", "")).removeprefix("+")
    if prefix in ("*", "default"):
        prefix = ""
    elif not prefix or not _PREFIX.match(prefix):
        raise ValueError("prefix: digits are wanted, at most 15, or * for all others")
    start, end = _moment(named, "valid_from", 0), _moment(named, "valid_to", FOR_EVER_US)
    if end <= start:
        raise ValueError("valid_to: not after valid_from")
    return DeckRow(
        prefix=prefix,
        price=_money(named, "price", decimal_comma),
        connect_fee=_money(named, "connect_fee", decimal_comma),
        minimum=_count(named, "minimum"),
        increment=_count(named, "increment"),
        valid_from_us=start,
        valid_to_us=end,
    )


def _money(named: dict[str, str], name: str, decimal_comma: bool) -> Decimal:
    text = named.get(name, "") or ("" if name == "price" else "0")
    try:
        value = Decimal(text.replace(",", ".") if decimal_comma else text)
    except InvalidOperation:
        raise ValueError(f"{name}: a decimal number is wanted") from None
    if not value.is_finite() or not 0 <= value <= MOST_PRICE:
        raise ValueError(f"{name}: not within 0 and {MOST_PRICE}")
    return round(value, 10)


def _count(named: dict[str, str], name: str) -> int:
    text = named.get(name, "") or "1"
    if not (text.isascii() and text.isdigit() and len(text) < 6 and int(text) >= 1):
        raise ValueError(f"{name}: a whole number from 1 is wanted")
    return int(text)


def _moment(named: dict[str, str], name: str, default: int) -> int:
    text = named.get(name, "")
    if not text:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{name}: a date such as 2026-11-30 is wanted") from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return max(round(moment.timestamp() * 1_000_000), 0)
