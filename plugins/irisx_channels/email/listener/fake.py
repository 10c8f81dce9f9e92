"""Somebody else's mail server: it brings mail to our listener as the world does, and takes our answers."""

import asyncio
import smtplib
import socket
import time
from collections.abc import Callable
from typing import Any

from irisx_channels.email import fakes, words
from irisx_channels.email.listener.client import Listener, Settings
from irisx_channels.email.smtp.fake import HOST, FakeSubmission
from irisx_sdk.fake import Delivery, Faults

ATTEMPTS = 5


class FakeListener(FakeSubmission):
    """The rest of the world's mail."""

    channel = Listener()

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        with socket.create_server((HOST, 0)) as free:
            self.listen_port: int = free.getsockname()[1]
        self.brought: list[int] = []
        """What was said to each mail that was brought."""

    @property
    def settings(self) -> Settings:
        return Settings(**self.submission, listen_host=HOST, listen_port=self.listen_port)

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """Bring a mail to the listener; ``more`` as in `fakes.written`."""
        if not words.is_address(sender):
            raise ValueError("not an address")
        raw = fakes.written(self, sender, text, **more)
        self.spawn(self._bring(raw, sender, more.get("to", fakes.REPLY_TO)))
        return []

    async def _bring(self, raw: bytes, sender: str, recipient: str) -> None:
        """Until it is taken, as any mail server does."""
        for attempt in range(ATTEMPTS):
            await asyncio.sleep(0.2 * attempt)
            code = await asyncio.to_thread(self.bring, raw, sender, [recipient])
            if code:
                self.brought.append(code)
                if code < 400 or code >= 500:
                    return

    def bring(self, raw: bytes, sender: str, recipients: list[str]) -> int:
        """Bring a mail now (it blocks): the last code that was said, 0 when nobody listens."""
        try:
            with smtplib.SMTP(HOST, self.listen_port, timeout=10) as client:
                client.sendmail(sender, recipients, raw)
                return 250
        except smtplib.SMTPRecipientsRefused as refused:
            return next(iter(refused.recipients.values()))[0]
        except smtplib.SMTPResponseException as refused:
            return refused.smtp_code
        except (OSError, smtplib.SMTPException):
            return 0
