"""Sending what waits to be sent through one account: take, decide, hand over, write down.

trio. The store is asked through the bridge, the channel is called under a deadline. Any number of processes may serve one
account; a message is with one of them at a time (`core.storage.outbox`).
"""

import random
from collections.abc import Awaitable, Callable, Mapping

import msgspec
import trio
from msgspec import Struct

from core.aio import Bridge
from core.clock import now_us
from core.errors import IrisxError, NotFound, PeerError
from core.logs import get_logger
from core.model import policy, sending
from core.storage import outbox as store
from core.storage import receipts
from core.storage import sending as letters
from core.storage.database import Database
from core.storage.outbox import Claimed
from irisx_sdk import Account, Channel, Outbound, Sent, Template, Tools

LOG = get_logger("outbox")

AT_ONCE = 32
"""Messages of one account that are under way together."""
SEND_S = 30.0
"""How long a channel may take to send; well below `core.storage.outbox.CLAIM_S`."""
IDLE_S = 1.0
"""How often an idle sender looks by itself; a new message wakes it at once."""
SWEEP_S = 5.0

BeforeSend = Callable[[str, Outbound], Awaitable[Outbound]]
"""On the asyncio side: another message in place of one, made by plugins before anything is decided about it."""


class Counts(Struct):
    """What one sender has done, for metrics."""

    sent: int = 0
    again: int = 0
    over: int = 0
    unknown: int = 0
    waiting: int = 0


class Sender:
    """Serves the outbox of one account while `run` runs."""

    def __init__(
        self,
        bridge: Bridge,
        db: Database,
        channel: Channel,
        account: Account,
        tools: Tools,
        *,
        owner: str,
        before_send: BeforeSend | None = None,
        blame: Callable[[str, str], Awaitable[None]] | None = None,
        status_url: str = "",
    ) -> None:
        self._bridge = bridge
        self._db = db
        self._channel = channel
        self._account = account
        self._tools = tools
        self._owner = owner
        self._before_send = before_send
        self._blame = blame
        self._status_url = status_url
        self._wake = trio.Event()
        self._stopping = False
        self._room = trio.CapacityLimiter(AT_ONCE)
        self.counts = Counts()
        self.pause_until = 0.0
        """The account as a whole waits until this moment (`trio.current_time`): its provider said so."""

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def stop(self) -> None:
        """Take nothing more; `run` returns when what is under way has ended."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """Send until `stop` or until cancelled; what is under way when cancelled is left for `store.stranded`."""
        async with trio.open_nursery() as nursery:
            while not self._stopping:
                self._wake = trio.Event()
                free = AT_ONCE - self._room.borrowed_tokens
                taken = await self._take(free) if free and trio.current_time() >= self.pause_until else []
                for one in taken:
                    # (a place is taken here, so that no more are claimed than are worked on)
                    await self._room.acquire_on_behalf_of(one.message_id)
                    nursery.start_soon(self._deliver, one)
                if not taken:
                    with trio.move_on_after(IDLE_S):
                        await self._wake.wait()

    async def _take(self, limit: int) -> list[Claimed]:
        try:
            return await self._bridge.run(self._claim, limit)
        except PeerError as exc:
            LOG.warning("the outbox is out of reach", channel=self._account.id, error=exc.code)
            return []

    async def _claim(self, limit: int) -> list[Claimed]:
        return await store.claim(self._db, self._account.id, self._owner, limit=limit, now_us=now_us())

    async def _deliver(self, one: Claimed) -> None:
        try:
            await self.deliver(one)
        except NotFound:
            LOG.info("a message was taken back", message=one.message_id)
        except IrisxError as exc:
            # The store failed: the claim runs out, and what was begun is found as stranded.
            LOG.warning("a message waits for the store", message=one.message_id, error=exc.code)
        finally:
            self._room.release_on_behalf_of(one.message_id)
            self._wake.set()

    async def deliver(self, one: Claimed) -> None:
        """One message, from the last look to what came of it. Raises the store's errors."""
        letter = await self._bridge.run(letters.read_letter, self._db, one)
        outbound = msgspec.structs.replace(letter.outbound, status_url=self._status_url)
        if self._before_send is not None:
            # (plugins first: what they make of it is decided about like everything else)
            outbound = await self._bridge.run(self._before_send, self._channel.name, outbound)
            letter = msgspec.structs.replace(letter, outbound=outbound)
        answer = policy.decide(self._question(letter))
        if answer.verdict == "wait":
            self.counts.waiting += 1
            await self._later(
                one, 0, outcome="waits", code=answer.code, reason=answer.detail, due_us=answer.until_us
            )
            return
        decision = {"policy": {"verdict": answer.verdict, "code": answer.code}, "channel": self._channel.name}
        number = await self._bridge.run(self._begin, one, decision)
        if number is None:
            return
        if answer.verdict == "refuse":
            self.counts.over += 1
            await self._over(one, number, answer.code, answer.code, answer.detail)
            return
        try:
            with trio.fail_after(SEND_S):
                sent = await self._channel.send(self._account, outbound, self._tools)
        except Exception as exc:  # noqa: BLE001 - a plugin may raise anything; what it means is decided in one place
            await self._failed(one, number, outbound, exc)
            return
        self.counts.sent += 1
        await self._bridge.run(self._sent, one, number, sent)

    def _question(self, letter: letters.Letter) -> policy.Question:
        return policy.Question(
            channel=self._channel.name,
            now_us=now_us(),
            purpose=letter.purpose,
            confirms_opt_out=letter.confirms_opt_out,
            suppressions=letter.suppressions,
            consents=letter.consents,
            quiet=letter.quiet,
            window_s=self._channel.capabilities.window_s,
            last_inbound_us=letter.outbound.last_inbound_us,
            template=isinstance(letter.outbound.content, Template),
        )

    async def _failed(self, one: Claimed, number: int, message: Outbound, error: Exception) -> None:
        after = sending.after(
            error,
            attempts=number,
            idempotent=self._channel.capabilities.idempotent,
            left_s=(one.deadline_us - now_us()) / 1e6,
            jitter=random.uniform(0.8, 1.2),
        )
        LOG.info(
            "a message was not sent",
            message=one.message_id,
            channel=self._account.id,
            step=after.step,
            outcome=after.outcome,
            code=after.code,
            attempt=number,
        )
        if after.opted_out:
            await self._bridge.run(self._opt_out, one.tenant_id, message)
        if after.blames_account:
            self.pause_until = trio.current_time() + after.pause_s
            if self._blame is not None:
                await self._blame(after.code, after.reason)
        elif after.outcome == "throttled":
            self.pause_until = max(self.pause_until, trio.current_time() + min(after.pause_s, 1.0))
        if after.step == "again":
            self.counts.again += 1
            due_us = now_us() + round(after.pause_s * 1e6)
            await self._later(
                one, number, outcome=after.outcome, code=after.code, reason=after.reason, due_us=due_us
            )
        elif after.step == "over":
            self.counts.over += 1
            await self._over(one, number, after.outcome, after.code, after.reason)
        else:
            self.counts.unknown += 1
            await self._bridge.run(self._unknown, one, number, after.code, after.reason)

    # What crosses to the store ------------------------------------------------------------------------

    async def _begin(self, one: Claimed, decision: Mapping[str, object]) -> int | None:
        return await store.begin(
            self._db, one, self._owner, decision=decision, channel_id=self._account.id, now_us=now_us()
        )

    async def _sent(self, one: Claimed, number: int, result: Sent) -> None:
        await store.sent(self._db, one, number, result, channel_id=self._account.id, now_us=now_us())

    async def _later(
        self, one: Claimed, number: int, *, outcome: str, code: str, reason: str, due_us: int
    ) -> None:
        async def write() -> None:
            await store.again(
                self._db,
                one,
                number,
                outcome=outcome,
                code=code,
                reason=reason,
                due_us=due_us,
                now_us=now_us(),
            )

        await self._bridge.run(write)

    async def _over(self, one: Claimed, number: int, outcome: str, code: str, reason: str) -> None:
        async def write() -> None:
            await store.over(
                self._db, one, number, outcome=outcome, code=code, reason=reason, now_us=now_us()
            )

        await self._bridge.run(write)

    async def _unknown(self, one: Claimed, number: int, code: str, reason: str) -> None:
        await store.unknown(self._db, one, number, code=code, reason=reason, now_us=now_us())

    async def _opt_out(self, tenant_id: str, message: Outbound) -> None:
        async with self._db.tenant(tenant_id) as connection:
            await receipts.suppress(
                connection,
                tenant_id,
                kind=message.to.kind,
                value=message.to.value,
                scope=self._channel.name.partition(".")[0],
                on=True,
                source="provider",
                now_us=now_us(),
            )


async def sweep(bridge: Bridge, db: Database, idempotent: Callable[[str], bool]) -> None:
    """Look after messages whose sender died while it called a provider, for ever. trio.

    ``idempotent`` says of an account whether its provider recognises a repetition: then the message is tried again.
    """

    async def once() -> int:
        found = await store.stranded(db, now_us=now_us())
        for one, number in found:
            if idempotent(one.channel_id):
                await store.again(
                    db,
                    one,
                    number,
                    outcome="unknown",
                    code="sender_died",
                    reason="",
                    due_us=now_us(),
                    now_us=now_us(),
                )
            else:
                await store.unknown(db, one, number, code="sender_died", reason="", now_us=now_us())
        return len(found)

    while True:
        try:
            if count := await bridge.run(once):
                LOG.warning("messages of a sender that died", count=count)
        except PeerError as exc:
            LOG.warning("the outbox is out of reach", error=exc.code)
        await trio.sleep(SWEEP_S * random.uniform(0.8, 1.2))
