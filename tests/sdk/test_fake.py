"""The base of fake providers: routes, faults, webhooks, receipts, sockets, the page."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import httpx
import msgspec
import pytest
from irisx_bulletin.fake import FakeBulletin
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from irisx_sdk.conformance.scene import Inbox
from irisx_sdk.fake import Answer, Call, FakeMessage, Faults, WebSocket
from irisx_sdk.testing import running


class Chat(FakeBulletin):
    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.pace_s = 0.01
        self.calls: list[Call] = []
        self.route("POST", "/echo/{name}/{rest:path}", self.echo)
        self.route("GET", "/steady", self.echo, steady=True)
        self.websocket("/gateway/{version}", self.gateway)

    async def echo(self, call: Call) -> Answer:
        self.calls.append(call)
        return Answer(200, dict(call.params))

    async def gateway(self, socket: WebSocket) -> None:
        await socket.send(f"hello {socket.params['version']}")
        async for message in socket:
            if message == "bye":
                await socket.close(4004, "as you wish")
            elif message == "cut":
                socket.cut()
            else:
                await socket.send(message)


def post(fake: FakeBulletin, text: str = "Hello", key: str = "msg_1") -> httpx.Response:
    headers = {"authorization": f"Bearer {fake.token}"}
    body = {"to": "kim", "text": text, "key": key}
    return httpx.post(f"{fake.base}/posts", json=body, headers=headers, trust_env=False)


def platform() -> AbstractContextManager[Inbox]:
    """Somebody who takes every webhook."""
    return running(Inbox(FakeBulletin.channel))


def until(true: Callable[[], object]) -> None:
    limit = time.monotonic() + 15
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_route_gives_the_places_of_its_pattern_and_other_paths_are_404_or_405() -> None:
    with running(Chat()) as fake:
        assert httpx.post(f"{fake.base}/echo/a/b/c").json() == {"name": "a", "rest": "b/c"}
        assert httpx.get(f"{fake.base}/nowhere").status_code == 404
        assert httpx.get(f"{fake.base}/echo/a/b").status_code == 405


def test_forms_and_files_are_read_as_they_were_sent() -> None:
    raw = b"\r\n--not the end\r\n\0\xff"
    with running(Chat()) as fake:
        httpx.post(f"{fake.base}/echo/a/b?x=1&x=2", data={"To": ["+491", "+492"], "Body": "ä&b"})
        httpx.post(f"{fake.base}/echo/a/b", data={"Body": "ä"}, files={"media": ("a.bin", raw, "image/png")})
    form, multipart = fake.calls
    assert form.fields() == [("To", "+491"), ("To", "+492"), ("Body", "ä&b")]
    assert (form.query["x"], form.queries) == ("2", (("x", "1"), ("x", "2")))
    assert form.url == f"{fake.base}/echo/a/b?x=1&x=2"
    assert multipart.form() == {"Body": "ä"}
    (part,) = [part for part in multipart.parts() if part.filename]
    assert (part.name, part.filename, part.media_type, part.content) == ("media", "a.bin", "image/png", raw)


def test_a_request_the_provider_cannot_read_is_400_and_not_sent() -> None:
    with running(Chat()) as fake:
        headers = {"authorization": f"Bearer {fake.token}"}
        assert httpx.post(f"{fake.base}/posts", content=b"{", headers=headers).status_code == 400
        assert httpx.post(f"{fake.base}/posts", json={"to": "kim"}, headers=headers).status_code == 400
    assert fake.sent == []


def test_wrong_credentials_are_refused_and_counted() -> None:
    with running(Chat()) as fake:
        assert httpx.post(f"{fake.base}/posts", json={}).status_code == 401
    assert fake.unauthorized == 1


def test_a_cut_before_has_not_happened_and_a_cut_after_has() -> None:
    with running(Chat()) as fake:
        for faults, taken in ((Faults(drop_before=1), 0), (Faults(drop_after=1), 1)):
            fake.faults = faults
            with pytest.raises(httpx.RemoteProtocolError):
                post(fake)
            assert len(fake.sent) == taken
            assert httpx.get(f"{fake.base}/steady").status_code == 200


def test_every_so_many_requests_are_throttled_or_fail() -> None:
    with running(Chat(faults=Faults(throttle_every=3))) as fake:
        assert [post(fake, key=f"m{n}").status_code for n in range(6)] == [201, 201, 429, 201, 201, 429]
        fake.requests, fake.faults = 0, Faults(error_every=2)
        assert [post(fake, key=f"n{n}").status_code for n in range(4)] == [201, 503, 201, 503]
    assert len(fake.sent) == 6


def test_a_message_lives_through_its_receipts() -> None:
    with (
        platform() as inbox,
        running(Chat(webhook_url=f"{inbox.base}/hook")) as fake,
    ):
        made = post(fake).json()["id"]
        until(lambda: len(inbox.got) == 2)
        states = [msgspec.json.decode(request.body)[0]["state"] for request in inbox.got]
        assert (states, fake.states[made]) == (["sent", "arrived"], "delivered")
        assert inbox.got[0].url == f"{inbox.base}/hook"


def test_lies_come_backwards_twice_and_about_a_message_that_never_was() -> None:
    with platform() as inbox, running(Chat(webhook_url=f"{inbox.base}/hook", faults=Faults(lie=1))) as fake:
        made = post(fake).json()["id"]
        until(lambda: len(inbox.got) == 5)
    told = [(one["id"] == made, one["state"]) for one in (msgspec.json.decode(r.body)[0] for r in inbox.got)]
    assert told == [(False, "arrived"), (True, "arrived"), (True, "sent"), (True, "sent"), (True, "arrived")]


def test_receipts_can_come_before_the_answer() -> None:
    with platform() as inbox, running(Chat(webhook_url=f"{inbox.base}/hook", faults=Faults(early=1))) as fake:
        post(fake)
        assert len(inbox.got) > 0


def test_a_webhook_that_is_not_taken_is_tried_again_and_then_given_up() -> None:
    with running(Chat()) as away:
        pass
    with running(Chat(webhook_url=f"{away.base}/hook")) as fake:
        (ended,) = fake.do(fake.write, "kim", "Hello?")
        assert ended.status == 0
    with running(Chat()) as other, running(Chat(webhook_url=f"{other.base}/no-such-path")) as fake:
        (ended,) = fake.do(fake.write, "kim", "Hello?")
        assert ended.status == 404
        assert len(fake.delivered) == 1


def test_webhooks_come_twice_when_they_shall() -> None:
    with (
        platform() as inbox,
        running(Chat(webhook_url=f"{inbox.base}/hook", faults=Faults(duplicate=1))) as fake,
    ):
        assert len(fake.do(fake.write, "kim", "Hello")) == 2
    assert inbox.got[0].body == inbox.got[1].body


def test_a_socket_is_spoken_to_closed_with_a_code_and_cut() -> None:
    with running(Chat()) as fake:
        gateway = fake.base.replace("http", "ws") + "/gateway/9"
        with connect(gateway) as socket:
            assert socket.recv() == "hello 9"
            socket.send(b"\0\1")
            assert socket.recv() == b"\0\1"
            socket.send("bye")
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(5)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4004
        with connect(gateway) as socket:
            socket.recv()
            socket.send("cut")
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(5)
            assert closed.value.rcvd is None


def test_the_page_shows_the_exchange_as_text_and_takes_what_a_customer_writes() -> None:
    with (
        platform() as inbox,
        running(Chat(webhook_url=f"{inbox.base}/hook")) as fake,
    ):
        post(fake, "<script>alert(1)</script>")
        form = {"sender": "kim & co", "text": "Is it <b>open</b>?"}
        shown = httpx.post(f"{fake.base}/_fake/say", data=form, follow_redirects=True)
        assert (shown.status_code, shown.headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert "&lt;script&gt;alert(1)" in shown.text
        assert "<script>alert" not in shown.text
        assert "Is it &lt;b&gt;open&lt;/b&gt;?" in shown.text
        assert 'value="kim &amp; co"' in shown.text
        for element in (
            '<html lang="en">',
            '<label for="sender">',
            '<label for="text">',
            'role="log"',
            "viewport",
        ):
            assert element in shown.text
        assert httpx.get(f"{fake.base}/").text.count("<li") == 2
        assert any(b"Is it <b>open" in request.body for request in inbox.got)


def test_programs_write_as_customers_and_set_faults() -> None:
    with running(Chat()) as fake:
        said = httpx.post(f"{fake.base}/_fake/say", json={"sender": "kim", "text": "Hi"})
        assert said.json() == {"delivered": []}
        assert httpx.post(f"{fake.base}/_fake/say", json={"sender": "kim"}).status_code == 400
        assert httpx.post(f"{fake.base}/_fake/faults", json={"throttle_every": 1}).status_code == 200
        assert post(fake).status_code == 429
        assert httpx.post(f"{fake.base}/_fake/faults", json={"throttle_every": "x"}).status_code == 400
        state = httpx.get(f"{fake.base}/_fake/messages").json()
        assert (state["channel"], state["sent"]) == ("bulletin", [])
        assert [line["text"] for line in state["exchange"]] == ["Hi"]


def test_the_same_seed_gives_the_same_names_and_faults_do_not_change_them() -> None:
    names = [
        Chat(seed=seed, faults=faults).new_id("post-") for seed, faults in ((1, Faults()), (1, Faults(lie=1)))
    ]
    assert names[0] == names[1] != Chat(seed=2).new_id("post-")


def test_a_taken_port_is_said_at_once() -> None:
    with running(Chat()) as fake:
        second = running(Chat(), port=int(fake.base.rpartition(":")[2]))
        with pytest.raises(OSError, match="in use"):
            second.__enter__()


def test_a_message_kept_by_a_server_of_ones_own_lives_too() -> None:
    with (
        platform() as inbox,
        running(Chat(webhook_url=f"{inbox.base}/hook")) as fake,
    ):
        fake.do(lambda: fake.took(FakeMessage("post-1", "kim", "over TCP")))
        until(lambda: fake.states.get("post-1") == "delivered")
