"""A fake provider: one account at a provider that does not exist, on the provider's wire.

Subclass `Fake`, register your routes in ``__init__``, write `say` and `receipt`. Everything else (routing, webhooks
with retries, the life of receipts, faults, throttling, a page for people) is here. A fake is pure state and an ASGI
application for asyncio: nothing listens until somebody runs it (`irisx_sdk.testing.running`, `irisx fake-provider`).

From another thread, as tests are, call its methods through `Fake.do`; reading `Fake.sent` is safe anywhere.
"""

import asyncio
import hmac
import inspect
import random
import re
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

import httpx
import msgspec
from msgspec import Struct

from irisx_sdk.channel import Channel, Request
from irisx_sdk.fake_calls import Answer, Call, Delivered, Delivery, FakeMessage, Faults, Line, Part
from irisx_sdk.fake_sockets import Closed, WebSocket

__all__ = [
    "Answer", "Call", "Closed", "Delivered", "Delivery", "Fake", "FakeMessage", "Faults", "Line", "Part", "WebSocket",
    "same",
]  # fmt: skip

T = TypeVar("T")
Handler = Callable[[Call], Awaitable[Answer]]
SocketHandler = Callable[[WebSocket], Awaitable[None]]
Scope = MutableMapping[str, Any]

EXAMPLES: dict[str, str] = {"phone": "+4915112345678", "email": "kim@customer.example", "user": "1001"}
WEBHOOK_DEADLINE_S = 15.0
DO_S = 30.0
_KEPT = 500
_EARLY_S = 0.15
_OVERTAKEN_S = 0.2


class Fake(ABC):
    """Base of every fake provider."""

    channel: Channel
    """The channel whose provider this plays."""
    life: ClassVar[tuple[str, ...]] = ("sent", "delivered")
    """The states that a message goes through by itself; each is given to `receipt`."""
    pace_s: float = 0.05
    """Seconds between two states."""
    attempts: int = 3
    """How often a webhook is tried until it is answered 2xx."""
    pushes: ClassVar[bool] = False
    """Receipts go over a connection that somebody holds: they need no webhook's address."""
    person: ClassVar[str] = ""
    """Somebody who could write: shown on the page, used by the conformance kit. Empty for the usual example."""
    covers: ClassVar[Literal["body", "token", "nothing"]] = "body"
    """What proves a webhook: a signature over its body, a secret that comes along, or nothing at this provider."""

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.webhook_url = webhook_url
        self.faults = faults
        self.clock = clock
        self.base = ""
        """``http://127.0.0.1:PORT``; known before `started` is called."""
        self.random = random.Random(seed)
        self._names = random.Random(f"names {seed}")
        self.sent: list[FakeMessage] = []
        self.states: dict[str, str] = {}
        """The last state that was reported of each message."""
        self.exchange: deque[Line] = deque(maxlen=_KEPT)
        self.delivered: deque[Delivered] = deque(maxlen=_KEPT)
        """The newest webhooks and how they ended."""
        self.unauthorized = 0
        """Requests whose credentials were wrong."""
        self.requests = 0
        self.routes: list[tuple[str, str, Handler]] = []
        self._patterns: list[tuple[str, re.Pattern[str], Handler, bool]] = []
        self._sockets: list[tuple[re.Pattern[str], SocketHandler]] = []
        self._seen = 0
        self._tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._http: httpx.AsyncClient | None = None
        self.keys: dict[str, bytes] = {}
        """Documents that the provider publishes, by address: what answers `irisx_sdk.NeedsKey`."""
        self.cut: Callable[[Any], None] = lambda peer: None
        """Ends the connection of a peer's address at once; the server sets it."""

    # What a provider's fake says ------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def settings(self) -> Struct:
        """The account's settings that fit this fake: its secrets, and its address once it has one."""

    @abstractmethod
    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """A person writes: the webhooks of it, signed. Empty when it went over a connection that is held."""

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        """The webhooks that report a state in our words (`irisx_sdk.State`); empty for one that it never reports."""
        return []

    def signed(self, body: bytes) -> Delivery | None:
        """A webhook with any ``body``, signed as the provider signs: how the kit gets poison past the signature.

        None when it cannot be done; the kit then tries with `hmac.compare_digest` out of order.
        """
        return None

    def throttled(self, call: Call) -> Answer:
        """The provider's "too fast"."""
        return Answer(429, {"error": "too many requests"}, {"retry-after": "1"})

    def broken(self, call: Call) -> Answer:
        """The provider's "come back later"."""
        return Answer(503, {"error": "unavailable"})

    async def started(self) -> None:  # noqa: B027 - most need none
        """`base` is known and the server about to listen: start other servers (TCP) here."""

    async def stopped(self) -> None:  # noqa: B027
        """End what `started` began."""

    # What a fake uses -----------------------------------------------------------------------------------------------

    def route(self, method: str, path: str, handler: Handler, *, steady: bool = False) -> None:
        """Answer ``path`` (``/a/{name}``, ``{name:path}`` for the rest) by ``handler``; a ``steady`` one has no faults."""
        self.routes.append((method, path, handler))
        self._patterns.append((method, _pattern(path), handler, steady))

    def websocket(self, path: str, handler: SocketHandler) -> None:
        """Give every WebSocket opened at ``path`` to ``handler``, which may end by returning."""
        self._sockets.append((_pattern(path), handler))

    def new_id(self, prefix: str = "", digits: int = 32) -> str:
        """A new name of hexadecimal digits: the same ones for the same seed."""
        return f"{prefix}{self._names.getrandbits(digits * 4):0{digits}x}"

    def deny(self, body: Any = b"", *, status: int = 401) -> Answer:
        """The answer to wrong credentials, which are counted."""
        self.unauthorized += 1
        return Answer(status, body)

    def took(self, message: FakeMessage) -> FakeMessage:
        """Keep a message that is to be sent, and begin the life of its receipts."""
        self.sent.append(message)
        self._notice()
        return message

    def request(self, delivery: Delivery, *, age_s: float = 0) -> Request:
        """A delivery as the platform would see it, ``age_s`` seconds after it was made: for tests of a codec."""
        headers = {name.lower(): value for name, value in delivery.headers.items()}
        at_us = int((self.clock() + age_s) * 1e6)
        return Request(delivery.method, self.webhook_url + delivery.path, headers, delivery.body, at_us)

    def someone(self) -> str:
        """An address that a customer could have here."""
        return self.person or EXAMPLES[self.channel.address]

    # What others use ------------------------------------------------------------------------------------------------

    def do(self, work: Callable[..., Any], *args: Any, **more: Any) -> Any:
        """Call ``work`` in the fake's own loop from another thread, wait for it (`DO_S` at most), return what it gave."""

        async def there() -> Any:
            made = work(*args, **more)
            return await made if inspect.isawaitable(made) else made

        if self._loop is None:
            return asyncio.run(there())
        return asyncio.run_coroutine_threadsafe(there(), self._loop).result(DO_S)

    async def write(self, sender: str, text: str, **more: Any) -> list[Delivered]:
        """A person writes, and the platform is told: `say` and `deliver`."""
        deliveries = self.say(sender, text, **more)
        self.exchange.append(Line(self.clock(), sender, text, ours=False))
        return await self.deliver(deliveries)

    async def deliver(self, deliveries: Sequence[Delivery]) -> list[Delivered]:
        """Call the platform's webhook, with the faults of today; an answer outside 2xx is tried again."""
        if not self.webhook_url:
            return []
        plan = [one for one in deliveries for _ in range(1 + self._chance(self.faults.duplicate))]
        ended = []
        for one in plan:
            wait = self.random.uniform(0, self.faults.delay_s)
            await asyncio.sleep(wait + _OVERTAKEN_S * self._chance(self.faults.reorder))
            ended.append(await self._post(one))
        return ended

    async def report(self, message: FakeMessage, state: str) -> list[Delivered]:
        """Tell the platform that a message came to ``state``."""
        deliveries = self.receipt(message, state)
        self.states[message.id] = state
        return await self.deliver(deliveries)

    # The machinery --------------------------------------------------------------------------------------------------

    async def answer(self, call: Call) -> Answer | None:
        """What a request is answered; None when its connection is to be cut instead."""
        allowed = []
        for method, pattern, handler, steady in self._patterns:
            if (found := pattern.fullmatch(call.path)) is None:
                continue
            if method == call.method:
                call = msgspec.structs.replace(call, params=found.groupdict())
                return await (self._handled(call, handler) if steady else self._with_faults(call, handler))
            allowed.append(method)
        return (
            Answer(405, b"", {"allow": ", ".join(allowed)})
            if allowed
            else Answer(404, {"error": "no such path"})
        )

    async def _with_faults(self, call: Call, handler: Handler) -> Answer | None:
        faults = self.faults
        self.requests += 1
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        if self._chance(faults.drop_before):
            return None
        if faults.throttle_every and self.requests % faults.throttle_every == 0:
            return self.throttled(call)
        if faults.error_every and self.requests % faults.error_every == 0:
            return self.broken(call)
        before = len(self.sent)
        answer = await self._handled(call, handler)
        if len(self.sent) > before and faults.early:
            await asyncio.sleep(_EARLY_S)
        return None if self._chance(faults.drop_after) else answer

    async def _handled(self, call: Call, handler: Handler) -> Answer:
        try:
            answer = await handler(call)
        except (ValueError, KeyError, TypeError, AttributeError, msgspec.MsgspecError) as error:
            # A body that is not what the provider expects. (In a test, `sent` stays empty and the text says why.)
            return Answer(400, {"error": f"{type(error).__name__}: {error}"})
        self._notice()
        return answer

    def socket(self, path: str) -> tuple[SocketHandler, dict[str, str]] | None:
        """Who takes a WebSocket opened at ``path``, and what the pattern's places hold."""
        for pattern, handler in self._sockets:
            if (found := pattern.fullmatch(path)) is not None:
                return handler, found.groupdict()
        return None

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``work`` beside everything else, until it ends or the fake does."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def open(self, base: str) -> None:
        """Called by whoever runs the fake, inside its loop, before anything is asked."""
        self.base = base
        self._loop = asyncio.get_running_loop()
        self._http = httpx.AsyncClient(timeout=WEBHOOK_DEADLINE_S, trust_env=False)
        await self.started()

    async def close(self) -> None:
        """End everything that runs here."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.stopped()
        if self._http is not None:
            await self._http.aclose()
        self._loop = self._http = None

    def _notice(self) -> None:
        """Begin the life of messages that are new in `sent`."""
        new, self._seen = self.sent[self._seen :], len(self.sent)
        for message in new:
            self.exchange.append(Line(self.clock(), message.to, message.text, ours=True, id=message.id))
            if self._loop is not None and (self.webhook_url or self.pushes):
                self.spawn(self._live(message))

    async def _live(self, message: FakeMessage) -> None:
        states = list(self.life)
        if self._chance(self.faults.fail):
            states[-1:] = ["undelivered"]
        if self._chance(self.faults.lie):
            unknown = msgspec.structs.replace(
                message, id=self.new_id(message.id[:2], max(2, len(message.id) - 2))
            )
            await self.deliver(self.receipt(unknown, states[-1]))
            states = [*reversed(states), *states]
        early = self._chance(self.faults.early)
        for state in states:
            await asyncio.sleep(0 if early else self.pace_s)
            await self.report(message, state)

    async def _post(self, delivery: Delivery) -> Delivered:
        ended = Delivered(delivery, 0)
        for attempt in range(self.attempts if self._http else 0):
            if attempt:
                await asyncio.sleep(self.random.uniform(0.5, 1) * 0.1 * 2**attempt)
            assert self._http is not None  # noqa: S101 - for the type checker
            try:
                url = self.webhook_url + delivery.path
                got = await self._http.request(
                    delivery.method, url, headers=dict(delivery.headers), content=delivery.body
                )
                ended = Delivered(delivery, got.status_code, got.content)
            except httpx.HTTPError:
                ended = Delivered(delivery, 0)
            if 200 <= ended.status < 300:
                break
        self.delivered.append(ended)
        return ended

    def _chance(self, share: float) -> bool:
        return share > 0 and self.random.random() < share


def same(given: str, expected: str) -> bool:
    """Whether two secrets are equal, in a time that does not tell how much of them."""
    return hmac.compare_digest(given.encode(), expected.encode())


def _pattern(path: str) -> re.Pattern[str]:
    """``/a/{name}/b`` as a regular expression; ``{name:path}`` takes slashes too."""
    pieces = re.split(r"\{(\w+)(:path)?\}", path)
    made = re.escape(pieces[0])
    for name, deep, rest in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        made += f"(?P<{name}>{'.+' if deep else '[^/]+'}){re.escape(rest)}"
    return re.compile(made)
