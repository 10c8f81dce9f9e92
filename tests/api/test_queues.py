"""Agents and queues through the API: made in one request, imported, seen live, and counted."""

from typing import Any

import msgspec
import pytest

from core.clock import now_us
from core.ids import new_id
from core.model.queueing_numbers import Counted
from core.model.queueing_records import QueueEntry
from core.model.reservations import Reservation
from core.storage import queue_intervals
from core.storage.queue_moves import insert, insert_rows
from tests.api.conftest import Connect
from tests.api.harness import Api

pytestmark = pytest.mark.asyncio_loop


async def made(api: Api, token: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
    answer = await api.ask("POST", f"/v1/{path}", token, body)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_one_request_makes_an_agent_who_can_sign_in(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin", tenant_id=await api.tenant())
        await made(api, admin.token, "skills", {"name": "german"})
        queue = await made(api, admin.token, "queues", {"name": "Support"})
        body = {
            "name": "Ann", "email": "ann@one.example", "extension": "101", "skills": {"german": 4},
            "queues": {queue["id"]: 2},
        }  # fmt: skip
        one = await made(api, admin.token, "agents", body)
        assert one["user"]["roles"] == ["agent"]
        login = await api.ask(
            "POST", "/v1/auth/login", json={"email": "ann@one.example", "password": one["password"]}
        )
        token = login.json()["access_token"]
        own = await api.ask("GET", "/v1/agents/me", token)
        assert (own.json()["id"], own.json()["queues"]) == (one["agent"]["id"], [queue["id"]])
        agent = f"/v1/agents/{one['agent']['id']}"
        ready = await api.ask("PUT", f"{agent}/state", token, {"state": "ready"})
        assert ready.json()["state"] == "ready"
        members = await api.ask("GET", f"/v1/queues/{queue['id']}/members", token)
        assert members.json()["data"] == [
            {"queue_id": queue["id"], "agent_id": one["agent"]["id"], "tier": 2}
        ]
        again = await api.ask("POST", "/v1/agents", admin.token, {**body, "email": "other@one.example"})
        assert (again.status_code, again.json()["code"]) == (409, "extension_taken")
        # What an agent may not do: others' states, other agents.
        other = await made(api, admin.token, "agents", {"name": "Bo", "email": "bo@one.example"})
        refused = await api.ask("PUT", f"/v1/agents/{other['agent']['id']}/state", token, {"state": "ready"})
        assert refused.status_code == 403
        assert (await api.ask("PATCH", agent, token, {"extension": "1"})).status_code in (400, 403)
        phases = await api.ask("GET", f"{agent}/timeline", admin.token)
        assert [one["state"] for one in phases.json()["data"]] == ["ready"]


async def test_rows_that_cannot_be_are_told_with_their_reasons(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin", tenant_id=await api.tenant())
        await made(api, admin.token, "skills", {"name": "german"})
        await made(api, admin.token, "queues", {"name": "Support"})
        text = (
            "name,email,extension,skills,queues\n"
            "Ann,ann@two.example,201,german:3,Support\n"
            "Bo,bo@two.example,201,,\n"
            "Cy,cy@two.example,,french:1,\n"
            "Di,no-address,,,\n"
            "Ed,ed@two.example,,,Nowhere\n"
        )
        tried = await api.ask("POST", "/v1/agents/import", admin.token, {"csv": text, "dry_run": True})
        assert tried.status_code == 200, tried.text
        assert (await api.ask("GET", "/v1/agents", admin.token)).json()["data"] == []
        done = (await api.ask("POST", "/v1/agents/import", admin.token, {"csv": text})).json()
        assert [(one["row"], one["email"]) for one in done["created"]] == [(2, "ann@two.example")]
        assert done["created"][0]["password"]
        assert {one["row"]: one["code"] for one in done["rejected"]} == {
            3: "extension_taken", 4: "unknown_skill", 5: "invalid_request", 6: "invalid_request",
        }  # fmt: skip
        # Nothing of a row that was rejected is left behind.
        users = await api.ask("GET", "/v1/users", admin.token)
        assert {one["email"] for one in users.json()["data"]} & {"bo@two.example", "cy@two.example"} == set()


async def waiting(api: Api, tenant: str, queue_id: str) -> str:
    moment = now_us()
    entry = QueueEntry(
        id=new_id("qen"), tenant_id=tenant, queue_id=queue_id, kind="call", call_id=new_id("call"), caller="+4930",
        entered_us=moment - 40_000_000, queued_us=moment - 40_000_000,
    )  # fmt: skip
    async with api.database.tenant(tenant) as connection:
        await insert_rows(connection, "queue_entries", [msgspec.to_builtins(entry)])
        counts = [
            queue_intervals.of_entry(entry, Counted(offered=2)),
            queue_intervals.lost(entry, moment),
        ]
        await queue_intervals.add(connection, tenant, counts)
    return entry.id


async def test_a_queue_says_who_waits_and_why_and_what_it_did(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        admin = await api.person("admin", tenant_id=tenant)
        queue = await made(api, admin.token, "queues", {"name": "Support", "settings": {"target_s": 30}})
        agent = await made(api, admin.token, "agents", {"name": "Ann", "user_id": admin.id})
        path = f"/v1/queues/{queue['id']}"
        await api.ask("PUT", f"{path}/members/{agent['agent']['id']}", admin.token)
        entry = await waiting(api, tenant, queue["id"])
        live = (await api.ask("GET", f"{path}/live", admin.token)).json()
        (one,) = live["entries"]
        assert (one["entry"]["id"], one["position"], one["estimate_s"]) == (entry, 1, None)
        assert [reason["code"] for reason in one["why"]] == ["offline"]
        assert live["agents"]["offline"] == 1 and live["longest_s"] >= 40 and one["rank"] > 1
        now = (await api.ask("GET", "/v1/analytics/live", admin.token)).json()
        assert [(row["name"], row["waiting"], row["service_level"]) for row in now["queues"]] == [
            ("Support", 1, 0.0)
        ]
        (row,) = (await api.ask("GET", "/v1/analytics/queues?within_s=30", admin.token)).json()["rows"]
        assert (row["offered"], row["abandoned"]) == (2, 1)
        assert row["abandon_rate"] == {"part": 1, "whole": 2, "share": 0.5}
        assert row["abandoned_within"][5] == 1  # up to 45 s
        wrong = await api.ask("GET", "/v1/analytics/queues?within_s=17", admin.token)
        assert wrong.status_code == 400
        second = await made(api, admin.token, "queues", {"name": "Second"})
        moved = await api.ask("PATCH", f"{path}/entries/{entry}", admin.token, {"queue_id": second["id"]})
        assert moved.json()["queue_id"] == second["id"]
        gone = await api.ask("PATCH", f"{path}/entries/{entry}", admin.token, {"queue_id": second["id"]})
        assert gone.json()["code"] == "no_such_entry"
        assert (await api.ask("DELETE", f"/v1/queues/{second['id']}", admin.token)).json()["code"] == "in_use"


async def test_a_conversation_is_accepted_and_wrapped_up_without_signaling(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        admin = await api.person("admin", tenant_id=tenant)
        agent = await made(api, admin.token, "agents", {"name": "Ann", "user_id": admin.id})
        moment, offers = now_us(), []
        for kind in ("conversation", "call", "conversation"):
            offers.append(
                Reservation(
                    id=new_id("rsv"), tenant_id=tenant, agent_id=agent["agent"]["id"],
                    kind="call" if kind == "call" else "conversation", conversation_id="conv_1",
                    offered_us=moment, expires_us=moment + 60_000_000,
                )
            )  # fmt: skip
        async with api.database.tenant(tenant) as connection:
            await insert(connection, offers, wrap_up_s=0, missed_reason="")
        paths = [f"/v1/reservations/{one.id}" for one in offers]
        assert (await api.ask("POST", f"{paths[0]}/accept", admin.token)).json()["state"] == "connected"
        twice = await api.ask("POST", f"{paths[0]}/accept", admin.token)
        assert (twice.status_code, twice.json()["code"]) == (409, "offer_gone")
        call = await api.ask("POST", f"{paths[1]}/accept", admin.token)
        assert call.json()["code"] == "needs_phone"
        no = await api.ask("POST", f"{paths[2]}/decline", admin.token, {"reason": "lunch"})
        assert (no.json()["state"], no.json()["reason"]) == ("declined", "lunch")
        done = await api.ask(
            "POST", f"{paths[0]}/wrapup", admin.token, {"disposition": "sold", "notes": "two"}
        )
        assert (done.json()["state"], done.json()["disposition"]) == ("done", "sold")
        listed = await api.ask("GET", "/v1/reservations?state[in]=done,declined", admin.token)
        assert {one["id"] for one in listed.json()["data"]} == {offers[0].id, offers[2].id}
        (row,) = (await api.ask("GET", "/v1/analytics/agents", admin.token)).json()["rows"]
        assert (row["offered"], row["handled"], row["declined"]) == (3, 1, 1)


async def test_what_is_in_use_stays_and_versions_are_compared(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin", tenant_id=await api.tenant())
        skill = await made(api, admin.token, "skills", {"name": "german"})
        needs = {"needs": [{"skill": "german", "level": 2}]}
        queue = await made(api, admin.token, "queues", {"name": "Support", "settings": needs})
        route = await made(
            api, admin.token, "inbound-routes", {"number": "+4930", "prefix": True, "queue_id": queue["id"]}
        )
        refused = await api.ask("DELETE", f"/v1/skills/{skill['id']}", admin.token)
        assert refused.json()["code"] == "in_use"
        both = await api.ask("POST", "/v1/inbound-routes", admin.token, {"number": "1"})
        assert both.status_code == 400
        path = f"/v1/inbound-routes/{route['id']}"
        stale = await api.ask("PATCH", path, admin.token, {"enabled": False}, {"If-Match": '"7"'})
        assert stale.status_code == 412
        off = await api.ask("PATCH", path, admin.token, {"enabled": False}, {"If-Match": '"1"'})
        assert (off.json()["enabled"], off.headers["etag"]) == (False, '"2"')
        settings = {**needs, "overflow": {"queue_id": queue["id"], "after_s": 5}}
        itself = await api.ask("PATCH", f"/v1/queues/{queue['id']}", admin.token, {"settings": settings})
        assert itself.json()["code"] == "unknown_queue"
        weights = await api.ask("PUT", "/v1/queue-settings", admin.token, {"weights": {"asleep_after_s": 60}})
        assert weights.json()["settings"]["weights"]["asleep_after_s"] == 60
        unknown = await api.ask(
            "POST", "/v1/queues", admin.token, {"name": "X", "settings": {"schedule_id": "sch_1"}}
        )
        assert unknown.json()["code"] == "unknown_schedule"
