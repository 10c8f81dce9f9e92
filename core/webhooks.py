"""Webhooks at work: takes what is due, delivers it, writes down what came of it. trio; one of each in every channel host.

Receivers are strangers: they hang, drip, answer megabytes, redirect into our network, and point their names elsewhere
between two tries. So a try has one deadline for everything, an answer counts when its head is there and only its first
bytes are read, redirects are not followed, and a connection goes to the very address that was looked at
(`core.channel_tools`). How much is under way for one endpoint, one tenant and in all has bounds
(`core.storage.webhook_work`, `TENANT_AT_ONCE`, `AT_ONCE`).
"""

import random
import ssl
from collections import Counter
from collections.abc import Sequence
from functools import partial
from ipaddress import ip_network

import httpx
import trio

from core.channel_account import Parts
from core.channel_tools import CONNECT_S, CheckedTransport, UnknownName
from core.clock import now_us
from core.errors import IrisxError, PeerError
from core.logs import get_logger
from core.model import webhooks as model
from core.model.webhooks import Attempt
from core.storage import webhook_results as results
from core.storage import webhook_work as work
from core.storage.webhook_work import Job
from core.storage.webhooks import open_secrets
from irisx_sdk import Misconfigured
from irisx_sdk.http import retry_after_s

LOG = get_logger("webhooks")

ATTEMPT_S = 10.0
"""For one try, from the name's resolution to the head of the answer."""
EXCERPT_S = 1.0
"""For the first bytes of the answer behind its head: they change nothing."""
AT_ONCE = 128
"""Deliveries under way in one process."""
TENANT_AT_ONCE = 32
"""Of one tenant in one process."""
STORING = 4
"""Results that are written down together: sessions to Postgres are shared with the senders of messages."""
LOOK_S = 0.2
"""How often an idle process looks for work."""
PRUNE_S = 600.0
MOST_PRUNINGS = 100
"""Steps of `results.PRUNED` deliveries that are forgotten at one time."""
LET_GO_S = 2.0
MOST_SECRETS = 1000
"""Endpoints whose secrets are remembered, opened: opening takes a while."""


class Webhooks:
    """The deliveries of one process."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._networks = [ip_network(one, strict=False) for one in parts.webhook_networks]
        self._under_way: dict[str, Job] = {}
        self._wake = trio.Event()
        self._opened: dict[bytes, list[tuple[str, int]]] = {}
        self._counts: Counter[str] = Counter()
        self._store = trio.CapacityLimiter(STORING)

    def statistics(self) -> dict[str, int]:
        """Deliveries under way now; attempts that ended since the start, by how."""
        counts = {step: self._counts[step] for step in ("delivered", "again", "failed")}
        return {"under_way": len(self._under_way), **counts}

    async def run(self) -> None:
        """Deliver until cancelled; what is under way then is given back, and comes again under the same id."""
        transport = CheckedTransport(self._parts.tls, networks=self._networks, connections=AT_ONCE)
        async with httpx.AsyncClient(
            transport=transport,
            timeout=httpx.Timeout(ATTEMPT_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        ) as http:
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._prune)
                    await self._work(http, nursery)
            finally:
                await self._let_go()

    async def _work(self, http: httpx.AsyncClient, nursery: trio.Nursery) -> None:
        while True:
            self._wake = trio.Event()
            room = AT_ONCE - len(self._under_way)
            jobs, more = await self._take(room) if room else ([], False)
            for job in jobs:
                nursery.start_soon(self._deliver, http, job)
            if not more:
                with trio.move_on_after(LOOK_S * random.uniform(0.8, 1.2)):
                    await self._wake.wait()

    async def _take(self, room: int) -> tuple[list[Job], bool]:
        busy = Counter(job.tenant_id for job in self._under_way.values())
        taking = partial(work.take, room=room, tenant_room=TENANT_AT_ONCE, busy=busy)
        try:
            jobs, more = await self._parts.bridge.run(taking, self._parts.db, self._parts.name)
        except PeerError as exc:
            LOG.warning("webhooks wait for the store", error=exc.code)
            await trio.sleep(1.0)
            return [], False
        # (at once, so that a cancellation gives them back)
        self._under_way |= {job.id: job for job in jobs}
        return jobs, more

    async def _deliver(self, http: httpx.AsyncClient, job: Job) -> None:
        """One try, and what follows from it."""
        try:
            attempt = await self._try(http, job)
            then = model.after(attempt, tries=job.tries + 1, jitter=random.uniform(0.8, 1.2))
            async with self._store:
                await self._parts.bridge.run(
                    results.finish, self._parts.db, job, self._parts.name, attempt, then
                )
        except IrisxError as exc:
            # The claim runs out, and somebody tries again.
            LOG.warning("what came of a webhook is not stored", delivery=job.id, error=exc.code)
        else:
            self._counts[then.step] += 1
            if then.step != "delivered":
                LOG.info(
                    "a webhook was not delivered",
                    webhook=job.webhook_id,
                    delivery=job.id,
                    status=attempt.status,
                    error=attempt.error,
                    step=then.step,
                )
        del self._under_way[job.id]
        self._wake.set()

    async def _try(self, http: httpx.AsyncClient, job: Job) -> Attempt:
        began_us, began = now_us(), trio.current_time()
        if not job.event_id:
            return Attempt(at_us=began_us, error="gone", status=0)
        stamp, body = began_us // 1_000_000, model.payload(job.body)
        signed = model.headers(self._secrets(job, began_us), job.event_id, stamp, body)
        status, error, excerpt, wish = await post(http, job.url, signed, body)
        return Attempt(
            at_us=began_us,
            took_ms=round((trio.current_time() - began) * 1000),
            status=status,
            error=error,
            excerpt=excerpt,
            timestamp=stamp,
            signature=signed["webhook-signature"],
            retry_after_s=wish,
        )

    def _secrets(self, job: Job, at_us: int) -> list[str]:
        """Those in force."""
        known = self._opened.get(job.secrets)
        if known is None:
            if len(self._opened) >= MOST_SECRETS:
                self._opened.clear()
            every = open_secrets(self._parts.secret, job.secrets)
            known = self._opened[job.secrets] = [(one.secret, one.until_us) for one in every]
        return [secret for secret, until_us in known if not until_us or until_us > at_us]

    async def _prune(self) -> None:
        while True:
            await trio.sleep(PRUNE_S * random.uniform(0.5, 1.0))
            try:
                for _ in range(MOST_PRUNINGS):
                    if await self._parts.bridge.run(results.prune, self._parts.db) < results.PRUNED:
                        break
                    await trio.sleep(1.0)
            except PeerError as exc:
                LOG.info("old deliveries wait for the store", error=exc.code)

    async def _let_go(self) -> None:
        jobs: Sequence[Job] = list(self._under_way.values())
        if not jobs:
            return
        with trio.CancelScope(shield=True), trio.move_on_after(LET_GO_S):
            try:
                await self._parts.bridge.run(results.let_go, self._parts.db, jobs, self._parts.name)
            except PeerError as exc:
                LOG.info("claims run out by themselves", error=exc.code)


async def post(
    http: httpx.AsyncClient, url: str, signed: dict[str, str], body: bytes
) -> tuple[int, str, str, float | None]:
    """Send one delivery: status, error, the answer's beginning, and its ``Retry-After`` in seconds. Raises nothing."""
    sent = {
        **signed,
        "content-type": "application/json",
        "accept-encoding": "identity",
        "user-agent": "IRISX-Webhooks/1",
    }
    status, error, excerpt, wish = 0, "", b"", None
    try:
        with trio.move_on_after(ATTEMPT_S):
            async with http.stream("POST", url, content=body, headers=sent) as answer:
                status, wish = answer.status_code, retry_after_s(answer)
                with trio.move_on_after(EXCERPT_S):
                    async for piece in answer.aiter_raw(model.EXCERPT_BYTES):
                        excerpt += piece
                        if len(excerpt) >= model.EXCERPT_BYTES:
                            # (leaving the loop instead would leave generators to the garbage collector)
                            await answer.extensions["network_stream"].aclose()
    except Misconfigured:
        error = "private_address"
    except (httpx.HTTPError, httpx.StreamError, httpx.InvalidURL) as failed:
        error = _error(failed)
    if not status:
        error = error or "timeout"
    else:
        error = ""  # what became of the rest of an answer is of no matter
    shown = excerpt[: model.EXCERPT_BYTES].decode("utf-8", "replace")
    return status, error, "".join(c if c.isprintable() or c in "\n\t" else "\ufffd" for c in shown), wish


def _error(failed: Exception) -> str:
    """Why there was no answer, in one word."""
    causes: list[BaseException] = []
    cause: BaseException | None = failed
    while cause is not None and len(causes) < 10:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if any(isinstance(one, UnknownName) for one in causes):
        return "no_such_host"
    if any(isinstance(one, ssl.SSLError) for one in causes):
        return "tls_failed"
    if isinstance(failed, httpx.ConnectTimeout | httpx.TimeoutException):
        return "timeout"
    if isinstance(failed, httpx.ConnectError):
        return "connection_failed"
    if isinstance(failed, httpx.RemoteProtocolError) and "disconnected" not in str(failed):
        return "bad_answer"
    return "connection_lost"
