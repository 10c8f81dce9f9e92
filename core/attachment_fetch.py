"""Getting the files that inbound messages name: from the provider, through the channel, into the object store.

trio. The account that has waited longest is served next, with a few of its files at a time, so a tenant whose customers
send albums holds up nobody else. A file is claimed (`core.storage.attachments`), fetched under a deadline, and settled; what
fails is tried again after a growing pause, until the provider says that it is gone or nobody would wait any longer.
"""

import random
from functools import partial

import httpx
import msgspec
import trio

from core.attachments import PURPOSE, TooLarge, put_stream
from core.channel_account import Parts
from core.channel_tools import open_tools
from core.clock import now_us
from core.errors import IrisxError, PeerError
from core.logs import get_logger
from core.storage import attachments as store
from core.storage import channels
from core.storage.attachments import Wanted
from core.storage.channels import ChannelRow
from core.storage.sealing import Sealer
from irisx_sdk import Account, Channel, File, Misconfigured, Refused, Tools

LOG = get_logger("attachments")

IDLE_S = 1.0
ACCOUNTS = 6
"""Accounts whose files are fetched at the same time."""
EACH = 4
"""Files of one account that are fetched at the same time: as many connections as a polite client opens."""
FETCH_S = 120.0
"""For one file from the first to the last byte; below `core.storage.attachments.CLAIM_S`."""
MAX_ATTEMPTS = 8
FIRST_PAUSE_S = 2.0
MAX_PAUSE_S = 600.0
GONE = (401, 403, 404, 410)
"""HTTP statuses after which another try with the same address is pointless."""


async def run(parts: Parts) -> None:
    """Fetch what waits, for ever."""
    busy: set[str] = set()
    done = trio.Event()
    async with trio.open_nursery() as nursery:
        while True:
            done = trio.Event()
            channel_id = ""
            if len(busy) < ACCOUNTS:
                try:
                    channel_id = await parts.bridge.run(
                        partial(store.next_account, now_us=now_us()), parts.db, sorted(busy)
                    )
                except PeerError as exc:
                    LOG.info("files wait for the store", error=exc.code)
            if channel_id:
                busy.add(channel_id)
                nursery.start_soon(_serve, parts, channel_id, busy, done)
                continue
            with trio.move_on_after(IDLE_S * random.uniform(0.8, 1.2)):
                await done.wait()


async def _serve(parts: Parts, channel_id: str, busy: set[str], done: trio.Event) -> None:
    try:
        claim = partial(store.claim, limit=EACH, now_us=now_us())
        wanted = await parts.bridge.run(claim, parts.db, channel_id, parts.name)
        if wanted:
            await _fetch_all(parts, channel_id, wanted)
    except IrisxError as exc:
        # Their claims run out, and they are taken again.
        LOG.warning("files wait for the store", channel=channel_id, error=exc.code)
    finally:
        busy.discard(channel_id)
        done.set()


async def _fetch_all(parts: Parts, channel_id: str, wanted: list[Wanted]) -> None:
    row = await parts.bridge.run(partial(channels.open_channel, secret=parts.secret), parts.db, channel_id)
    channel = parts.channels.get(row.type) if row is not None else None
    if row is None or channel is None:
        reason = "account_removed" if row is None else "no_plugin"
        for one in wanted:
            await parts.bridge.run(partial(store.refused, now_us=now_us()), parts.db, one, parts.name, reason)
        return
    try:
        settings = msgspec.convert(row.settings, channel.Settings)
    except msgspec.ValidationError:
        for one in wanted:
            await _again(parts, one, "bad_settings")
        return
    account = Account(row.id, settings)
    async with (
        open_tools(
            parts.bridge,
            parts.db,
            parts.blobs,
            parts.tls,
            tenant_id=row.tenant_id,
            channel_id=row.id,
            settings=settings,
            local_allowed=parts.settings.reaches_this_machine,
        ) as tools,
        trio.open_nursery() as nursery,
    ):
        for one in wanted:
            nursery.start_soon(_fetch, parts, row, channel, account, tools, one)


async def _fetch(
    parts: Parts, row: ChannelRow, channel: Channel, account: Account, tools: Tools, one: Wanted
) -> None:
    file = msgspec.json.decode(Sealer(parts.secret, PURPOSE).open(one.source), type=File)
    why, final = "", False
    try:
        with trio.fail_after(FETCH_S):
            placed = await put_stream(
                parts.blobs,
                store.key_of(one.tenant_id, one.id),
                channel.fetch(account, file, tools),
                trio.to_thread.run_sync,
                declared=one.media_type,
                name=one.name,
                limit=parts.settings.attachments.file_bytes,
            )
    except Exception as exc:  # noqa: BLE001 - a plugin may raise anything, also in groups
        why, final = _meaning(exc)
        LOG.info(
            "a file was not fetched",
            attachment=one.id,
            channel=row.id,
            type=row.type,
            why=why,
            attempt=one.attempts,
        )
    if not why:
        settle = partial(store.ready, size=placed.size, sha256=placed.sha256, now_us=now_us())
        await parts.bridge.run(settle, parts.db, one, parts.name, placed.look)
    elif final or one.attempts >= MAX_ATTEMPTS:
        await parts.bridge.run(partial(store.refused, now_us=now_us()), parts.db, one, parts.name, why)
    else:
        await _again(parts, one, why)


async def _again(parts: Parts, one: Wanted, why: str) -> None:
    if one.attempts >= MAX_ATTEMPTS:
        await parts.bridge.run(partial(store.refused, now_us=now_us()), parts.db, one, parts.name, why)
        return
    pause_s = min(FIRST_PAUSE_S * 2.0 ** (one.attempts - 1), MAX_PAUSE_S) * random.uniform(0.7, 1.3)
    later = partial(store.later, due_us=now_us() + round(pause_s * 1e6))
    await parts.bridge.run(later, parts.db, one, parts.name)


def _meaning(error: BaseException) -> tuple[str, bool]:
    """Why a file was not fetched, as a word, and whether that is for ever."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TooLarge):
        return "too_large", True
    if isinstance(error, httpx.HTTPStatusError):
        status = error.response.status_code
        return ("gone", True) if status in GONE else (f"http_{status}", False)
    if isinstance(error, Refused):
        return "gone", True
    if isinstance(error, Misconfigured):
        return (error.code or "misconfigured")[:60], error.code == "private_address"
    if isinstance(error, trio.TooSlowError):
        return "too_slow", False
    if isinstance(error, PeerError):
        return error.code, False
    return "not_fetched", False
