"""Conformance runs that somebody asked for: one at a time, each in a process of its own.

trio; one worker in every channel host, jobs are claimed in the store. The kit starts servers and treats a stranger's code
badly on purpose, so nothing of that happens in the host itself; the child is nice, has a deadline, and ends with us.
"""

import random
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from typing import Any

import msgspec
import trio

from core.aio import Bridge
from core.errors import Conflict, PeerError
from core.logs import get_logger
from core.storage import jobs
from core.storage.database import Database

LOG = get_logger("plugin_checks")

KIND = "plugin.check"
COMMAND = (sys.executable, "-m", "irisx_sdk.conformance")
LOOK_S = 2.0
LIMIT_S = 300.0
"""A run takes 3 to 15 s on an idle machine."""
BEAT_S = 5.0
MOST_BYTES = 1 << 20
MOST_REASON = 500
NICE = 10

_Place = tuple[Database, str, str]


async def run(bridge: Bridge, db: Database, command: Sequence[str] = COMMAND) -> None:
    """Carry out what is queued, until cancelled."""
    while True:
        try:
            job = await bridge.run(jobs.claim_job, db, (KIND,))
            if job is not None:
                await _carry_out(bridge, db, command, job)
                continue
        except Conflict:
            LOG.info("a check was ended by somebody else")
        except PeerError as exc:
            LOG.info("checks wait for the store", error=exc.code)
        await trio.sleep(LOOK_S * random.uniform(0.8, 1.2))


async def _carry_out(bridge: Bridge, db: Database, command: Sequence[str], job: dict[str, Any]) -> None:
    """One job, from its process to what is kept of it. Raises what the store raises: then it is found as abandoned."""
    place = (db, job["tenant_id"], job["id"])
    ran: list[subprocess.CompletedProcess[bytes]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_watch, bridge, place, nursery.cancel_scope)
        with trio.move_on_after(LIMIT_S):
            ran.append(
                await trio.run_process(
                    ["nice", "-n", str(NICE), *command, job["subject"]],
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                )
            )
        nursery.cancel_scope.cancel()
    if not ran:
        asked = not await bridge.run(partial(jobs.progress, *place, done=0))
        if asked:
            await bridge.run(jobs.stop_job, *place)
        else:
            await _fail(bridge, place, f"it did not end within {LIMIT_S:.0f} s")
        return
    report = _report(ran[0].stdout) if ran[0].returncode == 0 else None
    if report is None:
        lines = ran[0].stderr.decode("utf-8", "replace").strip().splitlines()
        await _fail(bridge, place, lines[-1] if lines else f"it ended with {ran[0].returncode}")
        return
    await bridge.run(partial(jobs.finish_job, *place, result=report))


async def _watch(bridge: Bridge, place: _Place, scope: trio.CancelScope) -> None:
    """Say that it goes on; end it when somebody wants that."""
    while True:
        await trio.sleep(BEAT_S)
        with suppress(PeerError):
            if not await bridge.run(partial(jobs.progress, *place, done=0)):
                scope.cancel()


async def _fail(bridge: Bridge, place: _Place, why: str) -> None:
    await bridge.run(partial(jobs.fail_job, *place, code="check_failed", detail=why[:MOST_REASON]))


def _report(said: bytes) -> dict[str, Any] | None:
    """What the kit printed; None when it is nothing of the kind."""
    if len(said) > MOST_BYTES:
        return None
    try:
        found = msgspec.json.decode(said)
    except msgspec.DecodeError:
        return None
    return found if isinstance(found, dict) and isinstance(found.get("checks"), list) else None
