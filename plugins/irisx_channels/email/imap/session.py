"""One connection to a mailbox: logged in, one mailbox open, one command at a time; trio."""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache

import trio

from irisx_channels.email.imap.protocol import Broken, Line, Lines, Value, mailbox, number, pairs, quoted
from irisx_channels.email.imap.settings import Settings
from irisx_channels.email.smtp.protocol import plain, xoauth2
from irisx_sdk import Misconfigured, NotSent, Tools

CONNECT_S = 15.0
ANSWER_S = 120.0
"""For one answer; a search in a mailbox of a million mails takes its time."""
GOODBYE_S = 2.0
_CHUNK = 1 << 16
_LOST = (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError, ssl.SSLError, OSError, Broken)


class Lost(Exception):
    """The connection is gone; the next one goes on where this one was."""


@cache
def _trust() -> ssl.SSLContext:
    return ssl.create_default_context()


class Session:
    """A mailbox that is open."""

    def __init__(self, stream: trio.abc.Stream, max_mail: int) -> None:
        self.stream = stream
        self.max_mail = max_mail
        self.capabilities: frozenset[str] = frozenset()
        self.uid_validity = 0
        self.uid_next = 0
        self.news = False
        """The server has said that the mailbox has changed."""
        self._lines = Lines(max_literal=max_mail)
        self._waiting: list[Line] = []
        self._number = 0

    async def line(self, limit_s: float = ANSWER_S) -> Line:
        """The next answer. Raises `Lost`."""
        try:
            with trio.fail_after(limit_s):
                while not self._waiting:
                    data = await self.stream.receive_some(_CHUNK)
                    if not data:
                        raise Lost("the server hung up")
                    self._waiting = self._lines.feed(bytes(data))
        except _LOST as failed:
            raise Lost(f"the connection failed ({type(failed).__name__})") from None
        found = self._waiting.pop(0)
        if found.tag == "*":
            self._heard(found)
        return found

    def _heard(self, line: Line) -> None:
        second = line.values[1] if len(line.values) > 1 else b""
        if isinstance(second, bytes) and second.upper() in (b"EXISTS", b"RECENT"):
            self.news = True
        code, _, rest = line.code.partition(" ")
        if code == "CAPABILITY":
            self.capabilities = frozenset(rest.upper().split())
        elif line.word == "CAPABILITY":
            self.capabilities = frozenset(
                one.decode("ascii", "replace").upper() for one in line.values[1:] if isinstance(one, bytes)
            )
        elif code == "UIDVALIDITY":
            self.uid_validity = max(0, number(rest.encode()))
        elif code == "UIDNEXT":
            self.uid_next = max(0, number(rest.encode()))

    async def send(self, data: str) -> None:
        try:
            with trio.fail_after(ANSWER_S):
                await self.stream.send_all(data.encode() + b"\r\n")
        except _LOST as failed:
            raise Lost(f"the connection failed ({type(failed).__name__})") from None

    async def ask(self, command: str, *more: str) -> tuple[Line, list[Line]]:
        """The tagged answer and everything before it. ``more`` is sent, line by line, when the server says go on."""
        self._number += 1
        tag = f"a{self._number}"
        await self.send(f"{tag} {command}")
        others: list[Line] = []
        rest = list(more)
        while True:
            found = await self.line()
            if found.tag == tag:
                code, _, told = found.code.partition(" ")
                if code == "CAPABILITY":
                    self.capabilities = frozenset(told.upper().split())
                return found, others
            if found.tag == "+":
                await self.send(rest.pop(0) if rest else "")
            else:
                others.append(found)

    async def expect(self, command: str, *more: str) -> list[Line]:
        """What stands before an OK. Raises `Lost` for any other answer."""
        done, others = await self.ask(command, *more)
        if done.word != "OK":
            raise Lost(f"{command.partition(' ')[0]} was answered {done.word}")
        return others

    async def log_in(self, settings: Settings) -> None:
        """Raises `Misconfigured` for a wrong password."""
        if not self.capabilities:
            await self.expect("CAPABILITY")
        token = settings.imap_oauth_token
        try:
            if token:
                done, _ = await self.ask(f"AUTHENTICATE XOAUTH2 {xoauth2(settings.imap_user, token)}", "")
            elif "AUTH=PLAIN" in self.capabilities and "SASL-IR" in self.capabilities:
                done, _ = await self.ask(
                    f"AUTHENTICATE PLAIN {plain(settings.imap_user, settings.imap_password)}"
                )
            else:
                done, _ = await self.ask(
                    f"LOGIN {quoted(settings.imap_user)} {quoted(settings.imap_password)}"
                )
        except Broken as bad:
            raise Misconfigured(f"IMAP: {bad}") from None
        if done.word != "OK":
            code = done.code.partition(" ")[0].upper()
            if code in ("UNAVAILABLE", "INUSE", "LIMIT", "SERVERBUG"):
                raise Lost(f"cannot log in at the moment ({code})")
            raise Misconfigured(f"{settings.imap_host} does not accept the user or the password", code=code)
        # (what a server can do is often more once somebody is logged in)
        await self.expect("CAPABILITY")

    async def select(self, name: str) -> None:
        """Open a mailbox. Raises `Misconfigured` when there is none."""
        done, _ = await self.ask(f"SELECT {mailbox(name)}")
        if done.word != "OK":
            raise Misconfigured("IMAP: there is no such mailbox, or it cannot be opened")
        self.news = False

    async def uids(self, criteria: str) -> list[int]:
        """The mails that a search finds, in ascending order."""
        found: set[int] = set()
        for line in await self.expect(f"UID SEARCH {criteria}"):
            if line.word == "SEARCH":
                found |= {number(one) for one in line.values[1:]}
        return sorted(one for one in found if one > 0)

    async def sizes(self, uids: list[int]) -> dict[int, int]:
        """How large these mails are, in bytes; those that are gone are left out."""
        found: dict[int, int] = {}
        for one in await self._fetch(",".join(map(str, uids)), "UID RFC822.SIZE"):
            found[number(one.get("UID"))] = max(0, number(one.get("RFC822.SIZE")))
        return {uid: size for uid, size in found.items() if uid in uids}

    async def content(self, uid: int, *, head_only: bool = False) -> bytes | None:
        """A mail, not marked as read by this; None when it is gone."""
        what = "BODY.PEEK[HEADER]" if head_only else "BODY.PEEK[]"
        for one in await self._fetch(str(uid), f"UID {what}"):
            if number(one.get("UID")) == uid:
                for name, value in one.items():
                    if name.startswith("BODY[") and isinstance(value, bytes):
                        return value
        return None

    async def _fetch(self, uids: str, what: str) -> list[dict[str, Value]]:
        return [
            dict(pairs(line.values[2]))
            for line in await self.expect(f"UID FETCH {uids} ({what})")
            if len(line.values) > 2
            and isinstance(line.values[1], bytes)
            and line.values[1].upper() == b"FETCH"
        ]

    async def mark_read(self, uid: int) -> None:
        """Set the flag that says that somebody has it."""
        await self.ask(f"UID STORE {uid} +FLAGS.SILENT (\\Seen)")

    async def wait_for_news(self, limit_s: float) -> None:
        """Return when the mailbox has changed, or after ``limit_s`` seconds. Raises `Lost`."""
        if "IDLE" not in self.capabilities:
            await trio.sleep(limit_s)
            await self.expect("NOOP")
            return
        self._number += 1
        tag = f"a{self._number}"
        await self.send(f"{tag} IDLE")
        while (first := await self.line()).tag != "+":
            if first.tag == tag:
                raise Lost(f"IDLE was answered {first.word}")
        with trio.move_on_after(limit_s):
            while not self.news:
                await self.line(limit_s + ANSWER_S)
        await self.send("DONE")
        while (await self.line()).tag != tag:
            pass


@asynccontextmanager
async def opened(settings: Settings, tools: Tools, *, max_mail: int) -> AsyncIterator[Session]:
    """A session that is logged in. Raises `NotSent`, `Misconfigured`, `Lost`."""
    address = await tools.reach(settings.imap_host, settings.imap_port)
    try:
        with trio.fail_after(CONNECT_S):
            stream: trio.abc.Stream = await trio.open_tcp_stream(address, settings.imap_port)
    except (OSError, trio.TooSlowError) as failed:
        raise NotSent(f"no connection to {settings.imap_host} ({type(failed).__name__})") from None
    try:
        if settings.imap_tls == "tls":
            stream = await _secured(stream, settings.imap_host)
        session = Session(stream, max_mail)
        first = await session.line()
        if first.word not in ("OK", "PREAUTH"):
            raise Lost("the server does not take connections")
        if settings.imap_tls == "starttls":
            done, _ = await session.ask("STARTTLS")
            if done.word != "OK":
                raise Misconfigured(f"{settings.imap_host} does not start TLS: nothing is sent in clear")
            stream = await _secured(stream, settings.imap_host)
            # (whatever somebody put between the lines before TLS is forgotten)
            session = Session(stream, max_mail)
        if first.word != "PREAUTH":
            await session.log_in(settings)
        yield session
        with trio.move_on_after(GOODBYE_S), suppress(Lost):
            await session.ask("LOGOUT")
    finally:
        with trio.move_on_after(GOODBYE_S, shield=True):
            await trio.aclose_forcefully(stream)


async def _secured(stream: trio.abc.Stream, host: str) -> trio.abc.Stream:
    secured = trio.SSLStream(stream, _trust(), server_hostname=host, https_compatible=True)
    try:
        with trio.fail_after(CONNECT_S):
            await secured.do_handshake()
    except ssl.SSLCertVerificationError:
        raise Misconfigured(f"{host} shows a certificate that is not valid for it") from None
    except trio.BrokenResourceError as broken:
        if isinstance(broken.__cause__, ssl.SSLCertVerificationError):
            raise Misconfigured(f"{host} shows a certificate that is not valid for it") from None
        raise NotSent(f"{host}: TLS failed") from None
    except (OSError, trio.TooSlowError):
        raise NotSent(f"{host}: TLS failed") from None
    return secured
