"""Inbound work in a process of its own that kills itself (kill -9) right after a step that a test names.

`STEPS` is the table of the steps, in their order. Nothing of it is in the product: the step's function is wrapped here.
"""

import asyncio
import functools
import hashlib
import hmac
import inspect
import os
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import trio

from core import attachment_fetch, attachments, channels, conversations
from core.aio import open_bridge
from core.attachments import Filing
from core.channel_account import Parts
from core.channels import Channels
from core.config import AttachmentLimits, Settings
from core.conversations import Intake
from core.storage import attachments as attachment_store
from core.storage import inbound, receipts, suppressions, voice
from core.storage.blobs_folder import FolderBlobs
from core.storage.database import Database
from irisx_sdk import Account, BadSignature, Capabilities, Channel, File, Parsed, Request, Tools

SECRET = "a secret for tests that is long enough to be one"

STEPS: dict[str, tuple[Any, str]] = {
    "proven": (channels.Channels, "_parse"),
    "filed": (attachments.Filing, "file"),
    "contacts": (inbound, "find_contacts"),
    "places": (inbound, "find_conversations"),
    "messages": (inbound, "insert_messages"),
    "wishes": (inbound, "hear_wishes"),
    "logged": (inbound, "append"),
    "committed": (conversations, "write_inbound"),
    "preferences": (suppressions, "write_preferences"),
    "receipts": (receipts, "write_statuses"),
}
"""A webhook, from its proof to the answer: the name of a step, and the function after which the process dies."""
FETCHING: dict[str, tuple[Any, str]] = {
    "claimed": (attachment_store, "claim"),
    "placed": (attachment_fetch, "put_stream"),
    "settled": (attachment_store, "ready"),
}
"""A file that has to be fetched."""
CALLING: dict[str, tuple[Any, str]] = {
    "written": (voice, "_write"),
    "told": (voice, "append"),
}
"""A call on its way into a conversation, inside the transaction that also moves the place."""


class Post(Channel):
    """A channel whose webhooks are signed and say everything at once."""

    name: ClassVar[str] = "sms.post"
    title: ClassVar[str] = "Post"
    address: ClassVar[Any] = "phone"
    capabilities: ClassVar[Capabilities] = Capabilities(sends=frozenset({"text"}))

    class Settings(msgspec.Struct):
        key: str = "hush"

    def parse_webhook(self, account: Account, request: Request) -> Parsed:
        if not hmac.compare_digest(request.headers.get("signature", ""), signature(request.body)):
            raise BadSignature("not signed by the post")
        return msgspec.json.decode(request.body, type=Parsed)

    async def fetch(self, account: Account, file: File, tools: Tools) -> Any:
        yield b"words of "
        yield file.id.encode()


def signature(body: bytes) -> str:
    return hmac.new(b"hush", body, hashlib.sha256).hexdigest()


def request_of(parsed: Parsed) -> Request:
    body = msgspec.json.encode(parsed)
    return Request("POST", "https://x.example", {"signature": signature(body)}, body, 1_795_000_000_000_000)


async def receive(db: Database, folder: Path, channel_id: str, request: Request) -> None:
    """What the API does with a webhook."""
    filing = Filing(FolderBlobs(folder), SECRET, AttachmentLimits())
    door = Channels(db, Intake(db, filing), {"sms.post": Post()}, secret=SECRET)
    try:
        await door.receive(channel_id, request)
    finally:
        await door.aclose()


async def fetch(url: str, folder: Path) -> None:
    """What a channel host does with files that are to be fetched; for ever."""
    async with open_bridge() as bridge:
        db = await bridge.run(Database.open, url)
        parts = Parts(
            "host", bridge, None, db, None, FolderBlobs(folder), None, {"sms.post": Post()},  # type: ignore[arg-type]
            secret=SECRET, settings=Settings(),
        )  # fmt: skip
        try:
            await attachment_fetch.run(parts)
        finally:
            with trio.CancelScope(shield=True):
                await bridge.run(db.close)


async def follow(db: Database, tenant_id: str) -> None:
    """What a channel host does with calls."""
    while await voice.work(db, tenant_id):
        pass


def dying(act: Callable[..., Any]) -> Callable[..., Any]:
    """``act``, and then the end of this process if it did anything."""
    if inspect.iscoroutinefunction(act):

        @functools.wraps(act)
        async def acted(*args: Any, **more: Any) -> Any:
            result = await act(*args, **more)
            if act.__name__ != "claim" or result:  # (it looks again and again, mostly in vain)
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        return acted

    @functools.wraps(act)
    def done(*args: Any, **more: Any) -> Any:
        act(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)

    return done


def die_after(owner: Any, name: str) -> None:
    setattr(owner, name, dying(getattr(owner, name)))


def run_webhook(step: str, url: str, folder: Path, channel_id: str, parsed: Parsed) -> None:
    die_after(*STEPS[step])

    async def main() -> None:
        async with await Database.open(url) as db:
            await receive(db, folder, channel_id, request_of(parsed))

    asyncio.run(main())


def run_fetch(step: str, url: str, folder: Path) -> None:
    attachment_store.CLAIM_S = 1
    die_after(*FETCHING[step])
    trio.run(partial(fetch, url, folder))


def run_voice(step: str, url: str, tenant_id: str) -> None:
    die_after(*CALLING[step])

    async def main() -> None:
        async with await Database.open(url) as db:
            await follow(db, tenant_id)

    asyncio.run(main())
