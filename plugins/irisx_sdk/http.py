"""Talking to a provider over HTTP so that the errors mean what they say.

Only what happens before the first byte of a request is "certainly not sent". What an HTTP status means is the
channel's business: every provider has its own opinion.
"""

import math
import re
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from irisx_sdk.errors import Misconfigured, NotSent, OutcomeUnknown

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
    try:
        seconds = float(wish)
    except ValueError:
        try:
            until = parsedate_to_datetime(wish)
            seconds = (until - parsedate_to_datetime(response.headers.get("date", ""))).total_seconds()
        except (ValueError, TypeError):
            return None
    return max(0.0, seconds) if math.isfinite(seconds) else None
