"""The journey of the system that IRISX replaces, as its own load test had it: 200 messages a minute with 100 users at their screens.

Customers write through a real provider's wire (Twilio's, signed) to the real API process; 100 agents, each with a stream of
their own over a WebSocket, see every message. Measured is the time from the webhook's first byte on its socket to the event
at each agent. The reference is the same with one agent.

``--minutes`` of it; ``--rate`` messages a minute; ``--users`` with streams.
"""

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import tempfile
import time
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Event
from pathlib import Path

import uvloop
import websockets

from bench.report import Figure, arguments, percentile, report
from bench.stack import Api, Stack
from bench.webhook_ingest import _NUMBER, Account, lines

TENANT = "tnt_main"
SETTLE_S = 30.0


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", minutes=1.0, rate=200.0, users=100)
    with tempfile.TemporaryDirectory() as folder, Stack(Path(folder) / "s", durable=True) as stack:
        api = stack.api()
        account = Account(api, TENANT)
        alone, _ = _run(api, account, 1, given, minutes=min(given.minutes, 0.25))
        many, answered = _run(api, account, given.users, given, minutes=given.minutes)
    sent = round(given.rate * given.minutes)
    everything = sent * given.users
    reference = percentile(alone, 0.99)
    figures = [
        Figure("messages accepted", answered, "", sent, "sent", "all", answered == sent),
        Figure("shown", len(many), "", everything, "messages x users", "all", len(many) == everything),
        Figure(
            "webhook to stream, p50",
            percentile(many, 0.5),
            "ms",
            percentile(alone, 0.5),
            "one user",
            "",
            True,
        ),
        Figure(
            "webhook to stream, p99", percentile(many, 0.99), "ms", reference, "one user", "is shown", True
        ),
        Figure(
            "webhook to stream, worst",
            max(many, default=0.0),
            "ms",
            max(alone, default=0.0),
            "one user",
            "",
            True,
        ),
    ]
    report("journey_load", figures, as_json=given.json)


def _run(
    api: Api, account: Account, users: int, given: argparse.Namespace, *, minutes: float
) -> tuple[list[float], int]:
    """Milliseconds for each message at each user, and how many webhooks were answered 2xx."""
    # The users live in a process of their own: their work must not delay the customers, whose clock is compared. (One
    # machine: both processes read the same monotonic clock.)
    count = round(given.rate * minutes)
    ready = multiprocessing.Event()
    answers: SimpleQueue[list[tuple[int, float]]] = multiprocessing.SimpleQueue()
    crowd = multiprocessing.Process(
        target=_crowd, args=(api.url, api.token, users, count, ready, answers), daemon=True
    )
    crowd.start()
    if not ready.wait(60):
        raise TimeoutError("the users did not connect")
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        sent, answered = runner.run(_write(api, account, count, given.rate))
    seen = answers.get()
    crowd.join(10)
    return [(at - sent[number]) * 1000 for number, at in seen if number in sent], answered


async def _write(api: Api, account: Account, count: int, rate: float) -> tuple[dict[int, float], int]:
    """Customers write at ``rate`` a minute: when each webhook left, and how many were accepted."""
    first = account.last
    requests = account.webhooks(count)
    line, *_ = await lines(api, 1)
    sent: dict[int, float] = {}
    answered, began = 0, time.monotonic()
    for number, raw in enumerate(requests, first + 1):
        await asyncio.sleep(max(0.0, began + (number - first - 1) * 60 / rate - time.monotonic()))
        sent[number] = time.monotonic()
        answered += await line.ask(raw)
    return sent, answered


def _crowd(
    url: str,
    token: str,
    users: int,
    count: int,
    ready: Event,
    answers: "SimpleQueue[list[tuple[int, float]]]",
) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answers.put(runner.run(_look(url, token, users, count, ready)))


async def _look(url: str, token: str, users: int, count: int, ready: Event) -> list[tuple[int, float]]:
    """What each user saw: the message's number and the moment. What never comes is left out, and so is seen as missing."""
    seen: list[tuple[int, float]] = []
    connected = asyncio.Semaphore(0)
    address = url.replace("http", "ws") + "/v1/stream"

    async def user() -> None:
        async with websockets.connect(address, max_size=None, compression=None) as stream:
            await stream.send(
                json.dumps({"type": "subscribe", "token": token, "types": ["message.received"]})
            )
            await stream.recv()
            connected.release()
            left = count
            while left:
                # (a message of another customer comes every third of a second)
                message = str(await asyncio.wait_for(stream.recv(decode=True), SETTLE_S))
                at = time.monotonic()
                if found := _NUMBER.search(message):
                    seen.append((int(found[1]), at))
                    left -= 1

    async def one() -> None:
        with contextlib.suppress(TimeoutError):
            await user()

    async with asyncio.TaskGroup() as group:
        for _ in range(users):
            group.create_task(one())
        for _ in range(users):
            await connected.acquire()
        ready.set()
    return seen


if __name__ == "__main__":
    main()
