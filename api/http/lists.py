"""Pages and single things as answers: envelopes, cursors, ETags, ``fields=``."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Any, Protocol, TypeVar

import msgspec

from api.http.answer import Answer, encode
from api.http.ask import Ask
from api.http.fields import parse_fields, trim
from api.http.query import encode_cursor
from core.storage.listing import Page


class Versioned(Protocol):
    @property
    def version(self) -> int: ...


R = TypeVar("R")


def rows_answer(ask: Ask[Any], rows: Sequence[R], place: Callable[[R], tuple[int, str]]) -> Answer:
    """A page from one row more than it may hold: the surplus row only tells that there is more."""
    limit = ask.query.page.limit
    shown = rows[:limit]
    more = len(rows) > limit
    cursor = encode_cursor(*place(shown[-1])) if more else None
    return _trimmed(ask, encode({"data": shown, "has_more": more, "next_cursor": cursor}))


def page_answer(ask: Ask[Any], page: Page) -> Answer:
    """A page whose rows are JSON already."""
    if page.has_more and page.last is not None:
        cursor = encode_cursor(*page.last).encode()
        body = b'{"data":%s,"has_more":true,"next_cursor":"%s"}' % (page.data, cursor)
    else:
        body = b'{"data":%s,"has_more":false,"next_cursor":null}' % page.data
    return _trimmed(ask, body)


def one_answer(ask: Ask[Any], body: bytes) -> Answer:
    """A single thing that is JSON already. Its ETag is a hash: no need to look into it."""
    if ask.query.fields:
        return _trimmed(ask, body)
    return Answer(200, body, etag=blake2b(body, digest_size=9).hexdigest())


def versioned(ask: Ask[Any], thing: Versioned, status: int = 200) -> Answer:
    """A single thing whose version is its ETag: what ``If-Match`` is compared with."""
    answer = _trimmed(ask, encode(thing))
    answer.status = status
    if not ask.query.fields:
        answer.etag = str(thing.version)
    return answer


def tagged(ask: Ask[Any], body: bytes, status: int = 200) -> Answer:
    """A single thing that is JSON already and has a ``version``: that is its ETag."""
    answer = _trimmed(ask, body)
    answer.status = status
    if not ask.query.fields:
        answer.etag = str(member(body, "version"))
    return answer


def member(body: bytes, name: str) -> Any:
    """One member of a JSON object."""
    return msgspec.json.decode(body, type=dict[str, Any])[name]


def _trimmed(ask: Ask[Any], body: bytes) -> Answer:
    if ask.query.fields:
        body = trim(body, parse_fields(ask.query.fields, ask.operation.members))
    return Answer(200, body)
