"""Filters and places in a list as SQL. Columns come from our own tables of columns, values only as parameters."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

_OPERATORS = {"eq": "=", "ne": "<>", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Asked(Protocol):
    """One filter as a caller asked for it."""

    @property
    def field(self) -> str: ...
    @property
    def op(self) -> str: ...
    @property
    def value(self) -> object: ...


def where(
    conditions: Iterable[Asked], columns: Mapping[str, str], values: list[object], *, ids: str = "id"
) -> str:
    """``and …`` for each condition; appends to ``values``. ``columns`` maps members to SQL expressions.

    A member that ends in ``[]`` in ``columns`` (``roles[]``) is an array: ``eq`` asks whether it holds the value.
    """
    parts: list[str] = []
    for asked in conditions:
        array = f"{asked.field}[]" in columns
        column = columns[f"{asked.field}[]" if array else asked.field]
        if asked.op == "prefix":
            values.append(str(asked.value))
            # starts_with knows no wildcards, so nothing in the value needs escaping.
            parts.append(f" and starts_with({column}, ${len(values)})")
        elif asked.op == "in":
            values.append(asked.value)
            test = (
                f"{column} && ${len(values)}::text[]" if array else f"{column} = any(${len(values)}::text[])"
            )
            parts.append(f" and {test}")
        elif array:
            values.append(asked.value)
            test = f"${len(values)} = any({column})"
            parts.append(f" and {test}" if asked.op == "eq" else f" and not {test}")
        else:
            values.append(asked.value)
            parts.append(f" and {column} {_OPERATORS[asked.op]} ${len(values)}")
    return "".join(parts)


def after(place: tuple[int, str] | None, values: list[object]) -> str:
    """The rows after ``place`` in a list ordered by ``created_at desc, id desc``; its number is microseconds."""
    if place is None:
        return ""
    try:
        moment = _EPOCH + timedelta(microseconds=place[0])
    except OverflowError:
        return " and false"
    values += [moment, place[1]]
    return f" and (created_at, id) < (${len(values) - 1}, ${len(values)})"


def place_of(created_at: datetime, row_id: str) -> tuple[int, str]:
    """The place right after a row, as `after` takes it."""
    return round((created_at - _EPOCH) / timedelta(microseconds=1)), row_id
