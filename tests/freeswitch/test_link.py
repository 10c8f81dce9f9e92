"""One connection: answers find their askers, losses are told as what they are, the reader never stops."""

import socket
import struct

import pytest
import trio
import trio.testing

from freeswitch import commands
from freeswitch.errors import (
    AuthRefused,
    CommandError,
    CommandRefused,
    NotSent,
    OutcomeUnknown,
)
from freeswitch.esl import Event, Frame
from freeswitch.link import Endpoint, Link, attach_link, open_link
from tests.freeswitch.fake import Connection, FakeSwitch, event_bytes

HERE = Endpoint("switch.test", 8021, "secret")


async def slowly(connection: Connection, text: str) -> None:
    await trio.sleep(5)
    await connection.output("slow's answer")


async def never(connection: Connection, text: str) -> None:
    await trio.sleep_forever()


@pytest.fixture
def switch() -> FakeSwitch:
    return FakeSwitch()


# --- getting in ----------------------------------------------------------------------------------------------


async def test_a_link_authenticates_before_it_is_used(switch: FakeSwitch, nursery: trio.Nursery) -> None:
    switch.nursery = nursery
    async with open_link(HERE, connect=switch.connect) as link:
        assert await link.api("status") == "did status"
    assert switch.dials == 1


async def test_a_wrong_password_is_told_as_such(switch: FakeSwitch, nursery: trio.Nursery) -> None:
    switch.nursery = nursery
    with pytest.raises(AuthRefused, match="-ERR invalid"):
        async with open_link(Endpoint("x", 1, "wrong"), connect=switch.connect):
            raise AssertionError("must not get in")


async def test_a_user_logs_in_by_name(switch: FakeSwitch, nursery: trio.Nursery) -> None:
    switch.nursery = nursery

    async def userauth(connection: Connection, text: str) -> None:
        assert text == "userauth joe@example.org:secret"
        await connection.reply("+OK accepted", "Allowed-API: all\n")

    switch.answers["userauth"] = userauth
    async with open_link(Endpoint("x", 1, "secret", "joe@example.org"), connect=switch.connect) as link:
        assert await link.api("x") == "did x"


async def test_an_address_outside_of_the_access_list_is_told_as_such(nursery: trio.Nursery) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def connect(endpoint: Endpoint) -> trio.abc.Stream:
        await theirs.send_all(
            b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"
            b"Content-Type: text/disconnect-notice\nContent-Length: 5\n\nbye.\n"
        )
        await theirs.aclose()
        return ours

    with pytest.raises(AuthRefused, match="access list"):
        async with open_link(HERE, connect=connect):
            raise AssertionError("must not get in")


async def test_a_switch_that_says_nothing_is_given_up(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def connect(endpoint: Endpoint) -> trio.abc.Stream:
        return ours

    with pytest.raises(NotSent, match="said nothing"):
        async with open_link(HERE, connect=connect):
            raise AssertionError("must not get in")
    del theirs


async def test_nobody_listening_means_not_sent(switch: FakeSwitch) -> None:
    switch.accepting = False
    with pytest.raises(NotSent, match="nobody listens"):
        async with open_link(HERE, connect=switch.connect):
            raise AssertionError("must not get in")


async def test_something_else_than_a_switch_is_recognised() -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def connect(endpoint: Endpoint) -> trio.abc.Stream:
        await theirs.send_all(b"SSH-2.0-OpenSSH_9.2\r\n\n\n")
        return ours

    with pytest.raises(AuthRefused, match="not the Event Socket"):
        async with open_link(HERE, connect=connect):
            raise AssertionError("must not get in")


def test_an_address_is_read_from_a_url() -> None:
    assert Endpoint.parse("esl://:p%40ss@10.0.0.1:8022") == Endpoint("10.0.0.1", 8022, "p@ss")
    assert Endpoint.parse("esl://joe%40d:x@[::1]") == Endpoint("::1", 8021, "x", "joe@d")
    assert Endpoint.parse("esl://fs1") == Endpoint("fs1")
    assert str(Endpoint.parse("esl://:x@[::1]:1")) == "[::1]:1"


@pytest.mark.parametrize(
    "url", ["", "fs1:8021", "http://:x@fs1", "esl://", "esl://:p@h:port", "esl://:p@h/x"]
)
def test_what_is_no_address_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(CommandError) as caught:
        Endpoint.parse(url)
    assert "p@h" not in str(caught.value)


def test_a_password_is_never_shown() -> None:
    assert "hush" not in repr(Endpoint("h", 1, "hush")) + str(Endpoint("h", 1, "hush"))


# --- asking --------------------------------------------------------------------------------------------------


async def test_commands_are_pipelined_and_each_gets_its_own_answer(
    switch: FakeSwitch, nursery: trio.Nursery
) -> None:
    switch.nursery = nursery
    answers: dict[int, str] = {}

    async def ask(number: int) -> None:
        answers[number] = await link.api(f"number {number}")

    async with open_link(HERE, connect=switch.connect) as link:
        async with trio.open_nursery() as askers:
            for number in range(200):
                askers.start_soon(ask, number)
        assert link.pending == 0
    assert answers == {number: f"did number {number}" for number in range(200)}


async def test_a_cancelled_asker_does_not_shift_the_replies(
    switch: FakeSwitch, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    switch.nursery = nursery
    switch.answers["api slow"] = slowly
    async with open_link(HERE, connect=switch.connect) as link:
        with trio.move_on_after(1) as scope:
            await link.api("slow")
        assert scope.cancelled_caught
        assert await link.api("fast", deadline_s=30) == "did fast"


async def test_an_answer_that_comes_too_late_is_outcome_unknown_and_shifts_nothing(
    switch: FakeSwitch, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    switch.nursery = nursery
    switch.answers["api slow"] = slowly
    async with open_link(HERE, connect=switch.connect) as link:
        with pytest.raises(OutcomeUnknown, match="no answer within 1 s"):
            await link.api("slow", deadline_s=1)
        assert link.oldest_wait_s() >= 1
        assert await link.api("fast", deadline_s=30) == "did fast"
        assert link.oldest_wait_s() == 0


async def test_only_the_beginning_of_an_answer_makes_it_a_refusal(
    switch: FakeSwitch, nursery: trio.Nursery
) -> None:
    switch.nursery = nursery
    switch.api = {
        "a": "-ERR No such channel!\n",
        "b": "-USAGE: uuid_kill <uuid>\n",
        "c": "+OK\n-ERR the second of two\n",
        "d": "true",
        "e": "-not an error",
    }
    async with open_link(HERE, connect=switch.connect) as link:
        with pytest.raises(CommandRefused) as caught:
            await link.api("a")
        assert (caught.value.text, caught.value.reason) == ("-ERR No such channel!", "No such channel!")
        with pytest.raises(CommandRefused):
            await link.api("b")
        assert [await link.api(line) for line in "cde"] == [
            "+OK\n-ERR the second of two\n",
            "true",
            "-not an error",
        ]


async def test_an_api_command_without_permission_is_refused(
    switch: FakeSwitch, nursery: trio.Nursery
) -> None:
    switch.nursery = nursery

    async def denied(connection: Connection, text: str) -> None:
        await connection.reply("-ERR permission denied")

    switch.answers["api "] = denied
    async with open_link(HERE, connect=switch.connect) as link:
        with pytest.raises(CommandRefused, match="permission denied"):
            await link.api("shutdown")


async def test_a_whole_command_goes_out_in_one_send(switch: FakeSwitch, nursery: trio.Nursery) -> None:
    switch.nursery = nursery
    sends: list[bytes] = []

    async def connect(endpoint: Endpoint) -> trio.abc.Stream:
        stream = await switch.connect(endpoint)
        whole = stream.send_all

        async def counted(data: bytes | bytearray | memoryview) -> None:
            sends.append(bytes(data))
            await whole(data)

        stream.send_all = counted  # type: ignore[method-assign]  # to see how it is called
        return stream

    async with open_link(HERE, connect=connect) as link:
        headers, body = commands.execute("say", "two\nlines")
        await link.confirm(commands.sendmsg("u-1", headers, body))
    assert sends[1:] == [commands.sendmsg("u-1", headers, body)]


# --- the guard -----------------------------------------------------------------------------------------------


async def test_the_guard_is_asked_right_before_the_bytes_and_can_hold_them_back(
    switch: FakeSwitch, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    switch.nursery = nursery
    allowed = True

    def guard() -> None:
        if not allowed:
            raise RuntimeError("the lease is over")

    async with open_link(HERE, guard=guard, connect=switch.connect) as link:
        assert await link.api("first") == "did first"
        allowed = False
        with pytest.raises(NotSent, match="the lease is over"):
            await link.api("second")
        assert await link.api("reading", guarded=False) == "did reading"
        seen = switch.connections[0].commands
    assert seen == ["auth secret", "api first", "api reading"]


async def test_the_guard_is_asked_after_waiting_for_the_line_and_not_before(
    switch: FakeSwitch, nursery: trio.Nursery, autojump_clock: trio.testing.MockClock
) -> None:
    """The lease may end while a command waits behind another one that is being written."""
    switch.nursery = nursery
    ours, theirs = trio.testing.memory_stream_pair()
    allowed = True

    def guard() -> None:
        if not allowed:
            raise RuntimeError("the lease is over")

    async def slow_send(data: bytes | bytearray | memoryview) -> None:
        await trio.sleep(2)

    ours.send_all = slow_send  # type: ignore[method-assign]  # a switch that takes its bytes slowly
    async with attach_link(ours, guard=guard) as link, trio.open_nursery() as askers:

        async def second() -> None:
            with pytest.raises(NotSent, match="the lease is over"):
                await link.command("second", deadline_s=60)

        async def first() -> None:
            with pytest.raises(OutcomeUnknown):
                await link.command("first", deadline_s=10)

        askers.start_soon(first)
        await trio.sleep(1)
        askers.start_soon(second)
        await trio.sleep(0.5)
        allowed = False
    del theirs


# --- losing the link -----------------------------------------------------------------------------------------


async def test_commands_in_flight_when_the_link_is_lost_have_an_unknown_outcome(
    switch: FakeSwitch, nursery: trio.Nursery
) -> None:
    switch.nursery = nursery
    outcomes: list[Exception] = []

    async def ask() -> None:
        try:
            await link.api("hang", deadline_s=30)
        except OutcomeUnknown as exc:
            outcomes.append(exc)

    async def drop(connection: Connection, text: str) -> None:
        if len(connection.commands) == 6:
            await switch.drop(connection)

    switch.answers["api hang"] = drop
    async with open_link(HERE, connect=switch.connect) as link:
        async with trio.open_nursery() as askers:
            for _ in range(5):
                askers.start_soon(ask)
        assert len(outcomes) == 5
        await link.wait_closed()
        with pytest.raises(NotSent, match="the link is down"):
            await link.api("later")


async def test_a_command_whose_end_never_left_was_not_sent() -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def broken(data: bytes | bytearray | memoryview) -> None:
        raise trio.BrokenResourceError("reset by peer")

    ours.send_all = broken  # type: ignore[method-assign]  # the connection breaks while writing
    async with attach_link(ours) as link:
        with pytest.raises(NotSent, match="broke"):
            await link.command("api originate x")
        assert await link.wait_closed()
    del theirs


async def test_a_switch_that_takes_no_bytes_ends_the_link_and_the_outcome_is_unknown(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()

    async def stuck(data: bytes | bytearray | memoryview) -> None:
        await trio.sleep_forever()

    ours.send_all = stuck  # type: ignore[method-assign]  # a full socket
    async with attach_link(ours) as link:
        with pytest.raises(OutcomeUnknown):
            await link.command("api x", deadline_s=60)
        assert "took no command" in await link.wait_closed()
    del theirs


async def test_a_cancelled_caller_does_not_cut_a_command_in_half(
    autojump_clock: trio.testing.MockClock,
) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    written: list[bytes] = []

    async def slow_send(data: bytes | bytearray | memoryview) -> None:
        await trio.sleep(1)
        written.append(bytes(data))

    ours.send_all = slow_send  # type: ignore[method-assign]  # bytes leave after a second
    async with attach_link(ours) as link:
        with trio.move_on_after(0.5):
            await link.command("api x")
    assert written == [b"api x\n\n"]
    del theirs


async def test_an_answer_that_nobody_asked_for_ends_the_link() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with attach_link(ours) as link:
        await theirs.send_all(b"Content-Type: command/reply\nReply-Text: +OK\n\n")
        assert "nobody asked" in await link.wait_closed()


async def test_the_farewell_of_the_switch_is_the_reason() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with attach_link(ours) as link:
        await theirs.send_all(
            b"Content-Type: text/disconnect-notice\nContent-Length: 43\n\nkilled listener because of lost events\nbye\n\n"
        )
        await theirs.aclose()
        assert await link.wait_closed() == "killed listener because of lost events"


async def test_the_error_of_the_block_leaves_as_it_is_and_the_stream_is_closed() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    with pytest.raises(KeyError):
        async with attach_link(ours):
            raise KeyError("the caller's own")
    assert await theirs.receive_some() == b""


# --- reading -------------------------------------------------------------------------------------------------


async def test_events_are_handed_over_in_batches_and_in_order() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    batches: list[list[Event]] = []
    async with attach_link(ours, on_events=batches.append) as link:
        await theirs.send_all(b"".join(event_bytes("X", {"N": str(number)}) for number in range(100)))
        await theirs.aclose()
        await link.wait_closed()
    assert [event.get("N") for batch in batches for event in batch] == [str(number) for number in range(100)]
    assert len(batches) < 10


async def test_what_cannot_be_read_is_counted_and_the_rest_goes_on() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    events: list[Event] = []
    async with attach_link(ours, on_events=events.extend) as link:
        await theirs.send_all(
            b"Content-Length: 3\nContent-Type: text/event-json\n\n{x}"
            b"Content-Length: 2\nContent-Type: text/novelty\n\nhi" + event_bytes("GOOD")
        )
        await theirs.aclose()
        await link.wait_closed()
        seen = link.statistics()
    assert [event.name for event in events] == ["GOOD"]
    assert (seen.malformed, seen.unknown, seen.events, seen.frames) == (1, 1, 1, 3)


async def test_log_lines_go_where_they_are_wanted() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    lines: list[Frame] = []
    async with attach_link(ours, on_log=lines.append) as link:
        await theirs.send_all(b"Content-Type: log/data\nContent-Length: 5\nLog-Level: 2\n\nLost!")
        await theirs.aclose()
        await link.wait_closed()
    assert [frame.body for frame in lines] == [b"Lost!"]


@pytest.mark.parametrize("step", [1, 13, 500, 100_000])
async def test_the_record_holds_whole_frames_only_however_the_bytes_come(step: int) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    kept: list[bytes] = []
    whole = b"".join(event_bytes("X", {"N": str(number)}, b"x" * number) for number in range(30))
    async with attach_link(ours, record=kept.append) as link:
        data = whole + event_bytes("CUT")[:-3]
        for at in range(0, len(data), step):
            await theirs.send_all(data[at : at + step])
            await trio.testing.wait_all_tasks_blocked()
        await theirs.aclose()
        await link.wait_closed()
    assert b"".join(kept) == whole


# --- real sockets --------------------------------------------------------------------------------------------


async def test_a_reset_connection_fails_what_waits(nursery: trio.Nursery) -> None:
    async def rude(stream: trio.SocketStream) -> None:
        await stream.send_all(b"Content-Type: auth/request\n\n")
        await stream.receive_some()
        await stream.send_all(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
        await stream.receive_some()
        # Linger 0 makes the close a reset.
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, rude, listeners)
    with trio.fail_after(5):
        async with open_link(Endpoint("127.0.0.1", port, "secret")) as link:
            with pytest.raises(OutcomeUnknown):
                await link.api("status", deadline_s=4)
            assert link.closed


async def test_a_real_connection_notices_a_peer_that_is_gone(nursery: trio.Nursery) -> None:
    switch = FakeSwitch()
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    nursery.start_soon(trio.serve_listeners, switch.serve, listeners)
    streams: list[trio.SocketStream] = []

    async def connect(endpoint: Endpoint) -> trio.abc.Stream:
        from freeswitch.endpoint import dial

        streams.append(await dial(endpoint))
        return streams[0]

    async with open_link(Endpoint("127.0.0.1", port, "secret"), connect=connect) as link:
        (stream,) = streams
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 10_000
        assert await link.api("over tcp") == "did over tcp"


async def test_a_refused_connection_is_not_sent() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    await listeners[0].aclose()
    with pytest.raises(NotSent, match="no connection"):
        async with open_link(Endpoint("127.0.0.1", port, "secret")):
            raise AssertionError("must not get in")


async def test_many_unanswered_commands_are_refused_rather_than_kept(
    switch: FakeSwitch, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch.nursery = nursery
    switch.answers["api hang"] = never
    monkeypatch.setattr("freeswitch.link.MAX_PENDING", 3)

    async def ask(link: Link) -> None:
        with pytest.raises(OutcomeUnknown):
            await link.api("hang", deadline_s=60)

    async with trio.open_nursery() as askers, open_link(HERE, connect=switch.connect) as link:
        for _ in range(3):
            askers.start_soon(ask, link)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(NotSent, match="unanswered"):
            await link.api("one more")
