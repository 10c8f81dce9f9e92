"""Where the checks take place: the fake, a platform in miniature, and a list of what was found."""

import contextlib
import inspect
import time
import traceback
from collections.abc import Awaitable, Callable, Iterator
from typing import Any, TypeVar

import anyio
import httpx
import msgspec
from msgspec import Struct

from irisx_sdk.channel import Account, Channel, Parsed, Request, Tools
from irisx_sdk.conformance.report import Check, Report
from irisx_sdk.errors import ChannelError, NeedsKey
from irisx_sdk.fake import Answer, Call, Delivery, Fake
from irisx_sdk.messages import Address, Content, File, Inbound, Outbound, Sent, Text
from irisx_sdk.testing import running, tools

T = TypeVar("T")

DEADLINE_S = 30.0
"""For one use of the channel."""
_SHORT = 6
"""Secrets shorter than this are found everywhere by chance."""


class Broken(Exception):
    """A promise that does not hold; the text says what was seen."""


class Skipped(Exception):
    """A promise that this channel has not made."""


class Outcome(Struct, frozen=True):
    """What a sending came to, on both sides."""

    sent: Sent | None
    error: Exception | None
    taken: int
    """How many messages the fake has more than before."""
    text: str
    """Their texts, put together."""

    @property
    def said(self) -> str:
        return "Sent" if self.error is None else type(self.error).__name__


class Inbox(Fake):
    """The platform's webhook: keeps every request and answers 200. (A fake of ourselves, for the same server.)"""

    settings: Any = None

    def __init__(self, channel: Channel) -> None:
        super().__init__()
        self.channel = channel
        self.got: list[Request] = []
        for method in ("POST", "GET", "PUT"):
            self.route(method, "/hook", self.keep)
        self.route("GET", "/files/{name}/kit.png", self.file)

    async def keep(self, call: Call) -> Answer:
        """Any webhook."""
        self.got.append(Request(call.method, call.url, call.headers, call.body, time.time_ns() // 1000))
        return Answer(200)

    async def file(self, call: Call) -> Answer:
        """A file of ours by its address, for providers that fetch what they send."""
        content = FILES.get(call.params["name"])
        return Answer(404) if content is None else Answer(200, content, {"content-type": "image/png"})

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """Nobody writes to a webhook."""
        return []


class Scene:
    """One channel, its running fake and our inbox."""

    def __init__(
        self,
        make: Callable[..., Fake],
        fake: Fake,
        inbox: Inbox,
        seed: int,
        told: Callable[[Check], None] | None,
    ) -> None:
        self.make = make
        self.fake = fake
        self.inbox = inbox
        self.seed = seed
        self.channel = fake.channel
        self.account = Account("acc_kit", fake.settings)
        self.met: Inbound | None = None
        """Somebody who wrote before, if webhooks say so."""
        self.errors: list[BaseException] = []
        self._checks: list[Check] = []
        self._told = told
        self._keys: dict[str, bytes] = {}
        self._number = 0

    @contextlib.contextmanager
    def check(self, name: str) -> Iterator[list[str]]:
        """One promise: the block raises `Broken` or `Skipped`, or ends; it may leave a remark in the list."""
        remarks: list[str] = []
        held: bool | None = True
        try:
            yield remarks
        except Skipped as reason:
            held, remarks = None, [str(reason)]
        except Broken as reason:
            held, remarks = False, [str(reason)]
        except Exception as error:  # noqa: BLE001 - a stranger's code: its mistakes are what we look for
            self.errors.append(error)
            held, remarks = (
                False,
                [f"raised {type(error).__name__} ({self.place(error)}): {str(error)[:200]}"],
            )
        check = Check(name, held, "; ".join(remarks))
        self._checks.append(check)
        if self._told is not None:
            self._told(check)

    def place(self, error: BaseException) -> str:
        """File and line: the last ones that are the channel's or the fake's own, if any are."""
        frames = list(traceback.extract_tb(error.__traceback__))
        homes = {inspect.getfile(type(part)).rpartition("/")[0] for part in (self.channel, self.fake)}
        frames = [one for one in frames if one.filename.rpartition("/")[0] in homes] or frames
        return f"{frames[-1].filename.rpartition('/')[2]}:{frames[-1].lineno}" if frames else "?"

    def report(self) -> Report:
        """Everything so far."""
        return Report(self.channel.name, self.channel.title, self.seed, tuple(self._checks))

    # Reading --------------------------------------------------------------------------------------------------------

    def say(self, text: str, fake: Fake | None = None, **more: Any) -> list[Delivery]:
        """A customer writes; the webhooks of it. Raises `Skipped` when none come."""
        fake = fake or self.fake
        deliveries: list[Delivery] = fake.do(fake.say, fake.someone(), text, **more)
        if not deliveries:
            raise Skipped("messages come over a connection, not by webhook")
        return deliveries

    def sample(self, text: str) -> Delivery:
        """Any webhook that is signed right. Raises `Skipped` when the fake cannot make one."""
        try:
            return self.say(text)[0]
        except Skipped:
            signed: Delivery | None = self.fake.do(self.fake.signed, msgspec.json.encode({"kit": text}))
            if signed is None:
                raise
            return signed

    def parse(self, request: Request, account: Account | None = None) -> Parsed:
        """What the channel reads in a webhook, with the keys it asks for. Errors are kept for `tell_secrets`."""
        account = account or self.account
        for _ in range(4):
            try:
                return self.channel.parse_webhook(
                    msgspec.structs.replace(account, keys=dict(self._keys)), request
                )
            except NeedsKey as wish:
                if wish.url in self._keys:
                    raise Broken(f"asks for the same key again: {wish.url}") from None
                self._keys[wish.url] = self._published(wish.url)
            except Exception as error:
                self.errors.append(error)
                raise
        raise Broken("asks for more than three keys for one webhook")

    def read(self, deliveries: list[Delivery], fake: Fake | None = None) -> Parsed:
        """Several webhooks as one result."""
        fake = fake or self.fake
        every = [self.parse(fake.request(one), Account("acc_kit", fake.settings)) for one in deliveries]
        return Parsed(
            tuple(message for parsed in every for message in parsed.messages),
            tuple(status for parsed in every for status in parsed.statuses),
            tuple(preference for parsed in every for preference in parsed.preferences),
        )

    def _published(self, url: str) -> bytes:
        if url in self.fake.keys:
            return self.fake.keys[url]
        if not url.startswith(self.fake.base):
            raise Broken(f"asks for {url}, which is not in the fake's `keys`")
        return httpx.get(url, timeout=DEADLINE_S, trust_env=False).raise_for_status().content

    # Sending --------------------------------------------------------------------------------------------------------

    def run(self, work: Callable[..., Awaitable[T]], *args: Any, backend: str = "asyncio") -> T:
        """Run something of the channel with tools, at most `DEADLINE_S`, on ``asyncio`` or ``trio``."""

        async def limited() -> T:
            async with tools(FILES) as lent:
                with anyio.fail_after(DEADLINE_S):
                    return await work(*args, lent)

        return anyio.run(limited, backend=backend)

    def message(self, content: Content | str, **more: Any) -> Outbound:
        """To the customer who wrote, as an answer where we know how; otherwise to the usual example."""
        self._number += 1
        met = self.met
        known: dict[str, Any] = {"to": Address(self.channel.address, self.fake.someone())}
        if met is not None:
            known = {"to": met.sender, "sender": met.recipient, "thread": met.thread, "context": met.context}
        if self.channel.capabilities.subject:
            known["subject"] = "A question"
        known |= {"last_inbound_us": time.time_ns() // 1000, "status_url": self.fake.webhook_url} | more
        return Outbound(
            id=f"msg_kit{self._number:06}",
            content=Text(content) if isinstance(content, str) else content,
            **known,
        )

    def file(self, name: str) -> File:
        """One of `FILES`, by its id and by its address, as the platform gives them."""
        url = f"{self.inbox.base}/files/{name}/kit.png"
        return File(name="kit.png", media_type="image/png", size=len(FILES[name]), id=name, url=url)

    def send(self, message: Outbound, *, account: Account | None = None, backend: str = "asyncio") -> Outcome:
        """Send, and look at what the fake has."""
        before = len(self.fake.sent)
        sent, failure = None, None

        async def sending(lent: Tools) -> Sent:
            return await self.channel.send(account or self.account, message, lent)

        try:
            sent = self.run(sending, backend=backend)
        except Exception as error:  # noqa: BLE001 - which one it is, is the question
            failure = error
            self.errors.append(error)
        new = self.fake.sent[before:]
        if failure is not None and not isinstance(failure, ChannelError):
            text = f"on {backend} send raised {type(failure).__name__} ({self.place(failure)}), no error of the SDK"
            raise Broken(text) from failure
        return Outcome(sent, failure, len(new), "".join(one.text for one in new))

    def tell_secrets(self) -> None:
        """The last check: what was raised until now holds no secret and no content."""
        with self.check("no error text holds a secret or content") as remarks:
            values = {
                name: value
                for name, value in secrets_of(self.account.settings).items()
                if len(value) >= _SHORT
            }
            for error in self.errors:
                told = f"{error!s} {error!r} {getattr(error, 'code', '')}"
                for name, value in values.items():
                    if value in told:
                        raise Broken(f"the setting {name} is in the text of a {type(error).__name__}")
                if MARK in told:
                    raise Broken(f"the content of a message is in the text of a {type(error).__name__}")
            remarks.append(f"{len(self.errors)} errors, {len(values)} secrets")


@contextlib.contextmanager
def open_scene(make: Callable[..., Fake], seed: int, told: Callable[[Check], None] | None) -> Iterator[Scene]:
    """The fake and the inbox, both running, and the scene around them."""
    fake = make(seed=seed)
    fake.pace_s = 0.01
    with running(Inbox(fake.channel)) as inbox:
        fake.webhook_url = f"{inbox.base}/hook"
        with running(fake):
            yield Scene(make, fake, inbox, seed, told)


def secrets_of(settings: Any) -> dict[str, str]:
    """The settings marked by `irisx_sdk.secret`, those that have a value."""
    schema = msgspec.json.schema(type(settings))
    fields = schema["$defs"][type(settings).__name__]["properties"]
    names = {name for name, field in fields.items() if b'"writeOnly":true' in msgspec.json.encode(field)}
    values = {
        field.name: getattr(settings, field.name)
        for field in msgspec.structs.fields(type(settings))
        if field.encode_name in names
    }
    return {name: value for name, value in values.items() if isinstance(value, str) and value}


def with_wrong(settings: Any, *names: str) -> Any:
    """The settings with one letter in the middle of each of these changed."""
    changes = {}
    for name in names:
        value = getattr(settings, name)
        middle = len(value) // 2
        changes[name] = value[:middle] + ("b" if value[middle] in "aA" else "a") + value[middle + 1 :]
    return msgspec.structs.replace(settings, **changes)


MARK = "kitmark7Q"
"""Part of every text that the kit sends or says, to find it again."""

PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415478da6350"
    "4d7e0d0002240174a4e792780000000049454e44ae426082"
)
"""A PNG of one pixel."""
LARGE = PICTURE + b"\0" * (1 << 20)
FILES = {"fil_kit": PICTURE, "fil_large": LARGE}
