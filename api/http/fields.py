"""``fields=``: trim an answer to the top-level members that were asked for."""

import orjson

from api.http.problem import bad_parameter


def parse_fields(text: str, known: frozenset[str]) -> frozenset[str]:
    """The members named in ``text``. Raises `Invalid` for one that the resource does not have."""
    wanted = frozenset(part for part in text.split(",") if part)
    if not wanted:
        raise bad_parameter("fields", "name at least one member")
    for name in sorted(wanted):
        if name not in known:
            raise bad_parameter("fields", f"there is no member {name}", code="unknown")
    return wanted


def trim(body: bytes, wanted: frozenset[str]) -> bytes:
    """``body`` (an object, or a list page with ``data``) with only the wanted members; ``id`` always stays.

    This decodes and encodes again: it saves the wire and the reader, not us.
    """
    document = orjson.loads(body)
    keep = wanted | {"id"}
    if "data" in document and "has_more" in document:
        document["data"] = [{k: v for k, v in row.items() if k in keep} for row in document["data"]]
    else:
        document = {k: v for k, v in document.items() if k in keep}
    return orjson.dumps(document)
