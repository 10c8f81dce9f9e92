"""Endpoints for webhooks through the API: a secret that is shown once, addresses that are refused, deliveries to look at."""

from typing import Any

import pytest

from core.access.roles import BUILT_IN, EVERYTHING
from core.ids import new_id
from core.model.webhooks import After, Attempt, headers, is_genuine, payload
from core.storage import webhook_results
from core.storage import webhook_work as work
from core.storage.webhook_work import Job
from tests.api.conftest import Connect
from tests.api.harness import Api

pytestmark = pytest.mark.asyncio_loop

URL = "https://203.0.114.9/hook"
"""A public address that nobody is asked at: what delivers is another process."""


class Shop:
    """A tenant, and a key that may do everything in it."""

    def __init__(self, api: Api, tenant: str, key: str) -> None:
        self.api, self.tenant, self.key = api, tenant, key

    async def ask(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = await self.api.ask(method, f"/v1{path}", self.key, body, headers)
        assert answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def make(self, **members: Any) -> tuple[dict[str, Any], str]:
        made = await self.ask("POST", "/webhooks", {"url": URL, "name": "Ours", **members}, 201)
        return made["webhook"], made["secret"]

    async def taken(self) -> list[Job]:
        """What a host would deliver now, of this tenant."""
        jobs, _ = await work.take(self.api.database, "host", room=1000, tenant_room=1000, busy={})
        return [job for job in jobs if job.tenant_id == self.tenant]


async def shop(api: Api) -> Shop:
    tenant = await api.tenant(new_id("tnt").removeprefix("tnt_")[-12:])
    return Shop(api, tenant, await api.key(EVERYTHING, tenant))


async def test_a_secret_is_shown_once_and_never_again(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        body = {"url": URL, "types": ["call.*", "message.received"]}
        key = {"Idempotency-Key": new_id("idm")}
        made = await ours.ask("POST", "/webhooks", body, 201, **key)
        secret = made["secret"]
        assert secret.startswith("whsec_")
        again = await ours.ask("POST", "/webhooks", body, 201, **key)
        assert again == {**made, "secret": None}
        path = f"/webhooks/{made['webhook']['id']}"
        for seen in (
            await ours.ask("GET", path),
            await ours.ask("GET", "/webhooks"),
            await ours.ask("GET", "/events?limit=200"),
            await ours.ask("PATCH", path, {"name": "Theirs"}),
        ):
            assert secret not in str(seen)
        rotated = await ours.ask("POST", f"{path}/secret/rotate", {"overlap_s": 60})
        assert rotated["secret"] not in (secret, None)
        assert rotated["webhook"]["old_secret_until_us"] > rotated["webhook"]["updated_us"]


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/", "https://169.254.169.254/latest/meta-data/",
        "https://[::1]/", "https://[::ffff:127.0.0.1]/", "https://[fd00::1]/", "https://0.0.0.0/", "https://0x7f.1/",
        "https://2130706433/", "https://192.168.1.1:8443/", "https://100.64.0.1/", "https://224.0.0.1/",
    ],
)  # fmt: skip
async def test_an_address_inside_is_refused(connect: Connect, url: str) -> None:
    async with connect() as api:
        ours = await shop(api)
        answer = await ours.ask("POST", "/webhooks", {"url": url}, 400)
        assert answer["code"] in ("private_address", "bad_webhook_url"), answer
        made, _ = await ours.make()
        answer = await ours.ask("PATCH", f"/webhooks/{made['id']}", {"url": url}, 400)
        assert answer["code"] in ("private_address", "bad_webhook_url")
        assert (await ours.ask("GET", f"/webhooks/{made['id']}"))["url"] == URL


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://203.0.114.9/", "use https"),
        ("https://user:hush@203.0.114.9/", "leave out user"),
        ("https://no-such-name.invalid/", "not known"),
        ("https://203.0.114.9:99999/", ""),
    ],
)
async def test_an_address_that_cannot_be_is_refused_in_words(connect: Connect, url: str, why: str) -> None:
    async with connect() as api:
        ours = await shop(api)
        answer = await ours.ask("POST", "/webhooks", {"url": url}, 400)
        assert answer["code"] == "bad_webhook_url"
        assert why in answer["detail"]
        assert "hush" not in answer["detail"]


async def test_a_type_that_never_happens_is_refused(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        for wrong in ("call.endet", "cal.*", "call.en*"):
            answer = await ours.ask("POST", "/webhooks", {"url": URL, "types": ["call.*", wrong]}, 400)
            assert "/types/1" in str(answer["errors"])
        known = {one["name"] for one in (await ours.ask("GET", "/event-types"))["data"]}
        assert {"message.received", "webhook.disabled", "call.ended"} <= known
        await ours.make(types=sorted(known))


async def test_what_is_delivered_is_what_the_page_shows_and_its_signature_can_be_tried(
    connect: Connect,
) -> None:
    async with connect() as api:
        ours = await shop(api)
        made, secret = await ours.make(types=["call.*"])
        path = f"/webhooks/{made['id']}"
        tested = await ours.ask("POST", f"{path}/test", None, 202)
        (job,) = await ours.taken()
        assert job.id == tested["delivery_id"]
        signed = headers([secret], job.event_id, 1_800_000_000, payload(job.body))
        attempt = Attempt(
            at_us=1_800_000_000_000_000, took_ms=12, status=500, excerpt="no", timestamp=1_800_000_000,
            signature=signed["webhook-signature"],
        )  # fmt: skip
        await webhook_results.finish(
            api.database, job, "host", attempt, After("failed", reason="it answered 500")
        )
        (row,) = (await ours.ask("GET", f"{path}/deliveries?state[eq]=failed"))["data"]
        assert (row["id"], row["type"], row["kind"], row["reason"]) == (
            job.id, "webhook.tested", "test", "it answered 500",
        )  # fmt: skip
        seen = await ours.ask("GET", f"{path}/deliveries/{job.id}")
        shown = {
            "webhook-id": seen["webhook_id_header"],
            "webhook-timestamp": str(seen["attempts"][0]["timestamp"]),
            "webhook-signature": seen["attempts"][0]["signature"],
        }
        assert is_genuine(secret, shown, seen["payload"].encode(), now_s=1_800_000_000)
        health = await ours.ask("GET", path)
        assert (health["waiting"], health["failing_since_us"] > 0) == (0, True)
        await ours.ask("POST", f"{path}/deliveries/{job.id}/redeliver", None, 204)
        (again,) = await ours.taken()
        assert (again.id, again.event_id, again.tries) == (job.id, job.event_id, 0)
        answer = await ours.ask("POST", f"{path}/deliveries/{job.id}/redeliver", None, 409)
        assert answer["code"] == "under_way"


async def test_a_range_that_the_log_does_not_have_is_refused(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        made, _ = await ours.make()
        path = f"/webhooks/{made['id']}/replay"
        head = (await ours.ask("GET", f"/webhooks/{made['id']}"))["head"]
        for wrong in ({"from_seq": 1, "to_seq": head + 5}, {"from_seq": 2, "to_seq": 1}):
            assert (await ours.ask("POST", path, wrong, 400))["code"] == "not_in_log"
        answer = await ours.ask("POST", path, {"from_seq": 1, "to_seq": head}, 202)
        assert answer == {"deliveries": head}


async def test_two_changes_of_one_version_do_not_overwrite_each_other(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        made, _ = await ours.make()
        path = f"/webhooks/{made['id']}"
        tag = (await api.ask("GET", f"/v1{path}", ours.key)).headers["etag"]
        await ours.ask("PATCH", path, {"state": "disabled"}, 200, **{"If-Match": tag})
        await ours.ask("PATCH", path, {"name": "late"}, 412, **{"If-Match": tag})
        assert (await ours.ask("POST", f"{path}/test", None, 409))["code"] == "webhook_disabled"
        assert await ours.taken() == []
        await ours.ask("DELETE", path, None, 204)
        await ours.ask("GET", path, None, 404)


async def test_who_may_see_endpoints_may_not_make_them(connect: Connect) -> None:
    async with connect() as api:
        ours = await shop(api)
        viewer = await api.key(BUILT_IN["viewer"].permissions, ours.tenant)
        assert (await api.ask("GET", "/v1/webhooks", viewer)).status_code == 200
        assert (await api.ask("POST", "/v1/webhooks", viewer, {"url": URL})).status_code == 403
        agent = await api.key(BUILT_IN["agent"].permissions, ours.tenant)
        assert (await api.ask("GET", "/v1/webhooks", agent)).status_code == 403
