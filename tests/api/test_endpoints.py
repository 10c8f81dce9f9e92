"""Telephones: made, told their password once, looked up by switches, seen where they are."""

import asyncio
import base64
import hashlib
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import httpx
import pytest

from core.access.roles import EVERYTHING
from core.access.switches import directory_password
from core.ids import new_id
from core.model.directory import DOMAIN
from core.model.orders import Order, Outcome
from tests.api.conftest import Connect
from tests.api.harness import SECRET, Api

pytestmark = pytest.mark.asyncio_loop


async def made(api: Api, key: str, **more: Any) -> dict[str, Any]:
    answer = await api.ask(
        "POST", "/v1/endpoints", key, {"name": "Reception", **more}, {"Idempotency-Key": new_id("idk")}
    )
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def look_up(
    api: Api, node: str, user: str, *, user_of: str = "", password: str | None = None, **fields: str
) -> httpx.Response:
    """What a switch asks when a telephone registers."""
    shown = directory_password(SECRET, node) if password is None else password
    credentials = base64.b64encode(f"{user_of or node}:{shown}".encode()).decode()
    form = {"section": "directory", "tag_name": "domain", "key_name": "name", "key_value": DOMAIN}
    form |= {"user": user, "domain": DOMAIN, "action": "sip_auth", **fields}
    async with httpx.AsyncClient(base_url=api.url, trust_env=False) as client:
        return await client.post(
            f"/v1/nodes/{node}/directory",
            content=urlencode(form),
            headers={
                "authorization": f"Basic {credentials}",
                "content-type": "application/x-www-form-urlencoded",
            },
        )


def params(answer: httpx.Response) -> dict[str, str]:
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/xml")
    document = ElementTree.fromstring(answer.content)
    return {
        one.attrib["name"]: one.attrib["value"]
        for kind in ("param", "variable")
        for one in document.iter(kind)
    }


def is_unknown(answer: httpx.Response) -> bool:
    document = ElementTree.fromstring(answer.content)
    return answer.status_code == 200 and [one.attrib for one in document.iter("result")] == [
        {"status": "not found"}
    ]


async def test_a_telephone_is_told_its_password_once_and_a_switch_knows_what_it_needs(
    connect: Connect,
) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        key, node = await api.key(EVERYTHING, tenant), await api.node()
        body, headers = {"name": "Reception"}, {"Idempotency-Key": "once"}
        first = (await api.ask("POST", "/v1/endpoints", key, body, headers)).json()
        again = (await api.ask("POST", "/v1/endpoints", key, body, headers)).json()
        assert again == {**first, "secret": None}
        shown = await api.ask("GET", f"/v1/endpoints/{first['endpoint']['id']}", key)
        assert "secret" not in shown.json() and first["secret"] not in shown.text
        found = params(await look_up(api, node, first["username"]))
        digest = hashlib.md5(f"{first['username']}:{DOMAIN}:{first['secret']}".encode()).hexdigest()
        assert found["a1-hash"] == digest
        assert found["irisx_tenant"] == tenant and found["irisx_endpoint"] == first["endpoint"]["id"]
        assert found["dial-string"] == f"sofia/phones/{first['username']}%{DOMAIN}"


async def test_only_the_switch_itself_may_look_anybody_up(connect: Connect) -> None:
    async with connect() as api:
        key, node, other = await api.key(EVERYTHING), await api.node(), await api.node()
        user = (await made(api, key))["username"]
        access = (await api.ask("GET", f"/v1/nodes/{node}/directory-access", await api.operator_key())).json()
        assert access["user"] == node and access["url"].endswith(f"/v1/nodes/{node}/directory")
        assert not is_unknown(await look_up(api, node, user, password=access["password"]))
        for wrong in ({"password": ""}, {"password": "x"}, {"password": directory_password(SECRET, other)}):
            refused = await look_up(api, node, user, **wrong)
            assert refused.status_code == 401 and "Basic" in refused.headers["www-authenticate"]
        assert (await look_up(api, node, user, user_of=other)).status_code == 401


@pytest.mark.parametrize(
    "asked",
    [
        {"user": "nobodyatall"},
        {"user": "../etc"},
        {"user": "x" * 5000},
        {"section": "configuration"},
        {"domain": "irisx.inside"},
    ],
)
async def test_what_is_nobody_is_not_found(connect: Connect, asked: dict[str, str]) -> None:
    async with connect() as api:
        node = await api.node()
        user = (await made(api, await api.key(EVERYTHING)))["username"]
        assert is_unknown(await look_up(api, node, **{"user": user, **asked}))


async def test_a_new_password_ends_the_old_one_and_the_switch_is_told(connect: Connect) -> None:
    async with connect() as api:
        key, node = await api.key(EVERYTHING), await api.node()
        one = await made(api, key)
        before = params(await look_up(api, node, one["username"]))["a1-hash"]
        async with api.owner(node, _forgets) as orders:
            turned = await api.ask("POST", f"/v1/endpoints/{one['endpoint']['id']}/rotate", key, {})
            assert turned.json()["secret"] not in (None, one["secret"])
            async with asyncio.timeout(20):
                while not orders:
                    await asyncio.sleep(0.02)
        assert [(order.action, order.args) for order in orders] == [
            ("node.forget_user", {"user": one["username"]})
        ]
        assert params(await look_up(api, node, one["username"]))["a1-hash"] != before


async def test_one_that_is_disabled_or_removed_registers_no_more(connect: Connect) -> None:
    async with connect() as api:
        key, node = await api.key(EVERYTHING), await api.node()
        one = await made(api, key)
        path = f"/v1/endpoints/{one['endpoint']['id']}"
        tag = (await api.ask("GET", path, key)).headers["etag"]
        off = await api.ask("PATCH", path, key, {"enabled": False}, {"If-Match": tag})
        assert off.json()["enabled"] is False
        assert is_unknown(await look_up(api, node, one["username"]))
        on = await api.ask("PATCH", path, key, {"enabled": True}, {"If-Match": off.headers["etag"]})
        assert on.status_code == 200 and not is_unknown(await look_up(api, node, one["username"]))
        assert (await api.ask("DELETE", path, key)).status_code == 204
        assert is_unknown(await look_up(api, node, one["username"]))
        assert (await api.ask("GET", path, key)).status_code == 404


async def test_who_is_registered_is_asked_of_the_switches_and_only_the_own_are_shown(
    connect: Connect,
) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        key, node = await api.key(EVERYTHING, tenant), await api.node("front")
        ours, theirs = await made(api, key), await made(api, await api.key(EVERYTHING))

        def answer(order: Order) -> Outcome:
            rows = [
                {
                    "reg_user": user,
                    "realm": DOMAIN,
                    "url": f"sofia/phones/sip:{user}@192.0.2.7",
                    "expires": "1795423707",
                    "network_ip": "192.0.2.7",
                    "network_port": "5060",
                    "network_proto": "udp",
                }
                for user in (ours["username"], theirs["username"], "a-stranger")
            ]
            return Outcome(order_id=order.id, status="done", result={"registrations": rows})

        async with api.owner(node, answer):
            found = (await api.ask("GET", "/v1/registrations", key)).json()
        assert [one["endpoint_id"] for one in found["data"]] == [ours["endpoint"]["id"]]
        assert found["data"][0]["address"] == "192.0.2.7:5060"
        silent = (await api.ask("GET", "/v1/registrations", key)).json()
        assert silent["data"] == [] and silent["unanswered"] == found["unanswered"] + 1


async def test_an_agent_of_somebody_else_is_none(connect: Connect) -> None:
    async with connect() as api:
        key = await api.key(EVERYTHING)
        answer = await api.ask(
            "POST",
            "/v1/endpoints",
            key,
            {"name": "x", "agent_id": "agt_0"},
            {"Idempotency-Key": new_id("idk")},
        )
        assert answer.status_code in (400, 409, 422) and answer.json()["code"] == "no_such_agent"


def _forgets(order: Order) -> Outcome:
    return Outcome(order_id=order.id, status="done", result={})
