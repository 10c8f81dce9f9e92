"""The values of a fake provider: what it is asked, what it answers, what it delivers, which faults it has."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from msgspec import Struct


class Faults(Struct, frozen=True, kw_only=True):
    """What is wrong with a fake today. Shares are between 0 and 1; all zero is a provider in the best of health."""

    duplicate: float = 0
    """Webhooks that are delivered twice."""
    reorder: float = 0
    """Webhooks that wait for a moment, so that later ones overtake them."""
    delay_s: float = 0
    """Answers are held back for so long; webhooks for anything up to it."""
    throttle_every: int = 0
    """Every so many requests one is refused as too fast, in the provider's way."""
    error_every: int = 0
    """Every so many requests one gets the provider's 5xx; it was not carried out."""
    drop_before: float = 0
    """Requests that are cut off before they are carried out."""
    drop_after: float = 0
    """Requests that are carried out, and cut off instead of answered."""
    lie: float = 0
    """Messages whose receipts come backwards, twice, and together with one for a message that never was."""
    early: float = 0
    """Messages whose receipts come before the answer to the sending."""
    fail: float = 0
    """Messages that end as ``undelivered``."""


class Part(Struct, frozen=True):
    """One part of a ``multipart/form-data`` body."""

    name: str
    content: bytes
    filename: str = ""
    media_type: str = ""


class Call(Struct, frozen=True):
    """A request to the fake."""

    method: str
    path: str
    params: Mapping[str, str]
    """What the places of the route's pattern hold."""
    query: Mapping[str, str]
    """The last value of each name; all of them are in ``queries``."""
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytes
    url: str = ""
    """As it was called: scheme, host, path and query."""
    queries: tuple[tuple[str, str], ...] = ()

    def json(self) -> Any:
        """The body as JSON. Raises `ValueError`, which the fake answers with 400."""
        return json.loads(self.body)

    def form(self) -> dict[str, str]:
        """The fields of a form, the last of each name: urlencoded, or the texts of a multipart body."""
        return dict(self.fields())

    def fields(self) -> list[tuple[str, str]]:
        """Every field of a form in order, repeated ones too."""
        if self.headers.get("content-type", "").startswith("multipart/"):
            return [(part.name, part.content.decode()) for part in self.parts() if not part.filename]
        return parse_qsl(self.body.decode(), keep_blank_values=True)

    def parts(self) -> list[Part]:
        """The parts of a ``multipart/form-data`` body (RFC 7578)."""
        found = re.search(r'boundary="?([^";]+)', self.headers.get("content-type", ""))
        if found is None:
            raise ValueError("not a multipart body")
        mark = b"\r\n--" + found.group(1).encode()
        return [_part(raw) for raw in (b"\r\n" + self.body).split(mark)[1:-1]]

    def basic(self) -> tuple[str, str]:
        """User and password of HTTP basic authentication, empty when there are none."""
        kind, _, rest = self.headers.get("authorization", "").partition(" ")
        try:
            user, _, password = base64.b64decode(rest, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return "", ""
        return (user, password) if kind.lower() == "basic" else ("", "")

    def bearer(self) -> str:
        """The token of ``Authorization: Bearer``, empty when there is none."""
        kind, _, rest = self.headers.get("authorization", "").partition(" ")
        return rest.strip() if kind.lower() == "bearer" else ""


def _part(raw: bytes) -> Part:
    head, _, content = raw.partition(b"\r\n\r\n")
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in head.decode(errors="replace").split("\r\n"))
    }
    said = dict(re.findall(r';\s*([a-z*]+)="((?:[^"\\]|\\.)*)"', headers.get("content-disposition", "")))
    return Part(said.get("name", ""), content, said.get("filename", ""), headers.get("content-type", ""))


class Answer(Struct, frozen=True):
    """What the fake answers. A ``body`` that is neither bytes nor text goes out as JSON."""

    status: int = 200
    body: Any = b""
    headers: Mapping[str, str] = {}

    def raw(self) -> tuple[bytes, dict[str, str]]:
        """The bytes to send and the headers in lower case, with a media type."""
        headers = {name.lower(): value for name, value in self.headers.items()}
        if isinstance(self.body, bytes):
            return self.body, headers
        if isinstance(self.body, str):
            return self.body.encode(), {"content-type": "text/plain; charset=utf-8"} | headers
        return msgspec.json.encode(self.body), {"content-type": "application/json"} | headers


class Delivery(Struct, frozen=True):
    """A webhook request as the provider makes it, signed for `Fake.webhook_url`."""

    method: str = "POST"
    path: str = ""
    """What follows the webhook's URL: mostly nothing, or a query with its question mark."""
    headers: Mapping[str, str] = {}
    body: bytes = b""


class Delivered(Struct, frozen=True):
    """How a webhook ended: status 0 when nobody answered."""

    delivery: Delivery
    status: int
    body: bytes = b""


class FakeMessage(Struct, frozen=True):
    """A message that the fake was asked to send."""

    id: str
    to: str
    text: str = ""
    media: tuple[str, ...] = ()
    """Addresses or names of its files."""
    raw: Any = None
    """The request as the fake understood it, for tests that look closer."""
    at: float = 0
    sender: str = ""
    reference: str = ""
    """`Outbound.id`, if this provider takes one."""


class Line(Struct, frozen=True):
    """One line of the exchange that the fake's page shows."""

    at: float
    person: str
    """The customer's address."""
    text: str
    ours: bool
    """Sent by the platform, not by the customer."""
    id: str = ""
    state: str = ""
