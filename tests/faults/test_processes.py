"""Processes die in the middle of traffic, and the books are right in the end.

Each test runs real processes and real traffic: a simulated switch whose callers come, talk and go, with a listener of
our own beside it that hears what truly happened.
"""

import os
import signal
import time

import pytest

from bench.stack import owner_of, owner_pid, present, wait_until
from tests.faults.scene import POLL_S, Scene

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


def kill_postgres(scene: Scene) -> None:
    """kill -9, and cleared away so that it can be started again."""
    postgres = scene.stack.postgres
    os.kill(postgres.pid, signal.SIGKILL)
    wait_until(lambda: not postgres.running, "Postgres is dead", 10)
    postgres.stop()


def test_traffic_without_faults_is_recorded_exactly(scene: Scene) -> None:
    scene.begin()
    scene.go_on(60)
    books = scene.settled()
    books.check(scene.ear)
    assert len(books.legs) == len(books.calls) == scene.ended()


def test_the_kill_of_the_owning_controller_loses_and_doubles_nothing(scene: Scene) -> None:
    scene.begin(controllers=2)
    stack, controllers = scene.stack, scene.controllers
    for _ in range(2):
        scene.go_on(30)
        owner = owner_of(stack, controllers)
        wait_until(lambda: {one.pid for one in controllers} <= present(stack), "the other one stands by", 20)
        time.sleep(1.0)  # it has dialled by then
        owner.kill()
        controllers.remove(owner)
        took = wait_until(lambda owner=owner: owner_pid(stack) not in (0, owner.pid), "an heir owns it", 10)
        assert took < 3.0
        controllers.append(stack.controller(f"controller-{owner.pid}"))
    scene.go_on(60)
    scene.settled().check(scene.ear)


def test_a_frozen_controller_is_replaced_and_does_no_harm_when_it_wakes(scene: Scene) -> None:
    scene.begin(controllers=2)
    scene.go_on(30)
    frozen = owner_of(scene.stack, scene.controllers)
    wait_until(
        lambda: {one.pid for one in scene.controllers} <= present(scene.stack), "an heir stands by", 20
    )
    frozen.pause()
    wait_until(lambda: owner_pid(scene.stack) != frozen.pid, "an heir owns the switch", 10)
    time.sleep(1)
    frozen.go_on()
    scene.go_on(60)
    scene.settled().check(scene.ear)


def test_the_kill_of_postgres_loses_and_doubles_nothing(scene: Scene) -> None:
    scene.begin()
    scene.go_on(30)
    kill_postgres(scene)
    scene.go_on(90)
    scene.stack.postgres.start()
    scene.go_on(30)
    scene.settled().check(scene.ear)


def test_the_kill_of_the_controller_while_postgres_is_away_loses_nothing_it_had_heard(scene: Scene) -> None:
    scene.begin()
    scene.go_on(30)
    kill_postgres(scene)
    scene.quiet()
    time.sleep(1)
    scene.controllers[0].kill()
    scene.stack.postgres.start()
    scene.stack.controller("controller-2")
    scene.settled().check(scene.ear)


def test_the_kill_of_valkey_stops_no_record(scene: Scene) -> None:
    scene.begin()
    scene.go_on(30)
    fence = scene.fence()
    valkey = scene.stack.valkey
    os.kill(valkey.pid, signal.SIGKILL)
    wait_until(lambda: not valkey.running, "Valkey is dead", 10)
    valkey.stop()
    time.sleep(3)  # longer than a lease
    valkey.start()
    scene.go_on(60)
    scene.settled().check(scene.ear)
    assert scene.fence() == fence, "nobody took the silence of Valkey for the loss of the switch"


def test_a_flushed_valkey_changes_no_owner_and_no_record(scene: Scene) -> None:
    import redis

    scene.begin(controllers=2)
    scene.go_on(30)
    with redis.Redis.from_url(scene.stack.env["REDIS_URL"]) as client:
        for _ in range(5):
            client.flushall()
            time.sleep(0.3)
    assert owner_of(scene.stack, scene.controllers)
    scene.go_on(30)
    scene.settled().check(scene.ear)


def test_a_switch_that_dies_takes_its_calls_with_it_and_each_is_closed_once(scene: Scene) -> None:
    scene.begin(talk=0, rate=100)
    wait_until(lambda: scene.live() >= 100, "live calls", every_s=POLL_S)
    child, port = scene.stack.switches["sim1"]
    child.kill()
    scene.stack.switch("sim1", port=port, register=False, heartbeat=2)
    scene.wait_stored("not exists (select from calls where live)", "the dead calls are closed")
    time.sleep(0.5)  # what was under way is in the books
    books = scene.books()
    books.check(scene.ear, may_be_inferred=True)
    assert len(books.legs) >= 100
    assert all(row["inferred"] and row["hangup_cause"] == "NODE_DEATH" for row in books.legs)
