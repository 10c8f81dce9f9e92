"""Recordings for people: found, played in pieces, by address, on record; held, erased with proof; policies, prompts."""

import asyncio
import hashlib
from typing import Any

import pytest

from api.http.sounds import wanted_range
from core.access.roles import BUILT_IN
from core.clock import now_us
from core.storage.blobs import open_blobs
from tests.api.conftest import Connect
from tests.api.harness import Api
from tests.api.test_tenants_apart import recorded, sound

pytestmark = pytest.mark.asyncio_loop


async def office(api: Api, role: str = "admin") -> tuple[str, str]:
    """A tenant and an admin's token there."""
    tenant = await api.tenant()
    person = await api.person(role, tenant_id=tenant)
    return tenant, person.token


async def get(api: Api, path: str, token: str = "", **headers: str) -> Any:
    return await api.ask("GET", path, token, headers=headers)


async def test_a_recording_is_played_whole_and_in_pieces(connect: Connect) -> None:
    async with connect() as api:
        tenant, token = await office(api)
        recording_id = await recorded(api, tenant, "call_1")
        content = sound(f"{tenant} ")
        path = f"/v1/recordings/{recording_id}/media"
        full = await get(api, path, token)
        assert (full.status_code, full.content) == (200, content)
        assert full.headers["accept-ranges"] == "bytes" and full.headers["content-type"] == "audio/wav"
        piece = await get(api, path, token, Range="bytes=10-19")
        assert (piece.status_code, piece.content) == (206, content[10:20])
        assert piece.headers["content-range"] == f"bytes 10-19/{len(content)}"
        tail = await get(api, path, token, Range="bytes=-7")
        assert (tail.status_code, tail.content) == (206, content[-7:])
        rest = await get(api, path, token, Range=f"bytes={len(content) - 3}-")
        assert rest.content == content[-3:]
        beyond = await get(api, path, token, Range=f"bytes={len(content)}-")
        assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")
        odd = await get(api, path, token, Range="pages=1-2")
        assert odd.status_code == 200
        changed = await get(api, path, token, **{"Range": "bytes=0-1", "If-Range": '"another"'})
        assert changed.status_code == 200
        same = await get(api, path, token, **{"Range": "bytes=0-1", "If-Range": full.headers["etag"]})
        assert same.status_code == 206


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("", None),
        ("bytes=0-0", (0, 1)),
        ("bytes=0-999", (0, 100)),
        ("bytes=90-", (90, 100)),
        ("bytes=-300", (0, 100)),
        ("bytes=5-2", None),
        ("bytes=0-1,5-6", None),
        ("bytes=-", None),
        ("bytes=x-1", None),
    ],
)
async def test_ranges_are_read_as_http_says(said: str, found: tuple[int, int] | None) -> None:
    assert wanted_range(said, 100) == found


async def test_who_hears_it_is_written_down_before(connect: Connect) -> None:
    async with connect() as api:
        tenant, token = await office(api)
        hearer = await api.person("supervisor", tenant_id=tenant)
        recording_id = await recorded(api, tenant, "call_1")
        path = f"/v1/recordings/{recording_id}"
        for first in range(0, 100, 10):
            await get(api, f"{path}/media", hearer.token, Range=f"bytes={first}-{first + 9}")
        plays = (await get(api, f"{path}/accesses", token)).json()["data"]
        assert [(one["actor"], one["requests"], one["bytes"]) for one in plays] == [(hearer.id, 10, 100)]
        assert (await get(api, path, token)).json()["plays"] == 1
        assert (await get(api, f"{path}/accesses", hearer.token)).status_code == 403
        _, stranger = await office(api)
        for there in ("", "/media", "/waveform", "/accesses"):
            assert (await get(api, path + there, stranger)).status_code == 404
        for there in ("/address", "/verify"):
            assert (await api.ask("POST", path + there, stranger)).status_code == 404
        assert len((await get(api, f"{path}/accesses", token)).json()["data"]) == 1


async def test_an_address_plays_without_a_session_for_a_while_and_for_one_person(connect: Connect) -> None:
    async with connect() as api:
        tenant, token = await office(api)
        hearer = await api.person("supervisor", tenant_id=tenant)
        recording_id = await recorded(api, tenant, "call_1")
        made = await api.ask("POST", f"/v1/recordings/{recording_id}/address", hearer.token)
        assert made.status_code == 201
        address = made.json()["address"]
        assert made.json()["expires_us"] > now_us()
        piece = await get(api, address, Range="bytes=0-3")
        assert (piece.status_code, piece.content) == (206, b"RIFF")
        plays = (await get(api, f"/v1/recordings/{recording_id}/accesses", token)).json()["data"]
        assert [(one["actor"], one["way"]) for one in plays] == [(hearer.id, "address")]
        for bad in (
            address.replace(hearer.id, "usr_somebody"),
            address[:-1] + ("0" if address[-1] != "0" else "1"),
            address.replace("expires=", "expires=9"),
            address.replace(recording_id, "rec_other"),
        ):
            assert (await get(api, bad)).status_code == 403


async def test_agents_see_and_hear_no_recordings_and_viewers_hear_none(connect: Connect) -> None:
    async with connect() as api:
        tenant, _ = await office(api)
        recording_id = await recorded(api, tenant, "call_1")
        agent, viewer = (
            await api.person("agent", tenant_id=tenant),
            await api.person("viewer", tenant_id=tenant),
        )
        assert (await get(api, "/v1/recordings", agent.token)).status_code == 403
        assert (await get(api, "/v1/recordings", viewer.token)).status_code == 200
        assert (await get(api, f"/v1/recordings/{recording_id}/media", viewer.token)).status_code == 403
        assert "recordings:play" in BUILT_IN["supervisor"].permissions


async def test_lists_and_counts_tell_what_was_expected_and_what_was_found(connect: Connect) -> None:
    async with connect() as api:
        tenant, token = await office(api)
        recording_id = await recorded(api, tenant, "call_1")
        async with api.database.tenant(tenant) as connection:
            await connection.execute(
                "insert into recordings (tenant_id, id, call_id, node, source, state, reason, expected_us, agent_id)"
                " values ($1, 'rec_gone', 'call_2', 'n', 'policy', 'missing', 'not_on_disk', 5, 'agt_1')",
                tenant,
            )
        counts = (await get(api, "/v1/recordings/summary", token)).json()
        assert (counts["stored"], counts["missing"], counts["expected"]) == (1, 1, 0)
        assert (await get(api, "/v1/recordings/summary?since_us=6", token)).json()["missing"] == 0
        found = (await get(api, "/v1/recordings?state[eq]=missing&agent_id[eq]=agt_1", token)).json()["data"]
        assert [(one["id"], one["reason"]) for one in found] == [("rec_gone", "not_on_disk")]
        found = (await get(api, "/v1/recordings?call_id[eq]=call_1", token)).json()["data"]
        assert [one["id"] for one in found] == [recording_id]
        assert (await get(api, "/v1/recordings/rec_gone/media", token)).status_code == 409
        shape = (await get(api, f"/v1/recordings/{recording_id}/waveform?points=4", token)).json()
        assert shape == {"duration_ms": 900, "channels": [[49, 99, 149, 199]]}


async def test_a_held_recording_cannot_be_erased_and_an_erased_one_is_gone_with_proof(
    connect: Connect,
) -> None:
    async with connect() as api:
        tenant, token = await office(api)
        recording_id = await recorded(api, tenant, "call_1")
        path, content = f"/v1/recordings/{recording_id}", sound(f"{tenant} ")
        held = await api.ask("PUT", f"{path}/hold", token, {"reason": "case 7"})
        assert (held.json()["hold"], held.json()["hold_reason"]) == (True, "case 7")
        refused = await api.ask("DELETE", path, token)
        assert (refused.status_code, refused.json()["code"]) == (409, "on_hold")
        old = await api.ask("DELETE", f"{path}/hold", token, headers={"If-Match": '"1"'})
        assert old.status_code == 412
        assert (await api.ask("DELETE", f"{path}/hold", token)).json()["hold"] is False
        good = await api.ask("POST", f"{path}/verify", token)
        assert good.json()["good"] is True
        gone = await api.ask("DELETE", f"{path}?reason=asked%20for", token)
        proof = gone.json()["erased"]
        assert gone.json()["state"] == "erased"
        assert (proof["reason"], proof["sha256"]) == ("asked for", hashlib.sha256(content).hexdigest())
        blobs = open_blobs(api.services.settings)
        assert await asyncio.to_thread(blobs.stat, proof["key"]) is None
        assert (await get(api, f"{path}/media", token)).status_code == 409
        assert (await api.ask("DELETE", path, token)).json()["code"] == "recording_erased"


async def test_what_the_store_holds_is_compared_when_asked_for(connect: Connect) -> None:
    async with connect() as api:
        tenant, token = await office(api)
        recording_id = await recorded(api, tenant, "call_1")
        open_blobs(api.services.settings).put(f"recordings/{tenant}/x.wav", b"something else")
        answer = await api.ask("POST", f"/v1/recordings/{recording_id}/verify", token)
        assert answer.json()["good"] is False


async def test_policies_are_kept_changed_and_asked(connect: Connect) -> None:
    async with connect() as api:
        _, token = await office(api)
        made = await api.ask(
            "POST", "/v1/recording-policies", token, {"name": "Claims", "queues": ["que_1"], "position": 1}
        )
        assert made.status_code == 201
        claims, path = made.json(), made.headers["location"]
        rest = await api.ask(
            "POST",
            "/v1/recording-policies",
            token,
            {"name": "Rest", "prefixes": ["49"], "retention_days": 30},
        )
        ask = {"number": "+4930123"}
        said = (await api.ask("POST", "/v1/recording-policies/simulate", token, ask)).json()
        assert (said["record"], said["policy_id"]) == (True, rest.json()["id"])
        assert said["looked_at"][0] == {"policy_id": claims["id"], "skipped": "queue"}
        changed = await api.ask("PATCH", path, token, {"action": "never"}, {"If-Match": made.headers["etag"]})
        assert changed.json()["action"] == "never"
        late = await api.ask("PATCH", path, token, {"share": 5}, {"If-Match": made.headers["etag"]})
        assert late.status_code == 412
        said = (
            await api.ask("POST", "/v1/recording-policies/simulate", token, {**ask, "queue_id": "que_1"})
        ).json()
        assert (said["record"], said["reason"]) == (False, "never")
        assert (await api.ask("DELETE", path, token)).status_code == 204
        names = [one["name"] for one in (await get(api, "/v1/recording-policies", token)).json()["data"]]
        assert names == ["Rest"]
        for wrong in (
            {"share": 101},
            {"moment": "soon"},
            {"announcement": "med_none"},
            {"prefixes": ["+49"]},
        ):
            answer = await api.ask("POST", "/v1/recording-policies", token, {"name": "x", **wrong})
            assert answer.status_code == 400, wrong


async def upload(api: Api, token: str, content: bytes, name: str = "Consent") -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
    return await api.http.post(
        "/v1/media", params={"name": name, "language": "de"}, content=content, headers=headers
    )


async def test_prompts_are_uploaded_heard_used_and_not_removed_while_they_are_used(connect: Connect) -> None:
    async with connect() as api:
        _, token = await office(api)
        made = await upload(api, token, sound("ding"))
        assert made.status_code == 201
        about, path = made.json(), made.headers["location"]
        assert (about["name"], about["language"], about["rate"], about["channels"]) == (
            "Consent",
            "de",
            8000,
            1,
        )
        assert about["duration_ms"] == 100
        assert (await get(api, f"{path}/content", token)).content == sound("ding")
        assert (await get(api, f"{path}/content", token, Range="bytes=0-3")).content == b"RIFF"
        policy = await api.ask(
            "POST", "/v1/recording-policies", token, {"name": "P", "announcement": about["id"]}
        )
        assert policy.status_code == 201
        assert (await api.ask("DELETE", path, token)).status_code == 409
        await api.ask("DELETE", policy.headers["location"], token)
        renamed = await api.ask("PATCH", path, token, {"name": "New"})
        assert renamed.json()["name"] == "New"
        assert (await api.ask("DELETE", path, token)).status_code == 204
        assert (await get(api, path, token)).status_code == 404
        assert (await get(api, "/v1/media", token)).json()["data"] == []


@pytest.mark.parametrize("content", [b"", b"hello", sound("")[:20], sound("")])
async def test_what_is_no_sound_is_no_prompt(connect: Connect, content: bytes) -> None:
    async with connect() as api:
        _, token = await office(api)
        answer = await upload(api, token, content)
        assert (answer.status_code, answer.json()["code"]) == (400, "not_a_sound")


async def test_a_policy_may_forbid_to_pause(connect: Connect) -> None:
    async with connect() as api:
        tenant, token = await office(api)
        node = await api.node(tenant_id=tenant)
        call = await api.call(node, tenant_id=tenant)
        recording_id = await recorded(api, tenant, call.id)
        async with api.database.tenant(tenant) as connection:
            await connection.execute("update recordings set pause_allowed = false")
        answer = await api.ask(
            "PATCH", f"/v1/calls/{call.id}/recordings/{recording_id}", token, {"action": "pause"}
        )
        assert (answer.status_code, answer.json()["code"]) == (409, "pause_not_allowed")


async def test_the_status_page_tells_what_is_missing_and_what_waits_too_long(connect: Connect) -> None:
    async with connect() as api:
        tenant, token = await office(api)

        async def said() -> list[Any]:
            found = (await get(api, "/v1/status/components", token)).json()["data"]
            return [(one["state"], one["detail"]) for one in found if one["kind"] == "recordings"]

        assert await said() == []
        await recorded(api, tenant, "call_1")
        assert (await said())[0][0] == "good"
        async with api.database.tenant(tenant) as connection:
            await connection.execute("update recordings set state = 'stopped', stopped_us = 1")
        assert (await said())[0][0] == "attention"
        async with api.database.tenant(tenant) as connection:
            await connection.execute("update recordings set state = 'missing', call_ended_us = $1", now_us())
        ((state, detail),) = await said()
        assert state == "bad" and detail.startswith("1 is missing.")
