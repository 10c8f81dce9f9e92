"""A fake mail server that takes mails from us: the faults of a provider on the wire of SMTP."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, ClassVar

from irisx_channels.email import fakes, threading, words
from irisx_channels.email.listener.protocol import Close, Letter, Say, Server, StartTls
from irisx_channels.email.smtp.client import Settings, Smtp
from irisx_sdk.fake import Delivery, Fake, FakeMessage, Faults, same

HOST = "127.0.0.1"
MAX_BYTES = 40_000_000


class FakeSubmission(Fake):
    """Base of the fakes of channels that send by SMTP."""

    life: ClassVar[tuple[str, ...]] = ("sent",)
    covers = "token"

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.user = "shop"
        self.password = self.new_id(digits=24)
        self.port = 1
        self.verdicts: dict[str, str] = {}
        """What is said to RCPT for an address, where it is not yes."""
        self.at_data = ""
        """What is said to the end of a mail instead of yes."""
        self._smtp: asyncio.Server | None = None

    @property
    def submission(self) -> dict[str, Any]:
        """The settings of the account that concern sending."""
        return {
            **fakes.ADDRESSES,
            "host": HOST,
            "port": self.port,
            "tls": "none",
            "user": self.user,
            "password": self.password,
        }

    async def started(self) -> None:
        self._smtp = await asyncio.start_server(self._connected, HOST, 0)
        self.port = self._smtp.sockets[0].getsockname()[1]

    async def stopped(self) -> None:
        if self._smtp is not None:
            self._smtp.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - inside of one
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, TimeoutError):
            pass
        finally:
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        faults = self.faults
        if faults.throttle_every and self.requests % faults.throttle_every == 0:
            writer.write(b"421 4.7.0 too many connections\r\n")
            return
        if faults.error_every and self.requests % faults.error_every == 0:
            writer.write(b"450 4.3.2 come back later\r\n")
            return
        server = Server("mx.shop.example", accepts=self._accepts, max_bytes=MAX_BYTES, login=self._login)
        writer.write(server.greeting())
        while True:
            event = server.next_event()
            if event is None:
                data = await asyncio.wait_for(reader.read(1 << 16), 60)
                if not data:
                    return
                server.receive(data)
            elif isinstance(event, Letter):
                if not await self._took(event, server, writer):
                    return
            else:
                writer.write(event.data)
                await writer.drain()
                if isinstance(event, Close | StartTls):
                    return

    def _accepts(self, address: str) -> str:
        return self.verdicts.get(address, "")

    def _login(self, user: str, password: str) -> bool:
        if same(user, self.user) and same(password, self.password):
            return True
        self.unauthorized += 1
        return False

    async def _took(self, letter: Letter, server: Server, writer: asyncio.StreamWriter) -> bool:
        """Keep a mail and say so, or do what the faults of today say; False when the connection is cut."""
        if self._chance(self.faults.drop_before):
            writer.transport.abort()
            return False
        if self.at_data:
            writer.write(server.stored(self.at_data).data)
            return True
        name = self.new_id(digits=12).upper()
        message = fakes.taken(self, name, letter.raw, letter.recipients[0])
        self.took(
            FakeMessage(
                str(message.raw["Message-ID"]).strip("<>"),
                message.to,
                message.text,
                message.media,
                raw={"mail": message.raw, "letter": letter},
                at=message.at,
                sender=letter.sender,
                reference=threading.reference_of_id(str(message.raw["Message-ID"]).strip("<>")),
            )
        )
        self._notice()
        if self._chance(self.faults.drop_after):
            writer.transport.abort()
            return False
        await asyncio.sleep(self.faults.delay_s)
        said: Say = server.stored(f"250 2.0.0 queued as {name}")
        writer.write(said.data)
        return True

    def headers_of(self, sent: FakeMessage) -> dict[str, str]:
        """The headers that a mail goes out with, names in lower case."""
        return {name.lower(): str(value) for name, value in sent.raw["mail"].items()}


class FakeSmtp(FakeSubmission):
    """A server for sending only."""

    channel = Smtp()

    @property
    def settings(self) -> Settings:
        return Settings(**self.submission)

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """Nobody writes to a server for sending."""
        if not words.is_address(sender):
            raise ValueError("not an address")
        return []
