"""Pages at a controller: real sockets, a real store and bus, and a stand-in for the owner of the switch."""

from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from core.access.tokens import Keyring
from core.model.orders import Order, Outcome
from core.signaling import follower
from tests.signaling.place import SDP, SECRET, controller, hello, obedient, open_place, page, token
from tests.signaling.world import with_agent


async def test_an_agent_takes_a_call(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        agent_id, user_id = await place.agent()
        async with page(url) as desk:
            greeted = await hello(desk, place, user_id)
            assert greeted["ok"] and not greeted["resumed"] and greeted["agent"]["state"] == "not_ready"
            answer = await desk.ask("state", state="ready", reason="")
            assert answer["agent"]["state"] == "ready"

            call = place.call()
            await place.write("call.created", call)
            offer = await place.offer(agent_id, call)
            shown = (await desk.event("offer"))["offer"]
            assert (shown["id"], shown["caller"], shown["call_id"]) == (offer, "+493011122", call.id)

            accepted = await desk.ask("accept", offer=offer, sdp=SDP)
            assert accepted["ok"] and accepted["sdp"].startswith("v=0") and accepted["call_id"] == call.id
            (order,) = place.ordered("agent.call")
            assert order.args["agent"] == agent_id and order.args["join"] == call.legs[0].uuid
            assert (
                order.node == place.node and order.call_id == call.id and order.args["leg"] == accepted["leg"]
            )

            talking = with_agent(call, accepted["leg"], agent_id)
            await place.write("call.bridged", talking)
            seen = (await desk.event("call"))["call"]
            assert (seen["state"], seen["leg"], seen["other"]) == ("talking", accepted["leg"], "+493011122")

            assert (await desk.ask("hold", call=call.id))["ok"]
            (hold,) = place.ordered("call.hold")
            assert hold.args == {"leg": call.legs[0].uuid}, "the customer is held, not the agent"
            assert (await desk.ask("mute", call=call.id))["ok"]
            assert place.ordered("call.mute")[0].args == {"leg": accepted["leg"]}

            with trio.fail_after(10):
                while True:
                    (row,) = await place.rows(
                        "select state, agent_leg from reservations where id = $1", offer
                    )
                    if row["state"] == "connected":
                        break
            assert row["agent_leg"] == accepted["leg"]
            numbers = [one["n"] for one in desk.frames if "n" in one and "re" not in one]
            assert numbers == list(range(1, len(numbers) + 1))


async def test_what_the_bus_lost_is_found_in_the_store(
    database_url: str, redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(follower, "LOOK_S", 0.2)
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, parts),
    ):
        agent_id, user_id = await place.agent()
        async with page(url) as desk:
            await hello(desk, place, user_id)

            async def lost(_tenant: str, _entries: object) -> None:
                """Nobody is shown what was written."""

            place.db.show = lost
            first, second = place.call(), place.call()
            await place.write("call.bridged", with_agent(first, "leg-1", agent_id))
            assert (await desk.event("call"))["call"]["id"] == first.id
            # ... and a hole is seen by the next one that does come.
            await place.write("call.bridged", with_agent(second, "leg-2", agent_id))
            place.db.show = place.bus.publish
            await place.write("call.muted", replace(with_agent(first, "leg-1", agent_id), version=9))
            await desk.until(lambda one: one.get("type") == "call" and one["call"]["id"] == second.id)
            assert parts.shown["signaling"] == url


async def test_how_a_call_was_heard_is_kept_with_its_leg(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        agent_id, user_id = await place.agent()
        async with page(url) as desk:
            await hello(desk, place, user_id)
            talking = with_agent(place.call(), "leg-9", agent_id)
            await place.write("call.bridged", talking)
            await desk.event("call")
            assert (
                await desk.ask("quality", leg="leg-9", rtt_ms=30.0, jitter_ms=2.0, lost=10, received=990)
            )["ok"]
            ended = replace(talking.legs[1], state="ended", hangup_cause="NORMAL_CLEARING", codec="PCMA")
            await place.write("call.leg_ended", replace(talking, legs=(talking.legs[0], ended), version=7))
            assert (await desk.event("call_ended"))["cause"] == "NORMAL_CLEARING"
            with trio.fail_after(15):
                while not (rows := await place.rows("select * from leg_quality where leg = 'leg-9'")):
                    await trio.sleep(0.02)
            row = rows[0]
            assert (row["heard_by"], row["codec"], row["lost"], row["call_id"]) == (
                "browser",
                "PCMA",
                10,
                talking.id,
            )
            assert 3.5 < row["mos"] < 4.5


async def test_a_page_that_does_not_answer_the_probe_is_offered_nothing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        agent_id, user_id = await place.agent()
        async with page(url) as desk:
            await hello(desk, place, user_id)
            desk.probes = False
            offer = await place.offer(agent_id, place.call())
            await desk.event("probe")
            with trio.fail_after(15):
                while True:
                    (row,) = await place.rows("select state, reason from reservations where id = $1", offer)
                    if row["state"] != "offered":
                        break
            assert (row["state"], row["reason"]) == ("declined", "no_answer_from_page")
            assert not [one for one in desk.frames if one.get("type") == "offer"]


async def test_a_session_goes_on_over_a_new_socket_and_a_new_one_begins_at_another_controller(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
        controller(place, tmp_path, "ctl-2") as (other_url, _),
    ):
        agent_id, user_id = await place.agent()
        async with page(url) as desk:
            first = await hello(desk, place, user_id)
            await desk.ask("state", state="ready", reason="")
            last = max(one["n"] for one in desk.frames if "type" in one and "n" in one)
        call = place.call()
        await place.write("call.created", with_agent(call, "leg-1", agent_id))
        async with page(url) as again:
            resumed = await hello(again, place, user_id, resume={"session": first["session"], "n": last})
            assert resumed["resumed"] and resumed["session"] == first["session"]
            missed = await again.event("call")
            assert missed["n"] == last + 1 and missed["call"]["id"] == call.id
            async with page(other_url) as there:
                anew = await hello(
                    there, place, user_id, resume={"session": first["session"], "n": missed["n"]}
                )
                assert not anew["resumed"] and anew["session"] != first["session"]
                assert [one["id"] for one in anew["calls"]] == [call.id], "the lists come from the store"
                assert (await again.event("bye"))["code"] == "replaced"
                assert (await there.ask("hold", call=call.id))["ok"]


async def test_a_second_device_takes_over_only_when_it_is_told_to(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        _, user_id = await place.agent()
        async with page(url) as desk:
            await hello(desk, place, user_id, device="laptop")
            async with page(url) as second:
                refused = await hello(second, place, user_id, device="tablet")
                assert (refused["ok"], refused["code"]) == (False, "other_device")
                await second.until_closed()
            async with page(url) as second:
                assert (await hello(second, place, user_id, device="tablet", take_over=True))["ok"]
                bye = await desk.event("bye")
                assert (bye["code"], bye["reconnect"]) == ("replaced", False)
                await desk.until_closed()


async def test_nobody_touches_what_is_anothers(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        ann_id, ann_user = await place.agent("Ann")
        _, ben_user = await place.agent("Ben")
        async with page(url) as ann, page(url) as ben:
            mine = await hello(ann, place, ann_user)
            await hello(ben, place, ben_user, device="dev-2")
            call = place.call()
            offer = await place.offer(ann_id, call)
            await ann.event("offer")
            for refused in (
                await ben.ask("accept", offer=offer, sdp=SDP),
                await ben.ask("decline", offer=offer, reason=""),
                await ben.ask("wrap_up", offer=offer, disposition="x"),
            ):
                assert (refused["ok"], refused["code"]) == (False, "offer_gone")
            taken = await ann.ask("accept", offer=offer, sdp=SDP)
            await place.write("call.bridged", with_agent(call, taken["leg"], ann_id))
            await ann.event("call")
            for kind in ("hold", "hangup", "mute", "conference", "record_pause", "transfer_complete"):
                assert (await ben.ask(kind, call=call.id))["code"] == "no_such_call"
            assert (await ben.ask("renew", leg=taken["leg"], sdp=SDP))["code"] == "no_such_leg"
            assert (await ben.ask("transfer", call=call.id, to="+4930222", kind="blind"))[
                "code"
            ] == "no_such_call"
            # A session is its owner's, whoever knows its id.
            async with page(url) as thief:
                got = await hello(
                    thief, place, ben_user, device="dev-2", resume={"session": mine["session"], "n": 0}
                )
                assert not got["resumed"] and got["session"] != mine["session"] and got["calls"] == []
            assert [one.action for one in place.orders] == ["agent.call"]


async def test_nobody_touches_what_is_another_tenants(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        theirs = await place.tenant()
        ann_id, ann_user = await place.agent("Ann", "31")
        _, eve_user = await place.agent("Eve", "32", tenant_id=theirs)
        async with page(url) as ann, page(url) as eve:
            mine = await hello(ann, place, ann_user)
            await hello(eve, place, eve_user, tenant_id=theirs)
            call = place.call()
            offer = await place.offer(ann_id, call)
            await ann.event("offer")
            taken = await ann.ask("accept", offer=offer, sdp=SDP)
            await place.write("call.bridged", with_agent(call, taken["leg"], ann_id))
            await ann.event("call")
            assert (await eve.ask("accept", offer=offer, sdp=SDP))["code"] == "offer_gone"
            assert (await eve.ask("wrap_up", offer=offer, disposition="x"))["code"] == "offer_gone"
            assert (await eve.ask("hangup", call=call.id))["code"] == "no_such_call"
            assert (await eve.ask("renew", leg=taken["leg"], sdp=SDP))["code"] == "no_such_leg"
            assert (await eve.ask("dial", to=ann_id, sdp=SDP))["code"] == "no_such_agent"
            # The same digits are a colleague here, and a number there.
            await eve.ask("dial", to="31", sdp=SDP)
            order = place.ordered("agent.call")[-1]
            assert (order.tenant_id, order.args["to"]) == (theirs, "31")
            # A token says which tenant it is for: one's own is none of the other's.
            async with page(url) as thief:
                got = await hello(thief, place, eve_user)
                assert (got["ok"], got["code"]) == (False, "no_agent")
            async with page(url) as thief:
                resume = {"session": mine["session"], "n": 0}
                got = await hello(thief, place, eve_user, tenant_id=theirs, resume=resume)
                assert not got["resumed"] and got["calls"] == []
            assert not [one for one in eve.frames if one.get("type") in ("offer", "call", "probe")]


async def test_a_token_of_another_kind_or_time_opens_nothing(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        _, user_id = await place.agent()
        api = Keyring(SECRET).sign(
            "api", subject=user_id, tenant_id=place.tenant_id, session_id="ses_1", seconds=60
        )
        for bad, code in (
            (token(place.tenant_id, user_id, -60), "token_expired"),
            (api, "bad_token"),
            ("x", "bad_token"),
            (token("tnt_none", user_id), "no_agent"),
        ):
            async with page(url) as desk:
                answer = await desk.ask("hello", token=bad, device={"id": "d"})
                assert (answer["ok"], answer["code"]) == (False, code)
                await desk.until_closed()


async def test_a_colleague_is_called_and_declines(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        ann_id, ann_user = await place.agent("Ann", "21")
        _, ben_user = await place.agent("Ben", "22")
        async with page(url) as ann, page(url) as ben:
            await hello(ann, place, ann_user)
            await hello(ben, place, ben_user, device="dev-2")
            dialled = await ann.ask("dial", to="22", sdp=SDP)
            assert dialled["ok"] and dialled["sdp"]
            (leg,) = place.ordered("agent.call")
            assert (leg.args["to"], leg.args["join"], leg.args["agent"]) == ("", "", ann_id)
            offer = (await ben.event("offer"))["offer"]
            assert (offer["caller"], offer["caller_name"]) == ("21", "Ann")
            assert (await ben.ask("decline", offer=offer["id"], reason=""))["ok"]
            with trio.fail_after(10):
                while not place.ordered("call.hangup"):
                    await trio.sleep(0.01)
            (end,) = place.ordered("call.hangup")
            assert (
                end.args == {"leg": dialled["leg"], "cause": "CALL_REJECTED"}
                and end.call_id == dialled["call_id"]
            )
            assert place.ordered("call.play")[0].args["leg"] == dialled["leg"]


async def test_pages_hear_that_a_controller_goes(database_url: str, redis_url: str, tmp_path: Path) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        _, user_id = await place.agent()
        async with page(url) as desk:
            await hello(desk, place, user_id)
            place.stop()
            bye = await desk.event("bye")
            assert (bye["code"], bye["reconnect"]) == ("draining", True)
            assert (await desk.until_closed())[0] == 4410
        (row,) = await place.rows("select session from agents where user_id = $1", user_id)
        assert row["session"], "the agent is still there, for the next controller"


async def test_what_the_switch_refuses_is_told_and_the_offer_is_given_back(
    database_url: str, redis_url: str, tmp_path: Path
) -> None:
    async with (
        open_place(database_url, redis_url, tmp_path) as place,
        controller(place, tmp_path) as (url, _),
    ):
        agent_id, user_id = await place.agent()

        def refusing(order: Order) -> Outcome:
            if order.action == "agent.call":
                return Outcome(
                    order_id=order.id, status="refused", code="leg_ended", detail="the leg has ended"
                )
            return obedient(order)

        place.obey = refusing
        async with page(url) as desk:
            await hello(desk, place, user_id)
            offer = await place.offer(agent_id, place.call())
            await desk.event("offer")
            refused = await desk.ask("accept", offer=offer, sdp=SDP)
            assert (refused["ok"], refused["code"]) == (False, "leg_ended")
            assert (await desk.event("offer_ended"))["offer"] == offer
            bad = await desk.ask("dial", to="+4930222", sdp="v=0\r\nm=video 9")
            assert bad["code"] == "invalid_sdp" and "video" not in bad["detail"]
            with trio.fail_after(10):
                while True:
                    (row,) = await place.rows("select state from reservations where id = $1", offer)
                    if row["state"] == "failed":
                        break
