"""The Teams channel: activities over HTTP, both ways.

Where to write to is in the conversation reference of the last message (`Inbound.context`), and Teams may move it at any
time. The bot's token goes to Teams' own hosts only: a reference that names another is answered at the default service.
"""

from collections.abc import AsyncIterator
from typing import ClassVar
from urllib.parse import urljoin

import httpx
import msgspec
from msgspec import Struct

from irisx_channels.lenient import Json, document, words
from irisx_channels.teams import codec, outgoing, proof
from irisx_channels.teams.failures import failure
from irisx_channels.teams.settings import TeamsSettings, trusted
from irisx_channels.teams.tokens import Tokens
from irisx_sdk import (
    Account,
    Capabilities,
    Channel,
    Deletion,
    Edit,
    File,
    Malformed,
    NotSent,
    Outbound,
    OutcomeUnknown,
    Parsed,
    Refused,
    Request,
    Sent,
    Tools,
    Typing,
)
from irisx_sdk.http import call, retry_after_s
from irisx_sdk.messages import AddressKind

MAX_HOPS = 3


class Teams(Channel):
    """Microsoft Teams bots, and outgoing webhooks of teams."""

    name: ClassVar[str] = "teams"
    title: ClassVar[str] = "Microsoft Teams"
    address: ClassVar[AddressKind] = "user"
    Settings: ClassVar[type[Struct]] = TeamsSettings
    capabilities: ClassVar[Capabilities] = Capabilities(
        sends=frozenset({"text", "media", "interactive", "edit", "deletion", "typing"}),
        max_text=outgoing.MAX_TEXT,
        max_files=outgoing.MAX_FILES,
        max_file_bytes=outgoing.MAX_PICTURE,
        max_total_bytes=outgoing.MAX_PICTURE,
        threads=True,
        receipts="read",
    )

    def __init__(self) -> None:
        self.tokens = Tokens()

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        settings = _settings(account)
        given = request.headers.get("authorization", "")
        if given.upper().startswith("HMAC "):
            proof.check_outgoing(settings, request.body, given)
            return codec.outgoing(document(request.body), settings.outgoing_answer)
        claims = proof.check_token(settings, account.keys, given, request.received_us)
        activity = document(request.body)
        claims.check(activity)
        return codec.parse(activity)

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        """Send one message. To a person who never wrote a conversation is opened first, and told in ``Sent.context``."""
        settings = _settings(account)
        outgoing.check(message)
        if isinstance(message.content, Typing) and not message.content.on:
            return Sent(ids=())
        service = message.context.get("service_url", "")
        if not service or not trusted(settings, service):
            service = settings.base_url
        pictures = await _pictures(message, tools)
        learned: dict[str, str] = {}
        conversation = outgoing.conversation_of(message)
        if isinstance(message.content, Edit | Deletion) and not conversation:
            conversation = message.content.target.rpartition("|")[0]
        if not conversation:
            learned = await self._opened(settings, message, service, tools)
            conversation, service = learned["conversation_id"], learned["service_url"]
        ask = outgoing.ask(message, conversation, pictures)
        answer = await self._call(settings, tools, ask.method, service.rstrip("/") + ask.path, ask.activity)
        if answer.status_code not in (200, 201, 202, 204):
            raise failure(answer.status_code, answer.content, retry_after_s(answer))
        if ask.method != "POST" or isinstance(message.content, Typing):
            return Sent(ids=(), context=learned)
        try:
            activity = words(document(answer.content), "id")
        except Malformed:
            activity = ""
        if not activity:
            raise OutcomeUnknown("Teams accepted the message and gave it no id")
        return Sent(ids=(codec.name_of(conversation, activity),), context=learned)

    async def _opened(
        self, settings: TeamsSettings, message: Outbound, service: str, tools: Tools
    ) -> dict[str, str]:
        """The conversation with a person. Opening it says nothing to anybody: every failure means not sent."""
        tenant = settings.tenant_id if settings.tenant_id != "botframework.com" else ""
        body = outgoing.conversation(message, tenant, settings.app_id)
        try:
            answer = await self._call(
                settings, tools, "POST", f"{service.rstrip('/')}/v3/conversations", body
            )
            if answer.status_code not in (200, 201, 202):
                raise failure(answer.status_code, answer.content, retry_after_s(answer))
            found = document(answer.content)
        except (OutcomeUnknown, Malformed) as failed:
            raise NotSent(f"the conversation was not opened: {failed}") from failed
        if not words(found, "id"):
            raise NotSent("Teams opened a conversation and did not name it")
        told = words(found, "serviceUrl")
        return {
            "conversation_id": words(found, "id"),
            "service_url": told if told and trusted(settings, told) else service,
        }

    async def _call(
        self, settings: TeamsSettings, tools: Tools, method: str, url: str, body: Json | None
    ) -> httpx.Response:
        """A request with the bot's token; one that is not accepted any more is renewed once."""
        content = b"" if body is None else msgspec.json.encode(body)
        for last in (False, True):
            token = await self.tokens.get(settings, tools)
            headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
            answer = await call(tools.http, method, url, content=content, headers=headers)
            if answer.status_code != 401 or last or not self.tokens.drop(settings):
                break
        if answer.status_code == 401:
            self.tokens.drop(settings)
        return answer

    async def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        """An inbound file: pictures want the bot's token, shared files have an address that is signed and short-lived.

        Raises `NotSent` when another try may work.
        """
        settings = _settings(account)
        url = file.url
        for _ in range(MAX_HOPS):
            ours = trusted(settings, url)
            if not ours and not url.startswith("https://"):
                raise Refused("the file's address is not encrypted")
            headers = {}
            if ours:
                headers = {"Authorization": f"Bearer {await self.tokens.get(settings, tools)}"}
            try:
                async with tools.http.stream("GET", url, headers=headers) as answer:
                    if answer.has_redirect_location:
                        url = urljoin(url, answer.headers["location"])
                        continue
                    if answer.status_code in (401, 403, 404, 410):
                        raise Refused(
                            "the file's address is not valid any more", code=str(answer.status_code)
                        )
                    if answer.status_code != 200:
                        raise NotSent(f"the file's host answered {answer.status_code}")
                    async for piece in answer.aiter_bytes():
                        yield piece
                    return
            except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL, ValueError) as failed:
                raise NotSent(f"the download broke off ({type(failed).__name__})") from None
        raise NotSent("the file was moved too often")

    async def check(self, account: Account, tools: Tools) -> str:
        settings = _settings(account)
        if not settings.app_id and settings.outgoing_token:
            return "an outgoing webhook: messages come, and are answered at once only"
        self.tokens.drop(settings)
        await self.tokens.get(settings, tools)
        return f"bot {settings.app_id}: Microsoft gives it tokens"


def _settings(account: Account) -> TeamsSettings:
    assert isinstance(account.settings, TeamsSettings)  # noqa: S101 - the platform gives the channel's own
    return account.settings


async def _pictures(message: Outbound, tools: Tools) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    for at, file in enumerate(outgoing.attached(message)):
        if not outgoing.by_address(file):
            found[at] = file.content if file.content is not None else await tools.read_file(file.id)
            outgoing.check_size(sum(map(len, found.values())))
    return found
