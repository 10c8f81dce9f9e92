"""httpx's client without what none of ours has: redirects, cookies, hooks, the time that an answer took.

What is left is a request and an answer; `core.http_client` is the other half of it. Most requests are alike (an address
that was used before, a form or JSON, an answer that comes whole): they are made without httpx's general way, which costs
more CPU than sending them. What is not like that goes httpx's way, and both look the same on the wire.
"""

import json as standard_json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import httpx
import trio

from core.http_client import WHOLE

_MOST_ADDRESSES = 256
_USUAL = frozenset(("content", "data", "json", "headers"))
_WITH_A_BODY = ("POST", "PUT", "PATCH")
_FORM = (b"Content-Type", b"application/x-www-form-urlencoded")
_JSON = (b"Content-Type", b"application/json")

_Body = tuple[bytes, tuple[bytes, bytes] | None]


class LeanClient(httpx.AsyncClient):
    """The client of channels. It has no ``base_url``, ``params`` or ``cookies`` of its own."""

    def build_request(self, method: str, url: httpx.URL | str, **given: Any) -> httpx.Request:
        """As httpx's: raises `httpx.InvalidURL`, and what comes of a body that cannot be written."""
        body = _body(given) if given.keys() <= _USUAL and type(url) is str else None
        address = _address(url) if body is not None and type(url) is str else None
        if body is None or address is None or not address.host:
            return super().build_request(method, url, **given)
        written, kind = body
        headers = httpx.Headers(self.headers)
        if named := given.get("headers"):
            headers.update(named)
        more = [] if "host" in headers else [(b"Host", address.netloc)]
        if kind is not None and "content-type" not in headers:
            more.append(kind)
        if (written or method in _WITH_A_BODY) and not _says_its_length(headers):
            more.append((b"Content-Length", b"%d" % len(written)))
        request = httpx.Request(
            method,
            address,
            headers=[*more, *headers.raw],
            stream=httpx.ByteStream(written),
            extensions={"timeout": self.timeout.as_dict()},
        )
        request.read()
        return request

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = httpx.USE_CLIENT_DEFAULT,
        follow_redirects: Any = httpx.USE_CLIENT_DEFAULT,
    ) -> httpx.Response:
        """As httpx's: raises `httpx.HTTPError`. An authentication that needs a second request is not supported."""
        request = next(self._build_request_auth(request, auth).sync_auth_flow(request))
        if not stream:
            request.extensions[WHOLE] = True
        response = await self._transport.handle_async_request(request)
        response.request = request
        response.default_encoding = self._default_encoding
        if not stream and not response.is_closed:
            try:
                await response.aread()
            except BaseException:
                with trio.CancelScope(shield=True):
                    await response.aclose()
                raise
        return response


@lru_cache(_MOST_ADDRESSES)
def _address(url: str) -> httpx.URL:
    # (an account's messages all go to one; taking it apart is the dearest part of a request)
    return httpx.URL(url)


def _body(given: Mapping[str, Any]) -> _Body | None:
    """The body and its media type as httpx writes them; None for what is left to httpx."""
    content, data, json = (given.get(name) for name in ("content", "data", "json"))
    if content is not None:
        return (content, None) if type(content) is bytes else None
    if data is not None and not isinstance(data, Mapping):
        return None
    if data:
        plain = all(_is_text(value) for value in data.values())
        return (urlencode(data, doseq=True).encode("ascii"), _FORM) if plain else None
    if json is not None:
        text = standard_json.dumps(json, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return text.encode(), _JSON
    return b"", None


def _is_text(value: object) -> bool:
    return type(value) is str or (type(value) is list and all(type(one) is str for one in value))


def _says_its_length(headers: httpx.Headers) -> bool:
    return "content-length" in headers or "transfer-encoding" in headers
