"""Acting on calls: orders go to the owner of the switch, and the answer says what happened."""

import asyncio
import time
from typing import Any

import pytest
from msgspec import to_builtins
from msgspec.structs import replace

from core.clock import now_us
from core.ids import new_id
from core.model.orders import Order, Outcome
from core.model.records import Call, Change
from tests.api.conftest import Connect
from tests.api.harness import Api, a_call

pytestmark = pytest.mark.asyncio_loop

UUID = "11111111-2222-4333-8444-555555555555"


def idem() -> dict[str, str]:
    return {"Idempotency-Key": new_id("idem")}


async def ready(api: Api) -> tuple[str, Call, str]:
    """A switch, a live call on it, and an admin's key."""
    node = await api.node()
    return node, await api.call(node), await api.key()


ACTIONS: list[tuple[str, str, Any, str, dict[str, Any]]] = [
    ("POST", "answer", None, "call.answer", {}),
    ("POST", "hold", {"leg": UUID}, "call.hold", {"leg": UUID}),
    ("POST", "unhold", {}, "call.unhold", {}),
    ("POST", "mute", None, "call.mute", {}),
    ("POST", "unmute", None, "call.unmute", {}),
    ("POST", "dtmf", {"digits": "12#w3"}, "call.dtmf", {"digits": "12#w3"}),
    ("POST", "play", {"path": "ivr/hello.wav"}, "call.play", {"path": "ivr/hello.wav"}),
    ("POST", "play", {"tone": "%(300,100,440)"}, "call.play", {"path": "tone_stream://%(300,100,440)"}),
    ("DELETE", "play", None, "call.play_stop", {}),
    ("POST", "hangup", {"cause": "USER_BUSY"}, "call.hangup", {"cause": "USER_BUSY"}),
    ("DELETE", "", None, "call.hangup", {}),
    ("POST", "recordings", None, "call.record_start", {}),
    ("PATCH", "recordings/rec_1", {"action": "pause"}, "call.record_pause", {"recording": "rec_1"}),
    ("PATCH", "recordings/rec_1", {"action": "resume"}, "call.record_resume", {"recording": "rec_1"}),
    ("PATCH", "recordings/rec_1", {"action": "stop"}, "call.record_stop", {"recording": "rec_1"}),
    (
        "POST",
        "transfer",
        {"to": "+1415", "timeout_s": 9},
        "call.transfer_blind",
        {"to": "+1415", "timeout_s": 9},
    ),
    ("POST", "transfer", {"to": "1000", "mode": "attended"}, "call.transfer_attended", {"to": "1000"}),
    ("POST", "transfer/complete", None, "call.transfer_complete", {}),
    ("POST", "transfer/cancel", None, "call.transfer_cancel", {}),
    ("POST", "bridge", {"call_id": "call_1"}, "call.bridge", {"call_id": "call_1"}),
    ("POST", "monitor", {"to": "1001", "mode": "whisper"}, "call.monitor", {"to": "1001", "mode": "whisper"}),
    ("DELETE", "monitor", {"monitor_leg": UUID}, "call.monitor_stop", {"monitor_leg": UUID}),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "action", "args"), ACTIONS, ids=[f"{m} {p} {a}" for m, p, _, a, _ in ACTIONS]
)
async def test_every_action_becomes_its_order(
    connect: Connect, method: str, path: str, body: Any, action: str, args: dict[str, Any]
) -> None:
    async with connect() as api:
        node, call, key = await ready(api)

        def answer(order: Order) -> Outcome:
            after = replace(call, version=9)
            return Outcome(order.id, "done", result={"leg": UUID, "call": to_builtins(after)})

        async with api.owner(node, answer) as got:
            headers = {"Request-Id": "my-own-id"}
            sent = await api.ask(method, f"/v1/calls/{call.id}/{path}".rstrip("/"), key, body, headers)
        assert sent.status_code == (201 if action == "call.record_start" else 200), sent.text
        assert sent.json()["call"]["version"] == 9, "the call after it"
        assert sent.json()["result"] == {"leg": UUID}
        (order,) = got
        assert (order.action, order.args, order.call_id) == (action, args, call.id)
        assert (order.node, order.tenant_id, order.request_id) == (node, "tnt_main", "my-own-id")
        assert order.actor.startswith("key_")
        assert 5 < (order.deadline_us - now_us()) / 1e6 <= 15


@pytest.mark.parametrize(
    ("status", "expected", "retryable"),
    [("refused", 409, False), ("not_found", 404, False), ("failed", 502, False), ("unknown", 504, False)],
)
async def test_what_did_not_happen_is_said(
    connect: Connect, status: str, expected: int, retryable: bool
) -> None:
    async with connect() as api:
        node, call, key = await ready(api)
        detail = "the leg is on hold already"
        async with api.owner(node, lambda order: Outcome(order.id, status, "already_held", detail)):
            answer = await api.ask("POST", f"/v1/calls/{call.id}/hold", key)
        said = answer.json()
        assert answer.status_code == expected == said["status"]
        assert said["code"] == "already_held" and said["detail"] == detail
        assert said["retryable"] is retryable
        assert answer.headers["content-type"] == "application/problem+json"


async def test_without_an_owner_nothing_was_done(connect: Connect) -> None:
    async with connect() as api:
        _, call, key = await ready(api)
        answer = await api.ask("POST", f"/v1/calls/{call.id}/hold", key)
        assert answer.status_code == 503
        assert answer.json()["code"] == "no_owner" and answer.json()["retryable"] is True
        assert int(answer.headers["retry-after"]) >= 1


async def test_silence_is_an_unknown_outcome(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect() as api:
        node, call, key = await ready(api)
        monkeypatch.setattr("api.http.orders.carry_out.__kwdefaults__", {"call_id": "", "deadline_s": 0.3})
        async with api.owner(node, lambda _: None):
            answer = await api.ask("POST", f"/v1/calls/{call.id}/hold", key)
        assert answer.status_code == 504
        assert answer.json()["code"] == "outcome_unknown" and answer.json()["retryable"] is False


async def test_a_call_that_has_ended_takes_no_orders(connect: Connect) -> None:
    async with connect() as api:
        node, call, key = await ready(api)
        await api.store(node, Change("call.ended", replace(call, state="ended", version=2), now_us()))
        async with api.owner(node) as got:
            answer = await api.ask("POST", f"/v1/calls/{call.id}/hold", key)
        assert answer.status_code == 409 and answer.json()["code"] == "call_ended"
        assert got == []


async def test_where_a_call_was_is_asked_again_when_it_is_there_no_more(connect: Connect) -> None:
    async with connect() as api:
        node, call, key = await ready(api)

        def gone(order: Order) -> Outcome:
            return Outcome(order.id, "not_found", "no_such_call", "no such live call on this switch")

        async with api.owner(node) as got:
            assert (await api.ask("POST", f"/v1/calls/{call.id}/hold", key)).status_code == 200
        async with api.owner(node, gone):
            again = await api.ask("POST", f"/v1/calls/{call.id}/hold", key)
        assert again.status_code == 404 and again.json()["code"] == "no_such_call"
        await api.store(node, Change("call.ended", replace(call, state="ended", version=2), now_us()))
        async with api.owner(node, gone):
            after = await api.ask("POST", f"/v1/calls/{call.id}/hold", key)
        assert after.status_code == 409 and after.json()["code"] == "call_ended"
        assert len(got) == 1


async def test_hanging_up_answers_with_the_ended_call(connect: Connect) -> None:
    """The controller knows an ended call no more; the answer waits until the store shows the end."""
    async with connect() as api:
        node, call, key = await ready(api)
        ended = replace(call, state="ended", ended_us=now_us(), version=2)

        async def store_soon() -> None:
            await asyncio.sleep(0.1)
            await api.store(node, Change("call.ended", ended, now_us()))

        storing = []

        def answer(order: Order) -> Outcome:
            storing.append(asyncio.create_task(store_soon()))
            return Outcome(order.id, "done", result={"cause": "NORMAL_CLEARING", "call": None})

        async with api.owner(node, answer):
            said = await api.ask("DELETE", f"/v1/calls/{call.id}", key)
        assert said.status_code == 200
        assert said.json()["call"]["state"] == "ended"
        await asyncio.gather(*storing)


WRONG: list[tuple[str, Any, str]] = [
    ("dtmf", {"digits": "12;rm"}, "/digits"),
    ("dtmf", {"digits": ""}, "/digits"),
    ("dtmf", {}, "/digits"),
    ("play", {"path": "a b.wav"}, "/path"),
    ("play", {"path": "../../etc/passwd"}, "/path"),
    ("play", {"path": "x.wav\n"}, "/path"),
    ("play", {}, "/path"),
    ("play", {"path": "a.wav", "tone": "%(1,2,3)"}, "/path"),
    ("hangup", {"cause": "normal"}, "/cause"),
    ("hold", {"leg": "a leg\r\nbgapi"}, "/leg"),
    ("transfer", {"to": "1000 2000"}, "/to"),
    ("transfer", {"to": "1000", "mode": "warm"}, "/mode"),
    ("transfer", {"to": "1000", "timeout_s": 0}, "/timeout_s"),
    ("monitor", {"to": "1000", "mode": "shout"}, "/mode"),
    ("hold", {"legs": UUID}, "/legs"),
]


@pytest.mark.parametrize(("path", "body", "pointer"), WRONG, ids=[f"{p} {b}" for p, b, _ in WRONG])
async def test_a_wrong_value_is_named_and_nothing_is_ordered(
    connect: Connect, path: str, body: Any, pointer: str
) -> None:
    async with connect() as api:
        node, call, key = await ready(api)
        async with api.owner(node) as got:
            answer = await api.ask("POST", f"/v1/calls/{call.id}/{path}", key, body)
        assert answer.status_code == 400, answer.text
        assert answer.json()["errors"][0]["pointer"] == pointer
        assert got == []


async def test_placing_a_call_answers_with_the_new_call(connect: Connect) -> None:
    async with connect() as api:
        node, key = await api.node(), await api.key()
        made = a_call(node)
        storing = []

        def answer(order: Order) -> Outcome:
            created = Change("call.created", made, made.created_us)
            storing.append(asyncio.create_task(api.store(node, created)))
            return Outcome(order.id, "done", result={"call_id": made.id, "leg": made.legs[0].uuid})

        async with api.owner(node, answer) as got:
            body = {"to": "+14155550100", "from": "+14155550199", "caller_name": "Front desk", "node": node}
            said = await api.ask("POST", "/v1/calls", key, body, idem())
        await asyncio.gather(*storing)
        assert said.status_code == 201
        assert said.headers["location"] == f"/v1/calls/{made.id}"
        assert said.json()["call"]["id"] == made.id
        assert got[0].args == {"to": "+14155550100", "from": "+14155550199", "caller_name": "Front desk"}


async def test_a_new_call_goes_to_the_least_busy_switch_that_takes_calls(connect: Connect) -> None:
    async with connect() as api:
        from core.storage import nodes as node_store

        async with api.database.system() as conn:
            await conn.execute("update nodes set state = 'drained'")
        busy, idle, down = await api.node(), await api.node(), await api.node(up=False)
        fence = (await node_store.get_node(api.database, busy)).fence
        await node_store.set_status(api.database, busy, fence, {"up": True, "calls": 700})
        key = await api.key()
        async with api.owner(busy) as to_busy, api.owner(idle) as to_idle, api.owner(down) as to_down:
            await api.ask("POST", "/v1/calls", key, {"to": "1000"}, idem())
        assert (len(to_busy), len(to_idle), len(to_down)) == (0, 1, 0)


async def test_without_a_switch_a_call_is_not_placed(connect: Connect) -> None:
    async with connect() as api:
        async with api.database.system() as conn:
            await conn.execute("update nodes set state = 'drained'")
        answer = await api.ask("POST", "/v1/calls", await api.key(), {"to": "1000"}, idem())
        assert answer.status_code == 503 and answer.json()["code"] == "no_switch"


async def test_an_order_is_in_the_calls_timeline_without_what_was_typed(connect: Connect) -> None:
    async with connect() as api:
        node, call, key = await ready(api)
        async with api.owner(node):
            await api.ask("POST", f"/v1/calls/{call.id}/dtmf", key, {"digits": "4711", "leg": UUID})
        async with asyncio.timeout(5):
            while True:
                trace = await api.ask("GET", f"/v1/calls/{call.id}/trace", key)
                lines = trace.json()["data"]
                if len(lines) == 2:
                    break
                await asyncio.sleep(0.02)
        happened, ordered = lines
        assert (happened["kind"], happened["type"]) == ("event", "call.created")
        assert (ordered["kind"], ordered["type"], ordered["leg"]) == ("order", "call.dtmf", UUID)
        assert ordered["data"]["status"] == "done" and ordered["data"]["actor"].startswith("key_")
        assert "4711" not in trace.text


async def test_conferences_open_gain_members_and_end(connect: Connect) -> None:
    async with connect() as api:
        node, call, key = await ready(api)
        name = "tnt_main.sales"
        leg = replace(call.legs[0], conference=name, conference_member="3")
        inside = replace(call, legs=(leg,), conference=name, version=2)
        entered = Change(
            "conference.created", inside, now_us(), {"conference": name, "instance": "i-1", "leg": leg.uuid}
        )
        async with api.owner(node) as got:
            opened = await api.ask(
                "POST", "/v1/conferences", key, {"name": "sales", "call_id": call.id}, idem()
            )
            assert opened.status_code == 201 and opened.json()["conference"] is None, "not stored yet"
            await api.store(node, entered)
            listed = (await api.ask("GET", "/v1/conferences", key)).json()["data"]
            path = f"/v1/conferences/{listed[0]['id']}"
            members = (await api.ask("GET", f"{path}/participants", key)).json()["data"]
            assert [one["leg"] for one in members] == [leg.uuid]
            await api.ask("PATCH", f"{path}/participants/{leg.uuid}", key, {"muted": True})
            await api.ask("DELETE", f"{path}/participants/{leg.uuid}", key)
            more = await api.ask("POST", f"{path}/participants", key, {"call_id": call.id}, idem())
            assert more.json()["conference"]["id"] == listed[0]["id"]
            await api.ask("DELETE", path, key)
        assert [(order.action, order.args) for order in got] == [
            ("conference.add", {"conference": "sales"}),
            ("conference.mute", {"conference": "sales", "member": leg.uuid}),
            ("conference.kick", {"conference": "sales", "member": leg.uuid}),
            ("conference.add", {"conference": "sales"}),
            ("conference.end", {"conference": "sales"}),
        ]


async def test_nodes_are_drained_resumed_compared_and_probed(connect: Connect) -> None:
    async with connect() as api:
        node, operator = await api.node(), await api.operator_key()
        channels = [{"uuid": UUID, "direction": "inbound"}]
        answers: dict[str, dict[str, object]] = {
            "node.channels": {"channels": channels},
            "node.probe": {"round_trip_ms": 0.4},
        }
        async with api.owner(
            node, lambda order: Outcome(order.id, "done", result=answers.get(order.action, {}))
        ) as got:
            for action in ("drain", "resume", "resync", "probe"):
                said = await api.ask("POST", f"/v1/nodes/{node}/{action}", operator)
                assert said.status_code == 200 and said.json()["node"]["id"] == node
            assert said.json()["result"] == {"round_trip_ms": 0.4}
            seen = await api.ask("GET", f"/v1/nodes/{node}/channels", operator)
        assert seen.json() == {"data": channels}
        assert [order.action for order in got] == [
            *("node.drain", "node.resume", "node.resync", "node.probe", "node.channels")
        ]


async def test_a_command_costs_milliseconds(connect: Connect) -> None:
    """No bench, only a guard: nothing in the way of a command may wait for a timer."""
    async with connect() as api:
        node, call, key = await ready(api)

        def answer(order: Order) -> Outcome:
            return Outcome(order.id, "done", result={"call": to_builtins(call)})

        async with api.owner(node, answer):
            took = []
            for _ in range(20):
                began = time.perf_counter()
                await api.ask("POST", f"/v1/calls/{call.id}/mute", key)
                took.append(time.perf_counter() - began)
        assert sorted(took)[len(took) // 2] < 0.25
