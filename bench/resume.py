"""Random cuts of every kind of consumer during traffic: nothing is missing, nothing is shown twice.

One tenant's log grows while four consumers follow it, each cut off at random moments (by reset, also in the middle of a
frame): a WebSocket, server-sent events, the pages' own client in Node, and a webhook endpoint that hangs up before, after or
within its answer. In the end what each has shown is compared with the log, entry by entry.

``--cuts`` of each kind; ``--page 0`` leaves Node out.
"""

import argparse
import asyncio
import json
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import uvloop
from msgspec import Struct

from bench.consumers import Endpoint, Entry, Page, Shown, server_sent, web_socket
from bench.proxy import Proxy
from bench.report import Figure, arguments, report
from bench.stack import Api, Stack
from core.bus import Bus
from core.clock import monotonic, now_us
from core.log import append, read_entries
from core.storage.database import Database
from core.storage.entries import NewEntry

TENANT = "tnt_main"
SETTLE_S = 60.0
"""For the last repetitions: a delivery that was cut comes again after five seconds."""
LEAST_S = 2.0
CUTTING_S = 600.0
"""For the cuts that were not made during the traffic: each waits for a connection to come back."""


class Outcome(Struct):
    """How one kind of consumer fared."""

    name: str
    cuts: int
    differences: int
    duplicates: int
    repeated: int
    """Entries that came again and were not shown again."""


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", cuts=1000, rate=100, entries=0, page=1, seed=0)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s") as stack:
        outcomes, seconds = run(stack, given)
    figures = []
    for one in outcomes:
        figures.append(
            Figure(f"{one.name}: cuts", one.cuts, "", given.cuts, "asked for", "all", one.cuts >= given.cuts)
        )
        figures.append(
            Figure(f"{one.name}: differences", one.differences, "", 0, "the log", "0", not one.differences)
        )
        figures.append(
            Figure(f"{one.name}: shown twice", one.duplicates, "", 0, "the log", "0", not one.duplicates)
        )
        figures.append(Figure(f"{one.name}: repeated, not shown", one.repeated, "", 0, "", "", True))
    figures.append(Figure("time", seconds, "s", 0, "", "", True))
    report("resume", figures, as_json=given.json)


def run(stack: Stack, given: argparse.Namespace) -> tuple[list[Outcome], float]:
    """All of it on a stack that has nothing yet; how each fared, and the seconds it took."""
    api = stack.api()
    stack._start("channels", ["-m", "api.cli", "channels"], IRISX_WEBHOOK_NETWORKS="127.0.0.1/32")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(stack, api, given))


async def _run(stack: Stack, api: Api, given: argparse.Namespace) -> tuple[list[Outcome], float]:
    began = monotonic()
    entries = given.entries or max(200, given.cuts * 4)
    rng = random.Random(given.seed)
    target = int(api.url.rpartition(":")[2])
    key = _key(api)
    db = await Database.open(stack.env["DATABASE_URL"])
    bus = await Bus.open(stack.env["REDIS_URL"])
    db.show = bus.publish
    proxies = {name: Proxy(target) for name in ("WebSocket", "SSE", *(["page"] if given.page else []))}
    page = Page(api.url, key, proxies["page"].port) if given.page else None
    endpoint = await _endpoint(stack, db, given, entries)
    head = await _head(db)
    # (the page begins where it connects: what it hears first is compared from there)
    if page is not None:
        deadline = monotonic() + SETTLE_S
        while not await asyncio.to_thread(page.began, 0.2):
            if monotonic() > deadline:
                raise TimeoutError("the page's client heard nothing")
            await _write(db, 1, 100)
    traffic = await _head(db)
    shown = {name: Shown(name, first=head) for name in ("WebSocket", "SSE")}
    following = [
        asyncio.create_task(web_socket(shown["WebSocket"], proxies["WebSocket"].port, key)),
        asyncio.create_task(server_sent(shown["SSE"], proxies["SSE"].port, key)),
    ]
    try:
        cutting = [
            asyncio.create_task(_cut(proxy, given.cuts, entries / given.rate, rng))
            for proxy in proxies.values()
        ]
        await _write(db, entries, given.rate)
        await _beside(following, asyncio.gather(*cutting))
        end = await _head(db)
        await _until(lambda: all(one.last >= end for one in shown.values()), "the streams are at the end")
        heard = await asyncio.to_thread(page.finish, end, SETTLE_S) if page else None
        log = await _log(db, head)
        await _until(
            lambda: len({*endpoint.shown.entries}) >= len(log),
            "the endpoint has heard everything",
            fail=False,
        )
    finally:
        for task in following:
            task.cancel()
        if page is not None:
            page.close()
        endpoint.close()
        await bus.aclose()
        await db.close()
    outcomes = [
        Outcome(
            name, proxies[name].cuts, one.differences(log), one.duplicates, one.received - len(one.entries)
        )
        for name, one in shown.items()
    ]
    if heard is not None:
        outcomes.append(_page_outcome(heard, log, traffic, proxies["page"].cuts))
    hooks = endpoint.shown
    cuts = given.cuts - endpoint.left
    wrong = hooks.differences(log) + endpoint.forged
    outcomes.append(Outcome("webhook", cuts, wrong, hooks.duplicates, hooks.received - len(hooks.entries)))
    return outcomes, monotonic() - began


def _page_outcome(heard: dict[str, object], log: list[Entry], traffic: int, cuts: int) -> Outcome:
    """The page's list, from the first entry that it heard."""
    told = heard["heard"]
    assert isinstance(told, list)
    page = Shown("page", first=0)
    page.entries = [(int(seq), str(name)) for seq, name in told]
    start = page.entries[0][0] if page.entries else 0
    missing = page.differences([entry for entry in log if entry[0] >= start])
    # It began before the traffic: a later beginning is a loss, and so is starting over in between.
    late = sum(1 for seq, _ in log if traffic < seq < start)
    jumps = int(str(heard["jumps"])) - 1
    return Outcome("page", cuts, missing + late + jumps, page.duplicates, 0)


def _key(api: Api) -> str:
    """A key that outlives the run, and whose limits are its own."""
    made = api.post("/v1/api-keys", name="resume", scopes=["events:read", "calls:read"])
    made.raise_for_status()
    return str(made.json()["secret"])


async def _endpoint(stack: Stack, db: Database, given: argparse.Namespace, entries: int) -> Endpoint:
    from core.storage.webhooks import create_webhook

    # (a little more often than the cuts need: chance is uneven)
    chance = min(0.9, 1.3 * given.cuts / entries)
    endpoint = Endpoint(Shown("webhook", first=0, ordered=False), given.cuts, chance, given.seed)
    await endpoint.start()
    _, endpoint.secret = await create_webhook(
        db, TENANT, secret=stack.secret, name="resume", url=f"http://127.0.0.1:{endpoint.port}/",
        types=["bench.*"], at_once=16,
    )  # fmt: skip
    return endpoint


async def _write(db: Database, count: int, rate: float) -> None:
    """Entries as a controller commits them, some at once."""
    began = monotonic()
    for number in range(count):
        entry = NewEntry(
            tenant_id=TENANT, type="bench.written", resource=f"bench_r{number}", data=b'{"n":%d}' % number, occurred_us=now_us()
        )  # fmt: skip
        async with db.tenant(TENANT) as connection:
            await append(connection, [entry])
        await asyncio.sleep(max(0.0, began + (number + 1) / rate - monotonic()))


async def _cut(proxy: Proxy, count: int, seconds: float, rng: random.Random) -> None:
    """``count`` resets at random moments within ``seconds``, and whatever is left of them as fast as connections come."""
    while proxy.cuts < count:
        await asyncio.sleep(rng.expovariate(count / max(seconds, LEAST_S)))
        if proxy.standing:
            proxy.cut()


async def _beside(following: list["asyncio.Task[None]"], work: "asyncio.Future[Any]") -> None:
    """Wait for ``work``, but no longer than its consumers live: nobody can cut one that has ended. Raises what ended it."""
    waiting: list[asyncio.Future[Any]] = [work, *following]
    ended, _ = await asyncio.wait(waiting, timeout=CUTTING_S, return_when=asyncio.FIRST_COMPLETED)
    if work not in ended:
        work.cancel()
        await asyncio.wait([work])
        for one in ended:
            one.result()
        raise TimeoutError(
            "not all the cuts could be made: " + ("a consumer ended" if ended else "no connections")
        )
    await work


async def _head(db: Database) -> int:
    async with db.reader(TENANT) as connection:
        return int(
            await connection.fetchval(
                "select coalesce(max(head), 0) from log_heads where tenant_id = $1", TENANT
            )
        )


async def _log(db: Database, after: int) -> list[Entry]:
    """The log itself, without what webhooks say of themselves."""
    found: list[Entry] = []
    while True:
        some = await read_entries(db, TENANT, after_seq=after, limit=1000)
        if not some:
            return found
        found += [(one.seq, _id(one.body)) for one in some]
        after = some[-1].seq


def _id(body: bytes) -> str:
    return str(json.loads(body)["id"])


async def _until(holds: Callable[[], bool], what: str, *, fail: bool = True) -> None:
    deadline = monotonic() + SETTLE_S
    while not holds():
        if monotonic() > deadline:
            if fail:
                raise TimeoutError(f"not within {SETTLE_S:g} s: {what}")
            return
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    main()
