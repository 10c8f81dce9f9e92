"""What is installed, and whether it keeps its promises: asked for through the API."""

import pytest

from core.access.roles import EVERYTHING
from core.ids import new_id
from core.storage import jobs
from tests.api.conftest import Connect
from tests.api.harness import Api

pytestmark = pytest.mark.asyncio_loop


async def somebody(api: Api) -> tuple[str, str]:
    tenant = await api.tenant(new_id("tnt").removeprefix("tnt_")[-12:])
    return tenant, await api.key(EVERYTHING, tenant)


async def test_installed_plugins_are_listed_with_their_channels(connect: Connect) -> None:
    async with connect() as api:
        _, key = await somebody(api)
        found = (await api.ask("GET", "/v1/plugins", key)).json()["data"]
        ours = next(one for one in found if one["distribution"] == "irisx" and one["name"] == "channels")
        assert "sms.twilio" in ours["channels"] and ours["problem"] == "" and ours["version"]
        page = (await api.ask("GET", "/v1/plugins?limit=1", key)).json()
        assert len(page["data"]) == 1


async def test_a_check_is_a_job_and_its_result_is_found_again(connect: Connect) -> None:
    async with connect() as api:
        tenant, key = await somebody(api)
        path = "/v1/channel-types/sms.twilio/conformance"
        never = await api.ask("GET", path, key)
        assert (never.status_code, never.json()["code"]) == (404, "never_checked")
        asked = await api.ask("POST", path, key)
        assert asked.status_code == 202
        job = asked.json()
        assert (job["kind"], job["subject"], job["state"]) == ("plugin.check", "sms.twilio", "queued")
        again = await api.ask("POST", path, key)
        assert again.json()["id"] == job["id"], "the one that waits is enough"
        # (another file's host may be looking for work, too: this is its end as the worker writes it)
        async with api.database.system() as connection:
            await connection.execute("update jobs set state = 'running' where id = $1", job["id"])
        await jobs.finish_job(api.database, tenant, job["id"], result={"checks": []})
        found = (await api.ask("GET", path, key)).json()
        assert (found["state"], found["result"]) == ("done", {"checks": []})
        _, other = await somebody(api)
        assert (await api.ask("GET", path, other)).json()["code"] == "never_checked", (
            "another tenant's is its own"
        )
        assert (await api.ask("POST", path, key)).json()["id"] != job["id"]


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_an_unknown_channel_is_said_to_be_unknown(connect: Connect, method: str) -> None:
    async with connect() as api:
        _, key = await somebody(api)
        answer = await api.ask(method, "/v1/channel-types/nothing/conformance", key)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_such_channel_type")
