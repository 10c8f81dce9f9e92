"""Sockets that misbehave: they harm nobody but themselves."""

import socket
from pathlib import Path

import msgspec
import pytest
import trio
from msgspec.structs import replace
from trio_websocket import ConnectionClosed
from wsproto import ConnectionType, WSConnection
from wsproto.connection import Connection
from wsproto.events import RejectConnection, TextMessage
from wsproto.events import Request as Asked

from core.model.records import Call
from core.model.signaling import PROTOCOL
from core.signaling import socket as socket_module
from tests.signaling.place import Place, controller, hello, open_place, page, token
from tests.signaling.world import with_agent

BAD = 6


async def test_what_is_no_request_closes_its_socket(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        _, user_id = await place.agent()
        async with page(url) as desk:
            await desk.ws.send_message('{"type":"ping","id":"1"}')
            assert (await desk.until_closed())[0] == 4400
            assert desk.frames[0]["code"] == "hello_first"
        for text, code in (("no JSON", 4400), ("[" * 60_000, 4400), ("x" * 70_000, 1009)):
            async with page(url) as desk:
                await hello(desk, place, user_id)
                await desk.ws.send_message(text)
                assert (await desk.until_closed())[0] == code
        async with page(url) as desk:
            await hello(desk, place, user_id)
            assert (await desk.ask("no_such_thing"))["code"] == "bad_request"
            assert (await desk.ask("dtmf", call="x", keys="a b"))["code"] == "bad_request"
            assert (await desk.ask("ping"))["ok"], "the socket is as good as before"


async def test_only_our_protocol_on_our_path_is_served(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        for path, protocol, status in (("/v1/other", PROTOCOL, 404), ("/v1/signaling", "chat", 400)):
            stream = await trio.open_tcp_stream("127.0.0.1", _port(url))
            async with stream:
                ws = WSConnection(ConnectionType.CLIENT)
                await stream.send_all(ws.send(Asked(host="127.0.0.1", target=path, subprotocols=[protocol])))
                ws.receive_data(await stream.receive_some(65536))
                (refused, *_) = ws.events()
                assert isinstance(refused, RejectConnection) and refused.status_code == status


async def test_a_page_that_asks_too_much_is_closed(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, parts),
    ):
        _, user_id = await place.agent()
        async with page(url) as desk:
            await hello(desk, place, user_id)
            with trio.fail_after(20), pytest.raises(ConnectionClosed):
                while True:
                    await desk.send("ping")
            assert (await desk.until_closed())[0] == 4429
        await _until(parts.shown, "sockets_too_fast", 1)


async def test_sockets_that_never_read_are_cut_off_and_harm_nobody(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They say hello and then take nothing any more, while there is always something to tell them."""
    monkeypatch.setattr(socket_module, "MOST_WAITING", 10)
    monkeypatch.setattr(socket_module, "SEND_S", 1000.0)
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, parts),
    ):
        good_id, good_user = await place.agent("Good")
        async with page(url) as good, trio.open_nursery() as nursery:
            await hello(good, place, good_user)
            for number in range(BAD):
                agent_id, user_id = await place.agent(f"Bad{number}")
                await nursery.start(_never_reads, url, place, user_id, f"dev-{number}")
                talking = with_agent(place.call(), f"leg-{agent_id}", agent_id)
                for version in range(10, 50):
                    await place.write("call.muted", _changed(talking, version))
            await _until(parts.shown, "sockets_not_read", BAD)
            # The good page works as if nobody else was there.
            assert (await good.ask("ping"))["ok"]
            offer = await place.offer(good_id, place.call())
            assert (await good.event("offer"))["offer"]["id"] == offer
            nursery.cancel_scope.cancel()
        await _until(parts.shown, "faults", 0)


async def _never_reads(
    url: str, place: Place, user_id: str, device: str, *, task_status: trio.TaskStatus[None]
) -> None:
    stream = await trio.open_tcp_stream("127.0.0.1", _port(url))
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    try:
        door = WSConnection(ConnectionType.CLIENT)
        await stream.send_all(
            door.send(Asked(host="127.0.0.1", target="/v1/signaling", subprotocols=[PROTOCOL]))
        )
        await stream.receive_some(65536)
        ws = Connection(ConnectionType.CLIENT)
        words = {
            "id": "1",
            "type": "hello",
            "token": token(place.tenant_id, user_id),
            "device": {"id": device},
        }
        await stream.send_all(ws.send(TextMessage(data=msgspec.json.encode(words).decode())))
        await stream.receive_some(65536)
        task_status.started()
        await trio.sleep_forever()
    finally:
        await trio.aclose_forcefully(stream)


def _changed(call: Call, version: int) -> Call:
    """Something to tell, and so long that some of it fills what the kernel holds for a socket."""
    first = replace(call.legs[0], caller="+49" + "1" * 16_000)
    return replace(call, legs=(first, replace(call.legs[1], muted=version % 2 == 0)), version=version)


def _port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


async def _until(shown: dict[str, object], name: str, number: int) -> None:
    with trio.fail_after(30):
        while True:
            numbers = shown.get("signaling_numbers")
            if isinstance(numbers, dict) and numbers.get(name) == number:
                return
            await trio.sleep(0.02)
