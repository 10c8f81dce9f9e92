"""The supervisor with real processes: order, coming back, giving up, and leaving nobody behind."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import trio

from api.up.parts import PartFailed, run_once
from api.up.supervisor import Act, Patience, Supervisor
from tests.up.fakes import CRASHER, SLEEPER, STUBBORN, Told, at_once, lives, never, program, says_ready

QUICK = Patience(first_pause_s=0.01, max_pause_s=0.02, deaths=4, window_s=30.0)


async def started(supervisor: Supervisor, nursery: trio.Nursery) -> trio.Event:
    """Run it in the background until everything is up; the event stops it."""
    up, stop = trio.Event(), trio.Event()
    nursery.start_soon(supervisor.run, up.set, stop)
    await up.wait()
    return stop


async def test_parts_start_in_order_and_stop_in_reverse(tmp_path: Path) -> None:
    told = Told()
    parts = [program(name, SLEEPER, tmp_path) for name in ("first", "second", "third")]
    async with trio.open_nursery() as nursery:
        stop = await started(Supervisor(parts, told), nursery)
        pids = [part.pid for part in parts]
        assert all(lives(pid) for pid in pids)
        stop.set()
    expected = [f"{word} {name}" for name in ("first", "second", "third") for word in ("begin", "ready")]
    assert told.said[:6] == expected
    assert [line.partition(":")[0] for line in told.said[6:]] == ["third", "second", "first"]
    assert not any(lives(pid) for pid in pids)


async def test_a_part_starts_only_when_the_one_before_it_is_ready(tmp_path: Path) -> None:
    late = "import time; time.sleep(0.3); print('ready', flush=True); time.sleep(600)"
    first = program("first", late, tmp_path, ready=says_ready(tmp_path / "first.log"))
    seen: list[bytes] = []

    async def look() -> str:
        seen.append((tmp_path / "first.log").read_bytes())
        return ""

    async with trio.open_nursery() as nursery:
        stop = await started(Supervisor([first, Act("look", "", look)], Told()), nursery)
        stop.set()
    assert seen == [b"ready\n"]


async def test_a_killed_part_comes_back(tmp_path: Path) -> None:
    told, part = Told(), program("worker", SLEEPER, tmp_path)
    supervisor = Supervisor([part], told)
    async with trio.open_nursery() as nursery:
        stop = await started(supervisor, nursery)
        old = part.pid
        os.kill(old, signal.SIGKILL)
        while "worker: is back" not in told.said:
            await trio.sleep(0.01)
        assert part.pid != old
        assert lives(part.pid)
        stop.set()
    assert any("killed by SIGKILL" in line for line in told.said)
    assert supervisor.restarts == 1


async def test_a_part_that_keeps_dying_ends_everything_with_its_own_words(tmp_path: Path) -> None:
    good = program("good", SLEEPER, tmp_path)
    bad = program("bad", CRASHER, tmp_path)
    with pytest.raises(PartFailed) as failed:
        await Supervisor([good, bad], Told(), QUICK).run(lambda: None, trio.Event())
    assert "bad died 4 times" in str(failed.value) or "bad ended while it started" in str(failed.value)
    assert "cannot find my shoes" in str(failed.value)
    assert not good.pid


async def test_a_part_that_is_never_ready_is_given_up_and_killed(tmp_path: Path) -> None:
    part = program("mute", SLEEPER, tmp_path, ready=never, start_s=0.3)
    with pytest.raises(PartFailed, match="mute is not ready after 0 s: it has not said hello"):
        await Supervisor([part], Told()).run(lambda: None, trio.Event())
    assert not part.pid


async def test_a_part_that_ignores_the_request_to_stop_is_killed_in_time(tmp_path: Path) -> None:
    part = program("stubborn", STUBBORN, tmp_path, ready=says_ready(tmp_path / "stubborn.log"), stop_s=0.3)
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            stop = await started(Supervisor([part], Told()), nursery)
            stop.set()
    assert not part.pid


async def test_force_ends_at_once_what_an_orderly_stop_waits_for(tmp_path: Path) -> None:
    part = program("stubborn", STUBBORN, tmp_path, ready=says_ready(tmp_path / "stubborn.log"), stop_s=50)
    supervisor = Supervisor([part], Told())
    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            stop = await started(supervisor, nursery)
            stop.set()
            await trio.sleep(0.2)
            supervisor.force()
    assert not part.pid


async def test_stopping_while_a_part_still_starts_leaves_nothing_running(tmp_path: Path) -> None:
    part, stop = program("slow", SLEEPER, tmp_path, ready=never, start_s=50), trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(Supervisor([part], Told()).run, lambda: None, stop)
        while not part.pid:
            await trio.sleep(0.01)
        pid = part.pid
        stop.set()
    assert not lives(pid)


async def test_children_do_not_share_our_terminal_session(tmp_path: Path) -> None:
    part = program("worker", SLEEPER, tmp_path)
    async with trio.open_nursery() as nursery:
        stop = await started(Supervisor([part], Told()), nursery)
        assert os.getsid(part.pid) != os.getsid(0)
        stop.set()


HOST = """
import sys, pathlib, trio
from tests.up.fakes import SLEEPER, STUBBORN, Told, program, says_ready
from api.up.supervisor import Supervisor

async def main() -> None:
    folder = pathlib.Path(sys.argv[1])
    parts = [program("one", SLEEPER, folder), program("two", STUBBORN, folder, ready=says_ready(folder / "two.log"))]
    await Supervisor(parts, Told()).run(lambda: print(*(part.pid for part in parts), flush=True), trio.Event())

trio.run(main)
"""


async def test_no_child_outlives_a_supervisor_that_was_killed(tmp_path: Path) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", HOST, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": "."},
    )
    assert host.stdout is not None
    with host.stdout:
        pids = [int(pid) for pid in (await trio.to_thread.run_sync(host.stdout.readline)).split()]
    assert len(pids) == 2
    assert all(lives(pid) for pid in pids)
    host.kill()
    host.wait()
    with trio.fail_after(5):
        while any(lives(pid) for pid in pids):
            await trio.sleep(0.01)


async def test_a_helpers_output_is_returned_and_its_complaint_is_the_error(tmp_path: Path) -> None:
    log = tmp_path / "helper.log"
    said = await run_once(
        "helper", [sys.executable, "-c", "print('x' * 200000)"], env=os.environ, log=log, limit_s=20
    )
    assert said == b"x" * 200_000 + b"\n"
    complaint = "import sys; sys.exit('the database is full')"
    with pytest.raises(PartFailed, match="helper: the database is full"):
        await run_once("helper", [sys.executable, "-c", complaint], env=os.environ, log=log, limit_s=20)
    with pytest.raises(PartFailed, match="longer than 0 s"):
        await run_once("helper", [sys.executable, "-c", SLEEPER], env=os.environ, log=log, limit_s=0.3)


async def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    part = program("ghost", SLEEPER, tmp_path, ready=never)
    part._argv = ["/nowhere/ghost"]
    with pytest.raises(PartFailed, match="cannot run /nowhere/ghost: No such file"):
        await part.start()


async def test_ready_is_asked_about_this_process(tmp_path: Path) -> None:
    asked: list[int] = []

    async def ask(pid: int) -> str | None:
        asked.append(pid)
        return await at_once(pid)

    part = program("worker", SLEEPER, tmp_path, ready=ask)
    await part.start()
    assert asked == [part.pid]
    await part.stop()
