"""A fake mailbox: the part of an IMAP server that readers of mailboxes use, and a server for sending beside it."""

import asyncio
import re
import time
from collections.abc import Callable
from typing import Any

from irisx_channels.email import fakes, words
from irisx_channels.email.imap.client import Imap
from irisx_channels.email.imap.settings import Settings
from irisx_channels.email.smtp.fake import HOST, FakeSubmission
from irisx_sdk.fake import Delivery, Faults, same

CAPABILITIES = "IMAP4rev1 IDLE LITERAL+"


class FakeImap(FakeSubmission):
    """One mailbox."""

    channel = Imap()

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
        capabilities: str = CAPABILITIES,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.capabilities = capabilities
        self.imap_password = self.new_id(digits=24)
        self.imap_port = 1
        self.uid_validity = 7
        self.next_uid = 1
        self.mails: dict[int, bytes] = {}
        self.seen: set[int] = set()
        self.idles = 0
        """How often somebody waited."""
        self._imap: asyncio.Server | None = None
        self._news: set[asyncio.Event] = set()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def settings(self) -> Settings:
        return Settings(
            **self.submission,
            imap_host=HOST,
            imap_port=self.imap_port,
            imap_tls="none",
            imap_user="answers",
            imap_password=self.imap_password,
        )

    async def started(self) -> None:
        await super().started()
        self._imap = await asyncio.start_server(self._reader, HOST, 0, limit=1 << 20)
        self.imap_port = self._imap.sockets[0].getsockname()[1]

    async def stopped(self) -> None:
        await super().stopped()
        if self._imap is not None:
            self._imap.close()

    def say(self, sender: str, text: str, **more: Any) -> list[Delivery]:
        """A mail arrives in the mailbox; ``more`` as in `fakes.written`."""
        if not words.is_address(sender):
            raise ValueError("not an address")
        self.arrive(fakes.written(self, sender, text, **more))
        return []

    def arrive(self, raw: bytes) -> int:
        """Any mail arrives; its UID."""
        uid, self.next_uid = self.next_uid, self.next_uid + 1
        self.mails[uid] = raw
        for news in self._news:
            news.set()
        return uid

    def renumber(self) -> None:
        """The mailbox is made anew: other UIDs, and a UIDVALIDITY that says so."""
        self.uid_validity += 1
        self.mails = dict(enumerate(self.mails.values(), 1))
        self.next_uid = len(self.mails) + 1

    def hang_up(self) -> None:
        """Every connection is lost."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _reader(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - inside of one
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        try:
            await _Mailbox(self, reader, writer).serve()
        except (ConnectionError, asyncio.IncompleteReadError, ValueError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()


class _Mailbox:
    """One connection."""

    def __init__(self, fake: FakeImap, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.fake = fake
        self.reader = reader
        self.writer = writer
        self.logged_in = False
        self.selected = False
        self.told = 0
        """How many mails the client knows of: what is new is told with the next answer, at the latest."""

    def say(self, line: str) -> None:
        self.writer.write(f"{line}\r\n".encode())

    async def serve(self) -> None:
        self.say(f"* OK [CAPABILITY {self.fake.capabilities}] ready")
        while line := (await self.reader.readline()).decode().rstrip("\r\n"):
            tag, _, rest = line.partition(" ")
            verb, _, arguments = rest.partition(" ")
            if not await self._command(tag, verb.upper(), arguments):
                return
            await self.writer.drain()

    async def _command(self, tag: str, verb: str, arguments: str) -> bool:
        if verb == "CAPABILITY":
            self.say(f"* CAPABILITY {self.fake.capabilities}")
        elif verb == "LOGIN":
            given = re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', arguments)
            user, password = (quoted or plain for quoted, plain in given)
            if not (user == "answers" and same(password, self.fake.imap_password)):
                self.fake.unauthorized += 1
                self.say(f"{tag} NO [AUTHENTICATIONFAILED] wrong user or password")
                return True
            self.logged_in = True
        elif verb == "LOGOUT":
            self.say("* BYE see you")
            self.say(f"{tag} OK done")
            return False
        elif not self.logged_in:
            self.say(f"{tag} NO log in first")
            return True
        elif verb == "SELECT":
            if arguments.strip('"') != "INBOX":
                self.say(f"{tag} NO [NONEXISTENT] no such mailbox")
                return True
            self.selected = True
            self.told = -1
            self.tell()
            self.say("* FLAGS (\\Seen \\Deleted)")
            self.say(f"* OK [UIDVALIDITY {self.fake.uid_validity}] valid")
            self.say(f"* OK [UIDNEXT {self.fake.next_uid}] next")
        elif verb == "IDLE" and "IDLE" in self.fake.capabilities:
            await self._idle(tag)
            return True
        elif verb == "UID":
            self._uid(arguments)
        elif verb != "NOOP":
            self.say(f"{tag} BAD what?")
            return True
        self.tell()
        self.say(f"{tag} OK done")
        return True

    def tell(self) -> None:
        """How many mails there are, if that is news."""
        if self.selected and self.told != len(self.fake.mails):
            self.told = len(self.fake.mails)
            self.say(f"* {self.told} EXISTS")

    async def _idle(self, tag: str) -> None:
        self.fake.idles += 1
        self.say("+ idling")
        news = asyncio.Event()
        self.fake._news.add(news)
        self.tell()
        await self.writer.drain()
        done = asyncio.ensure_future(self.reader.readline())
        try:
            while not done.done():
                waiting = asyncio.ensure_future(news.wait())
                await asyncio.wait({done, waiting}, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
                if news.is_set():
                    news.clear()
                    self.tell()
                    await self.writer.drain()
        finally:
            self.fake._news.discard(news)
            done.cancel()
        self.say(f"{tag} OK done")

    def _uid(self, arguments: str) -> None:
        verb, _, rest = arguments.partition(" ")
        mails = self.fake.mails
        if verb == "SEARCH":
            found = self._range(rest.split()[1]) if rest.startswith("UID ") else list(mails)
            self.say(f"* SEARCH {' '.join(map(str, found))}".rstrip())
        elif verb == "FETCH":
            which, _, what = rest.partition(" ")
            for uid in self._range(which):
                self._fetched(uid, what)
        elif verb == "STORE":
            self.fake.seen |= set(self._range(rest.partition(" ")[0]))

    def _fetched(self, uid: int, what: str) -> None:
        raw = self.fake.mails[uid]
        place = list(self.fake.mails).index(uid) + 1
        if "RFC822.SIZE" in what:
            self.say(f"* {place} FETCH (UID {uid} RFC822.SIZE {len(raw)})")
            return
        head = "HEADER" in what
        content = raw.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if head else raw
        self.say(f"* {place} FETCH (UID {uid} BODY[{'HEADER' if head else ''}] {{{len(content)}}}")
        self.writer.write(content + b")\r\n")

    def _range(self, text: str) -> list[int]:
        """The UIDs that a set names; ``9:*`` has the last one in it in any case."""
        last = max(self.fake.mails, default=0)
        found: set[int] = set()
        for one in text.split(","):
            first, _, second = one.partition(":")
            ends = sorted(last if end == "*" else int(end) for end in (first, second or first))
            found |= {uid for uid in self.fake.mails if ends[0] <= uid <= ends[1]}
        return sorted(found)
