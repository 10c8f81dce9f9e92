"""The API is killed under load, again and again: who follows the log ends with the log, and no order is done twice.

(A client that never reads is in ``tests/api/test_stream.py``: it is cut, and slows nobody.)
"""

import threading
import time
from collections import Counter

import httpx
import pytest

from bench.stack import Api, wait_until
from tests.faults.scene import Scene
from tests.faults.viewers import SocketViewer, SseViewer, Viewer

KILLS = 3

pytestmark = [pytest.mark.faults, pytest.mark.timeout(180)]


class Dialler(threading.Thread):
    """Places one call after the other, and repeats what was not answered with the same Idempotency-Key."""

    def __init__(self, api: Api) -> None:
        super().__init__(daemon=True)
        self._url = api.url
        self._headers = {"Authorization": f"Bearer {api.token}"}
        self.asked = 0
        self.placed: list[str] = []
        """The ids of the calls that were answered with 201."""
        self.unknown = 0
        """Orders of which the API said that it does not know."""
        self.cuts = 0
        self._closed = False
        self.start()

    def run(self) -> None:
        while not self._closed:
            self.asked += 1
            self._place(f"dial-{self.asked}")

    def _place(self, key: str) -> None:
        body = {"to": f"9{self.asked:05d}"}
        while True:
            try:
                answer = httpx.post(
                    f"{self._url}/v1/calls",
                    json=body,
                    headers={**self._headers, "Idempotency-Key": key},
                    timeout=15,
                )
            except httpx.TransportError:
                self.cuts += 1
                time.sleep(0.1)
                continue
            if answer.status_code == 201:
                self.placed.append(answer.json()["call"]["id"])
                return
            if answer.json()["code"] not in (
                "still_running",
                "database_down",
                "no_switch",
                "bus_down",
                "no_owner",
            ):
                self.unknown += 1
                return
            if answer.json()["code"] == "still_running" and self._closed:
                self.unknown += 1
                return
            time.sleep(0.2)

    def close(self) -> None:
        self._closed = True
        self.join(30)


def test_viewers_of_an_api_that_is_killed_again_and_again_end_with_the_log(scene: Scene) -> None:
    scene.begin(rate=30, api=True)
    api = scene.api
    kinds: list[type[SocketViewer | SseViewer]] = [
        SocketViewer,
        SocketViewer,
        SocketViewer,
        SseViewer,
        SseViewer,
    ]
    viewers: list[Viewer] = [kind(api.url, api.token) for kind in kinds]
    try:
        for _ in range(KILLS):
            seen = [viewer.seq for viewer in viewers]
            wait_until(
                lambda seen=seen: all(
                    one.seq > before + 50 for one, before in zip(viewers, seen, strict=True)
                ),
                "everybody is shown what happens",
            )
            scene.api.child.kill()
            scene.restart_api()
        scene.go_on(30)
        books = scene.settled()
        head = len(books.events)
        wait_until(lambda: all(viewer.seq >= head for viewer in viewers), "everybody has caught up", 20)
    finally:
        for viewer in viewers:
            viewer.close()
    books.check(scene.ear)
    log = [(seq, kind, resource) for seq, kind, resource in books.events]
    for viewer in viewers:
        assert viewer.cuts >= KILLS and viewer.gaps == 0
        assert [(one["seq"], one["type"], one["resource"]) for one in viewer.entries] == log
        assert len({one["id"] for one in viewer.entries}) == head


def test_an_order_that_is_repeated_after_the_kill_of_the_api_is_carried_out_once(scene: Scene) -> None:
    scene.begin(rate=10, api=True)
    scene.esl("sim callee .* ring=0.1 answer=0.2 talk=1")
    api = scene.api
    (node,) = api.get("/v1/nodes")["data"]
    template = {"dial_template": "sofia/carrier/{number}@198.51.100.20:5060"}
    assert api.client.patch(f"/v1/nodes/{node['id']}", json=template).status_code == 200
    dialler = Dialler(api)
    try:
        for number in range(KILLS):
            placed = len(dialler.placed)
            wait_until(lambda placed=placed: len(dialler.placed) >= placed + 2, "calls are placed")
            time.sleep(0.05 * number)
            scene.api.child.kill()
            scene.restart_api()
        placed = len(dialler.placed)
        wait_until(lambda: len(dialler.placed) > placed, "calls are placed again", 45)
    finally:
        dialler.close()
    assert dialler.cuts >= 1
    scene.settled().check(scene.ear)
    by_number = Counter(
        str(row["destination"])
        for row in scene.ask("select destination from cdrs where kind = 'call' and direction = 'outbound'")
    )
    print(by_number, dialler.asked, dialler.unknown)
    assert max(by_number.values()) == 1, "no key was dialled twice"
    assert len(by_number) >= len(dialler.placed)
