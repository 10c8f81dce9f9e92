"""Getting a file that somebody sent: with the account's credentials from the provider, without them from elsewhere."""

from collections.abc import AsyncIterator
from urllib.parse import urljoin, urlsplit

import httpx

from irisx_sdk import File, Misconfigured, NotSent, Refused, Tools

MAX_REDIRECTS = 3
"""Providers point from their interface to a storage, some through one more address."""


async def download(
    file: File, tools: Tools, *, title: str, at: str = "", auth: httpx.Auth | tuple[str, str] | None = None
) -> AsyncIterator[bytes]:
    """The file in pieces.

    ``auth`` is given to the origin of ``at`` and to nobody else: the address came in a webhook, and a redirect may lead
    anywhere. Raises `Refused` when the file is gone, `Misconfigured` when we may not have it, `NotSent` for the rest.
    """
    if file.content is not None:
        yield file.content
        return
    url = file.url
    for _ in range(MAX_REDIRECTS + 1):
        ours = bool(at) and _origin(url) == _origin(at)
        try:
            async with tools.http.stream(
                "GET", url, auth=auth if ours and auth else httpx.USE_CLIENT_DEFAULT
            ) as answer:
                if answer.is_redirect:
                    url = urljoin(url, answer.headers.get("location", ""))
                    continue
                _judge(answer.status_code, title)
                async for piece in answer.aiter_bytes():
                    yield piece
                return
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, ValueError) as failed:
            raise NotSent(f"{title}: the file could not be read ({type(failed).__name__})") from None
    raise NotSent(f"{title}: the file's address leads in circles")


def _origin(url: str) -> tuple[str, str, int | None]:
    parts = urlsplit(url)
    return parts.scheme, (parts.hostname or "").lower(), parts.port


def _judge(status: int, title: str) -> None:
    if status in (404, 410):
        raise Refused(f"{title} no longer has the file", code=f"http {status}")
    if status in (401, 403):
        raise Misconfigured(
            f"{title} does not give us the file: check the credentials", code=f"http {status}"
        )
    if status >= 300:
        raise NotSent(f"{title} did not give us the file", code=f"http {status}")
