"""Carriers, rates, decisions and who may be written to, as people and programs use them."""

import asyncio
from typing import Any

import msgspec
import pytest

from api.http.carriers import CarrierLimits
from core.access.roles import EVERYTHING
from core.clock import now_us
from core.ids import new_id
from core.storage.channels import create_channel
from core.storage.inbound import Arrival, write_inbound
from irisx_sdk import Address, Inbound, Text
from tests.api.conftest import Connect
from tests.api.harness import SECRET, Api
from tests.api.test_attachments import PNG, upload

pytestmark = pytest.mark.asyncio_loop

TWILIO = {"account_sid": "AC1", "auth_token": "hush"}
CSV = "Prefix;Price;Connect fee\n49;0,075;0\n4915;0,06;0,01\n+44 20;0,03;\nabc;1;0\n1;-3;0\n49;0,08;0\n"


class Shop:
    """A tenant, seen through the API."""

    def __init__(self, api: Api, tenant: str, key: str) -> None:
        self.api, self.tenant, self.key = api, tenant, key

    async def ask(self, method: str, path: str, body: Any = None, status: int = 0, **headers: str) -> Any:
        given = {"Idempotency-Key": new_id("idk"), **headers} if method == "POST" else headers
        answer = await self.api.ask(method, f"/v1{path}", self.key, body, given)
        assert answer.status_code == status if status else answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def account(self, name: str = "A") -> str:
        row = await create_channel(
            self.api.database, self.tenant, secret=SECRET, type="sms.twilio", name=name, settings=TWILIO,
            hidden=("auth_token",),
        )  # fmt: skip
        return row.id

    async def carrier(self, name: str, csv: str, **more: Any) -> str:
        body = {"name": name, "channel_ids": [await self.account(name)], **more}
        carrier = str((await self.ask("POST", "/carriers", body))["id"])
        await self.ask(
            "POST", "/rate-decks", {"carrier_id": carrier, "name": name, "currency": "EUR", "csv": csv}
        )
        return carrier


async def shop(api: Api) -> Shop:
    tenant = await api.tenant()
    return Shop(api, tenant, await api.key(EVERYTHING, tenant))


async def test_a_carrier_is_made_changed_limited_and_removed(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        account = await ours.account()
        made = await ours.ask("POST", "/carriers", {"name": "Blue", "channel_ids": [account]})
        path = f"/carriers/{made['id']}"
        assert (made["state"], made["kind"], made["channel_ids"]) == ("on", "sms", [account])
        taken = await ours.ask("POST", "/carriers", {"name": "Red", "channel_ids": [account]}, 409)
        assert taken["code"] == "in_use"
        foreign = await ours.ask("POST", "/carriers", {"name": "Red", "channel_ids": [new_id("chn")]}, 400)
        assert foreign["code"] == "no_such_channel"
        limits = {"per_second": 5.5, "spend_per_day": "12.50", "only": ["49"], "never": ["4915"]}
        changed = await ours.ask("PATCH", path, {"limits": limits, "priority": 3}, 200, **{"If-Match": '"1"'})
        assert msgspec.convert(changed["limits"], CarrierLimits).spend_per_day == "12.50"
        await ours.ask("PATCH", path, {"priority": 4}, 412, **{"If-Match": '"1"'})
        assert (await ours.ask("POST", f"{path}/disable"))["state"] == "off"
        assert (await ours.ask("POST", f"{path}/enable"))["state"] == "on"
        health = await ours.ask("GET", f"{path}/health")
        assert (health["tries"], health["success_share"], health["breaker"]) == (0, None, "closed")
        await ours.ask("DELETE", path)
        await ours.ask("GET", path, None, 404)


async def test_a_rate_deck_keeps_the_rows_that_could_not_be_used_and_ends_the_one_before(
    connect: Connect,
) -> None:
    async with connect() as api:
        ours = await shop(api)
        carrier = await ours.carrier("Blue", "prefix,price\n49,0.5\n")
        answer = await api.http.post(
            f"/v1/rate-decks/import?carrier_id={carrier}&currency=EUR&name=July",
            content=CSV,
            headers={"Authorization": f"Bearer {ours.key}", "Content-Type": "text/csv"},
        )
        assert answer.status_code == 201, answer.text
        deck = answer.json()
        assert (deck["rates"], deck["rejected"], deck["valid_to_us"]) == (3, 3, 0)
        rejected = (await ours.ask("GET", f"/rate-decks/{deck['id']}/rejected"))["data"]
        assert [one["line"] for one in rejected] == [5, 6, 7]
        assert "digits" in rejected[0]["reason"] and "twice" in rejected[2]["reason"]
        decks = (await ours.ask("GET", "/rate-decks"))["data"]
        assert [one["valid_to_us"] == 0 for one in decks] == [True, False]
        found = await ours.ask("POST", "/routing/simulate", {"to": "+4915112345", "text": "€" * 81})
        assert found["segments"] == 2
        assert found["order"][0]["cost"] == pytest.approx(0.13) and found["order"][0]["prefix"] == "4915"
        bad = {"carrier_id": carrier, "name": "x", "currency": "EUR", "csv": "who,what\n1,2\n"}
        assert (await ours.ask("POST", "/rate-decks", bad, 400))["code"] == "bad_rate_deck"


async def test_one_number_is_simulated_with_the_reason_of_everybody_left_out(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        dear = await ours.carrier("Dear", "prefix,price\n*,0.09\n")
        cheap = await ours.carrier("Cheap", "prefix,price\n*,0.01\n")
        barred = await ours.carrier("Barred", "prefix,price\n*,0.01\n", limits={"never": ["49"]})
        off = await ours.carrier("Off", "prefix,price\n*,0.01\n", state="off")
        abroad = await ours.carrier("Abroad", "prefix,price\n1,0.01\n")
        found = await ours.ask("POST", "/routing/simulate", {"to": "+4930123456", "text": "hi"})
        assert [one["carrier_id"] for one in found["order"]] == [cheap, dear]
        assert {one["carrier_id"]: one["skipped"] for one in found["skipped"]} == {
            barred: "not_allowed_there", off: "off", abroad: "no_rate",
        }  # fmt: skip
        settings = {"currency": "USD", "second_costs": 0.01, "exchange": [{"currency": "EUR", "value": 2.0}]}
        kept = await ours.ask("PUT", "/routing/settings", settings)
        assert kept["version"] == 1
        again = await ours.ask("POST", "/routing/simulate", {"to": "+4930123456", "text": "hi"})
        assert again["currency"] == "USD" and again["order"][0]["cost"] == pytest.approx(0.02)
        await ours.ask("PUT", "/routing/settings", settings, 412, **{"If-Match": '"7"'})


async def test_somebody_is_written_to_first_by_whatever_carrier(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        body: dict[str, Any] = {"to": {"kind": "phone", "value": "+4930777"}, "text": "Your parcel is here"}
        first = await ours.ask("POST", "/messages", {**body, "route": "sms"}, 202)
        assert (first["state"], first["channel_id"]) == ("queued", "")
        second = await ours.ask("POST", "/messages", {**body, "route": "sms"}, 202)
        assert second["conversation_id"] == first["conversation_id"]
        for wrong in (
            {**body},
            {**body, "route": "sms", "channel_id": new_id("chn")},
            {**body, "route": "sms", "to": {"kind": "email", "value": "a@example.org"}},
            {**body, "route": "sms", "to": {"kind": "phone", "value": "030777"}},
        ):
            await ours.ask("POST", "/messages", wrong, 400)
        await ours.ask("POST", "/messages", {**body, "channel_id": new_id("chn")}, 404)
        taken = await ours.ask("POST", f"/messages/{second['id']}/cancel")
        assert taken["state"] == "cancelled"


async def test_a_routed_message_takes_files_where_a_carrier_does(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        centre = await create_channel(
            api.database, ours.tenant, secret=SECRET, type="sms.smpp", name="Centre", settings={}, hidden=()
        )
        await ours.ask("POST", "/carriers", {"name": "Words only", "channel_ids": [centre.id]})
        file = (await upload(api, ours.key, PNG)).json()["id"]
        to = {"kind": "phone", "value": "+4930777"}
        body: dict[str, Any] = {"to": to, "text": "", "route": "sms", "attachments": [file]}
        assert (await ours.ask("POST", "/messages", body, 400))["code"] == "no_files_here"
        await ours.carrier("Pictures", "prefix,price\n*,0.09\n")
        sent = await ours.ask("POST", "/messages", body, 202)
        assert [one["id"] for one in sent["files"]] == [file] and sent["channel_id"] == ""
        assert (await ours.ask("POST", "/messages", body, 409))["code"] == "attachment_used"


async def test_of_two_who_answer_at_once_both_are_stored_in_order_or_one_is_told(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        people = [await api.person("agent", tenant_id=tenant) for _ in range(2)]
        row = await create_channel(
            api.database, tenant, secret=SECRET, type="sms.twilio", name="A", settings=TWILIO, hidden=()
        )
        said = Inbound("SM1", Address("phone", "+4930123"), Text("hello"))
        (place,) = await write_inbound(api.database, tenant, [Arrival(row.id, said, now_us())])
        path = f"/v1/conversations/{place.conversation_id}/messages"

        async def answer(person: Any, **more: Any) -> Any:
            return await api.ask(
                "POST", path, person.token, {"text": f"from {person.id}", **more},
                {"Idempotency-Key": new_id("idk")},
            )  # fmt: skip

        both = await asyncio.gather(*(answer(one) for one in people))
        assert [one.status_code for one in both] == [202, 202]
        listed = (await api.ask("GET", path, people[0].token)).json()["data"]
        assert len(listed) == 3
        assert [one["id"] for one in listed] == sorted(
            (one["id"] for one in listed), key=lambda i: next((x["order_us"], x["id"]) for x in listed if x["id"] == i), reverse=True
        )  # fmt: skip
        raced = await asyncio.gather(*(answer(one, unless_assigned=True) for one in people))
        assert sorted(one.status_code for one in raced) == [202, 409]
        lost = next(one for one in raced if one.status_code == 409)
        assert lost.json()["code"] == "already_assigned"


async def test_who_must_not_be_written_to_and_who_agreed(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        entry = await ours.ask(
            "POST", "/dnc", {"kind": "email", "value": "Ann@Example.org", "reason": "asked"}
        )
        assert entry["value"] == "ann@example.org"
        many = [{"kind": "phone", "value": f"+4930{n}", "scope": "sms"} for n in range(5)]
        assert await ours.ask("POST", "/dnc/import", {"entries": many}) == {"added": 5, "already": 0}
        assert await ours.ask("POST", "/dnc/import", {"entries": many}) == {"added": 0, "already": 5}
        asked = {
            "addresses": [{"kind": "email", "value": "ANN@example.org"}, {"kind": "phone", "value": "+1"}]
        }
        assert [one["scopes"] for one in await ours.ask("POST", "/dnc/check", asked)] == [["*"], []]

        async def decided(**more: Any) -> str:
            body = {"kind": "email", "value": "ann@EXAMPLE.org", "channel": "email.smtp", **more}
            found = await ours.ask("POST", "/compliance/decide", body)
            return f"{found['verdict']} {found['code']}".strip()

        assert await decided() == "refuse opted_out"
        await ours.ask("DELETE", f"/dnc/{entry['id']}")
        await ours.ask("DELETE", f"/dnc/{entry['id']}", None, 404)
        assert await decided() == "send"
        assert await decided(purpose="marketing") == "refuse no_consent"
        consent = {"kind": "email", "value": "ann@example.org", "granted": True, "evidence": "form 7"}
        await ours.ask("POST", "/consents", consent)
        assert await decided(purpose="marketing") == "send"
        await ours.ask("POST", "/consents", {**consent, "granted": False})
        assert await decided(purpose="marketing") == "refuse consent_withdrawn"
        assert len((await ours.ask("GET", "/consents"))["data"]) == 2
        quiet = {"quiet_hours": {"start": "21:00", "end": "08:00", "timezone": "Europe/Berlin"}}
        assert (await ours.ask("PUT", "/contact-windows", quiet))["quiet_hours"] == quiet["quiet_hours"]
        night = {"at_us": 1_795_000_000_000_000 // 86_400_000_000 * 86_400_000_000}
        assert await decided(**night) == "wait quiet_hours"
        assert await decided(**night, purpose="transactional") == "send"
        assert await decided(**night, timezone="Asia/Tokyo") == "send"
        wrong = {"quiet_hours": {"start": "21:00", "end": "08:00", "timezone": "Moon/Base"}}
        await ours.ask("PUT", "/contact-windows", wrong, 400)
        assert (await ours.ask("PUT", "/contact-windows", {"quiet_hours": None}))["quiet_hours"] is None
