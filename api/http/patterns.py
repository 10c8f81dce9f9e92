"""Patterns that match a text as a whole.

In Python ``$`` also matches before a line feed at the end, so ``^[0-9]+$`` takes ``12\\n``; and ``\\Z`` is not known to
JSON Schema. So the patterns that check carry a look-ahead that forbids the line feed, and the documents leave it out:
there ``$`` is the end (ECMA-262).
"""

from typing import Any

END = r"$(?!\n)"


def whole(pattern: str) -> str:
    """``pattern`` for the whole text, as msgspec checks it."""
    return f"^{pattern}{END}"


def documented(schema: Any) -> Any:
    """A copy of a schema with its patterns as JSON Schema means them."""
    if isinstance(schema, dict):
        return {
            name: value.replace(END, "$")
            if name == "pattern" and isinstance(value, str)
            else documented(value)
            for name, value in schema.items()
        }
    if isinstance(schema, list | tuple):
        return [documented(one) for one in schema]
    return schema
