"""A switch is held for ever: it may vanish, come back as another, lose events or stop beating."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import pairwise

import pytest
import trio
import trio.testing

from freeswitch import commands
from freeswitch.errors import CommandError, CommandRefused, NotSent, OutcomeUnknown, ProtocolError
from freeswitch.link import Endpoint
from freeswitch.switch import Doubt, Down, Events, Notice, Switch, SwitchSettings, Up, open_switch
from tests.freeswitch.fake import Connection, FakeSwitch, event_bytes

Clock = trio.testing.MockClock
HERE = Endpoint("switch.test", 8021, "secret")
CALLS = ("CHANNEL_CREATE", "CHANNEL_DESTROY")


@asynccontextmanager
async def held(
    far: FakeSwitch,
    *,
    subscriptions: Sequence[str] = CALLS,
    filters: Sequence[tuple[str, str]] = (),
    settings: SwitchSettings | None = None,
    wait: bool = True,
) -> AsyncIterator[Switch]:
    async with trio.open_nursery() as nursery:
        far.nursery = nursery
        async with open_switch(
            HERE, subscriptions=subscriptions, filters=filters, connect=far.connect, settings=settings
        ) as switch:
            if wait:
                await switch.wait_up()
                await switch.api("hello", deadline_s=10)
                while len(far.connections) < 5:
                    await trio.sleep(0.1)
            yield switch
        nursery.cancel_scope.cancel()


async def told(switch: Switch, within_s: float = 0.01) -> list[Notice]:
    """Everything there is to hear now."""
    out: list[Notice] = []
    with trio.move_on_after(within_s):
        while True:
            out.append(await switch.receive())
    return out


async def until(switch: Switch, kind: type, within_s: float = 60) -> list[Notice]:
    out: list[Notice] = []
    with trio.fail_after(within_s):
        while not (out and isinstance(out[-1], kind)):
            out.append(await switch.receive())
    return out


# --- up ------------------------------------------------------------------------------------------------------


async def test_the_event_link_is_subscribed_before_the_switch_is_up(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    async with held(far, subscriptions=["CHANNEL_ANSWER", "sofia::register"]) as switch:
        assert await told(switch) == [Up("core-1", changed=False, first=True)]
        assert far.the("subscribed").commands == [
            "auth secret",
            "api global_getvar core_uuid",
            "event plain CHANNEL_ANSWER HEARTBEAT CUSTOM sofia::register",
        ]


async def test_events_link_api_link_two_for_jobs_and_one_for_the_log(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    async with held(far) as switch:
        kinds = [(one.subscribed, one.jobs, one.logs) for one in far.connections]
        assert sorted(kinds) == [
            (False, False, False),
            (False, False, True),
            (False, True, False),
            (False, True, False),
            (True, False, False),
        ]
        assert switch.up and switch.core_uuid == "core-1"


async def test_filters_stand_before_the_subscription_and_let_heartbeats_through(
    autojump_clock: Clock,
) -> None:
    far = FakeSwitch()
    async with held(far, filters=[("variable_tenant", "a")]):
        assert far.the("subscribed").commands[2:] == [
            "filter add variable_tenant a",
            "filter add Event-Name HEARTBEAT",
            "event plain CHANNEL_CREATE CHANNEL_DESTROY HEARTBEAT",
        ]


async def test_up_is_told_before_the_first_event_even_when_that_comes_with_the_answer(
    autojump_clock: Clock,
) -> None:
    far = FakeSwitch()

    async def hasty(connection: Connection, text: str) -> None:
        connection.subscribed = True
        answer = b"Content-Type: command/reply\nReply-Text: +OK event listener enabled plain\n\n"
        await connection.send(answer + event_bytes("CHANNEL_CREATE"))

    far.answers["event plain CHANNEL"] = hasty
    async with held(far) as switch:
        first, second = await told(switch)
        assert isinstance(first, Up)
        assert isinstance(second, Events) and second.events[0].name == "CHANNEL_CREATE"


async def test_a_name_that_is_no_event_is_told_at_once() -> None:
    with pytest.raises(CommandError, match="CHANNEL_ANSWERED"):
        async with open_switch(HERE, subscriptions=["CHANNEL_ANSWERED"]):
            raise AssertionError("must not begin")


async def test_a_switch_that_is_away_at_first_is_down_once_and_then_up(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    far.accepting = False
    async with held(far, wait=False) as switch:
        waited = trio.Event()

        async def wait_up() -> None:
            await switch.wait_up()
            waited.set()

        far.nursery.start_soon(wait_up)
        await trio.sleep(100)
        notices = await told(switch)
        assert len(notices) == 1 and isinstance(notices[0], Down)
        assert 8 <= far.dials <= 30  # 0.25 s at first, 10 s later
        assert not switch.up
        far.accepting = True
        assert await until(switch, Up) == [Up("core-1", changed=False, first=True)]
        await trio.sleep(1)
        assert waited.is_set()


async def test_retries_are_never_at_the_same_moment_twice(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    moments: list[float] = []

    async def refuse(endpoint: Endpoint) -> trio.abc.Stream:
        moments.append(trio.current_time())
        raise ConnectionRefusedError

    async with open_switch(HERE, subscriptions=CALLS, connect=refuse):
        await trio.sleep(200)
    waits = [round(later - earlier, 6) for earlier, later in pairwise(moments)]
    assert all(0.1 <= wait <= 10 for wait in waits)
    assert len(set(waits)) == len(waits)
    del far


# --- down and up again ---------------------------------------------------------------------------------------


async def test_a_lost_event_link_is_told_and_made_again(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    async with held(far) as switch:
        await told(switch)
        await far.drop(far.the("subscribed"))
        notices = await until(switch, Up)
        assert isinstance(notices[0], Down)
        assert notices[1] == Up("core-1", changed=False, first=False)
        assert switch.statistics().reconnects == 1
        await far.fire("CHANNEL_CREATE")
        assert isinstance((await told(switch))[0], Events)


async def test_a_switch_that_was_started_again_is_told_as_changed_and_its_jobs_are_lost(
    autojump_clock: Clock,
) -> None:
    far = FakeSwitch()

    async def taken(connection: Connection, text: str) -> None:
        await connection.reply("+OK Job-UUID: x")

    far.answers["bgapi"] = taken
    async with held(far) as switch:
        await told(switch)
        errors: list[Exception] = []

        async def job() -> None:
            try:
                await switch.bgapi("originate x", deadline_s=500)
            except OutcomeUnknown as exc:
                errors.append(exc)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(job)
            await trio.sleep(1)
            far.core_uuid = "core-2"
            for connection in list(far.connections):
                await far.drop(connection)
            assert (await until(switch, Up))[-1] == Up("core-2", changed=True, first=False)
        assert "started again" in str(errors[0])
        assert switch.statistics().restarts == 1
        assert await switch.api("after", deadline_s=10) == "did after"


async def test_an_api_link_that_reaches_another_core_is_not_used_and_the_events_follow(
    autojump_clock: Clock,
) -> None:
    """The address moved to a standby while the event link still hangs on the dead one."""
    far = FakeSwitch()
    async with held(far) as switch:
        await told(switch)
        (api,) = [one for one in far.connections if not (one.subscribed or one.jobs or one.logs)]
        far.core_uuid = "core-2"
        await far.drop(api)
        notices = await until(switch, Up)
        assert isinstance(notices[0], Down) and "another switch" in notices[0].reason
        assert notices[-1] == Up("core-2", changed=True, first=False)


async def test_when_only_the_api_link_drops_commands_fail_and_events_go_on(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    async with held(far) as switch:
        await told(switch)
        (api,) = [one for one in far.connections if not (one.subscribed or one.jobs or one.logs)]
        far.accepting = False
        await far.drop(api)
        await trio.sleep(1)
        with pytest.raises(NotSent):
            await switch.api("status", deadline_s=3)
        with pytest.raises(NotSent):
            await switch.sendmsg("u-1", commands.hangup(), deadline_s=3)
        await far.fire("CHANNEL_CREATE")
        (only,) = await told(switch)
        assert isinstance(only, Events) and switch.up
        far.accepting = True
        await trio.sleep(30)
        assert await switch.api("status") == "did status"


# --- liveness ------------------------------------------------------------------------------------------------


async def test_an_idle_switch_that_answers_stays_up(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    async with held(far) as switch:
        await told(switch)
        await trio.sleep(600)
        assert await told(switch) == []
        assert far.the("subscribed").commands.count("nolinger") >= 50


async def test_a_frozen_switch_is_down_after_ten_seconds(autojump_clock: Clock) -> None:
    far = FakeSwitch()

    async def frozen(connection: Connection, text: str) -> None:
        await trio.sleep_forever()

    async with held(far) as switch:
        await told(switch)
        began = trio.current_time()
        far.answers[""] = frozen
        notices = await until(switch, Down)
        assert notices == [Down("the switch does not answer")]
        assert trio.current_time() - began <= 12


async def test_a_switch_whose_heart_stops_while_it_still_answers_is_down(autojump_clock: Clock) -> None:
    """Its event dispatch is stuck on another listener: answers come, events do not."""
    far = FakeSwitch()
    async with held(far) as switch:
        await told(switch)
        for number in range(3):
            stamp = str((1_000_000 + 20 * number) * 1_000_000)
            await far.fire("HEARTBEAT", {"Event-Date-Timestamp": stamp, "Session-Count": "4"})
            await trio.sleep(20)
        assert switch.up and switch.heartbeat is not None and switch.heartbeat.sessions == 4
        notices = await until(switch, Down)
        assert notices[-1] == Down("the switch sends no heartbeat any more")


async def test_heartbeats_are_not_expected_before_their_interval_is_known(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    async with held(far) as switch:
        await far.fire("HEARTBEAT", {"Event-Date-Timestamp": "1000000"})
        await trio.sleep(300)
        assert switch.up


async def test_a_command_that_hangs_costs_its_link_and_not_the_events(autojump_clock: Clock) -> None:
    far = FakeSwitch()

    async def hang(connection: Connection, text: str) -> None:
        await trio.sleep_forever()

    far.answers["api hang"] = hang
    async with held(far) as switch:
        with pytest.raises(OutcomeUnknown):
            await switch.api("hang", deadline_s=5)
        await trio.sleep(70)
        assert await switch.api("fine") == "did fine"
        assert switch.up and switch.statistics().reconnects == 0


# --- commands ------------------------------------------------------------------------------------------------


async def test_a_background_jobs_result_comes_back_to_whoever_started_it(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    results: dict[int, str] = {}

    async def answer(connection: Connection, text: str) -> None:
        line, _, job_uuid = text.partition("\nJob-UUID: ")
        await connection.reply(f"+OK Job-UUID: {job_uuid}")
        far.nursery.start_soon(finish, job_uuid, line)

    async def finish(job_uuid: str, line: str) -> None:
        await trio.sleep(20 - int(line.split()[-1]))
        await far.end_job(job_uuid, f"+OK {line}")

    far.answers["bgapi"] = answer
    async with held(far) as switch:

        async def ask(number: int) -> None:
            results[number] = await switch.bgapi(f"wait {number}")

        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(ask, number)
        assert results == {number: f"+OK bgapi wait {number}" for number in range(20)}
        used = [sum(text.startswith("bgapi") for text in one.commands) for one in far.connections if one.jobs]
        assert len(used) == 2 and min(used) > 0


async def test_a_jobs_result_may_come_before_the_answer_that_names_it(autojump_clock: Clock) -> None:
    far = FakeSwitch()

    async def hasty(connection: Connection, text: str) -> None:
        job_uuid = text.partition("Job-UUID: ")[2]
        await far.end_job(job_uuid, "")
        await trio.sleep(1)
        await connection.reply(f"+OK Job-UUID: {job_uuid}")

    far.answers["bgapi"] = hasty
    async with held(far) as switch:
        assert await switch.bgapi("uuid_setvar u a b", job_uuid="mine-1") == ""
        assert switch.statistics().jobs == 0


async def test_what_a_job_answers_can_be_a_refusal(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    far.job_result = "-ERR USER_BUSY\n"
    async with held(far) as switch:
        with pytest.raises(CommandRefused) as caught:
            await switch.bgapi("originate user/1 &park")
        assert caught.value.reason == "USER_BUSY"


async def test_a_job_that_does_not_end_in_time_has_an_unknown_outcome(autojump_clock: Clock) -> None:
    far = FakeSwitch()

    async def taken(connection: Connection, text: str) -> None:
        await connection.reply("+OK Job-UUID: x")

    far.answers["bgapi"] = taken
    async with held(far) as switch:
        with pytest.raises(OutcomeUnknown, match="did not end within 30 s"):
            await switch.bgapi("originate x", deadline_s=30)
        assert switch.statistics().jobs == 0


async def test_one_job_id_cannot_wait_twice(autojump_clock: Clock) -> None:
    far = FakeSwitch()

    async def taken(connection: Connection, text: str) -> None:
        await connection.reply("+OK Job-UUID: x")

    far.answers["bgapi"] = taken
    async with held(far) as switch, trio.open_nursery() as nursery:

        async def first() -> None:
            with pytest.raises(OutcomeUnknown):
                await switch.bgapi("x", job_uuid="same", deadline_s=5)

        nursery.start_soon(first)
        await trio.sleep(1)
        with pytest.raises(CommandError):
            await switch.bgapi("x", job_uuid="same", deadline_s=5)


async def test_a_message_to_a_channel_that_is_gone_is_refused(autojump_clock: Clock) -> None:
    far = FakeSwitch()

    async def gone(connection: Connection, text: str) -> None:
        await connection.reply("-ERR invalid session id [u-1]")

    far.answers["sendmsg u-1"] = gone
    async with held(far) as switch:
        with pytest.raises(CommandRefused, match="invalid session id"):
            await switch.sendmsg("u-1", commands.hangup())
        await switch.sendmsg("u-2", commands.hangup())


async def test_the_guard_holds_back_commands_but_not_the_reading_of_channels(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    far.api["show channels as json"] = '{"row_count":1,"rows":[{"uuid":"u-1"}]}'

    def guard() -> None:
        raise RuntimeError("not the owner")

    async with trio.open_nursery() as nursery:
        far.nursery = nursery
        async with open_switch(HERE, subscriptions=CALLS, guard=guard, connect=far.connect) as switch:
            await switch.wait_up()
            await trio.sleep(5)
            for ask in (
                lambda: switch.api("uuid_kill u-1"),
                lambda: switch.bgapi("originate x"),
                lambda: switch.sendmsg("u-1", commands.hangup()),
            ):
                with pytest.raises(NotSent, match="not the owner"):
                    await ask()
            assert [row.uuid for row in await switch.channels()] == ["u-1"]
        sent = [text for one in far.connections for text in one.commands]
        nursery.cancel_scope.cancel()
    assert not any(text.startswith(("sendmsg", "bgapi", "api uuid_kill")) for text in sent)


async def test_half_a_list_of_channels_is_not_taken_for_the_whole(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    far.api["show channels as json"] = '{"row_count":2,"rows":[]}'
    async with held(far) as switch:
        with pytest.raises(ProtocolError):
            await switch.channels()


# --- doubts --------------------------------------------------------------------------------------------------


async def test_a_slow_consumer_costs_events_and_gets_a_doubt_but_the_socket_is_drained(
    autojump_clock: Clock,
) -> None:
    far = FakeSwitch()
    async with held(far, settings=SwitchSettings(max_events=50)) as switch:
        await told(switch)
        for _ in range(20):
            for _ in range(10):
                await far.fire("CHANNEL_CREATE", {"A": "b"})
            await trio.sleep(0.1)
        numbers = switch.statistics()
        assert numbers.events == 200 and numbers.dropped + numbers.queued_events == 200
        assert numbers.queued_events <= 50
        notices = await told(switch)
        assert Doubt("overflow") in notices
        assert sum(len(one.events) for one in notices if isinstance(one, Events)) == numbers.queued_events


async def test_the_switchs_confession_in_its_log_is_a_doubt(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    async with held(far) as switch:
        await told(switch)
        await far.the("logs").log("Over Session Limit! 1000\n")
        await far.the("logs").log("Lost [73] events! Event Queue size: [99999/100000]\n")
        assert await told(switch) == [Doubt("the switch says that it lost events")]
        assert switch.statistics().lost_by_switch == 73


async def test_five_hundred_confessions_in_a_row_are_two_doubts_and_no_loud_log(
    autojump_clock: Clock,
) -> None:
    far = FakeSwitch()
    async with held(far) as switch:
        await told(switch)
        for _ in range(500):
            await far.the("logs").log("Event enqueue ERROR [11] | [x] | Queue size: [100000/100000] Max\n")
        await far.the("logs").log(
            "Killing listener because of too many lost events. Lost [501] Queue size[1/1]\n"
        )
        await trio.sleep(10)
        doubts = [one for one in await told(switch) if isinstance(one, Doubt)]
        assert doubts == [Doubt("the switch says that it lost events")]  # the second is like the one waiting
        assert switch.statistics().doubts == 2
        assert switch.statistics().lost_by_switch == 501
        assert far.the("logs")


async def test_a_log_that_is_too_loud_is_left_alone_and_channels_are_still_listed(
    autojump_clock: Clock,
) -> None:
    far = FakeSwitch()
    async with held(far) as switch:
        await told(switch)
        connection = far.the("logs")
        with pytest.raises((trio.BrokenResourceError, trio.ClosedResourceError)):
            for _ in range(1000):
                await connection.log("freeswitch@host> ")
                await trio.lowlevel.checkpoint()
        await trio.sleep(30)
        assert not any(one.logs for one in far.connections)
        assert len(far.connections) == 5
        assert await switch.channels() == []
        assert switch.up and await told(switch) == []


async def test_a_log_that_we_may_not_read_is_no_obstacle(autojump_clock: Clock) -> None:
    far = FakeSwitch()

    async def denied(connection: Connection, text: str) -> None:
        await connection.reply("-ERR permission denied")

    far.answers["log"] = denied
    async with held(far) as switch:
        assert await switch.channels() == []
        assert len(far.connections) == 5


async def test_calls_that_the_switch_counts_and_we_did_not_see_are_a_doubt(autojump_clock: Clock) -> None:
    far = FakeSwitch()

    async def beat(number: int, made: int) -> None:
        stamp = str((1_000_000 + 20 * number) * 1_000_000)
        await far.fire(
            "HEARTBEAT",
            {"Event-Date-Timestamp": stamp, "Session-Count": "0", "Session-Since-Startup": str(made)},
        )
        await trio.sleep(20)

    async with held(far) as switch:
        await beat(0, 100)
        await beat(1, 130)
        await beat(2, 130)
        doubts = [one.reason for one in await told(switch) if isinstance(one, Doubt)]
        assert doubts == ["30 calls began that we did not see"]


async def test_the_record_gets_every_byte_of_the_event_link(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    kept: list[bytes] = []
    async with trio.open_nursery() as nursery:
        far.nursery = nursery
        async with open_switch(HERE, subscriptions=CALLS, connect=far.connect, record=kept.append) as switch:
            await switch.wait_up()
            await far.fire("CHANNEL_CREATE", {"Unique-ID": "u-1"})
            await trio.sleep(1)
        nursery.cancel_scope.cancel()
    data = b"".join(kept)
    assert data.startswith(b"Content-Type: auth/request\n\n")
    assert data.count(event_bytes("CHANNEL_CREATE", {"Unique-ID": "u-1"})) == 1


async def test_a_link_cut_a_hundred_times_always_comes_back(autojump_clock: Clock) -> None:
    far = FakeSwitch()
    async with held(far) as switch:
        await told(switch)
        for _ in range(100):
            await far.drop(far.the("subscribed"))
            await until(switch, Up)
        assert switch.statistics().reconnects == 100
        await trio.sleep(30)
        assert len(far.connections) == 5
