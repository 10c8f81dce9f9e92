"""Checks of channels as jobs: carried out apart from everything else, ended in time, and told as they came out."""

import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import msgspec
import pytest
import trio

from core import plugin_checks
from core.aio import Bridge, open_bridge
from core.plugin_checks import COMMAND, KIND
from core.storage import jobs
from core.storage.database import Database

TENANT = "tnt_main"


class Desk:
    """A worker at work, and the jobs that it finds."""

    def __init__(self, bridge: Bridge, db: Database) -> None:
        self._bridge, self._db = bridge, db

    async def ask(self, channel: str) -> str:
        make = partial(jobs.create_job, self._db, TENANT, kind=KIND, subject=channel)
        return await self._bridge.run(make)

    async def cancel(self, job_id: str) -> None:
        await self._bridge.run(jobs.cancel_job, self._db, TENANT, job_id)

    async def ended(self, job_id: str, within_s: float = 60) -> dict[str, Any]:
        with trio.fail_after(within_s):
            while True:
                job = msgspec.json.decode(await self.read(job_id))
                if job["state"] in jobs.END_STATES:
                    return dict(job)
                await trio.sleep(0.05)

    async def read(self, job_id: str) -> bytes:
        found = await self._bridge.run(jobs.get_job_json, self._db, TENANT, job_id)
        assert found is not None
        return found


@asynccontextmanager
async def working(database_url: str, command: Sequence[str] = COMMAND) -> AsyncIterator[Desk]:
    async with open_bridge() as bridge:
        db = await bridge.run(partial(Database.open, max_size=2), database_url)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(plugin_checks.run, bridge, db, command)
                yield Desk(bridge, db)
                nursery.cancel_scope.cancel()
        finally:
            with trio.CancelScope(shield=True):
                await bridge.run(db.close)


def script(text: str) -> tuple[str, ...]:
    return sys.executable, "-c", text


async def test_a_channel_is_checked_and_every_promise_is_told(database_url: str) -> None:
    async with working(database_url) as desk:
        job = await desk.ended(await desk.ask("sms.messagebird"), within_s=110)
    assert (job["state"], job["subject"]) == ("done", "sms.messagebird")
    checks = job["result"]["checks"]
    assert len(checks) > 10 and all(one["held"] is not False for one in checks)


async def test_a_channel_that_is_not_there_says_so(database_url: str) -> None:
    async with working(database_url) as desk:
        job = await desk.ended(await desk.ask("nobody"))
    assert job["state"] == "failed" and job["error"]["detail"] == "there is no channel nobody"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("print('hello')", "it ended with 0"),
        ("raise SystemExit(3)", "it ended with 3"),
        ("print('x' * 2_000_000)", "it ended with 0"),
        ("print('{\"checks\": 1}')", "it ended with 0"),
    ],
)
async def test_whatever_a_check_prints_the_job_ends(database_url: str, text: str, why: str) -> None:
    async with working(database_url, script(text)) as desk:
        job = await desk.ended(await desk.ask("any"))
    assert job["state"] == "failed" and job["error"]["detail"] == why


async def test_a_check_that_hangs_is_ended_and_the_next_one_has_its_turn(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_checks, "LIMIT_S", 0.5)
    hang = script("import sys, time; sys.argv[1] == 'hangs' and time.sleep(600); print('{\"checks\": []}')")
    async with working(database_url, hang) as desk:
        first, second = await desk.ask("hangs"), await desk.ask("ends")
        job = await desk.ended(first)
        assert job["state"] == "failed" and "did not end" in job["error"]["detail"]
        assert (await desk.ended(second))["state"] == "done"


async def test_a_check_that_nobody_wants_any_more_is_ended(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugin_checks, "BEAT_S", 0.1)
    async with working(database_url, script("import time; time.sleep(600)")) as desk:
        job_id = await desk.ask("any")
        with trio.fail_after(20):
            while b'"running"' not in await desk.read(job_id):
                await trio.sleep(0.05)
        await desk.cancel(job_id)
        assert (await desk.ended(job_id))["state"] == "cancelled"
