"""The outermost layer: which part of the process answers an address.

``/v1`` and ``/metrics`` are Litestar's, everything else is a page. Cross-origin requests (CORS) are answered here,
when an operator allowed some origins; by default there are none.
"""

from typing import Any

from api.http.origin import Origins
from api.http.pages import Pages
from api.http.wire import REPLY

ALLOWED_HEADERS = (
    b"authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, request-id, tenant, "
    b"api-version"
)
SHOWN_HEADERS = (
    b"etag, location, request-id, retry-after, ratelimit, ratelimit-policy, idempotent-replayed, api-version"
)
METHODS = b"GET, POST, PUT, PATCH, DELETE"


class Front:
    """An ASGI application."""

    def __init__(self, api: Any, pages: Pages, origins: Origins) -> None:
        self._api = api
        self._pages = pages
        self._origins = origins

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self._api(scope, receive, send)
            return
        path: str = scope["path"]
        if path.startswith("/v1/") or path in ("/v1", "/metrics"):
            if self._origins.allowed:
                await self._cross_origin(scope, receive, send)
            else:
                await self._api(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    async def _cross_origin(self, scope: Any, receive: Any, send: Any) -> None:
        headers: dict[bytes, bytes] = dict(scope["headers"])
        origin = headers.get(b"origin", b"")
        if origin.decode("latin-1") not in self._origins.allowed:
            await self._api(scope, receive, send)
            return
        said = [(b"access-control-allow-origin", origin)]
        # Headers are added to ASGI's messages, so the answer must not go past them.
        scope.get("extensions", {}).pop(REPLY, None)
        if scope["method"] == "OPTIONS" and b"access-control-request-method" in headers:
            said += [
                (b"access-control-allow-methods", METHODS),
                (b"access-control-allow-headers", ALLOWED_HEADERS),
                (b"access-control-max-age", b"600"),
            ]
            await send({"type": "http.response.start", "status": 204, "headers": said})
            await send({"type": "http.response.body", "body": b""})
            return
        said.append((b"access-control-expose-headers", SHOWN_HEADERS))

        async def send_with(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *said]
            await send(message)

        await self._api(scope, receive, send_with)
