"""API keys: shown once, scoped, rotated, expiring, with a last use."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from core.access import keys
from core.storage import access_keys
from tests.api.conftest import Connect

pytestmark = pytest.mark.asyncio_loop


def test_a_keys_text_holds_its_id_and_only_the_hash_is_kept() -> None:
    key_id, text, digest = keys.fresh_key()
    assert keys.parse_key(text) == (key_id, digest)
    secret = text.rpartition("_")[2]
    assert len(secret) == 52 and secret.encode() not in digest


@pytest.mark.parametrize(
    "text", ["irx_", "irx_a_b", "irx_" + "A" * 26 + "_" + "0" * 52, "irx_" + "0" * 26, "x"]
)
def test_what_cannot_be_a_key_is_none(text: str) -> None:
    assert keys.parse_key(text) is None


async def test_the_secret_is_shown_once_and_kept_nowhere(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        made = await api.ask("POST", "/v1/api-keys", admin.token, {"name": "CI", "scopes": ["calls:read"]})
        secret, key = made.json()["secret"], made.json()["key"]
        assert secret.startswith("irx_")
        for path in (f"/v1/api-keys/{key['id']}", "/v1/api-keys"):
            assert secret.rpartition("_")[2] not in (await api.ask("GET", path, admin.token)).text
        async with api.database.system() as conn:
            row = await conn.fetchval("select k::text from api_keys k where id = $1", key["id"])
        assert secret.rpartition("_")[2] not in row


async def test_a_repetition_does_not_show_the_secret_again(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        again = {"Idempotency-Key": "make-one-key"}
        body = {"name": "CI", "scopes": ["calls:read"]}
        first = await api.ask("POST", "/v1/api-keys", admin.token, body, again)
        second = await api.ask("POST", "/v1/api-keys", admin.token, body, again)
        assert second.headers["idempotent-replayed"] == "true"
        assert second.json() == {**first.json(), "secret": None}
        async with api.database.system() as conn:
            kept = await conn.fetchval(
                "select string_agg(convert_from(body, 'UTF8'), '') from idempotency_keys"
            )
        assert first.json()["secret"] not in kept


async def test_rotation_may_overlap(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        made = (
            await api.ask("POST", "/v1/api-keys", admin.token, {"name": "k", "scopes": ["calls:read"]})
        ).json()
        path = f"/v1/api-keys/{made['key']['id']}/rotate"

        async def works(secret: str) -> bool:
            return (await api.ask("GET", "/v1/calls", secret)).status_code == 200

        assert await works(made["secret"])
        second = (await api.ask("POST", path, admin.token, {"overlap_s": 60})).json()["secret"]
        assert [await works(one) for one in (made["secret"], second)] == [True, True]
        third = (await api.ask("POST", path, admin.token)).json()["secret"]
        assert [await works(one) for one in (made["secret"], second, third)] == [False, False, True]


async def test_an_expired_key_is_none(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        made = await api.ask(
            "POST", "/v1/api-keys", admin.token, {"name": "k", "scopes": ["calls:read"], "expires_at": soon}
        )
        await asyncio.sleep(1.1)
        assert (await api.ask("GET", "/v1/calls", made.json()["secret"])).status_code == 401
        seen = await api.ask("GET", f"/v1/api-keys/{made.json()['key']['id']}", admin.token)
        assert seen.json()["state"] == "expired"


@pytest.mark.parametrize("moment", ["2020-01-01T00:00:00Z", "2099-01-01T00:00:00", "tomorrow"])
async def test_an_expiry_must_be_a_moment_to_come(connect: Connect, moment: str) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        body = {"name": "k", "scopes": ["calls:read"], "expires_at": moment}
        answer = await api.ask("POST", "/v1/api-keys", admin.token, body)
        assert answer.status_code == 400 and answer.json()["errors"][0]["pointer"] == "/expires_at"


async def test_a_revoked_key_ends_at_once_and_stays_in_the_list(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        made = (
            await api.ask("POST", "/v1/api-keys", admin.token, {"name": "k", "scopes": ["calls:read"]})
        ).json()
        path = f"/v1/api-keys/{made['key']['id']}"
        assert (await api.ask("GET", "/v1/calls", made["secret"])).status_code == 200
        assert (await api.ask("DELETE", path, admin.token)).status_code == 204
        assert (await api.ask("GET", "/v1/calls", made["secret"])).status_code == 401
        assert (await api.ask("GET", path, admin.token)).json()["state"] == "revoked"
        for method, more, body in (
            ("POST", "/rotate", None),
            ("PATCH", "", {"name": "back"}),
            ("DELETE", "", None),
        ):
            assert (await api.ask(method, path + more, admin.token, body)).status_code == 409


async def test_a_change_of_scopes_counts_at_once(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        made = (
            await api.ask("POST", "/v1/api-keys", admin.token, {"name": "k", "scopes": ["calls:read"]})
        ).json()
        assert (await api.ask("GET", "/v1/calls", made["secret"])).status_code == 200
        await api.ask("PATCH", f"/v1/api-keys/{made['key']['id']}", admin.token, {"scopes": ["cdrs:read"]})
        assert (await api.ask("GET", "/v1/calls", made["secret"])).status_code == 403
        assert (await api.ask("GET", "/v1/cdrs", made["secret"])).status_code == 200


async def test_the_last_use_is_recorded_at_most_once_a_minute(connect: Connect) -> None:
    async with connect() as api:
        admin = await api.person("admin")
        made = (
            await api.ask("POST", "/v1/api-keys", admin.token, {"name": "k", "scopes": ["calls:read"]})
        ).json()
        path = f"/v1/api-keys/{made['key']['id']}"
        assert (await api.ask("GET", path, admin.token)).json()["last_used_at"] is None
        for _ in range(3):
            await api.ask("GET", "/v1/calls", made["secret"])
        async with asyncio.timeout(12):
            while (used := (await api.ask("GET", path, admin.token)).json()["last_used_at"]) is None:
                await asyncio.sleep(0.1)
        async with api.database.system() as conn:
            await access_keys.note_key_use(conn, [made["key"]["id"]])
        assert (await api.ask("GET", path, admin.token)).json()["last_used_at"] == used
