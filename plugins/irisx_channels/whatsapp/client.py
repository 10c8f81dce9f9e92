"""The WhatsApp channel: Meta's Cloud API over HTTP.

A file is uploaded before the message that names it; when the upload fails, however it fails, nothing was sent. Inbound
files take two steps as well: the file's id gives an address that lives for five minutes, and that wants the token too.
"""

import base64
import hashlib
from collections.abc import AsyncIterator
from typing import Annotated, ClassVar
from urllib.parse import quote, urljoin, urlsplit

import httpx
import msgspec
from msgspec import Meta, Struct

from irisx_channels.lenient import Json, document, whole, words
from irisx_channels.whatsapp import codec, outgoing
from irisx_channels.whatsapp.failures import failure
from irisx_sdk import (
    Account,
    BadSignature,
    Capabilities,
    Channel,
    File,
    Malformed,
    Media,
    Misconfigured,
    NotSent,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Refused,
    Request,
    Sent,
    Tools,
    Typing,
    secret,
)
from irisx_sdk.http import call, retry_after_s
from irisx_sdk.messages import AddressKind

GRAPH = "https://graph.facebook.com"
VERSION = "v25.0"
"""The newest known; Meta ends each about two years after it came."""
FILE_HOSTS = ("facebook.com", "fbsbx.com", "fbcdn.net", "whatsapp.net", "whatsapp.com")
"""Where the token may go for a file, besides the API's own host."""
MAX_HOPS = 3

Id = Annotated[str, Meta(pattern="^[0-9]+$")]


class WhatsAppSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An app of Meta's with a WhatsApp number."""

    phone_number_id: Annotated[
        Id, Meta(description="The id of the number to send from: not the number itself")
    ]
    access_token: Annotated[str, secret("A system user's token with whatsapp_business_messaging")]
    app_secret: Annotated[str, secret("The app's secret: it signs the webhooks")]
    verify_token: Annotated[
        str, secret("A word of your choice, given to Meta together with the webhook's address")
    ]
    version: Annotated[str, Meta(description="The API's version", pattern=r"^v[0-9]+\.[0-9]+$")] = VERSION
    base_url: Annotated[str, Meta(description="Where the Graph API is")] = GRAPH


class WhatsApp(Channel):
    """WhatsApp Business, by the Cloud API."""

    name: ClassVar[str] = "whatsapp"
    title: ClassVar[str] = "WhatsApp"
    address: ClassVar[AddressKind] = "phone"
    Settings: ClassVar[type[Struct]] = WhatsAppSettings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset({"text", "media", "template", "interactive", "location", "reaction", "typing"}),
        max_text=outgoing.MAX_TEXT,
        max_files=1,
        max_file_bytes=100 << 20,
        max_total_bytes=100 << 20,
        receipts="read",
        window_s=outgoing.WINDOW_S,
    )

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        settings = _settings(account)
        if request.method == "GET":
            return Parsed(reply=codec.handshake(settings.verify_token, request.url))
        given = request.headers.get("x-hub-signature-256", "")
        if not given:
            raise BadSignature("X-Hub-Signature-256 is missing")
        codec.check_signature(settings.app_secret, request.body, given)
        return codec.parse(request.body)

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        """Send one message; `Typing` marks the last message read, and says that somebody writes when it is ``on``."""
        settings = _settings(account)
        outgoing.check(message, tools.now_us())
        # The number that was written to answers, also when the app has several.
        number = message.context.get("phone_number_id") or settings.phone_number_id
        url = f"{_graph(settings)}/{quote(number, safe='')}/messages"
        if isinstance(message.content, Typing):
            return await self._seen(settings, message, url, tools)
        media = outgoing.attached(message)
        media_id = ""
        if media is not None and not outgoing.by_address(media.file):
            media_id = await self._upload(settings, number, media, tools)
        answer = await _post(settings, tools, url, outgoing.body(message, media_id))
        return codec.sent(answer.status_code, answer.content, retry_after_s(answer))

    async def _seen(self, settings: WhatsAppSettings, message: Outbound, url: str, tools: Tools) -> Sent:
        last = message.reply_to or message.context.get("message_id", "")
        if not last:
            return Sent(ids=())
        assert isinstance(message.content, Typing)  # noqa: S101 - for the type checker
        answer = await _post(settings, tools, url, outgoing.seen(last, typing=message.content.on))
        if answer.status_code != 200:
            raise failure(answer.status_code, answer.content, retry_after_s(answer))
        return Sent(ids=())

    async def _upload(self, settings: WhatsAppSettings, number: str, media: Media, tools: Tools) -> str:
        file = media.file
        content = file.content if file.content is not None else await tools.read_file(file.id)
        outgoing.check_size(media, len(content))
        form = {"messaging_product": "whatsapp", "type": file.media_type}
        parts = {"file": (file.name or "file", content, file.media_type)}
        url = f"{_graph(settings)}/{quote(number, safe='')}/media"
        try:
            answer = await call(tools.http, "POST", url, data=form, files=parts, headers=_authority(settings))
            return codec.uploaded(answer.status_code, answer.content, retry_after_s(answer))
        except OutcomeUnknown as unknown:
            # An upload that nobody uses is forgotten by itself after 30 days: the message has not been sent.
            raise NotSent(f"the file was not uploaded: {unknown}", code=unknown.code) from unknown

    async def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        """An inbound file by its id, checked against its size and SHA-256. Raises `NotSent` when another try may work."""
        settings = _settings(account)
        if not file.id:
            raise Refused("the file has no id")
        url = f"{_graph(settings)}/{quote(file.id, safe='')}"
        try:
            answer = await call(tools.http, "GET", url, headers=_authority(settings))
            if answer.status_code != 200:
                raise failure(answer.status_code, answer.content, retry_after_s(answer))
            about = document(answer.content)
        except (OutcomeUnknown, Malformed) as failed:
            raise NotSent(f"the file's address was not told: {failed}") from failed
        seen, size = hashlib.sha256(), 0
        async for piece in self._download(settings, words(about, "url"), tools):
            seen.update(piece)
            size += len(piece)
            yield piece
        told = words(about, "sha256")
        if told and told not in (seen.hexdigest(), base64.b64encode(seen.digest()).decode()):
            raise NotSent("the file's content is not what WhatsApp said it is")
        if whole(about, "file_size") not in (0, size):
            raise NotSent("the file came only in part")

    async def _download(self, settings: WhatsAppSettings, url: str, tools: Tools) -> AsyncIterator[bytes]:
        for _ in range(MAX_HOPS):
            _check_host(settings, url)
            try:
                async with tools.http.stream("GET", url, headers=_authority(settings)) as answer:
                    if answer.has_redirect_location:
                        url = urljoin(url, answer.headers["location"])
                        continue
                    if answer.status_code in (401, 403, 404, 410):
                        raise Refused(
                            "the file's address is not valid any more", code=str(answer.status_code)
                        )
                    if answer.status_code != 200:
                        raise NotSent(f"WhatsApp's files answered {answer.status_code}")
                    async for piece in answer.aiter_bytes():
                        yield piece
                    return
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, ValueError) as failed:
                raise NotSent(f"the download broke off ({type(failed).__name__})") from None
        raise NotSent("WhatsApp's files were moved too often")

    async def check(self, account: Account, tools: Tools) -> str:
        settings = _settings(account)
        url = f"{_graph(settings)}/{quote(settings.phone_number_id, safe='')}"
        fields = {"fields": "display_phone_number,verified_name,quality_rating"}
        answer = await call(tools.http, "GET", url, params=fields, headers=_authority(settings))
        if answer.status_code != 200:
            raise failure(answer.status_code, answer.content, retry_after_s(answer))
        try:
            found = document(answer.content)
        except Malformed:
            raise Misconfigured("what answers at the base address is not the Graph API") from None
        told = [words(found, key) for key in ("display_phone_number", "verified_name")]
        quality = words(found, "quality_rating")
        return " · ".join([one for one in told if one] + ([f"quality {quality.lower()}"] if quality else []))


def _settings(account: Account) -> WhatsAppSettings:
    assert isinstance(account.settings, WhatsAppSettings)  # noqa: S101 - the platform gives the channel's own
    return account.settings


def _graph(settings: WhatsAppSettings) -> str:
    return f"{settings.base_url.rstrip('/')}/{settings.version}"


def _authority(settings: WhatsAppSettings) -> dict[str, str]:
    return {"Authorization": f"Bearer {settings.access_token}"}


async def _post(settings: WhatsAppSettings, tools: Tools, url: str, body: Json) -> httpx.Response:
    headers = _authority(settings) | {"Content-Type": "application/json"}
    return await call(tools.http, "POST", url, content=msgspec.json.encode(body), headers=headers)


def _check_host(settings: WhatsAppSettings, url: str) -> None:
    """The token leaves for Meta's hosts only, and only encrypted, unless the API itself is elsewhere (a test)."""
    try:
        there, api = urlsplit(url), urlsplit(settings.base_url)
        host = (there.hostname or "").lower()
    except ValueError:
        raise Refused("WhatsApp's address for this file cannot be read") from None
    if (there.scheme, there.netloc) == (api.scheme, api.netloc):
        return
    if there.scheme == "https" and any(host == one or host.endswith("." + one) for one in FILE_HOSTS):
        return
    raise Refused("WhatsApp named a host for this file that is not Meta's")
