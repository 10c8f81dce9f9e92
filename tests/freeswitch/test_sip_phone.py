"""The phone on a real TCP connection: who asks is answered, whatever becomes of the connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
import trio
import trio.testing
from sipmessage import Message, Request

from freeswitch.sip import Ended, Identity
from freeswitch.sip.dialog import Dialog
from freeswitch.sip.phone import CallFailed, Phone, Place, open_phone
from freeswitch.sip.stream import Stream
from tests.freeswitch.test_sip import ask, said

ME = Identity("controller", "127.0.0.1", "inside-secret")
CUT = 0


class FarEnd:
    """Answers as ``script`` says; by itself it takes every offer and every BYE."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.streams: list[trio.SocketStream] = []
        self.script: dict[str, list[int]] = {}
        """The statuses that a method is answered with, in turn; `CUT` ends the connection instead."""

    async def serve(self, stream: trio.SocketStream) -> None:
        self.streams.append(stream)
        cutter = Stream()
        with suppress(trio.ClosedResourceError, trio.BrokenResourceError):
            async with stream:
                await self._answer(stream, cutter)

    async def _answer(self, stream: trio.SocketStream, cutter: Stream) -> None:
        while data := await stream.receive_some(65536):
            for message in cutter.feed(bytes(data)):
                if isinstance(message, Request):
                    self.requests.append(message)
                    if message.method == "ACK":
                        continue
                    answers = self.script.get(message.method, [])
                    status = answers.pop(0) if answers else 200
                    if status == CUT:
                        return
                    await stream.send_all(said(bytes(message), status, body="v=0\r\n"))

    def methods(self) -> list[str]:
        return [one.method for one in self.requests]


@asynccontextmanager
async def switched() -> AsyncIterator[tuple[Phone, FarEnd]]:
    far = FarEnd()
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, far.serve, listeners)
        async with open_phone(Place("127.0.0.1", port), ME) as phone:
            with trio.fail_after(10):
                yield phone, far
        nursery.cancel_scope.cancel()


async def test_a_leg_is_called_renewed_and_ended() -> None:
    async with switched() as (phone, far):
        answered = await phone.call("leg", "agent", "v=0\r\n", headers={"X-Agent": "agt_1"})
        assert answered.sdp == "v=0\r\n" and answered.dialog.call_id == "leg"
        kept: list[Dialog] = []

        async def keep(dialog: Dialog) -> None:
            assert far.methods().count("INVITE") == 1, "kept before it is sent"
            kept.append(dialog)

        renewed = await phone.renew("leg", "v=0\r\n", keep=keep)
        assert kept[0].cseq == renewed.dialog.cseq == answered.dialog.cseq + 1
        await phone.hang_up("leg")
        assert await phone.next_end() == Ended("leg", by_switch=False)
        assert far.methods() == ["INVITE", "ACK", "INVITE", "ACK", "BYE"]
        assert far.requests[0].headers["X-Agent"] == "agt_1"


async def test_the_end_by_the_switch_is_told() -> None:
    async with switched() as (phone, far):
        await phone.call("leg", "agent", "v=0\r\n")
        await far.streams[0].send_all(ask("BYE", "leg"))
        assert await phone.next_end() == Ended("leg", by_switch=True)
        await phone.hang_up("leg")  # it is over: nothing to do


async def test_a_refused_leg_says_why() -> None:
    async with switched() as (phone, far):
        far.script["INVITE"] = [503]
        with pytest.raises(CallFailed, match="503"):
            await phone.call("leg", "agent", "v=0\r\n")
        assert phone.statistics.failed == 1


async def test_a_connection_that_is_lost_leaves_the_outcome_open_and_is_made_again() -> None:
    async with switched() as (phone, far):
        far.script["INVITE"] = [CUT]
        with pytest.raises(CallFailed) as failed:
            await phone.call("leg", "agent", "v=0\r\n")
        assert failed.value.status == 0
        await phone.call("other", "agent", "v=0\r\n")
        assert phone.statistics.connects == 2


async def test_legs_outlive_the_connection() -> None:
    async with switched() as (phone, far):
        await phone.call("leg", "agent", "v=0\r\n")
        await trio.aclose_forcefully(far.streams[0])
        while phone.statistics.connects < 2:
            await trio.sleep(0.01)
        await phone.renew("leg", "v=0\r\n")
        via = far.requests[-1].via[0]
        assert (via.host, via.port) == far.streams[1].socket.getpeername()[:2]


async def test_an_asker_who_gives_up_leaves_no_leg_behind() -> None:
    async with switched() as (phone, far):
        far.script["INVITE"] = [183]
        with trio.move_on_after(0.2):
            await phone.call("leg", "agent", "v=0\r\n")
        while "CANCEL" not in far.methods():
            await trio.sleep(0.01)


async def test_without_a_switch_it_is_said_soon(autojump_clock: trio.testing.MockClock) -> None:
    async def nobody() -> trio.abc.Stream:
        raise ConnectionRefusedError

    async with open_phone(Place("127.0.0.1", 1), ME, connect=nobody) as phone:
        with pytest.raises(CallFailed) as failed:
            await phone.call("leg", "agent", "v=0\r\n")
        assert failed.value.status == 503
        with pytest.raises(CallFailed):
            await phone.hang_up("leg")


async def test_a_silent_switch_is_given_up_after_ten_seconds(autojump_clock: trio.testing.MockClock) -> None:
    here, there = trio.testing.memory_stream_pair()

    async def connect() -> trio.abc.Stream:
        return here

    async with open_phone(Place("x"), ME, connect=connect) as phone:
        began = trio.current_time()
        with pytest.raises(CallFailed) as failed:
            await phone.call("leg", "agent", "v=0\r\n")
        assert failed.value.status == 408
        assert trio.current_time() - began == pytest.approx(10, abs=0.1)
        sent = await there.receive_some()
        assert isinstance(Message.parse(bytes(sent)), Request)


async def test_what_is_no_sip_ends_the_connection() -> None:
    async with switched() as (phone, far):
        await phone.call("leg", "agent", "v=0\r\n")
        await far.streams[0].send_all(b"HELLO\r\nContent-Length: 0\r\n\r\n")
        while phone.statistics.connects < 2:
            await trio.sleep(0.01)


async def test_ends_that_nobody_fetches_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("freeswitch.sip.phone.ENDS_KEPT", 2)
    async with switched() as (phone, far):
        for number in range(4):
            await phone.call(f"leg{number}", "agent", "v=0\r\n")
            await far.streams[0].send_all(ask("BYE", f"leg{number}"))
        while phone.statistics.ends_dropped < 2:
            await trio.sleep(0.01)
        assert [(await phone.next_end()).call_id for _ in range(2)] == ["leg2", "leg3"]
