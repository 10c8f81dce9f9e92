"""The fake providers of `irisx up`: one process that plays all of them, each with a connected account of its own.

An account is connected through the same storage functions as the API uses. A provider has new secrets at every start
(and other ids for its messages: a platform would take the old ones for repetitions), so the account of the last start
is found again and given the new ones. Now and then a customer of one of the providers writes.

asyncio; started as ``irisx fake-providers CHANNEL=PORT...``. The providers listen when all accounts are connected.
"""

import asyncio
import random
import secrets
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from typing import Any

import httpx
import msgspec

from core.channels import hidden_members
from core.config import Settings, load_secret
from core.errors import PeerError
from core.logs import get_logger, set_up
from core.storage import channels as store
from core.storage.access_tenants import MAIN
from core.storage.channels import ChannelRow
from core.storage.database import Database
from irisx_sdk.fake import Fake
from irisx_sdk.fake_server import serving
from irisx_sdk.loading import fake_of, installed

LOG = get_logger("fakes")

HOST = "127.0.0.1"
FIRST_RETRY_S = 0.2
MAX_RETRY_S = 5.0

CUSTOMERS: dict[str, tuple[str, ...]] = {
    "phone": ("+4915112345678", "+4915112345679", "+33612345678", "+447700900123", "+12025550143"),
    "email": ("kim@customer.example", "lou@customer.example", "sam@mill.example", "ada@mill.example"),
    "discord": ("175928847299117063", "175928847299117064", "175928847299117065"),
    "slack": ("U0KIM", "U0LOU", "U0SAM"),
    "user": ("1001", "1002", "1003", "1004"),
}
"""Who writes: by the channel's name, or else by what its customers are known by. (Numbers reserved for fiction where
there are such: Ofcom's 07700 900xxx, the NANP's 555-01xx.)"""
TEXTS = (
    "Hello, is anybody there?",
    "Where is my order 4711? It should have come yesterday.",
    "The lamp arrived broken. Can I have another one?",
    "Do you open on Saturday?",
    "I cannot sign in any more. It says that my account is locked.",
    "Thank you, that was quick!",
    "Can I change the address of my delivery?",
    "How much is the large one with delivery to Lyon?",
    "I was charged twice this month.",
    "Could somebody call me back this afternoon?",
    "The invoice has the wrong company on it.",
    "Is the blue one in stock again?",
    "My number is the same as before. Did you get the photos?",
    "Perfect, that works now.",
    "I would like to return it. What do I have to do?",
    "Which size do you recommend for a room of 20 square metres?",
)


def run(settings: Settings, ports: Mapping[str, int], *, webhooks: str, per_minute: float) -> None:
    """Play the providers of ``ports`` (channel to port) until SIGTERM or SIGINT.

    ``webhooks`` is where the API answers; ``per_minute`` how many messages customers write by themselves. Raises
    `LookupError` for a channel that is not installed or has no fake, `OSError` for a port that is taken.
    """
    set_up(process="fakes", level=settings.log_level, form=settings.log_format)
    if not settings.secret:
        settings = msgspec.structs.replace(settings, secret=load_secret(settings.state_dir))
    asyncio.run(_play(settings, ports, webhooks.rstrip("/"), per_minute))


async def _play(settings: Settings, ports: Mapping[str, int], webhooks: str, per_minute: float) -> None:
    over = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, over.set)
    fakes = [made(name, port) for name, port in ports.items()]
    async with AsyncExitStack() as stack:
        database = await _patiently(settings.database_url, over)
        if database is None:
            return
        async with database:
            for fake in fakes:
                row = await connect(database, fake, settings.secret)
                fake.webhook_url = f"{webhooks}/v1/channels/{row.id}/inbound"
        for fake in fakes:
            await stack.enter_async_context(serving(fake, host=HOST, port=ports[fake.channel.name]))
        LOG.info("fake providers play", count=len(fakes))
        writing = asyncio.create_task(_write(fakes, per_minute))
        await over.wait()
        writing.cancel()


def made(name: str, port: int) -> Fake:
    """The provider of a channel as it will be at ``port``, with secrets of its own."""
    channel = installed_channel(name)
    fake = fake_of(channel)(seed=secrets.randbits(63))
    fake.base = f"http://{HOST}:{port}"
    # A fake forgets who wrote to it when it ends, and the conversations stay.
    for lenient in ("always_open", "always_started"):
        if hasattr(fake, lenient):
            setattr(fake, lenient, True)
    return fake


def installed_channel(name: str) -> Any:
    """A channel by its name. Raises `LookupError`."""
    known = installed().channels
    if name not in known:
        raise LookupError(f"there is no channel {name} (installed: {', '.join(sorted(known)) or 'none'})")
    return known[name]


async def connect(database: Database, fake: Fake, secret: str, tenant_id: str = MAIN) -> ChannelRow:
    """The account of the main tenant at this provider: found again and given the fresh settings, or made.

    One that somebody switched off stays so.
    """
    channel = fake.channel
    title = f"{channel.title} (fake)"
    settings: dict[str, Any] = msgspec.to_builtins(fake.settings)
    hidden = hidden_members(channel)
    for row in await store.list_channels(database, tenant_id):
        base = str(row.settings.get("base_url", ""))
        here = base.startswith(f"{fake.base}/") or base == fake.base
        if row.type == channel.name and (here or (row.name == title and base.startswith(f"http://{HOST}:"))):
            mended = "active" if row.state == "misconfigured" else None
            return await store.update_channel(
                database, tenant_id, row.id, secret=secret, hidden=hidden, settings=settings, state=mended
            )
    return await store.create_channel(
        database,
        tenant_id,
        secret=secret,
        type=channel.name,
        name=title,
        settings=settings,
        hidden=hidden,
        address="a fake provider on this machine",
    )


async def _patiently(url: str, over: asyncio.Event) -> Database | None:
    """Wait for the database as long as it takes; None when told to stop before."""
    delay = FIRST_RETRY_S
    while not over.is_set():
        try:
            return await Database.open(url, max_size=1)
        except PeerError as error:
            LOG.warning("the store is not there yet", error=error.code)
        await asyncio.sleep(delay * random.uniform(0.5, 1.0))
        delay = min(delay * 2, MAX_RETRY_S)
    return None


async def _write(fakes: Sequence[Fake], per_minute: float) -> None:
    """Customers write by themselves, ``per_minute`` messages in the mean; 0 for none."""
    if per_minute <= 0:
        return
    while True:
        await asyncio.sleep(random.expovariate(per_minute / 60))
        fake = random.choice(fakes)
        try:
            await fake.write(customer(fake), random.choice(TEXTS))
        except (ValueError, httpx.HTTPError) as error:
            LOG.warning("a customer could not write", channel=fake.channel.name, error=type(error).__name__)


def customer(fake: Fake) -> str:
    """Somebody who writes through this provider."""
    channel = fake.channel
    return random.choice(CUSTOMERS.get(channel.name) or CUSTOMERS[channel.address])
