"""The program with its sockets: restarts, faults, a stuck client, and being started as a process."""

import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio

from freeswitch.simulator import SimulatorSettings, serve
from freeswitch.simulator.server import Simulator
from freeswitch.simulator.settings import FaultSettings
from tests.simulator.frames import Frame, frames, get, pairs

LIMIT_S = 20


class Client:
    """A client over a real socket that keeps everything it reads."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.data = bytearray()
        self._read = 0

    async def _more(self) -> None:
        chunk = await self.stream.receive_some(65536)
        if not chunk:
            raise EOFError
        self.data += chunk

    async def frame(self) -> Frame:
        """The next frame."""
        while True:
            for frame in frames(bytes(self.data[self._read :])):
                self._read += frame.end
                return frame
            await self._more()

    async def ask(self, command: str) -> Frame:
        """A command and its answer; events in between are dropped."""
        await self.stream.send_all(command.encode() + b"\n\n")
        while True:
            frame = await self.frame()
            if frame.kind in ("command/reply", "api/response"):
                return frame

    async def api(self, line: str) -> str:
        """An api command's output."""
        return (await self.ask(f"api {line}")).body.decode()

    async def event(self) -> str:
        """The name of the next event."""
        while True:
            frame = await self.frame()
            if frame.kind.startswith("text/event-"):
                return get(pairs(frame), "Event-Name")


_clients: list[Client] = []


async def _open(simulator: Simulator) -> Client:
    client = Client(await trio.open_tcp_stream("127.0.0.1", simulator.port))
    _clients.append(client)
    return client


async def _connect(simulator: Simulator, subscribe: str = "") -> Client:
    client = await _open(simulator)
    assert (await client.frame()).kind == "auth/request"
    assert (await client.ask("auth ClueCon")).header("Reply-Text") == "+OK accepted"
    if subscribe:
        await client.ask(f"event {subscribe}")
    return client


@asynccontextmanager
async def _simulator(**changes: object) -> AsyncIterator[Simulator]:
    settings = SimulatorSettings(**{"port": 0, "seed": 1, **changes})  # type: ignore[arg-type]
    with trio.fail_after(LIMIT_S):
        async with trio.open_nursery() as nursery:
            simulator: Simulator = await nursery.start(
                lambda *, task_status: serve(settings, task_status=task_status)
            )
            yield simulator
            while _clients:
                await trio.aclose_forcefully(_clients.pop().stream)
            nursery.cancel_scope.cancel()


async def test_a_restart_cuts_everybody_off_and_comes_back_as_another_switch() -> None:
    async with _simulator() as simulator:
        client = await _connect(simulator)
        await client.api("sim call to=9001 context=default profile=internal")
        before = await client.api("global_getvar core_uuid")
        assert await client.api("sim restart") == "+OK restarting\n"
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            await client.frame()
        again = await _connect(simulator)
        assert await again.api("global_getvar core_uuid") not in ("", before)
        assert await again.api("show channels count") == "\n0 total.\n"


async def test_who_is_not_in_the_access_list_is_turned_away() -> None:
    async with _simulator(acl=("10.0.0.0/8",)) as simulator:
        client = await _open(simulator)
        frame = await client.frame()
        assert (frame.kind, frame.body) == ("text/rude-rejection", b"Access Denied, go away.\n")
        assert (await client.frame()).kind == "text/disconnect-notice"


async def test_cut_into_random_segments_the_stream_is_the_same() -> None:
    async with _simulator(faults=FaultSettings(segment=True), heartbeat_s=0.2) as simulator:
        client = await _connect(simulator, "plain ALL")
        await client.api('sim call to=9196 context=default profile=internal name="Zoë Müller" talk=0.2')
        names = [await client.event() for _ in range(20)]
        assert "CHANNEL_CREATE" in names


@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        ("garbage length", b"Content-Length: 99x9"),
        ("garbage type", b"text/x-unknown"),
        ("duplicate-keys", b'"X":"1","X":"2"'),
        ("bad-utf8-json", b"Zo\xff\xfe"),
    ],
)
async def test_faults_put_nonsense_into_other_peoples_streams(fault: str, seen: bytes) -> None:
    async with _simulator() as simulator:
        victim, culprit = await _connect(simulator), await _connect(simulator)
        assert await culprit.api(f"sim fault {fault}") == "+OK 1\n"
        while seen not in victim.data:
            await victim._more()
        assert seen not in culprit.data


async def test_a_truncated_frame_ends_in_a_reset() -> None:
    async with _simulator(heartbeat_s=0.1) as simulator:
        victim, culprit = await _connect(simulator, "plain HEARTBEAT"), await _connect(simulator)
        await culprit.api("sim fault truncate 150")
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            while True:
                await victim.frame()
        assert await culprit.api("echo still here") == "still here"


async def test_every_third_event_can_be_lost_in_silence() -> None:
    async with _simulator(heartbeat_s=0.05) as simulator:
        client = await _connect(simulator, "plain HEARTBEAT")
        await client.api("sim fault lose 3")
        for _ in range(6):
            await client.event()
        stats = json.loads(await client.api("sim stats"))
        assert 2 <= stats["events_lost"] <= 6


async def test_a_stalled_connection_neither_reads_nor_writes_until_it_is_let_go() -> None:
    async with _simulator(heartbeat_s=0.05) as simulator:
        victim, culprit = await _connect(simulator, "plain HEARTBEAT"), await _connect(simulator)
        await culprit.api("sim fault stall on")
        with trio.move_on_after(0.3):
            while True:
                await victim._more()
        had = len(victim.data)
        with trio.move_on_after(0.5) as silence:
            await victim._more()
        assert silence.cancelled_caught and len(victim.data) == had
        await culprit.api("sim fault stall off")
        await victim._more()


async def test_one_client_that_does_not_read_freezes_everybody_until_it_does() -> None:
    async with _simulator(event_queue=50, heartbeat_s=0.05) as simulator:
        healthy = await _connect(simulator, "plain HEARTBEAT")
        sender = await _connect(simulator)
        stuck = await _connect(simulator, "plain CUSTOM x::y")
        body = "x" * 60_000
        message = f"sendevent CUSTOM\nEvent-Subclass: x::y\nContent-Length: {len(body)}\n\n{body}"
        for _ in range(1500):
            if simulator.switch.frozen:
                break
            with trio.move_on_after(1):
                await sender.stream.send_all(message.encode())
                await sender.frame()
        assert simulator.switch.frozen
        # Nobody hears anything, and a new connection gets no banner.
        await trio.sleep(0.2)
        newcomer = await _open(simulator)
        with trio.move_on_after(0.5) as waiting:
            await newcomer.frame()
        assert waiting.cancelled_caught
        # Once it reads, all of it goes on.
        with pytest.raises((EOFError, trio.BrokenResourceError)):
            while True:
                await stuck._more()
        assert not simulator.switch.frozen
        assert await healthy.event() == "HEARTBEAT"
        assert (await newcomer.frame()).kind == "auth/request"


async def test_a_socket_application_connects_to_a_controller_and_is_driven_by_it() -> None:
    async with _simulator() as simulator:
        told: list[str] = []
        done = trio.Event()

        async def controller(stream: trio.SocketStream) -> None:
            client = Client(stream)
            await stream.send_all(b"connect\n\n")
            told.append((await client.frame()).header("Caller-Destination-Number"))
            told.append(
                (await client.ask("sendmsg\ncall-command: execute\nexecute-app-name: answer")).header(
                    "Reply-Text"
                )
            )
            told.append((await client.ask("getvar endpoint_disposition")).header("Reply-Text"))
            await stream.aclose()
            done.set()

        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            port = listeners[0].socket.getsockname()[1]
            nursery.start_soon(trio.serve_listeners, controller, listeners)
            client = await _connect(simulator)
            await client.api("sim call to=9001 context=default profile=internal uuid=one")
            await client.api(f"uuid_transfer one 'socket:127.0.0.1:{port} full' inline")
            await done.wait()
            nursery.cancel_scope.cancel()
        assert told == ["9001", "+OK", "ANSWER"]


async def test_shutting_down_elegantly_waits_for_the_last_call() -> None:
    async with _simulator() as simulator:
        client = await _connect(simulator, "plain SHUTDOWN_REQUESTED SHUTDOWN")
        await client.api("sim call to=9001 context=default profile=internal uuid=last")
        await client.api("fsctl shutdown elegant")
        assert await client.event() == "SHUTDOWN_REQUESTED"
        await trio.sleep(0.2)
        assert not simulator.stopped.is_set()
        await client.api("uuid_kill last")
        await simulator.stopped.wait()


def test_started_as_a_process_it_prints_one_line_of_json_with_its_ports() -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "freeswitch.simulator", "--port", "0", "--sip-port", "0", "--silent"],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with socket.create_connection((ready["host"], ready["port"]), timeout=5) as sock:
            assert sock.recv(100) == b"Content-Type: auth/request\n\n"
        with socket.create_connection((ready["host"], ready["sip_port"]), timeout=5) as sock:
            sock.sendall(
                b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.0.0.1:9;branch=z9hG4bK1\r\nFrom: <sip:a@x>;tag=1\r\n"
                b"To: <sip:x@127.0.0.1>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            )
            assert sock.recv(1000).startswith(b"SIP/2.0 200 OK\r\n")
    finally:
        process.terminate()
        process.wait(timeout=10)
        if process.stdout is not None:
            process.stdout.close()
