"""Wall clocks step by an hour, there and back, under load: nobody loses a switch, a token or a record."""

import struct
from pathlib import Path

import httpx
import pytest

from bench.stack import Api, Stack, owner_of, owner_pid, present, wait_until
from tests.faults.scene import POLL_S, Scene

HOUR_S = 3600

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


class SteppedClock:
    """The wall clock of the processes that are started with `env`; it can be stepped while they run."""

    def __init__(self, folder: Path, stack: Stack) -> None:
        self._path = folder / "clock"
        self.step_to(0)
        paths = (str(Path(__file__).parent / "stepped_clock"), stack.env["PYTHONPATH"])
        self.env = {"STEPPED_CLOCK": str(self._path), "PYTHONPATH": ":".join(paths)}

    def step_to(self, seconds: int) -> None:
        """So far from the truth from now on."""
        with self._path.open("r+b" if self._path.exists() else "wb") as file:
            file.write(struct.pack("<q", seconds * 1_000_000_000))


def hang_up_one(scene: Scene, api: Api) -> None:
    """An order is carried out: a caller who would talk for ever is sent away."""
    uuid = scene.esl("sim call to=9196 context=default talk=inf").split()[1]

    def call() -> str:
        found = scene.ask(f"select id from calls where live and doc::text like '%{uuid}%'")
        return str(found[0]["id"]) if found else ""

    wait_until(call, "the call is known", every_s=POLL_S)
    answer = api.post(f"/v1/calls/{call()}/hangup")
    assert (answer.status_code, answer.json().get("code")) == (200, None)


def check_times(scene: Scene) -> None:
    """Every record has the times of the switch, and they make sense."""
    for row in scene.ask("select kind, started_us, answered_us, ended_us, duration, billsec from cdrs"):
        lasted = (row["ended_us"] - row["started_us"]) / 1e6
        assert 0 <= lasted < 120 and row["started_us"] <= row["answered_us"] <= row["ended_us"]
        assert abs(row["duration"] - lasted) <= 2 and 0 <= row["billsec"] <= lasted + 1
    # Records are written when their calls have ended, by the clocks that were not stepped.
    drift = "abs(extract(epoch from recorded_at) - ended_us / 1e6)"
    assert scene.ask(f"select coalesce(max({drift}), 0) < 60 as yes from cdrs")[0]["yes"], (
        "that is when it was"
    )


def test_steps_of_the_controllers_clock_cost_no_lease_no_order_and_no_record(
    scene: Scene, tmp_path: Path
) -> None:
    clock = SteppedClock(tmp_path, scene.stack)
    scene.begin(controllers=2, rate=30, env=clock.env, api=True)
    api = scene.api
    owner = owner_of(scene.stack, scene.controllers)
    fence = scene.fence()
    for seconds in (HOUR_S, -HOUR_S, 0):
        clock.step_to(seconds)
        scene.go_on(50)
        hang_up_one(scene, api)
        assert owner_pid(scene.stack) == owner.pid
    assert scene.fence() == fence, "ownership never changed hands"
    scene.settled().check(scene.ear)
    check_times(scene)


@pytest.mark.parametrize("seconds", [HOUR_S, -HOUR_S])
def test_an_heir_whose_clock_is_wrong_doubles_nothing(scene: Scene, tmp_path: Path, seconds: int) -> None:
    clock = SteppedClock(tmp_path, scene.stack)
    scene.begin(rate=30, env=clock.env)
    scene.go_on(30)
    # The heir hears only the ends of the calls that live now, and must know them when it takes over.
    scene.controllers.append(scene.stack.controller("controller-1", clock.env))
    clock.step_to(seconds)
    wait_until(
        lambda: {one.pid for one in scene.controllers} <= present(scene.stack), "an heir stands by", 20
    )
    scene.go_on(40)
    dead = owner_of(scene.stack, scene.controllers)
    dead.kill()
    wait_until(lambda: owner_pid(scene.stack) not in (0, dead.pid), "an heir owns the switch", 10)
    scene.go_on(30)
    scene.settled().check(scene.ear)
    check_times(scene)


def test_steps_of_the_apis_clock_end_no_session(scene: Scene, tmp_path: Path) -> None:
    clock = SteppedClock(tmp_path, scene.stack)
    scene.begin(rate=5, api=True, api_env=clock.env)
    api = scene.api
    signed = httpx.post(
        f"{api.url}/v1/auth/login", json={"email": api.email, "password": api.password, "grant": "token"}
    ).json()
    clock.step_to(-HOUR_S)
    hang_up_one(scene, api)
    scene.api.child.kill()
    scene.restart_api(clock.env)  # it remembers nobody and has to judge the token
    assert api.client.get("/v1/calls").status_code == 200, "a token is none from the future"
    clock.step_to(HOUR_S)
    fresh = httpx.post(f"{api.url}/v1/auth/refresh", json={"refresh_token": signed["refresh_token"]})
    assert fresh.status_code == 200, "access tokens are over now, the session is not"
    api.client.headers["Authorization"] = f"Bearer {fresh.json()['access_token']}"
    hang_up_one(scene, api)
    clock.step_to(0)
    assert api.client.get("/v1/calls").status_code == 200
    hang_up_one(scene, api)


def test_steps_of_the_switchs_clock_make_no_record_nonsense(scene: Scene) -> None:
    scene.begin(rate=30)
    for seconds in (HOUR_S, -2 * HOUR_S):
        scene.go_on(30)
        scene.esl(f"sim clock {seconds * 1000}")
    scene.go_on(50)
    scene.settled().check(scene.ear)
    told = {uuid: int(ends["variable_billsec"]) for uuid, ends in scene.ear.ended.items()}
    for row in scene.ask("select subject, duration, billsec from cdrs where kind = 'leg'"):
        assert row["billsec"] == told[row["subject"]], "FreeSWITCH's own"
        assert row["duration"] >= 0
