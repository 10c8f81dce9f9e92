"""The Slack channel: one installed app in one workspace."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import urlsplit

import httpx
import msgspec
from msgspec import Meta, Struct

from irisx_channels.lenient import Json, part, parts, words
from irisx_channels.slack import answers, bodies, codec
from irisx_channels.slack.text import emoji_name, name_of
from irisx_sdk.channel import Account, Capabilities, Channel, Deliver, Parsed, Request, Tools, secret
from irisx_sdk.errors import Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled
from irisx_sdk.http import call, retry_after_s
from irisx_sdk.messages import Deletion, Edit, File, Interactive, Media, Outbound, Reaction, Sent, Text

API = "https://slack.com/api"


class Settings(Struct, frozen=True, kw_only=True):
    """What an app's pages at api.slack.com/apps say about it."""

    bot_token: Annotated[str, secret("Bot User OAuth Token (xoxb-…), from “OAuth & Permissions”")]
    signing_secret: Annotated[
        str, secret("Signing secret, from “Basic Information”; needed for requests to us")
    ] = ""
    app_token: Annotated[
        str, secret("App-level token (xapp-…) with connections:write; needed for Socket Mode")
    ] = ""
    command_reply: Annotated[
        str, Meta(description="What the sender of a slash command sees at once; empty for nothing")
    ] = ""
    base_url: Annotated[
        str, Meta(description="Where the Web API is; another only for tests and GovSlack")
    ] = API


class Slack(Channel):
    """Slack: Events API or Socket Mode in, Web API out."""

    name = "slack"
    title = "Slack"
    address = "user"
    capabilities = Capabilities(
        sends=frozenset({"text", "media", "interactive", "reaction", "edit", "deletion"}),
        listens=True,
        max_text=bodies.MAX_TEXT,
        max_files=bodies.MAX_FILES,
        max_file_bytes=1_000_000_000,  # slack.com/help, "Add files to Slack": 1 GB
        threads=True,
    )
    Settings = Settings

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        """An event, a slash command, a button: signed with the app's secret, at most five minutes old."""
        settings: Settings = account.settings
        return codec.parse(settings.signing_secret, settings.command_reply, request)

    async def listen(self, account: Account, tools: Tools, deliver: Deliver) -> None:
        """Socket Mode, see `irisx_channels.slack.socket`."""
        from irisx_channels.slack.socket import Holder  # trio is needed only here

        settings: Settings = account.settings
        if not settings.app_token:
            raise Misconfigured("Socket Mode needs an app-level token (xapp-…) with connections:write")

        async def open_url() -> str:
            opened = await _ask(settings, tools, "apps.connections.open", token=settings.app_token)
            return words(opened, "url")

        plain = urlsplit(settings.base_url).scheme == "http"
        await Holder(
            open_url, deliver, tools.now_us, command_reply=settings.command_reply, plain=plain
        ).hold()

    async def send(self, account: Account, message: Outbound, tools: Tools) -> Sent:
        """Post, change, take back or react. Slack recognises no repetition of a post."""
        settings: Settings = account.settings
        content = message.content
        if isinstance(content, Reaction):
            return await _react(settings, tools, message, content)
        if isinstance(content, Edit):
            await _do(settings, tools, "chat.update", bodies.update(message, content))
            return Sent((f"edit:{message.id}",))
        if isinstance(content, Deletion):
            return await _take_back(settings, tools, message, content)
        if not isinstance(content, Text | Media | Interactive):
            raise Refused(f"Slack cannot show this kind of message ({type(content).__name__})")
        if files := bodies.attached(message):
            return await _share(settings, tools, message, files)
        posted = await _do(settings, tools, "chat.postMessage", bodies.post(message))
        channel, ts = words(posted, "channel"), words(posted, "ts")
        if not (channel and ts):
            raise OutcomeUnknown("Slack took the message and did not say what it is called")
        return Sent((name_of(channel, ts),), context={"channel": channel})

    async def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        """A file's content. The bot's token goes to Slack's own hosts only."""
        settings: Settings = account.settings
        url = file.url
        if not url:  # files of people from other workspaces come with an id only
            found = await _ask(settings, tools, "files.info", {"file": file.id})
            url = words(part(found, "file"), "url_private_download") or words(
                part(found, "file"), "url_private"
            )
        if not _of_slack(url, settings):
            raise Refused("the file is not kept by Slack")
        headers = {"authorization": f"Bearer {settings.bot_token}"}
        try:
            async with tools.http.stream("GET", url, headers=headers) as answer:
                _check_file(answer, file)
                async for piece in answer.aiter_bytes():
                    yield piece
        except httpx.HTTPError as failed:
            raise NotSent(f"the file could not be fetched ({type(failed).__name__})") from None

    async def check(self, account: Account, tools: Tools) -> str:
        """Who the app is in which workspace."""
        found = await _ask(account.settings, tools, "auth.test")
        return f"connected as {words(found, 'user')} in {words(found, 'team')}"


async def _do(settings: Settings, tools: Tools, method: str, body: Json) -> Json:
    """Call a method that changes something, with a JSON body. Raises what its answer means."""
    content = msgspec.json.encode(body)
    headers = {"content-type": "application/json; charset=utf-8"}
    return (await _call(settings, tools, method, settings.bot_token, headers, content=content))[0]


async def _ask(
    settings: Settings, tools: Tools, method: str, form: dict[str, str] | None = None, *, token: str = ""
) -> Json:
    """Call a method that sends nothing to anybody: whatever goes wrong, the message is certainly not sent."""
    try:
        return (await _call(settings, tools, method, token or settings.bot_token, {}, data=form or {}))[0]
    except OutcomeUnknown as failed:
        raise NotSent(str(failed), code=failed.code) from None


async def _call(
    settings: Settings, tools: Tools, method: str, token: str, headers: dict[str, str], **body: Any
) -> tuple[Json, str]:
    url = f"{settings.base_url.rstrip('/')}/{method}"
    headers = {"authorization": f"Bearer {token}", **headers}
    answer = await call(tools.http, "POST", url, headers=headers, **body)
    return answers.read_answer(answer.status_code, answer.headers, answer.content, retry_after_s(answer))


async def _share(settings: Settings, tools: Tools, message: Outbound, files: tuple[File, ...]) -> Sent:
    """Upload, then show: three steps a file, and nobody sees anything before the last.

    The answer to the last step names files, not the message that shows them: those are the ids.
    """
    bodies.words(message)  # refused before anything is uploaded
    channel, _ = bodies.destination(message)
    if channel[:1] in ("U", "W"):
        opened = await _ask(settings, tools, "conversations.open", {"users": channel})
        channel = words(part(opened, "channel"), "id")
    kept: list[tuple[str, str]] = []
    for file in files:
        content = file.content if file.content is not None else await tools.read_file(file.id)
        name = file.name or "file"
        place = await _ask(
            settings, tools, "files.getUploadURLExternal", {"filename": name, "length": str(len(content))}
        )
        await _upload(tools, words(place, "upload_url"), content)
        kept.append((words(place, "file_id"), name))
    done = await _do(settings, tools, "files.completeUploadExternal", bodies.complete(message, kept, channel))
    ids = tuple(words(one, "id") for one in parts(done, "files")) or tuple(id for id, _ in kept)
    return Sent(ids, context={"channel": channel})


async def _upload(tools: Tools, url: str, content: bytes) -> None:
    try:
        answer = await call(
            tools.http, "POST", url, content=content, headers={"content-type": "application/octet-stream"}
        )
    except OutcomeUnknown as failed:
        raise NotSent(str(failed)) from None  # an upload that nobody completes is never shown
    if answer.status_code == 429:
        raise Throttled("too fast for Slack", code="429", retry_after_s=retry_after_s(answer))
    if answer.status_code == 413:
        raise Refused("the file is too large for Slack", code="413")
    if answer.status_code != 200:
        raise NotSent("Slack did not take the file", code=str(answer.status_code))


async def _take_back(settings: Settings, tools: Tools, message: Outbound, deletion: Deletion) -> Sent:
    channel, ts = bodies.target(deletion.target)
    try:
        await _do(settings, tools, "chat.delete", {"channel": channel, "ts": ts})
    except Refused as refused:
        if refused.code != "message_not_found":  # that is what an earlier try may have done
            raise
    return Sent((f"deletion:{message.id}",))


async def _react(settings: Settings, tools: Tools, message: Outbound, reaction: Reaction) -> Sent:
    """Add a sign, or take ours away: Slack wants to be told which, so we look first."""
    channel, ts = bodies.target(reaction.target)
    where = {"channel": channel, "timestamp": ts}
    if reaction.emoji:
        name = emoji_name(reaction.emoji)
        if not name:
            raise Refused("Slack knows signs by name: try :name:", code="invalid_name")
        await _do(settings, tools, "reactions.add", {**where, "name": name})
        return Sent((f"reaction:{message.id}",))
    own = words(await _ask(settings, tools, "auth.test"), "user_id")
    found = await _ask(settings, tools, "reactions.get", {**where, "full": "true"})
    for sign in parts(part(found, "message"), "reactions"):
        users = sign.get("users")
        if isinstance(users, list) and own in users:
            await _do(settings, tools, "reactions.remove", {**where, "name": words(sign, "name")})
    return Sent((f"reaction:{message.id}",))


def _of_slack(url: str, settings: Settings) -> bool:
    """Whether a file's address is one that may be given the bot's token."""
    try:
        there, home = urlsplit(url), urlsplit(settings.base_url)
    except ValueError:
        return False
    host = there.hostname or ""
    if (there.scheme, there.netloc) == (home.scheme, home.netloc):
        return True
    return there.scheme == "https" and (
        host == "slack.com" or host.endswith((".slack.com", ".slack-gov.com"))
    )


def _check_file(answer: httpx.Response, file: File) -> None:
    """Raise unless this is the file: with a wrong token Slack answers a page to sign in at, with 200 or 302."""
    status = answer.status_code
    if status == 429:
        raise Throttled("too fast for Slack", code="429", retry_after_s=retry_after_s(answer))
    if status in (404, 410):
        raise Refused("Slack no longer has the file", code="file_not_found")
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower()
    page = kind == "text/html" and file.media_type != "text/html"
    if status in (301, 302, 303, 307, 308, 401, 403) or (status == 200 and page):
        raise Misconfigured("Slack does not give this file to the bot: it needs the permission files:read")
    if status != 200:
        raise NotSent("Slack did not give the file", code=str(status))
