"""A switch that was drained stays drained, whoever restarts: the switch, which forgets it, or its controller."""

import pytest

from bench.stack import Api, owner_of, owner_pid, present, wait_until
from tests.faults.scene import POLL_S, Scene

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]

AT_ONCE_S = 3.0
"""After the restart: the link has to notice it and to dial."""


def node(api: Api) -> tuple[str, str]:
    """The switch's id and state."""
    (one,) = api.get("/v1/nodes")["data"]
    return one["id"], one["state"]


def refuses(scene: Scene) -> bool:
    """Whether the switch itself turns a caller away."""
    try:
        return scene.esl("sim call to=9196 context=default talk=0.2").startswith("-ERR 503")
    except ConnectionError:
        return False  # it is just restarting


def restart(scene: Scene) -> None:
    """A new process of FreeSWITCH: a new Core-UUID, no calls, and nothing of what it was told."""
    before = scene.esl("global_getvar core_uuid")
    scene.esl("sim restart")

    def is_new() -> bool:
        try:
            return scene.esl("global_getvar core_uuid") != before
        except ConnectionError:
            return False

    wait_until(is_new, "the switch is a new one", 10)


def test_a_drained_switch_that_restarts_refuses_callers_as_soon_as_it_is_reached(scene: Scene) -> None:
    scene.begin(rate=0, api=True)
    api = scene.api
    node_id, _ = node(api)
    assert not refuses(scene)
    assert api.post(f"/v1/nodes/{node_id}/drain").status_code == 200
    wait_until(lambda: node(api)[1] == "drained", "it is drained", 20, every_s=POLL_S)
    for _ in range(2):
        assert refuses(scene)
        restart(scene)
        wait_until(lambda: refuses(scene), "callers are refused again", AT_ONCE_S, every_s=POLL_S)
    assert node(api)[1] == "drained"
    assert api.post(f"/v1/nodes/{node_id}/resume").status_code == 200
    assert not refuses(scene)
    restart(scene)
    wait_until(
        lambda: scene.switch_status()["restarts"] >= 3, "the controller has seen it", 10, every_s=POLL_S
    )
    assert not refuses(scene), "and a resumed one stays resumed"


def test_a_switch_that_recovers_calls_refuses_callers_before_its_recovery_is_over(scene: Scene) -> None:
    """Then the comparing waits for seconds; the refusing must not."""
    scene.begin(rate=0, api=True)
    api = scene.api
    node_id, _ = node(api)
    answer = api.client.patch(f"/v1/nodes/{node_id}", json={"settings": {"recovers_calls": "yes"}})
    assert answer.status_code == 200, answer.text
    assert api.post(f"/v1/nodes/{node_id}/drain").status_code == 200
    wait_until(lambda: node(api)[1] == "drained", "it is drained", 20, every_s=POLL_S)
    restart(scene)
    wait_until(lambda: refuses(scene), "callers are refused again", AT_ONCE_S, every_s=POLL_S)


def test_an_heir_knows_of_a_drain_that_was_ordered_a_moment_before(scene: Scene) -> None:
    scene.begin(controllers=2, rate=0, api=True)
    api = scene.api
    node_id, _ = node(api)
    wait_until(
        lambda: {one.pid for one in scene.controllers} <= present(scene.stack), "an heir stands by", 20
    )
    dead = owner_of(scene.stack, scene.controllers)
    assert api.post(f"/v1/nodes/{node_id}/drain").status_code == 200
    # It hands over at once: sooner than the heir looks again at how the switches are described.
    dead.ask_to_stop()
    wait_until(lambda: owner_pid(scene.stack) not in (0, dead.pid), "an heir owns the switch", 10)
    restart(scene)
    wait_until(lambda: refuses(scene), "callers are refused again", AT_ONCE_S, every_s=POLL_S)
