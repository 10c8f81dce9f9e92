"""Talking to a provider over HTTP so that the errors mean what they say.

Only what happens before the first byte of a request is "certainly not sent". What an HTTP status means is the
channel's business: every provider has its own opinion.
"""

import math
import re
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from irisx_sdk.errors import Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled

_UNWRITABLE = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


async def call(http: httpx.AsyncClient, method: str, url: str, **kwargs: Any) -> httpx.Response:
    """The provider's answer, whatever its status. ``kwargs`` are those of `httpx.AsyncClient.request`.

    Raises `NotSent` when there was no connection, `OutcomeUnknown` for every failure after that, `Misconfigured` when
    the address or a header cannot be written at all. The texts name the host only: addresses and headers hold secrets.
    """
    way = {name: kwargs.pop(name) for name in ("auth", "follow_redirects") if name in kwargs}
    try:
        request = http.build_request(method, url, **kwargs)
    except (httpx.InvalidURL, UnicodeError):
        raise Misconfigured(
            "a setting of this account cannot be part of a request: look for odd characters"
        ) from None
    if any(_UNWRITABLE.search(value) for _, value in request.headers.raw):
        raise Misconfigured("a setting of this account has a line break or control character in it")
    host = request.url.host
    # The causes are left out: their texts can quote what was sent or answered.
    try:
        return await http.send(request, **way)
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError) as failed:
        raise NotSent(f"no connection to {host} ({type(failed).__name__})") from None
    except httpx.UnsupportedProtocol:
        raise Misconfigured("the provider's address must start with https:// or http://") from None
    except (httpx.HTTPError, httpx.StreamError) as failed:
        text = f"the connection to {host} failed after the request had left ({type(failed).__name__})"
        raise OutcomeUnknown(text) from None


def retry_after_s(response: httpx.Response) -> float | None:
    """How many seconds the provider wants us to wait (``Retry-After``), None when it does not say.

    A date (RFC 9110, 10.2.3) counts from the answer's own ``Date``, so that no clock needs to be right.
    """
    wish = response.headers.get("retry-after", "").strip()
    if not wish:
        return None
    try:
        seconds = float(wish)
    except ValueError:
        try:
            until = parsedate_to_datetime(wish)
            seconds = (until - parsedate_to_datetime(response.headers.get("date", ""))).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def expect(response: httpx.Response, provider: str) -> httpx.Response:
    """The response if its status is 2xx; otherwise raises what the status means at most providers.

    401 and 403: `Misconfigured`. 429: `Throttled`. 503: `NotSent` (RFC 9110, 15.6.4: not able to handle the request).
    Other 4xx: `Refused`. Everything else, redirects included, is an `OutcomeUnknown`. For a provider that has ideas of
    its own, look at the status yourself.
    """
    status = response.status_code
    text, code = f"{provider} answered {status}", str(status)
    if 200 <= status < 300:
        return response
    if status in (401, 403):
        raise Misconfigured(f"{text}: look at the account's credentials", code=code)
    if status == 429:
        raise Throttled(f"{text}: too fast", code=code, retry_after_s=retry_after_s(response))
    if status == 503:
        raise NotSent(f"{text}: not available", code=code)
    if 400 <= status < 500 and status != 408:
        raise Refused(f"{text}: refused", code=code)
    raise OutcomeUnknown(f"{text}: nobody knows what became of it", code=code)
