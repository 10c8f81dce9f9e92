"""A team at work on its conversations: handing on, labels, presence, many at once, finding, taking along; and what they say
often. Through the API, against real Postgres and Valkey."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest

from core.access.roles import BUILT_IN
from core.clock import now_us
from core.storage import channels
from core.storage.inbound import Arrival, Stored, write_inbound
from irisx_sdk import Address, Inbound, Text
from tests.api.conftest import Connect
from tests.api.harness import SECRET, Api, Person

pytestmark = pytest.mark.asyncio_loop


class Team:
    """A tenant with an SMS account, an admin's key and two agents."""

    def __init__(self, api: Api, tenant: str, key: str, agents: tuple[Person, Person], account: str) -> None:
        self.api, self.tenant, self.key, self.agents, self.account = api, tenant, key, agents, account
        self.said = 0

    async def ask(
        self, method: str, path: str, body: Any = None, *, status: int = 200, token: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> Any:  # fmt: skip
        answer = await self.api.ask(method, f"/v1{path}", token or self.key, body, headers)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        if "json" in answer.headers.get("content-type", ""):
            return answer.json()
        return answer.text

    async def writes(self, text: str = "hello", number: str = "+4930111111", name: str = "Ann Lee") -> Stored:
        self.said += 1
        said = Inbound(f"SM{self.said}", Address("phone", number, name), Text(text))
        (stored,) = await write_inbound(
            self.api.database, self.tenant, [Arrival(self.account, said, now_us())]
        )
        return stored

    async def make(self, path: str, **body: Any) -> str:
        return str((await self.ask("POST", f"/{path}", body, status=201))["id"])


@asynccontextmanager
async def team(connect: Connect) -> AsyncIterator[Team]:
    async with connect() as api:
        tenant = await api.tenant("Team")
        key = await api.key(BUILT_IN["admin"].permissions, tenant)
        agents = await api.person("agent", tenant_id=tenant), await api.person("agent", tenant_id=tenant)
        account = await channels.create_channel(
            api.database, tenant, secret=SECRET, type="sms.twilio", name="Ours",
            settings={"account_sid": "AC1", "auth_token": "hush"}, hidden={"auth_token"},
        )  # fmt: skip
        yield Team(api, tenant, key, agents, account.id)


async def test_it_is_handed_on_to_people_and_queues_with_a_note(connect: Connect) -> None:
    async with team(connect) as us:
        at = f"/conversations/{(await us.writes()).conversation_id}"
        ann, bob = us.agents
        now = await us.ask("POST", f"{at}/transfer", {"to_user": ann.id, "to_queue": "sales", "note": "VIP"})
        assert (now["assignee"], now["queue"]) == (ann.id, "sales")
        now = await us.ask("POST", f"{at}/transfer", {"to_queue": "billing"}, token=ann.token)
        assert (now["assignee"], now["queue"]) == ("", "billing")
        notes = await us.ask("GET", f"{at}/messages?kind[eq]=note")
        assert [one["text"] for one in notes["data"]] == ["VIP"]
        refused = await us.ask("POST", f"{at}/transfer", {"to_user": "usr_none", "note": "x"}, status=409)
        assert refused["code"] == "action_failed" and "no user" in refused["detail"]
        await us.ask("POST", f"{at}/transfer", {}, status=400)
        await us.ask("POST", f"{at}/participants", {"user_id": bob.id})
        await us.ask("POST", f"{at}/participants", {"user_id": bob.id})
        assert [one["user_id"] for one in await us.ask("GET", f"{at}/participants")] == [bob.id]
        await us.ask("DELETE", f"{at}/participants/{bob.id}", status=204)
        await us.ask("DELETE", f"{at}/participants/{bob.id}", status=404)
        happened = await us.ask("GET", f"{at}/events?limit=3")
        assert happened["data"][0]["type"] == "conversation.participants" and happened["has_more"]
        rest = await us.ask("GET", f"{at}/events?cursor={happened['next_cursor']}")
        assert "conversation.transferred" in [one["type"] for one in rest["data"]]


async def test_labels_are_put_on_taken_away_and_filtered_by(connect: Connect) -> None:
    async with team(connect) as us:
        at = f"/conversations/{(await us.writes()).conversation_id}"
        await us.writes(number="+4930222222")
        now = await us.ask("POST", f"{at}/labels", {"labels": ["vip", "grün & blau"]})
        assert now["labels"] == ["vip", "grün & blau"]
        found = await us.ask("GET", "/conversations?labels[eq]=vip")
        assert len(found["data"]) == 1
        now = await us.ask("DELETE", f"{at}/labels/gr%C3%BCn%20%26%20blau")
        assert now["labels"] == ["vip"]
        await us.ask("PATCH", at, {"labels": ["vip", "new"]})
        happened = await us.ask("GET", f"{at}/events?limit=4")
        assert [one["type"] for one in happened["data"]][:3] == ["conversation.labelled"] * 3
        label = await us.make("labels", name="VIP", color="#aa0000")
        taken = await us.ask("POST", "/labels", {"name": "vip"}, status=409)
        assert taken["code"] == "name_taken"
        await us.ask("PATCH", f"/labels/{label}", {"name": "x"}, status=400)
        changed = await us.ask("PATCH", f"/labels/{label}", {"color": "#00aa00"})
        assert (changed["color"], changed["name"], changed["version"]) == ("#00aa00", "VIP", 2)
        await us.ask("PATCH", f"/labels/{label}", {"color": ""}, headers={"If-Match": '"1"'}, status=412)
        await us.ask("DELETE", f"/labels/{label}", status=204)
        await us.ask("GET", f"/labels/{label}", status=404)


async def test_a_view_is_everybodys_or_ones_own_and_must_be_a_filter_of_the_list(connect: Connect) -> None:
    async with team(connect) as us:
        ann, bob = us.agents
        mine = await us.ask("POST", "/views", {"name": "Mine", "filter": f"assignee[eq]={ann.id}", "shared": False},
                            token=ann.token, status=201)  # fmt: skip
        await us.ask("POST", "/views", {"name": "All", "filter": "state[in]=open,pending"}, status=201)
        for who, names in ((ann, {"Mine", "All"}), (bob, {"All"})):
            seen = await us.ask("GET", "/views", token=who.token)
            assert {one["name"] for one in seen["data"]} == names
        for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
            await us.ask(method, f"/views/{mine['id']}", body, token=bob.token, status=404)
        wrong = await us.ask("POST", "/views", {"name": "X", "filter": "colour[eq]=red"}, status=400)
        assert "colour" in wrong["detail"]


async def test_two_who_look_see_each_other_and_who_types_first_has_the_claim(connect: Connect) -> None:
    async with team(connect) as us:
        at = f"/conversations/{(await us.writes()).conversation_id}"
        ann, bob = us.agents
        assert await us.ask("GET", f"{at}/presence") == {"looking": [], "typing": ""}
        await us.ask("POST", f"{at}/presence", {}, token=ann.token)
        seen = await us.ask("POST", f"{at}/typing", {}, token=bob.token)
        assert set(seen["looking"]) == {ann.id, bob.id} and seen["typing"] == bob.id
        seen = await us.ask("POST", f"{at}/typing", {}, token=ann.token)
        assert seen["typing"] == bob.id, "the first one keeps it"
        await us.ask("POST", f"{at}/presence", {"here": False}, token=bob.token)
        seen = await us.ask("POST", f"{at}/typing", {}, token=ann.token)
        assert seen == {"looking": [ann.id], "typing": ann.id}
        seen = await us.ask("POST", f"{at}/typing", {"typing": False}, token=ann.token)
        assert seen["typing"] == ""
        kinds = {json.loads(one)["type"] for one in await _log(us)}
        assert not any("typing" in kind or "presence" in kind for kind in kinds)


async def _log(us: Team) -> list[bytes]:
    from core import log

    return await log.read(us.api.database, us.tenant, limit=500)


async def test_many_at_once_each_with_its_own_result(connect: Connect) -> None:
    async with team(connect) as us:
        places = [(await us.writes(number=f"+49305550{n:02d}")).conversation_id for n in range(12)]
        await us.ask("POST", f"/conversations/{places[0]}/resolve")
        body = {
            "ids": [*places, "conv_none", places[1]],
            "actions": [{"do": "label", "add": ["spring"]}, {"do": "resolve"}],
        }
        report = await us.ask("POST", "/conversations/bulk", body)
        results = {one["id"]: (one["status"], one["code"]) for one in report["results"]}
        assert report["done"] == 11 and len(report["results"]) == 13
        assert results[places[0]] == ("refused", "action_failed")
        assert results["conv_none"] == ("refused", "no_such_conversation")
        first = await us.ask("GET", f"/conversations/{places[0]}")
        assert first["labels"] == [], "of one that cannot be done nothing is done"
        await us.ask(
            "POST",
            "/conversations/bulk",
            {"ids": ["conv_1"] * 501, "actions": [{"do": "resolve"}]},
            status=400,
        )


async def test_messages_are_found_by_their_words_within_ones_own(connect: Connect) -> None:
    async with team(connect) as us:
        first = await us.writes("Where is my blue Fahrrad? Order 4711")
        await us.writes("Order received, thank you", number="+4930222222", name="Bob")
        for text, more, hits in (
            ("order", {}, 2),
            ("ORDER fahrrad", {}, 1),
            ('"blue fahrrad"', {}, 1),
            ('"fahrrad blue"', {}, 0),
            ("order -fahrrad", {}, 1),
            ("fahrrad or thank", {}, 2),
            ("order", {"contact_id": first.contact_id}, 1),
            ("order", {"states": ["resolved"]}, 0),
            ("order", {"labels": ["x"]}, 0),
            ("order", {"to_us": 1}, 0),
            ("'; drop table messages", {}, 0),
        ):
            found = await us.ask("POST", "/conversations/search", {"text": text, **more})
            assert len(found["data"]) == hits, text
        page = await us.ask("POST", "/conversations/search", {"text": "order", "limit": 1})
        assert page["has_more"] and "Order" in page["data"][0]["excerpt"]
        body = {"text": "order", "limit": 1, "cursor": page["next_cursor"]}
        rest = await us.ask("POST", "/conversations/search", body)
        assert [one["conversation_id"] for one in rest["data"]] == [first.conversation_id] and not rest[
            "has_more"
        ]
        other = await us.api.key(BUILT_IN["admin"].permissions, await us.api.tenant("Other"))
        assert (await us.ask("POST", "/conversations/search", {"text": "order"}, token=other))["data"] == []


async def test_a_transcript_says_what_was_said_and_nothing_that_could_act(connect: Connect) -> None:
    async with team(connect) as us:
        place = await us.writes("<script>alert(1)</script>\nsecond line")
        at = f"/conversations/{place.conversation_id}"
        await us.ask(
            "POST",
            f"{at}/messages",
            {"text": "for us", "note": True},
            status=202,
            headers={"Idempotency-Key": "n"},
        )
        text = await us.ask("POST", f"{at}/transcript")
        assert "Ann Lee:\n  <script>alert(1)</script>\n  second line" in text and "for us" not in text
        answer = await us.api.ask("POST", f"/v1{at}/transcript/html", us.key)
        assert "<script" not in answer.text and "&lt;script&gt;" in answer.text
        assert answer.headers["content-disposition"].startswith("attachment")


async def test_we_begin_with_somebody_who_has_not_written(connect: Connect) -> None:
    async with team(connect) as us:
        contact = await us.ask("POST", "/contacts", {"name": "Bob"}, status=201)
        body = {"contact_id": contact["id"], "channel_id": us.account}
        assert (await us.ask("POST", "/conversations", body, status=409))["code"] == "no_address"
        await us.ask(
            "POST",
            f"/contacts/{contact['id']}/identities",
            {"kind": "phone", "value": "+49 30 7654321"},
            status=201,
        )
        begun = await us.ask("POST", "/conversations", body, status=201)
        assert (await us.ask("POST", "/conversations", body, status=201))["id"] == begun["id"]
        sent = await us.ask(
            "POST",
            f"/conversations/{begun['id']}/messages",
            {"text": "Hello"},
            status=202,
            headers={"Idempotency-Key": "k"},
        )
        assert sent["recipient"]["value"] == "+49307654321"
        answered = await us.writes("Yes?", number="+49307654321")
        assert answered.conversation_id == begun["id"]
        mine = await us.api.key(BUILT_IN["admin"].permissions, await us.api.tenant("Other"))
        await us.ask("POST", "/conversations", body, status=404, token=mine)


async def test_moves_that_make_no_sense_are_refused_and_change_nothing(connect: Connect) -> None:
    async with team(connect) as us:
        at = f"/conversations/{(await us.writes()).conversation_id}"
        await us.ask("POST", f"{at}/reopen", status=409)
        await us.ask("PATCH", at, {"state": "pending"})
        await us.ask("POST", f"{at}/resolve")
        for method, path, body in (
            ("POST", f"{at}/resolve", None),
            ("POST", f"{at}/snooze", {"until_us": 2**52}),
            ("PATCH", at, {"state": "open"}),
        ):
            assert (await us.ask(method, path, body, status=409))["code"] == "wrong_state"
        assert (await us.ask("POST", f"{at}/reopen"))["state"] == "open"


async def test_a_template_is_filled_counted_and_sent_by_a_macro(connect: Connect) -> None:
    async with team(connect) as us:
        place = await us.writes()
        template = await us.make(
            "templates", name="hello", channel="sms", language="en",
            text="Hi {{contact.first_name}}, {{agent.name|we}} got {{order.id}}", html="<b>{{contact.name}}</b>",
        )  # fmt: skip
        assert (await us.ask("POST", "/templates", {"name": "HELLO", "text": "x", "channel": "sms", "language": "en"},
                             status=409))["code"] == "name_taken"  # fmt: skip
        await us.make("templates", name="hello", channel="sms", language="de", text="Hallo")
        wrong = await us.ask("POST", "/templates", {"name": "bad", "text": "{{ 7*7 }}"}, status=400)
        assert "7*7" in wrong["detail"]
        at = f"/templates/{template}/render"
        empty = await us.ask("POST", at, {})
        assert (
            empty["missing"] == ["contact.first_name", "order.id", "contact.name"] and empty["segments"] == 0
        )
        filled = await us.ask(
            "POST", at, {"conversation_id": place.conversation_id, "values": {"order": {"id": "7" * 200}}}
        )
        assert filled["text"].startswith("Hi Ann, ") and filled["missing"] == []
        assert (filled["segments"], filled["encoding"], filled["html"]) == (2, "gsm7", "<b>Ann Lee</b>")
        macro = await us.make(
            "macros", name="Thanks",
            actions=[{"do": "reply", "text": "Thanks, {{contact.first_name}}!"}, {"do": "resolve"}],
        )  # fmt: skip
        report = await us.ask("POST", f"/macros/{macro}/run", {"conversation_id": place.conversation_id})
        assert [(one["action"], one["ok"]) for one in report["done"]] == [("reply", True), ("resolve", True)]
        said = await us.ask("GET", f"/conversations/{place.conversation_id}/messages?direction[eq]=out")
        assert [one["text"] for one in said["data"]] == ["Thanks, Ann!"]
        again = await us.ask(
            "POST", f"/macros/{macro}/run", {"conversation_id": place.conversation_id}, status=409
        )
        assert again["code"] == "action_failed" and "action 1 (resolve)" in again["detail"]
        said = await us.ask("GET", f"/conversations/{place.conversation_id}/messages?direction[eq]=out")
        assert len(said["data"]) == 1, "nothing is said when the rest cannot be done"
        user = await us.make("macros", name="Uses", actions=[{"do": "reply", "template_id": template}])
        used = await us.ask("DELETE", f"/templates/{template}", status=409)
        assert used["code"] == "in_use" and "Uses" in used["detail"]
        await us.ask("DELETE", f"/macros/{user}", status=204)
        await us.ask("DELETE", f"/templates/{template}", status=204)
        await us.ask(
            "POST", "/macros", {"name": "X", "actions": [{"do": "assign", "to": "usr_none"}]}, status=404
        )


async def test_a_rule_is_tried_out_before_it_does_anything(connect: Connect) -> None:
    async with team(connect) as us:
        asks, other = await us.writes("my invoice?"), await us.writes("hi", number="+4930222222")
        rule = await us.make(
            "rules", name="Billing", on=["message.received"], enabled=False,
            all=[{"field": "text", "op": "contains", "value": ["invoice", "bill"]}],
            any=[{"field": "contact.name", "op": "exists"}, {"field": "priority", "op": "gt", "value": 3}],
            actions=[{"do": "label", "add": ["billing"]}],
        )  # fmt: skip
        trial = await us.ask("POST", f"/rules/{rule}/dry-run", {"last": 10})
        assert (trial["looked_at"], trial["applies"], trial["would"]) == (2, 1, ["label"])
        assert trial["found"] == [
            {"conversation_id": asks.conversation_id, "all": [True], "any": [True, False]}
        ]
        assert (await us.ask("GET", f"/conversations/{asks.conversation_id}"))["labels"] == []
        assert (await us.ask("GET", f"/rules/{rule}/runs"))["data"] == []
        wrong: list[dict[str, Any]] = [
            {"all": [{"field": "colour", "op": "eq", "value": "x"}]},
            {"all": [{"field": "now", "op": "within_hours", "value": "sch_none"}]},
            {"on": []},
            {"actions": [{"do": "explode"}]},
        ]
        for change in wrong:
            await us.ask("PATCH", f"/rules/{rule}", change, status=400)
        assert other.conversation_id not in json.dumps(trial)


async def test_promises_need_hours_that_exist(connect: Connect) -> None:
    async with team(connect) as us:
        monday = [{"day": 0, "start": "09:00", "end": "17:00"}]
        schedule = await us.make("schedules", name="Office", timezone="Europe/Berlin", weekly=monday)
        wrongs: list[dict[str, Any]] = [
            {"timezone": "Europe/Atlantis"},
            {"weekly": [{"day": 0, "start": "17:00", "end": "09:00"}]},
        ]
        for wrong in wrongs:
            await us.ask("PATCH", f"/schedules/{schedule}", wrong, status=400)
        policy = await us.make(
            "sla-policies", name="Gold", targets={"first_reply_s": 60}, schedule_id=schedule
        )
        assert (await us.ask("DELETE", f"/schedules/{schedule}", status=409))["code"] == "in_use"
        await us.ask("POST", "/sla-policies", {"name": "X", "targets": {}}, status=400)
        await us.ask("PATCH", f"/sla-policies/{policy}", {"schedule_id": "sch_none"}, status=400)
        assert (await us.ask("GET", "/sla-breaches"))["data"] == []


async def test_a_timeline_holds_everything_with_one_person(connect: Connect) -> None:
    async with team(connect) as us:
        places = [await us.writes(f"word {n}") for n in range(3)]
        contact = places[0].contact_id
        seen: list[str] = []
        path = f"/contacts/{contact}/timeline?limit=2"
        while path:
            page = await us.ask("GET", path)
            seen += [one["message"]["text"] for one in page["data"]]
            cursor = page["next_cursor"]
            path = f"/contacts/{contact}/timeline?limit=2&cursor={cursor}" if cursor else ""
        assert seen == ["word 2", "word 1", "word 0"]
        listed = await us.ask("GET", f"/contacts/{contact}/conversations")
        assert [one["id"] for one in listed["data"]] == [places[0].conversation_id]
        table = "name,phone\nZoe,+4930777777\nBad,x\n"
        report = await us.ask("POST", "/contacts/import", {"csv": table})
        assert (report["created"], [one["row"] for one in report["rejected"]]) == (1, [3])
        found = await us.ask("GET", "/contacts/search?q=zoe")
        assert [one["name"] for one in found["data"]] == ["Zoe"]


async def test_who_types_is_seen_live_by_those_who_asked_and_is_in_no_log(connect: Connect) -> None:
    async with team(connect) as us:
        place = await us.writes()
        at = f"/conversations/{place.conversation_id}"
        other = f"/conversations/{(await us.writes(number='+4930222222')).conversation_id}"
        head = len(await _log(us))
        query = f"live=true&resources={place.conversation_id}"
        frames: list[str] = []
        headers = {"Authorization": f"Bearer {us.key}"}
        async with us.api.http.stream("GET", f"/v1/stream/sse?{query}", headers=headers) as answer:
            lines = answer.aiter_lines()
            async for line in lines:
                if line.startswith("event: hello"):
                    await us.ask("POST", f"{other}/typing", {}, token=us.agents[1].token)
                    await us.ask("POST", f"{at}/typing", {}, token=us.agents[0].token)
                elif line.startswith("event:"):
                    frames.append(line)
                elif line.startswith("data:") and frames:
                    said = json.loads(line[5:])
                    break
        assert frames == ["event: live"]
        assert said == {
            "what": "typing",
            "conversation_id": place.conversation_id,
            "user_id": us.agents[0].id,
            "typing": True,
        }
        assert len(await _log(us)) == head
