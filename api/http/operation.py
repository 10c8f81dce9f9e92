"""What an endpoint declares about itself: one `Operation` each, in the module of its resource.

From this one declaration come the route, the permission that is checked, the limits that apply, how body and
query are read, and its page in the OpenAPI document. So an endpoint that forgot its permission cannot exist:
``permission`` has no default.
"""

from collections.abc import Awaitable, Callable, Sequence
from functools import lru_cache
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from api.http.answer import Answer
from api.http.query import Filter, Param, QueryReader
from core.access.roles import PERMISSIONS

PUBLIC: Final = "public"
"""Needs no credential."""
SIGNED_IN: Final = "signed-in"
"""Any valid credential: it concerns only the one who asks."""

Bucket = Literal["reads", "writes", "calls", "public", "webhooks"]
Idempotency = Literal["none", "optional", "required"]

ID = r"[a-z]{2,8}_[0-9a-z]{1,40}"
"""The form of our ids; what cannot be one is not looked up."""


class Path(Struct, frozen=True):
    """A part of the path that names a thing."""

    name: str
    description: str
    pattern: str = ID


class Operation(Struct, frozen=True, eq=False):
    """One method on one path. ``path`` is relative to ``/v1`` unless it starts with ``//``."""

    method: str
    path: str
    permission: str
    summary: str
    tag: str
    handler: Callable[[Any], Awaitable[Answer]]
    name: str
    """The handler's name: the operationId."""
    description: str
    query: QueryReader
    body: type | None = None
    body_optional: bool = False
    takes: str = ""
    """The media type of a body that the handler reads itself (with ``streaming``)."""
    answers: Any = None
    """The type of the answer's body; None: there is none."""
    status: int = 200
    media: str = "application/json"
    listing: bool = False
    """Answers a page of ``answers``."""
    paths: tuple[Path, ...] = ()
    params: tuple[Param, ...] = ()
    filters: tuple[Filter, ...] = ()
    trimmed: bool = False
    """Takes ``fields=``."""
    problems: tuple[int, ...] = ()
    """Statuses that it may answer beside those that all share."""
    bucket: Bucket = "reads"
    idempotency: Idempotency = "none"
    etag: bool = False
    if_match: bool = False
    knows_actor: bool = False
    """A public operation that looks at the credential if there is one."""
    streaming: bool = False
    """The handler sends the response itself (server-sent events)."""
    ranges: bool = False
    """Answers pieces of it, too (206, 416)."""

    @property
    def members(self) -> frozenset[str]:
        """The members that ``fields=`` may name."""
        return _members(self.answers)

    @property
    def route(self) -> str:
        return self.path[1:] if self.path.startswith("//") else "/v1" + self.path


@lru_cache
def _members(kind: Any) -> frozenset[str]:
    return frozenset(field.encode_name for field in msgspec.structs.fields(kind))


class Group:
    """The endpoints of one resource: a module makes one and decorates its handlers with it."""

    def __init__(self, tag: str, description: str = "") -> None:
        """``description`` is given once for a tag, by its first module."""
        self.tag = tag
        self.description = description
        self.operations: list[Operation] = []

    def operation(
        self,
        method: str,
        path: str,
        *,
        permission: str,
        summary: str,
        body: Any = None,
        body_optional: bool = False,
        takes: str = "",
        answers: Any = None,
        status: int | None = None,
        media: str = "application/json",
        listing: bool = False,
        paths: Sequence[Path] = (),
        params: Sequence[Param] = (),
        filters: Sequence[Filter] = (),
        trimmed: bool | None = None,
        problems: Sequence[int] = (),
        bucket: Bucket | None = None,
        idempotency: Idempotency | None = None,
        etag: bool = False,
        if_match: bool = False,
        knows_actor: bool = False,
        streaming: bool = False,
        ranges: bool = False,
    ) -> Callable[[Callable[[Any], Awaitable[Answer]]], Callable[[Any], Awaitable[Answer]]]:
        """Declare the decorated coroutine function as the endpoint ``method path``."""
        if permission not in PERMISSIONS and permission not in (PUBLIC, SIGNED_IN):
            raise ValueError(f"{method} {path}: there is no permission {permission}")
        reading = method == "GET"
        if trimmed is None:
            trimmed = reading and (listing or etag)
        if status is None:
            status = 204 if answers is None and not streaming else 200
        if idempotency is None:
            idempotency = "optional" if method == "POST" and permission != PUBLIC else "none"
        if bucket is None:
            bucket = "public" if permission == PUBLIC else "reads" if reading else "writes"

        def declare(handler: Callable[[Any], Awaitable[Answer]]) -> Callable[[Any], Awaitable[Answer]]:
            named = {path_part.name for path_part in paths}
            used = {part[1:-1] for part in path.split("/") if part.startswith("{")}
            if named != used:
                raise ValueError(f"{method} {path}: the path names {used}, the declaration {named}")
            self.operations.append(
                Operation(
                    method=method,
                    path=path,
                    permission=permission,
                    summary=summary,
                    tag=self.tag,
                    handler=handler,
                    name=handler.__name__,
                    description=(handler.__doc__ or "").strip(),
                    body=body,
                    body_optional=body_optional,
                    takes=takes,
                    answers=answers,
                    status=status,
                    media=media,
                    listing=listing,
                    paths=tuple(paths),
                    params=tuple(params),
                    filters=tuple(filters),
                    trimmed=trimmed,
                    problems=tuple(problems),
                    bucket=bucket,
                    idempotency=idempotency,
                    etag=etag,
                    if_match=if_match,
                    knows_actor=knows_actor,
                    streaming=streaming,
                    ranges=ranges,
                    query=QueryReader(
                        params=tuple(params), filters=tuple(filters), paged=listing, trimmed=trimmed
                    ),
                )
            )
            return handler

        return declare
