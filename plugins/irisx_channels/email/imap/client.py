"""The IMAP channel: a mailbox that somebody else keeps, read as mails arrive (IDLE); answers go out by SMTP submission.

Where we are is a UIDVALIDITY and the highest UID that is stored (`Tools.save`, after each mail). A mailbox that is new
to us begins with what arrives from then on. When the server gives it a new UIDVALIDITY (it was made anew, or moved),
every mail of the last days is handed over again: what is there already is known by its Message-ID.
"""

from datetime import UTC, datetime, timedelta
from functools import partial
from typing import ClassVar

import msgspec
import trio
from msgspec import Struct

from irisx_channels.email import incoming, mime
from irisx_channels.email.imap.session import Lost, Session, opened
from irisx_channels.email.imap.settings import Settings
from irisx_channels.email.mail import MAX_MAIL, Received
from irisx_channels.email.smtp import client
from irisx_channels.email.smtp import session as smtp
from irisx_sdk import Account, Capabilities, Deliver, NotSent, Tools

IDLE_S = 540.0
"""An IDLE is begun anew after nine minutes: the RFC allows 29, routers at people's homes forget a connection after ten."""
POLL_S = 30.0
"""Between two looks at a server without IDLE."""
AGAIN_DAYS = 7
"""How far back a mailbox is read again after its UIDs were given anew."""
_BATCH = 200
"""Mails whose sizes are asked for at once."""
_LARGE = 1 << 20
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Place(Struct, frozen=True):
    """Where we are in a mailbox."""

    uid_validity: int
    uid: int
    """The highest that is stored."""


class Imap(client.Submitting):
    """A mailbox."""

    name: ClassVar[str] = "email.imap"
    title: ClassVar[str] = "IMAP mailbox"
    Settings: ClassVar[type[Settings]] = Settings
    capabilities: ClassVar[Capabilities] = client.capabilities(listens=True)

    async def listen(self, account: Account, tools: Tools, deliver: Deliver) -> None:
        settings: Settings = account.settings
        try:
            async with opened(settings, tools, max_mail=MAX_MAIL) as session:
                await _Reader(session, settings, tools, deliver).run()
        except Lost as lost:
            raise NotSent(f"{settings.imap_host}: {lost}") from None

    async def check(self, account: Account, tools: Tools) -> str:
        settings: Settings = account.settings
        if settings.host:
            async with smtp.opened(settings, tools):
                pass
        if not _on_trio():
            # (what holds connections speaks trio; the login is looked at when it listens)
            return f"{settings.host} takes mails from us; the mailbox is looked at when it is listened to"
        try:
            async with opened(settings, tools, max_mail=MAX_MAIL) as session:
                await session.select(settings.mailbox)
        except Lost as lost:
            raise NotSent(f"{settings.imap_host}: {lost}") from None
        return f"the mailbox can be read, and {settings.host or 'no server'} takes mails from us"


def _on_trio() -> bool:
    return trio.lowlevel.in_trio_run()


class _Reader:
    """One reading of a mailbox, for as long as the connection lasts."""

    def __init__(self, session: Session, settings: Settings, tools: Tools, deliver: Deliver) -> None:
        self.session = session
        self.settings = settings
        self.tools = tools
        self.deliver = deliver

    async def run(self) -> None:
        session = self.session
        await session.select(self.settings.mailbox)
        place = await self._begin()
        while True:
            session.news = False
            place = await self._read(place)
            if not session.news:
                await session.wait_for_news(IDLE_S if "IDLE" in session.capabilities else POLL_S)

    async def _begin(self) -> Place:
        session = self.session
        raw = await self.tools.load()
        try:
            known = msgspec.json.decode(raw, type=Place) if raw else None
        except msgspec.MsgspecError:
            known = None
        if known is not None and known.uid_validity == session.uid_validity:
            return known
        # (asked before anything is read: what arrives meanwhile is beyond it)
        newest = session.uid_next - 1 if session.uid_next else max(await session.uids("ALL"), default=0)
        if known is None:
            return await self._keep(Place(session.uid_validity, newest))
        for uid in await session.uids(f"SINCE {_date(self.tools.now_us())}"):
            await self._one(uid, (await session.sizes([uid])).get(uid))
        return await self._keep(Place(session.uid_validity, newest))

    async def _keep(self, place: Place) -> Place:
        await self.tools.save(msgspec.json.encode(place))
        return place

    async def _read(self, place: Place) -> Place:
        """Hand over what is new, in order, each before the next."""
        session = self.session
        # (a search from beyond the end finds the last mail again: "n:*" is a range with two ends)
        new = [uid for uid in await session.uids(f"UID {place.uid + 1}:*") if uid > place.uid]
        for start in range(0, len(new), _BATCH):
            batch = new[start : start + _BATCH]
            sizes = await session.sizes(batch)
            for uid in batch:
                there = await self._one(uid, sizes.get(uid))
                place = await self._keep(Place(place.uid_validity, uid))
                if there and self.settings.mark_read:
                    await session.mark_read(uid)
        return place

    async def _one(self, uid: int, size: int | None) -> bool:
        """Hand over one mail, if it is still there.

        One that cannot be read is said: it must not keep the others from being read.
        """
        if size is None:
            return False
        whole = size <= MAX_MAIL
        raw = await self.session.content(uid, head_only=not whole)
        if raw is None:
            return False
        reading = partial(mime.read, raw, id=f"imap-{self.session.uid_validity}-{uid}")
        mail: Received = await trio.to_thread.run_sync(reading) if len(raw) > _LARGE else reading()
        if not whole:
            problem = f"it has {size >> 20} MB and stays in the mailbox"
            mail = msgspec.structs.replace(mail, text="", html="", files=(), problem=problem)
        await self.deliver(incoming.parsed(mail, self.settings))
        return True


def _date(now_us: int) -> str:
    """A day as SEARCH wants it; months have English names in every country."""
    day = datetime.fromtimestamp(now_us / 1e6, UTC) - timedelta(days=AGAIN_DAYS)
    return f"{day.day}-{_MONTHS[day.month - 1]}-{day.year}"
