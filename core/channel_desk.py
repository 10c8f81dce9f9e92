"""The accounts that one channel host serves, each with its tasks, and what is done beside sending and listening.

trio. It follows the accounts in the store within `LOOK_S`; what one channel does concerns no other.
"""

import os
import random
import socket
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

import msgspec
import trio

from core import attachment_fetch, automation, gathering, plugin_checks, recordings, voice
from core.aio import Inbox
from core.bus import HOSTS
from core.channel_account import ConnectedAccount, Parts, Pause
from core.clock import now_us
from core.errors import PeerError
from core.logs import get_logger
from core.model.sending import recognises
from core.outbox import Sender
from core.outbox_sweep import sweep
from core.routing import Router
from core.storage import channels as store
from core.storage import conversations, pauses
from core.storage.channels import ChannelRow
from core.storage.outbox import ROUTED
from core.webhooks import Webhooks

LOG = get_logger("channels")

LOOK_S = 2.0
PRESENCE_S = 1.0
SNOOZE_S = 10.0
GRACE_S = 8.0
"""How long what is under way may take when the process is to end; `irisx up` waits ten."""
RINGS = 10_000
"""Hints that wait to be heard; what does not fit is found by looking."""


async def again_and_again(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Keep a worker at it: a bug of one must neither end the host nor be met without a pause, or in silence."""
    pause = Pause()
    while True:
        began = trio.current_time()
        try:
            await work()
            return
        except Exception:
            LOG.exception("a worker failed and begins again", worker=name)
        await trio.sleep(pause.seconds(trio.current_time() - began))


class Desk:
    """The accounts that are served here, each with its tasks."""

    def __init__(self, parts: Parts, secret: str) -> None:
        self._parts = parts
        self._secret = secret
        self._webhooks = Webhooks(parts)
        self._router = Router(parts, self._senders)
        self._served: dict[str, ConnectedAccount] = {}
        self._types: dict[str, str] = {}
        self._looked = trio.Event()
        self._numbers = 0
        self._started_us = now_us()

    async def run(self, stop: trio.Event) -> None:
        """Until ``stop``; what is under way then has `GRACE_S` to end."""
        async with trio.open_nursery() as accounts:
            accounts.start_soon(self._router.run)
            async with trio.open_nursery() as chores:
                chores.start_soon(self._follow_store, accounts)
                chores.start_soon(self._hear_rings)
                chores.start_soon(self._sweep)
                chores.start_soon(self._wake_snoozed)
                for name, work in self._workers().items():
                    chores.start_soon(again_and_again, name, work)
                chores.start_soon(self._show_presence)
                await stop.wait()
                chores.cancel_scope.cancel()
            self._router.stop()
            for served in self._served.values():
                served.stop()
            accounts.cancel_scope.deadline = trio.current_time() + GRACE_S

    def _workers(self) -> dict[str, Callable[[], Awaitable[None]]]:
        """What is done here besides sending and listening: none of it may hold up the others."""
        parts = self._parts
        return {
            "attachments": partial(attachment_fetch.run, parts),
            "gathering": partial(gathering.run, parts),
            "automation": partial(automation.run, parts),
            "voice": partial(voice.run, parts),
            "recordings": partial(recordings.run, parts),
            "plugin_checks": partial(plugin_checks.run, parts.bridge, parts.db),
            "webhooks": self._webhooks.run,
        }

    async def _follow_store(self, accounts: trio.Nursery) -> None:
        while True:
            try:
                rows = await self._parts.bridge.run(
                    partial(store.all_channels, secret=self._secret), self._parts.db
                )
                paused = await self._parts.bridge.run(partial(pauses.paused, now_us=now_us()), self._parts.db)
            except PeerError as exc:
                LOG.warning("the accounts are not to be had now", error=exc.code)
            else:
                self._follow(accounts, rows, paused)
                self._looked.set()
            await trio.sleep(LOOK_S * random.uniform(0.8, 1.0))

    def _follow(
        self, accounts: trio.Nursery, rows: Iterable[ChannelRow], paused: frozenset[str] = frozenset()
    ) -> None:
        rows = list(rows)
        self._types = {row.id: row.type for row in rows}
        wanted = {
            row.id: row
            for row in rows
            if row.state == "active" and row.type in self._parts.channels and row.id not in paused
        }
        for channel_id, served in list(self._served.items()):
            row = wanted.get(channel_id)
            if row is None or not served.same_as(row):
                LOG.info("leaving an account", channel=channel_id)
                served.stop()
                del self._served[channel_id]
            else:
                served.row = row
        for channel_id, row in wanted.items():
            if channel_id not in self._served:
                self._numbers += 1
                served = self._served[channel_id] = ConnectedAccount(self._parts, row, self._numbers)
                accounts.start_soon(self._keep, served)

    def _senders(self) -> dict[str, Sender]:
        """What sends now, by account."""
        return {key: one.sender for key, one in self._served.items() if one.sender is not None}

    async def _keep(self, served: ConnectedAccount) -> None:
        """Serve an account; if that fails it is begun anew at the next look."""
        try:
            await served.run()
        except* Exception as group:  # noqa: BLE001 - whatever is wrong with one account, the others go on
            LOG.error("an account failed", channel=served.row.id, errors=len(group.exceptions))
        if self._served.get(served.row.id) is served:
            del self._served[served.row.id]

    async def _hear_rings(self) -> None:
        """Wake the sender of an account for which something was just stored."""
        inbox: Inbox[str] = Inbox(RINGS)
        await self._parts.bridge.run(self._parts.bus.hear_rings, inbox.offer)
        while True:
            for channel_id in set(await inbox.take()):
                if channel_id == ROUTED:
                    self._router.wake()
                elif served := self._served.get(channel_id):
                    served.wake()

    async def _sweep(self) -> None:
        # (not before the accounts are known: what they can decides what becomes of a message)
        await self._looked.wait()
        await sweep(self._parts.bridge, self._parts.db, self._recognises)

    def _recognises(self, channel_id: str, first_us: int) -> bool:
        """Whether the account's provider would know a repetition of what it was given first then."""
        channel = self._parts.channels.get(self._types.get(channel_id, ""))
        return channel is not None and recognises(channel.capabilities, first_us, now_us())

    async def _wake_snoozed(self) -> None:
        while True:
            try:
                await self._parts.bridge.run(conversations.wake_snoozed, self._parts.db)
            except PeerError as exc:
                LOG.info("snoozed conversations wait for the store", error=exc.code)
            await trio.sleep(SNOOZE_S * random.uniform(0.8, 1.0))

    async def _show_presence(self) -> None:
        """Tell the status pages that this host lives, and what it does. Runs out in Redis by itself."""
        bus = self._parts.bus
        while True:
            said = {
                "name": self._parts.name,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "started_us": self._started_us,
                "accounts": len(self._served),
                "listens": sorted(key for key, one in self._served.items() if one.listening),
                "webhooks": self._webhooks.statistics(),
            }
            shown = partial(bus.present, self._parts.name, msgspec.json.encode(said), kind=HOSTS)
            await self._parts.bridge.run(shown)
            await trio.sleep(PRESENCE_S)
