"""Two tenants with the same things. Whatever endpoint there is, now or later: one never sees or touches the other's.

The requests are made from the OpenAPI document, so an endpoint that is added is tried without anybody thinking of
it; an id parameter that this file cannot fill fails the test.
"""

import json
import re
import struct
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from api.http import openapi
from api.http.operation import PUBLIC, SIGNED_IN
from api.http.table import OPERATIONS
from core import log
from core.access.roles import BUILT_IN, EVERYTHING
from core.clock import now_us
from core.ids import new_id
from core.model.queueing_records import QueueEntry
from core.model.records import Change, Recording
from core.model.reservations import Reservation
from core.storage import channels, jobs, webhook_log, webhooks
from core.storage.blobs import open_blobs
from core.storage.inbound import Arrival, write_inbound
from core.storage.queue_moves import insert, insert_rows
from irisx_sdk import Address, Inbound, Text
from tests.api.conftest import Connect
from tests.api.harness import SECRET, Api, Person

pytestmark = pytest.mark.asyncio_loop

ADMIN = BUILT_IN["admin"].permissions
DOCUMENT = json.loads(openapi.text())
GUARDED = [operation for operation in OPERATIONS if operation.permission != PUBLIC]


class Belongings:
    """One tenant's things, by the names that paths use."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.key = ""
        self.person: Person
        self.mark = ""
        """A text that is in everything of this tenant and in nothing of another's."""


async def belongings(api: Api, name: str) -> Belongings:
    """A tenant that has one of everything."""
    own = Belongings()
    tenant = await api.tenant(name)
    own.mark = tenant
    own.key = await api.key(ADMIN, tenant)
    own.person = await api.person("admin", tenant_id=tenant)
    node = await api.node(tenant_id=tenant)
    call = await api.call(node, tenant_id=tenant)
    leg = replace(
        call.legs[0],
        conference=f"{tenant}.sales",
        conference_member="7",
        recordings=(
            Recording(call.legs[0].uuid, f"recordings/{tenant}/{rec_of(tenant)}.wav", call.created_us),
        ),
    )
    call = replace(call, legs=(leg,), version=2, conference=f"{tenant}.sales")
    entered = Change(
        "conference.created",
        call,
        now_us(),
        {"conference": f"{tenant}.sales", "instance": tenant, "leg": leg.uuid},
    )
    over = await api.call(node, tenant_id=tenant)
    gone = replace(over.legs[0], state="ended", hangup_us=now_us(), hangup_cause="NORMAL_CLEARING")
    ended = replace(over, state="ended", ended_us=now_us(), legs=(gone,), version=2)
    await api.store(node, entered, Change("call.ended", ended, now_us()))
    entry = (await log.read(api.database, tenant, limit=1))[0]
    role = await api.ask("POST", "/v1/roles", own.key, {"name": "Own", "permissions": ["calls:read"]})
    made = await api.ask("POST", "/v1/api-keys", own.key, {"name": "Own", "scopes": ["calls:read"]})
    sessions = await api.ask("GET", "/v1/users/me/sessions", own.person.token)
    conference = await api.ask("GET", "/v1/conferences", own.key)
    cdr = await api.ask("GET", "/v1/cdrs", own.key)
    own.ids = {
        "tenant_id": tenant,
        "node_id": node,
        "call_id": call.id,
        "recording_id": await recorded(api, tenant, call.id),
        **await prompted(api, own.key, tenant),
        "cdr_id": cdr.json()["data"][0]["id"],
        "conference_id": conference.json()["data"][0]["id"],
        "member": leg.uuid,
        "event_id": json.loads(entry)["id"],
        "job_id": await jobs.create_job(api.database, tenant, kind="export"),
        "channel_type": await checked_channel(api, tenant),
        "user_id": own.person.id,
        "role_id": role.json()["id"],
        "key_id": made.json()["key"]["id"],
        "session_id": sessions.json()["data"][0]["id"],
        **await correspondence(api, tenant),
        **await endpoint(api, tenant),
        "attachment_id": (await upload(api, own.key, tenant))["id"],
        "endpoint_id": (await telephone(api, own.key, tenant))["endpoint"]["id"],
        **await queueing(api, own.key, tenant, own.person.id),
    }
    return own


def rec_of(tenant: str) -> str:
    return f"rec_{tenant.removeprefix('tnt_')}"


def sound(text: str) -> bytes:
    """A WAV file whose samples are a text."""
    data = text.encode() * 400
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, 8000, 16000, 2, 16)
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + fmt
    return head + struct.pack("<4sI", b"data", len(data)) + data


async def recorded(api: Api, tenant: str, call_id: str) -> str:
    """A recording that is stored."""
    recording_id, key, content = rec_of(tenant), f"recordings/{tenant}/x.wav", sound(f"{tenant} ")
    blob = open_blobs(api.services.settings).put(key, content)
    async with api.database.tenant(tenant) as connection:
        await connection.execute(
            "insert into recordings (tenant_id, id, call_id, node, source, state, expected_us, stored_us, key, size, sha256,"
            " channels, duration_ms, peaks) values ($1, $2, $3, 'node_1', 'order', 'stored', $4, $4, $5, $6, $7, 1, 900, $8)",
            tenant,
            recording_id,
            call_id,
            now_us(),
            key,
            len(content),
            bytes.fromhex(blob.sha256),
            bytes(range(200)),
        )
    return recording_id


async def prompted(api: Api, key: str, tenant: str) -> dict[str, str]:
    """A prompt, and a recording policy."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/octet-stream"}
    made = await api.http.post(
        "/v1/media", params={"name": tenant}, content=sound(f"{tenant} "), headers=headers
    )
    assert made.status_code == 201, made.text
    policy = await api.ask("POST", "/v1/recording-policies", key, {"name": tenant, "queues": ["que_1"]})
    assert policy.status_code == 201, policy.text
    return {"media_id": made.json()["id"], "recording_policy_id": policy.json()["id"]}


async def queueing(api: Api, key: str, tenant: str, user_id: str) -> dict[str, str]:
    """A queue with an agent, a number that leads there, somebody who waits, and an offer."""
    ids = {}
    for name, path, body in (
        ("skill_id", "skills", {"name": "german", "description": tenant}),
        ("queue_id", "queues", {"name": tenant}),
        ("disposition_id", "dispositions", {"name": tenant}),
        ("agent_id", "agents", {"name": tenant, "user_id": user_id}),
    ):
        made = await api.ask("POST", f"/v1/{path}", key, body)
        assert made.status_code == 201, made.text
        ids[name] = str((made.json()["agent"] if path == "agents" else made.json())["id"])
    await api.ask("PUT", f"/v1/queues/{ids['queue_id']}/members/{ids['agent_id']}", key)
    route = {"number": "+4930777", "queue_id": ids["queue_id"]}
    ids["inbound_route_id"] = (await api.ask("POST", "/v1/inbound-routes", key, route)).json()["id"]
    ids |= {"entry_id": new_id("qen"), "reservation_id": new_id("rsv")}
    async with api.database.tenant(tenant) as connection:
        entry = QueueEntry(
            id=ids["entry_id"], tenant_id=tenant, queue_id=ids["queue_id"], kind="conversation", class_="chat",
            conversation_id=f"conv_{tenant}", entered_us=now_us(), queued_us=now_us(),
        )  # fmt: skip
        offer = Reservation(
            id=ids["reservation_id"], tenant_id=tenant, agent_id=ids["agent_id"], kind="conversation", class_="chat",
            offered_us=now_us(), expires_us=now_us() + 10**9,
        )  # fmt: skip
        await insert_rows(connection, "queue_entries", [msgspec.to_builtins(entry)])
        await insert(connection, [offer], wrap_up_s=0, missed_reason="")
    return ids


async def telephone(api: Api, key: str, name: str) -> dict[str, Any]:
    answer = await api.ask("POST", "/v1/endpoints", key, {"name": name})
    found: dict[str, Any] = answer.json()
    return found


async def checked_channel(api: Api, tenant: str) -> str:
    """The name of a channel that this tenant has had checked: the name is everybody's, the check is not."""
    await jobs.create_job(api.database, tenant, kind="plugin.check", subject="sms.twilio")
    return "sms.twilio"


async def correspondence(api: Api, tenant: str) -> dict[str, str]:
    """An account, and a conversation with one message."""
    account = await channels.create_channel(
        api.database,
        tenant,
        secret=SECRET,
        type="sms.twilio",
        name=tenant,
        settings={"account_sid": "AC1", "auth_token": "hush"},
        hidden={"auth_token"},
    )
    said = Inbound(f"SM-{tenant}", Address("phone", "+4930123", tenant), Text(f"hello {tenant}"))
    (stored,) = await write_inbound(api.database, tenant, [Arrival(account.id, said, now_us())])
    return {
        **await people(api, tenant, stored.contact_id),
        **await carrying(api, tenant, account.id, stored.message_id),
        "channel_id": account.id,
        "conversation_id": stored.conversation_id,
        "message_id": stored.message_id,
    }


async def carrying(api: Api, tenant: str, account_id: str, message_id: str) -> dict[str, str]:
    """A carrier with rates, a decision about a message, and somebody who must not be written to."""
    key = await api.key(ADMIN, tenant)
    body: dict[str, Any] = {"name": f"Carrier {tenant}", "channel_ids": [account_id]}
    carrier = (await api.ask("POST", "/v1/carriers", key, body)).json()["id"]
    rates = {"carrier_id": carrier, "name": tenant, "currency": "EUR", "csv": "prefix,price\n49,0.07\n"}
    deck = await api.ask("POST", "/v1/rate-decks", key, rates)
    entry = await api.ask("POST", "/v1/dnc", key, {"kind": "email", "value": f"{tenant}@example.org"})
    steps = [{"do": "prefer", "carriers": [carrier]}]
    plan = await api.ask("POST", "/v1/routing/plans", key, {"name": f"Plan {tenant}", "steps": steps})
    decision_id = new_id("rtd")
    async with api.database.tenant(tenant) as connection:
        await connection.execute(
            "insert into routing_decisions (tenant_id, id, message_id, attempt, kind, prefix, segments, carrier_id,"
            " channel_id, explored, probe, candidates, decided_us)"
            " values ($1, $2, $3, 1, 'sms', '4930', 1, $4, $5, false, false, '[]', 1)",
            tenant,
            decision_id,
            message_id,
            carrier,
            account_id,
        )
    return {
        "carrier_id": carrier,
        "plan_id": plan.json()["id"],
        "deck_id": deck.json()["id"],
        "dnc_id": entry.json()["id"],
        "decision_id": decision_id,
    }


async def people(api: Api, tenant: str, contact_id: str) -> dict[str, str]:
    """A contact with an address, into which another one was merged."""
    key = await api.key(ADMIN, tenant)
    other = await api.ask("POST", "/v1/contacts", key, {"name": f"Other {tenant}"})
    merge = await api.ask("POST", "/v1/contacts/merge", key, {"kept": contact_id, "gone": other.json()["id"]})
    (identity, *_) = merge.json()["contact"]["identities"]
    return {
        **await written_once(api, key, tenant),
        "contact_id": contact_id,
        "identity_id": identity["id"],
        "merge_id": merge.json()["merge_id"],
        "label": f"vip-{tenant}",
    }


async def written_once(api: Api, key: str, tenant: str) -> dict[str, str]:
    """One of everything that is written once and used often."""
    action = {"do": "label", "add": [tenant]}
    bodies: dict[str, dict[str, Any]] = {
        "labels": {},
        "views": {"filter": "state[eq]=open"},
        "templates": {"text": "Hi {{contact.name|there}}"},
        "canned-replies": {"text": "Hi", "name": "hi"},
        "macros": {"actions": [action]},
        "rules": {"on": ["message.received"], "actions": [action]},
        "sla-policies": {"targets": {"first_reply_s": 60}},
        "schedules": {"timezone": "UTC", "weekly": [{"day": 0, "start": "09:00", "end": "17:00"}]},
    }
    names = ("label", "view", "template", "canned_reply", "macro", "rule", "sla_policy", "schedule")
    ids = {}
    for name, (path, body) in zip(names, bodies.items(), strict=True):
        made = await api.ask("POST", f"/v1/{path}", key, {"name": tenant, **body})
        assert made.status_code == 201, made.text
        ids[f"{name}_id"] = str(made.json()["id"])
    return ids


async def upload(api: Api, key: str, name: str) -> dict[str, Any]:
    """A file that is to be sent."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "text/plain"}
    answer = await api.http.post("/v1/attachments", params={"name": name}, content=b"hello", headers=headers)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def endpoint(api: Api, tenant: str) -> dict[str, str]:
    """An endpoint for webhooks with one delivery that waits."""
    made, _ = await webhooks.create_webhook(
        api.database, tenant, secret=SECRET, name=tenant, url="https://203.0.113.9/", types=["*"], at_once=1
    )
    delivery = await webhook_log.send_test(api.database, tenant, made.id)
    return {"webhook_id": made.id, "delivery_id": delivery}


def example(schema: dict[str, Any], ids: dict[str, str]) -> Any:
    """A value that a schema accepts, with the required members only."""
    while "$ref" in schema:
        schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return example(schema["anyOf"][0], ids)
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {
            name: ids[name] if name in ids else example(schema["properties"][name], ids)
            for name in schema.get("required", [])
        }
    if kind == "array":
        return [example(schema["items"], ids)] * schema.get("minItems", 0)
    if kind == "boolean":
        return True
    if kind in ("integer", "number"):
        return schema.get("minimum", 1)
    for text in (
        "https://203.0.113.9/", "+14155550100", "12", "calls:read", "someone@example.org", "NORMAL_CLEARING",
        "esl://:x@127.0.0.1:8021", "sofia/x/{number}", "pause",
        "conv_1", "ctc_1", "msg_1", "usr_1", "chn_1",
    ):  # fmt: skip
        if re.search(schema.get("pattern", ""), text) and len(text) >= schema.get("minLength", 0):
            return text
    raise AssertionError(f"no example for {schema}")


def request_for(operation: Any, ids: dict[str, str]) -> tuple[str, str, Any, dict[str, str]]:
    """A well-formed request for ``operation`` about these things."""
    path = operation.route
    for part in operation.paths:
        path = path.replace(f"{{{part.name}}}", ids[part.name])
    body = None
    if operation.body is not None:
        content = DOCUMENT["paths"][operation.route][operation.method.lower()]["requestBody"]["content"]
        body = example(content["application/json"]["schema"], ids)
    headers = {"Idempotency-Key": new_id("idem")} if operation.idempotency == "required" else {}
    return operation.method, path, body, headers


EVERYBODYS = {"check_channel_type", "get_conformance"}
"""What is named by something that all have, and is about a thing of one's own (`test_plugins`)."""
BODY_NEEDS = {"play_call": {"path": "ivr/hello.wav"}, "add_participant": {"to": "+14155550100"}}


async def test_nothing_of_another_tenant_is_found_by_its_id(connect: Connect) -> None:
    async with connect() as api:
        theirs = await belongings(api, "Theirs")
        mine = await belongings(api, "Mine")
        everything = await api.key(EVERYTHING, mine.mark)
        before = await everything_of(api, theirs)
        tried = 0
        for operation in GUARDED:
            if not operation.paths or operation.name in EVERYBODYS:
                continue
            method, path, body, headers = request_for(operation, theirs.ids)
            body = {**(body or {}), **BODY_NEEDS[operation.name]} if operation.name in BODY_NEEDS else body
            token = mine.person.token if operation.permission == SIGNED_IN else everything
            if operation.streaming:
                continue
            answer = await api.ask(method, path, token, body, headers)
            assert answer.status_code == 404, f"{operation.name}: {answer.status_code} {answer.text}"
            tried += 1
        assert tried >= 55
        assert await everything_of(api, theirs) == before


async def test_their_ids_are_found_by_themselves(connect: Connect) -> None:
    """The other side of the test above: those 404 are not because the ids are wrong."""
    async with connect() as api:
        own = await belongings(api, "Own")
        for operation in GUARDED:
            if operation.method == "GET" and operation.paths and operation.permission in ADMIN:
                _, path, _, _ = request_for(operation, own.ids)
                answer = await api.ask("GET", path, own.key)
                assert answer.status_code == 200, f"{operation.name}: {answer.text}"


async def test_no_list_shows_another_tenants_things(connect: Connect) -> None:
    async with connect() as api:
        theirs = await belongings(api, "Theirs")
        mine = await belongings(api, "Mine")
        foreign = {*theirs.ids.values()} - {"rec_1", "sms.twilio"}
        for operation in GUARDED:
            if operation.method != "GET" or operation.paths or operation.streaming:
                continue
            if operation.permission not in ADMIN and operation.permission != SIGNED_IN:
                continue
            own = operation.permission == SIGNED_IN or operation.name == "get_own_agent"
            answer = await api.ask("GET", operation.route, mine.person.token if own else mine.key)
            assert answer.status_code in (200, 503), f"{operation.name}: {answer.text}"
            seen = [one for one in foreign if one in answer.text]
            assert not seen, f"{operation.name} shows {seen}"


async def test_an_order_about_another_tenants_call_is_never_given(connect: Connect) -> None:
    async with connect() as api:
        theirs = await belongings(api, "Theirs")
        mine = await belongings(api, "Mine")
        async with api.owner(theirs.ids["node_id"]) as got:
            for operation in GUARDED:
                if operation.bucket == "calls" and operation.paths:
                    method, path, body, headers = request_for(operation, theirs.ids)
                    body = (
                        {**(body or {}), **BODY_NEEDS[operation.name]}
                        if operation.name in BODY_NEEDS
                        else body
                    )
                    answer = await api.ask(method, path, mine.key, body, headers)
                    assert answer.status_code in (403, 404), f"{operation.name}: {answer.text}"
        assert got == []


async def test_a_call_cannot_be_joined_with_another_tenants(connect: Connect) -> None:
    async with connect() as api:
        theirs = await belongings(api, "Theirs")
        mine = await belongings(api, "Mine")
        answer = await api.ask(
            "POST",
            "/v1/conferences",
            mine.key,
            {"name": "mine", "call_id": theirs.ids["call_id"]},
            {"Idempotency-Key": new_id("idem")},
        )
        assert answer.status_code == 404


@pytest.mark.parametrize("named", ["theirs", "nobody"])
async def test_naming_another_tenant_is_as_if_it_did_not_exist(connect: Connect, named: str) -> None:
    async with connect() as api:
        tenant = await api.tenant("Theirs") if named == "theirs" else new_id("tnt")
        mine = await api.key(ADMIN, await api.tenant("Mine"))
        answer = await api.ask("GET", "/v1/calls", mine, headers={"Tenant": tenant})
        assert answer.status_code == 404
        assert answer.json()["code"] == "no_such_tenant"


async def test_an_operator_may_name_any_tenant(connect: Connect) -> None:
    async with connect() as api:
        theirs = await belongings(api, "Theirs")
        operator = await api.operator_key()
        answer = await api.ask("GET", "/v1/calls", operator, headers={"Tenant": theirs.mark})
        assert theirs.ids["call_id"] in answer.text
        assert theirs.ids["call_id"] not in (await api.ask("GET", "/v1/calls", operator)).text


async def test_without_a_credential_every_endpoint_says_401(connect: Connect) -> None:
    async with connect() as api:
        for operation in GUARDED:
            ids = {part.name: f"x_{number}" for number, part in enumerate(operation.paths)}
            path = operation.route.format(**ids)
            for token in ("", "irx_" + "0" * 26 + "_" + "0" * 52, "eyJhbGciOiJub25lIn0.e30."):
                answer = await api.ask(operation.method, path, token)
                assert answer.status_code == 401, f"{operation.name}: {answer.text}"
                assert answer.headers["www-authenticate"].startswith("Bearer")
                assert answer.json()["code"] in ("no_credential", "bad_credential", "bad_token")


async def test_a_key_that_lacks_the_scope_is_refused_everywhere(connect: Connect) -> None:
    async with connect() as api:
        for operation in GUARDED:
            if operation.permission == SIGNED_IN:
                continue
            scopes = EVERYTHING - {operation.permission}
            key = await api.key(scopes, all_tenants=True)
            ids = {part.name: f"x_{number}" for number, part in enumerate(operation.paths)}
            answer = await api.ask(operation.method, operation.route.format(**ids), key)
            assert answer.status_code == 403, f"{operation.name}: {answer.text}"
            assert operation.permission in answer.json()["detail"]


async def everything_of(api: Api, own: Belongings) -> dict[str, str]:
    """All that a tenant can see of itself, without what changes by looking."""
    seen = {}
    for operation in GUARDED:
        if operation.method == "GET" and operation.permission in ADMIN and not operation.streaming:
            if operation.answers is str or operation.tag in ("system", "analytics"):
                continue
            _, path, _, _ = request_for(operation, own.ids)
            seen[operation.name] = (await api.ask("GET", path, own.key)).text
    seen.pop("list_api_keys")  # shows the last use
    seen.pop("get_queue_live")  # shows the time
    seen.pop("get_own_agent", None)  # a key is no agent
    return seen
