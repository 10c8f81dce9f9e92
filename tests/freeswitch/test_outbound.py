"""Calls that the switch hands to us: taken over properly in all four kinds, followed to their end, given back."""

from collections.abc import Awaitable, Callable

import pytest
import trio
import trio.testing

from freeswitch.errors import CommandError, CommandRefused, NotSent, OutcomeUnknown
from freeswitch.outbound import OutboundServer, OutboundSettings, Session
from freeswitch.quoting import quote_value
from tests.freeswitch.fake import event_bytes

Clock = trio.testing.MockClock
UUID = "9a9724a9-e7e6-44e4-adb0-e5dc1f9d13ab"


class Caller:
    """The switch's side of one ``socket`` application."""

    def __init__(self, *, mode: str = "async", control: str = "full") -> None:
        self.mode = mode
        self.control = control
        self.commands: list[str] = []
        self.stream: trio.abc.Stream
        self.app_s = 1.0
        """How long every application runs."""
        self.variables = {"digits": "42"}
        self.nursery: trio.Nursery

    async def send(self, name: str, **headers: str) -> None:
        lines = {"Unique-ID": UUID} | {key.replace("_", "-"): value for key, value in headers.items()}
        await self.stream.send_all(event_bytes(name, lines))

    async def reply(self, text: str) -> None:
        await self.stream.send_all(f"Content-Type: command/reply\nReply-Text: {text}\n\n".encode())

    async def hang_up(self, cause: str = "NORMAL_CLEARING") -> None:
        await self.send("CHANNEL_HANGUP", Hangup_Cause=cause)
        if any(text.startswith("linger") for text in self.commands):
            await self.stream.send_all(
                b"Content-Type: text/disconnect-notice\nContent-Disposition: linger\nContent-Length: 0\n\n"
            )
            await trio.sleep(0.1)
            await self.send("CHANNEL_HANGUP_COMPLETE", Hangup_Cause=cause, Billsec="7")
        else:
            await trio.aclose_forcefully(self.stream)

    async def run(self) -> None:
        buffer = b""
        async with trio.open_nursery() as self.nursery:
            try:
                while data := await self.stream.receive_some():
                    buffer += data
                    while b"\n\n" in buffer:
                        head, buffer = buffer.split(b"\n\n", 1)
                        self.commands.append(head.decode())
                        await self.answer(head.decode())
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
            self.nursery.cancel_scope.cancel()

    async def answer(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        if word == "connect":
            await self.stream.send_all(
                b"Event-Name: CHANNEL_DATA\nUnique-ID: %s\nvariable_note: %s\nContent-Type: command/reply\n"
                b"Reply-Text: %%2BOK%%0A\nSocket-Mode: %s\nControl: %s\n\n"
                % (UUID.encode(), quote_value("a: b\nc"), self.mode.encode(), self.control.encode())
            )
        elif word == "getvar":
            await self.reply(self.variables.get(rest, "-ERR command not found"))
        elif word == "api":
            value = self.variables.get(rest.split()[-1], "_undef_").encode()
            await self.stream.send_all(
                b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(value), value)
            )
        elif text.startswith("sendmsg\ncall-command: execute"):
            if self.mode == "static":
                await self.application(text)
                await self.reply("+OK")
            else:
                await self.reply("+OK")
                self.nursery.start_soon(self.application, text)
        elif text.startswith("sendmsg\ncall-command: hangup"):
            await self.reply("+OK")
            await self.hang_up(text.partition("hangup-cause: ")[2])
        else:
            await self.reply("+OK")

    async def application(self, text: str) -> None:
        event_uuid = text.partition("Event-UUID: ")[2].partition("\n")[0]
        await self.send("CHANNEL_EXECUTE", Application_UUID=event_uuid)
        await trio.sleep(self.app_s)
        await self.send("CHANNEL_EXECUTE_COMPLETE", Application_UUID=event_uuid, Application_Response="done")


async def serve(
    caller: Caller,
    handler: Callable[[Session], Awaitable[None]],
    settings: OutboundSettings | None = None,
) -> OutboundServer:
    """One call from its beginning to its end."""
    server = OutboundServer(handler, settings)
    ours, caller.stream = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(caller.run)
        await server.serve_stream(ours)
    return server


@pytest.mark.parametrize(
    ("mode", "control", "first"),
    [
        ("async", "full", ["connect", "myevents plain", "linger 10", "exit"]),
        ("static", "full", ["connect", "myevents plain", "exit"]),
        ("async", "single-channel", ["connect", "myevents plain", "exit"]),
        ("static", "single-channel", ["connect", "myevents plain", "exit"]),
    ],
)
async def test_connect_is_said_first_and_exit_last(
    mode: str, control: str, first: list[str], autojump_clock: Clock
) -> None:
    caller = Caller(mode=mode, control=control)
    seen: list[tuple[str, bool, bool, str | None]] = []

    async def handler(session: Session) -> None:
        seen.append((session.uuid, session.is_async, session.is_full, session.channel.get("variable_note")))

    server = await serve(caller, handler)
    assert caller.commands == first
    assert seen == [(UUID, mode == "async", control == "full", "a: b\nc")]
    assert (server.statistics.served, server.statistics.active) == (1, 0)


@pytest.mark.parametrize("mode", ["async", "static"])
async def test_an_application_is_waited_for_by_its_own_id(mode: str, autojump_clock: Clock) -> None:
    caller = Caller(mode=mode)

    async def handler(session: Session) -> None:
        began = trio.current_time()
        event = await session.execute("playback", "a.wav")
        assert event.get("Application-Response") == "done"
        assert trio.current_time() - began == pytest.approx(1.0)

    await serve(caller, handler)
    assert any("execute-app-arg: a.wav" in text for text in caller.commands)


async def test_two_applications_at_once_do_not_take_each_others_end(autojump_clock: Clock) -> None:
    caller = Caller()
    ends: list[str] = []

    async def handler(session: Session) -> None:
        async def one(app: str) -> None:
            await session.execute(app)
            ends.append(app)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(one, "first")
            await trio.sleep(0.5)
            nursery.start_soon(one, "second")

    await serve(caller, handler)
    assert ends == ["first", "second"]


async def test_an_application_without_an_end_has_an_unknown_outcome(autojump_clock: Clock) -> None:
    caller = Caller()
    caller.app_s = 1000

    async def handler(session: Session) -> None:
        with pytest.raises(OutcomeUnknown, match="did not end within 3 s"):
            await session.execute("park", deadline_s=3)
        await session.start("conference", "room")

    await serve(caller, handler)
    assert len([text for text in caller.commands if "execute-app-name" in text]) == 2


async def test_a_hangup_ends_what_is_waited_for_and_tells_its_cause(autojump_clock: Clock) -> None:
    caller = Caller()
    caller.app_s = 1000

    async def handler(session: Session) -> None:
        async def leaves() -> None:
            await trio.sleep(2)
            await caller.hang_up("USER_BUSY")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(leaves)
            with pytest.raises(OutcomeUnknown, match="the call ended first"):
                await session.execute("playback", "long.wav", deadline_s=100)
        assert await session.wait_hangup() == "USER_BUSY"
        end = await session.wait_complete()
        assert end is not None and end.get("Billsec") == "7"

    await serve(caller, handler)
    assert caller.commands[-1] == "exit"


async def test_without_linger_the_connection_ends_with_the_call(autojump_clock: Clock) -> None:
    caller = Caller(control="single-channel")

    async def handler(session: Session) -> None:
        await session.hangup("CALL_REJECTED")
        assert await session.wait_hangup() == "CALL_REJECTED"
        assert await session.wait_complete() is None
        names = []
        while event := await session.receive():
            names.append(event.name)
        assert names == ["CHANNEL_HANGUP"]
        with pytest.raises(NotSent):
            await session.message({"call-command": "x"})

    await serve(caller, handler)


async def test_a_lost_connection_ends_the_calls_task_quietly(autojump_clock: Clock) -> None:
    caller = Caller()

    async def handler(session: Session) -> None:
        await trio.aclose_forcefully(caller.stream)
        assert await session.wait_hangup() == ""
        await session.execute("playback", "x")
        raise AssertionError("must not get here")

    server = await serve(caller, handler)
    assert (server.statistics.served, server.statistics.active) == (1, 0)


async def test_variables_are_read_whole_where_the_dialplan_allows_it(autojump_clock: Clock) -> None:
    for control, command in (("full", f"api uuid_getvar {UUID} digits"), ("single-channel", "getvar digits")):
        caller = Caller(control=control)

        async def handler(session: Session) -> None:
            assert await session.getvar("digits") == "42"
            assert await session.getvar("nothing") is None

        await serve(caller, handler)
        assert command in caller.commands


async def test_setting_a_variable_runs_set_and_refuses_what_would_be_expanded(autojump_clock: Clock) -> None:
    caller = Caller()

    async def handler(session: Session) -> None:
        await session.setvar("a", "b c")
        with pytest.raises(CommandError):
            await session.setvar("a", "${system(reboot)}")

    await serve(caller, handler)
    assert any(
        "execute-app-name: set" in text and "execute-app-arg: a=b c" in text for text in caller.commands
    )


async def test_what_needs_full_is_refused_here_when_the_dialplan_did_not_say_it(
    autojump_clock: Clock,
) -> None:
    caller = Caller(control="single-channel")

    async def handler(session: Session) -> None:
        with pytest.raises(CommandError, match="full"):
            await session.api("status")
        with pytest.raises(CommandError, match="full"):
            await session.subscribe(["HEARTBEAT"])
        await session.resume()

    await serve(caller, handler)
    assert "resume" in caller.commands


async def test_a_refusal_in_a_handler_ends_that_call_only(autojump_clock: Clock) -> None:
    caller = Caller()

    async def handler(session: Session) -> None:
        raise CommandRefused("-ERR no")

    server = await serve(caller, handler)
    assert server.statistics.active == 0
    assert caller.commands[-1] == "exit"


async def test_a_bug_in_a_handler_is_not_hidden(autojump_clock: Clock) -> None:
    caller = Caller()

    async def handler(session: Session) -> None:
        raise KeyError("a bug")

    with pytest.raises(ExceptionGroup) as caught:
        await serve(caller, handler)
    assert caught.group_contains(KeyError)
    assert caller.commands[-1] == "exit"


async def test_events_that_nobody_receives_are_bounded_and_counted(autojump_clock: Clock) -> None:
    caller = Caller()
    numbers: list[str | None] = []

    async def handler(session: Session) -> None:
        for number in range(30):
            await caller.send("DTMF", DTMF_Digit=str(number))
        await trio.sleep(1)
        for _ in range(10):
            event = await session.receive()
            assert event is not None
            numbers.append(event.get("DTMF-Digit"))

    server = await serve(caller, handler, OutboundSettings(max_events=10))
    assert numbers == [str(number) for number in range(20, 30)]
    assert server.statistics.events_dropped == 20


async def test_more_calls_than_allowed_are_turned_away_at_once(
    autojump_clock: Clock, nursery: trio.Nursery
) -> None:
    async def handler(session: Session) -> None:
        await trio.sleep_forever()

    server = OutboundServer(handler, OutboundSettings(max_sessions=2))
    callers = []
    for _ in range(3):
        caller = Caller()
        ours, caller.stream = trio.testing.memory_stream_pair()
        callers.append(caller)
        nursery.start_soon(caller.run)
        nursery.start_soon(server.serve_stream, ours)
    await trio.sleep(1)
    assert sorted(len(caller.commands) for caller in callers) == [0, 3, 3]
    assert (server.statistics.active, server.statistics.refused) == (2, 1)


async def test_what_does_not_begin_as_a_switch_does_is_counted_and_closed(autojump_clock: Clock) -> None:
    async def handler(session: Session) -> None:
        raise AssertionError("must not be called")

    for talk in (b"GET / HTTP/1.1\r\n\r\n\n\n", b"Content-Type: command/reply\nReply-Text: +OK\n\n", b""):
        server = OutboundServer(handler)
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_all(talk)
        await server.serve_stream(ours)
        assert (server.statistics.failed, server.statistics.active) == (1, 0)


async def test_the_server_tells_the_port_that_it_got(nursery: trio.Nursery) -> None:
    served = trio.Event()

    async def handler(session: Session) -> None:
        served.set()

    port = await nursery.start(OutboundServer(handler).serve, 0)
    caller = Caller()
    caller.stream = await trio.open_tcp_stream("127.0.0.1", port)
    nursery.start_soon(caller.run)
    with trio.fail_after(5):
        await served.wait()
        while caller.commands[-1:] != ["exit"]:
            await trio.sleep(0.01)
    await trio.aclose_forcefully(caller.stream)
