"""Accounts are connected, providers deliver to them, and what people wrote is there to be answered."""

import asyncio
import threading
from typing import Any

import httpx
import msgspec
import pytest

from core import log
from core.access.roles import EVERYTHING
from core.ids import new_id
from core.storage.channels import create_channel
from irisx_sdk import Channel
from irisx_sdk.fake import Fake
from irisx_sdk.loading import fake_of, installed
from irisx_sdk.testing import running
from tests.api.conftest import Connect
from tests.api.harness import SECRET, Api

pytestmark = pytest.mark.asyncio_loop

CHANNELS = installed().channels
DELIVERING = sorted(name for name, one in CHANNELS.items() if one.capabilities.webhook)
TWILIO = {"account_sid": "AC1", "auth_token": "hush", "sender": "+15005550006"}


async def tenant_of(api: Api) -> tuple[str, str]:
    """A fresh tenant, and a key that may do everything in it."""
    tenant = await api.tenant(new_id("tnt").removeprefix("tnt_")[-12:])
    return tenant, await api.key(EVERYTHING, tenant)


async def connected(api: Api, key: str, channel: Channel, fake: Fake) -> dict[str, Any]:
    settings = msgspec.to_builtins(fake.settings)
    answer = await api.ask(
        "POST", "/v1/channels", key, {"type": channel.name, "name": "Ours", "settings": settings}
    )
    assert answer.status_code == 201, answer.text
    account: dict[str, Any] = answer.json()
    fake.webhook_url = f"{api.url}/v1/channels/{account['id']}/inbound"
    return account


@pytest.mark.parametrize("name", DELIVERING)
async def test_what_somebody_writes_at_a_provider_is_a_conversation(connect: Connect, name: str) -> None:
    channel = CHANNELS[name]
    async with connect() as api:
        _, key = await tenant_of(api)
        with running(fake_of(channel)()) as fake:
            await connected(api, key, channel, fake)
            delivered = await asyncio.to_thread(
                fake.do, fake.write, fake.someone(), "Is my order on its way?"
            )
            if not delivered:
                pytest.skip(f"{channel.title} brings what people write over a connection that is held")
            assert {one.status for one in delivered} <= {200, 202, 204}, delivered
        found = (await api.ask("GET", "/v1/conversations?state[eq]=open", key)).json()["data"]
        assert [one["preview"] for one in found] == ["Is my order on its way?"]
        assert found[0]["waiting_since_us"] > 0
        messages = await api.ask("GET", f"/v1/conversations/{found[0]['id']}/messages", key)
        (message,) = messages.json()["data"]
        assert message["content"]["text"] == "Is my order on its way?" and message["direction"] == "in"


async def test_a_webhook_that_is_delivered_five_times_at_once_is_one_message(connect: Connect) -> None:
    channel = CHANNELS["sms.twilio"]
    async with connect() as api:
        _, key = await tenant_of(api)
        with running(fake_of(channel)()) as fake:
            await connected(api, key, channel, fake)
            (delivery,) = fake.say("+4930123", "hello")
        async with httpx.AsyncClient() as provider:
            url = fake.webhook_url + delivery.path
            answers = await asyncio.gather(
                *(
                    provider.request(delivery.method, url, headers=delivery.headers, content=delivery.body)
                    for _ in range(5)
                )
            )
        assert {answer.status_code for answer in answers} <= {200, 204}
        (conversation,) = (await api.ask("GET", "/v1/conversations", key)).json()["data"]
        assert conversation["messages"] == 1


async def test_a_forged_webhook_is_refused_and_stores_nothing(connect: Connect) -> None:
    channel = CHANNELS["sms.twilio"]
    async with connect() as api:
        tenant, key = await tenant_of(api)
        with running(fake_of(channel)()) as fake:
            await connected(api, key, channel, fake)
            (delivery,) = fake.say("+4930123", "hello")
        before = len(await log.read(api.database, tenant, limit=100))
        async with httpx.AsyncClient() as stranger:
            answer = await stranger.request(
                delivery.method,
                fake.webhook_url + delivery.path,
                headers={**delivery.headers, "X-Twilio-Signature": "AAAA"},
                content=delivery.body,
            )
        assert answer.status_code == 401 and answer.json()["code"] == "bad_signature"
        assert (await api.ask("GET", "/v1/conversations", key)).json()["data"] == []
        assert len(await log.read(api.database, tenant, limit=100)) == before


async def test_a_webhook_for_nobody_is_told_so(connect: Connect) -> None:
    async with connect() as api:
        answer = await api.http.post(f"/v1/channels/{new_id('chn')}/inbound", content=b"{}")
        assert answer.status_code == 404 and answer.json()["code"] == "no_such_channel"


class Odd(Channel):
    """A channel of somebody who makes mistakes."""

    name = "odd"
    title = "Odd"
    address = "user"
    capabilities = CHANNELS["sms.twilio"].capabilities

    class Settings(msgspec.Struct):
        pass

    def parse_webhook(self, account: Any, request: Any) -> Any:
        if request.body == b"hang":
            import time

            time.sleep(0.6)
        raise RuntimeError("token=hush")


async def test_a_channel_that_fails_or_hangs_harms_nobody_else(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.channels.PARSE_S", 0.2)
    async with connect() as api:
        tenant, key = await tenant_of(api)
        services = api.application.services
        assert services is not None
        monkeypatch.setitem(services.channels.known, "odd", Odd())
        row = await create_channel(
            api.database, tenant, secret=SECRET, type="odd", name="Odd", settings={}, hidden=()
        )
        url = f"/v1/channels/{row.id}/inbound"
        for body in (b"raise", b"hang"):
            answer = await api.http.post(url, content=body)
            assert answer.status_code == 503 and answer.json()["code"] == "channel_failed"
            assert "hush" not in answer.text
        assert (await api.ask("GET", "/v1/channels", key)).status_code == 200
        await asyncio.sleep(0.6)  # (its thread comes back before the next test)


async def test_secrets_are_never_shown_again_and_settings_are_checked(connect: Connect) -> None:
    async with connect() as api:
        _, key = await tenant_of(api)
        made = await api.ask(
            "POST", "/v1/channels", key, {"type": "sms.twilio", "name": "Main", "settings": TWILIO}
        )
        assert made.status_code == 201, made.text
        path = made.headers["location"]
        for answer in (made, await api.ask("GET", path, key), await api.ask("GET", "/v1/channels", key)):
            assert "hush" not in answer.text and "AC1" in answer.text
        for settings in ({}, {**TWILIO, "colour": "red"}, {**TWILIO, "account_sid": 7}):
            wrong = await api.ask("PATCH", path, key, {"settings": settings})
            assert wrong.status_code == 400 and wrong.json()["code"] == "bad_settings"
        unknown = await api.ask("POST", "/v1/channels", key, {"type": "pigeon", "name": "x", "settings": {}})
        assert unknown.json()["code"] == "no_such_channel_type"
        kinds = (await api.ask("GET", "/v1/channel-types?limit=200", key)).json()["data"]
        assert {one["type"] for one in kinds} == set(CHANNELS)
        twilio = next(one for one in kinds if one["type"] == "sms.twilio")
        assert twilio["settings"]["properties"]["auth_token"]["writeOnly"] is True


async def test_an_account_is_changed_switched_off_and_removed(connect: Connect) -> None:
    async with connect() as api:
        _, key = await tenant_of(api)
        made = await api.ask(
            "POST", "/v1/channels", key, {"type": "sms.twilio", "name": "A", "settings": TWILIO}
        )
        path = made.headers["location"]
        changed = await api.ask("PATCH", path, key, {"name": "B", "state": "disabled"})
        assert (changed.json()["name"], changed.json()["state"]) == ("B", "disabled")
        off = await api.http.post(f"{path}/inbound", content=b"")
        assert off.status_code == 409 and off.json()["code"] == "channel_disabled"
        assert (await api.ask("GET", f"{path}/backlog", key)).json() == {
            "waiting": 0, "calling": 0, "oldest_due_us": 0,
        }  # fmt: skip
        assert (await api.ask("DELETE", path, key)).status_code == 204
        assert (await api.ask("GET", path, key)).status_code == 404


async def test_an_answer_is_stored_to_be_sent_and_can_be_taken_back(connect: Connect) -> None:
    channel = CHANNELS["sms.twilio"]
    async with connect() as api:
        _, key = await tenant_of(api)
        with running(fake_of(channel)()) as fake:
            await connected(api, key, channel, fake)
            await asyncio.to_thread(fake.do, fake.write, "+4930123", "hello")
        (conversation,) = (await api.ask("GET", "/v1/conversations", key)).json()["data"]
        path = f"/v1/conversations/{conversation['id']}/messages"
        answer = await api.ask("POST", path, key, {"text": "On its way."}, {"Idempotency-Key": "k1"})
        assert answer.status_code == 202, answer.text
        message = answer.json()
        assert (message["state"], message["recipient"]["value"]) == ("queued", "+4930123")
        note = (
            await api.ask("POST", path, key, {"text": "VIP", "note": True}, {"Idempotency-Key": "k2"})
        ).json()
        assert (note["kind"], note["state"]) == ("note", "noted")
        backlog = await api.ask("GET", f"/v1/channels/{conversation['channel_id']}/backlog", key)
        assert backlog.json()["waiting"] == 1
        taken = await api.ask("POST", f"/v1/messages/{message['id']}/cancel", key)
        assert taken.json()["state"] == "cancelled"
        late = await api.ask("POST", f"/v1/messages/{note['id']}/cancel", key)
        assert late.status_code == 409 and late.json()["code"] == "too_late"
        for what in ("attempts", "receipts"):
            assert (await api.ask("GET", f"/v1/messages/{message['id']}/{what}", key)).json() == []


async def test_a_conversation_goes_through_its_states(connect: Connect) -> None:
    channel = CHANNELS["sms.twilio"]
    async with connect() as api:
        _, key = await tenant_of(api)
        with running(fake_of(channel)()) as fake:
            await connected(api, key, channel, fake)
            await asyncio.to_thread(fake.do, fake.write, "+4930123", "hello")
            (one,) = (await api.ask("GET", "/v1/conversations", key)).json()["data"]
            path = f"/v1/conversations/{one['id']}"
            for step, body, state in (
                ("snooze", {"until_us": 2**52}, "snoozed"),
                ("reopen", None, None),
                ("resolve", None, "resolved"),
                ("resolve", None, None),
                ("reopen", None, "open"),
                ("read", None, "open"),
                ("resolve", None, "resolved"),
            ):
                answer = await api.ask("POST", f"{path}/{step}", key, body)
                if state is None:
                    assert answer.status_code == 409 and answer.json()["code"] == "wrong_state", step
                else:
                    assert answer.json()["state"] == state, answer.text
            await asyncio.to_thread(fake.do, fake.write, "+4930123", "one more thing")
            assert len((await api.ask("GET", "/v1/conversations", key)).json()["data"]) == 2
            again = await api.ask("POST", f"{path}/reopen", key)
            assert again.status_code == 409, again.text
            changed = await api.ask("PATCH", path, key, {"labels": ["billing"], "priority": 3})
            assert (changed.json()["labels"], changed.json()["priority"]) == (["billing"], 3)
            nobody = await api.ask("POST", f"{path}/assign", key, {"assignee": "usr_none"})
            assert nobody.status_code == 404


async def test_a_channel_whose_code_never_comes_back_is_refused_at_once_and_alone(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.channels.PARSE_S", 0.1)
    let_go = threading.Event()
    odd = Odd()
    monkeypatch.setattr(odd, "parse_webhook", lambda *_: let_go.wait(10))
    async with connect() as api:
        tenant, key = await tenant_of(api)
        monkeypatch.setitem(api.services.channels.known, "odd", odd)
        row = await create_channel(
            api.database, tenant, secret=SECRET, type="odd", name="Odd", settings={}, hidden=()
        )
        try:
            for _ in range(6):
                answer = await api.http.post(f"/v1/channels/{row.id}/inbound", content=b"x")
                assert answer.status_code == 503 and answer.json()["code"] == "channel_failed"
            assert "restart" in answer.json()["detail"]
            with running(fake_of(CHANNELS["sms.twilio"])()) as fake:
                await connected(api, key, CHANNELS["sms.twilio"], fake)
                (delivery,) = await asyncio.to_thread(fake.do, fake.write, "+4930123", "hello")
                assert delivery.status in (200, 204)
        finally:
            let_go.set()
