"""Health, status and metrics: true at this moment, and said in words."""

import asyncio
import re
from typing import Any

import httpx
import msgspec
import pytest
from websockets.asyncio.client import connect as connect_ws
from websockets.exceptions import ConnectionClosed

from core.bus import HOSTS
from core.clock import now_us
from core.storage import channels, incidents, jobs, webhooks
from core.storage.embedded import EmbeddedPostgres
from core.storage.migrate import migrate
from tests.api.conftest import Connect
from tests.api.harness import SECRET, Api, in_a_thread, new_application, serving

pytestmark = pytest.mark.asyncio_loop


async def component(api: Api, key: str, name: str) -> Any:
    found = (await api.ask("GET", "/v1/status/components", key)).json()["data"]
    return next((one for one in found if one["name"] == name), None)


async def test_a_healthy_process_says_so(connect: Connect) -> None:
    async with connect() as api:
        assert (await api.ask("GET", "/v1/health/live")).json() == {"status": "live"}
        assert (await api.ask("GET", "/v1/health/ready")).json() == {"status": "ready", "reasons": []}
        deep = (await api.ask("GET", "/v1/health/deep", await api.key())).json()
        assert deep["state"] == "good"
        assert [check["name"] for check in deep["checks"]] == ["database", "bus", "objects"]


async def test_switches_and_controllers_are_described_in_words(connect: Connect) -> None:
    async with connect() as api:
        operator = await api.operator_key()
        await api.node("london")
        await api.node("paris", up=False)
        said = {"name": "ctl-1", "host": "h1", "nodes": ["a", "b"], "owns": ["a"]}
        await api.bus.present("ctl-1", msgspec.json.encode(said))
        london = await component(api, operator, "london")
        assert (london["state"], london["detail"]) == ("good", "Works, 0 live calls.")
        paris = await component(api, operator, "paris")
        assert (paris["state"], paris["detail"]) == ("bad", "Out of reach; its calls are in doubt.")
        controller = await component(api, operator, "ctl-1")
        assert controller["detail"] == "Runs on h1, commands 1 of 2 switches."
        status = (await api.ask("GET", "/v1/status", operator)).json()
        assert status["state"] == "bad" and "paris: Out of reach" in status["summary"]


async def test_a_switch_that_nobody_watches_is_bad(connect: Connect) -> None:
    async with connect() as api:
        node = await api.node("lonely")
        async with api.database.system() as conn:
            await conn.execute(
                "update node_status set status_at = now() - interval '1 minute' where node = $1", node
            )
        lonely = await component(api, await api.operator_key(), "lonely")
        assert (lonely["state"], lonely["detail"]) == ("bad", "No controller watches it.")


async def test_without_controllers_that_is_the_news(connect: Connect) -> None:
    async with connect() as api:
        async for key in api.bus.redis.scan_iter(match="irisx:*"):
            await api.bus.redis.delete(key)
        status = (await api.ask("GET", "/v1/status", await api.operator_key())).json()
        assert status["state"] == "bad" and "nobody controls the switches" in status["summary"]


async def test_tenants_see_their_own_switches_only(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        await api.node("mine-alone", tenant_id=tenant)
        await api.node("somebody-elses")
        key = await api.key(tenant_id=tenant)
        assert await component(api, key, "mine-alone") is not None
        assert await component(api, key, "somebody-elses") is None
        metrics = (await api.ask("GET", "/metrics", key)).text
        assert "mine-alone" in metrics and "somebody-elses" not in metrics


async def test_without_the_database_it_is_not_ready_and_says_so(tmp_path: Any, redis_url: str) -> None:
    postgres = EmbeddedPostgres(tmp_path)
    url = postgres.start()
    await asyncio.to_thread(migrate, url)
    async with serving(url, redis_url) as api:
        key = await api.key()
        assert (await api.ask("GET", "/v1/calls", key)).status_code == 200
        await asyncio.to_thread(postgres.stop)
        ready = await api.ask("GET", "/v1/health/ready")
        assert ready.status_code == 503 and "database" in ready.json()["reasons"][0].lower() + "database"
        assert (await api.ask("GET", "/v1/health/live")).status_code == 200
        answer = await api.ask("GET", "/v1/calls", key)
        assert answer.status_code == 503
        assert answer.json()["retryable"] is True and "retry-after" in answer.headers
        assert "test_" not in answer.text and "/tmp" not in answer.text, "nothing of where it is"
        await asyncio.to_thread(postgres.start)
        async with asyncio.timeout(20):
            while (await api.ask("GET", "/v1/calls", key)).status_code != 200:
                await asyncio.sleep(0.1)
        assert (await api.ask("GET", "/v1/health/ready")).status_code == 200
    await asyncio.to_thread(postgres.stop)


async def test_a_process_that_starts_before_its_database_waits_for_it(
    tmp_path: Any, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.app.START_S", 0.1)
    postgres = EmbeddedPostgres(tmp_path)
    url = postgres.start()
    await asyncio.to_thread(migrate, url)
    await asyncio.to_thread(postgres.stop)
    application = new_application(url, redis_url)
    with in_a_thread(application, until_open=False) as running:
        async with httpx.AsyncClient(base_url=running.url) as http, asyncio.timeout(40):
            assert (await http.get("/v1/health/live")).json() == {"status": "live"}
            ready = await http.get("/v1/health/ready")
            assert (ready.status_code, ready.json()["status"]) == (503, "not_ready")
            refused = await http.get("/v1/calls")
            assert (refused.status_code, refused.json()["code"]) == (503, "database_down")
            assert refused.json()["request_id"] == refused.headers["request-id"]
            assert refused.headers["retry-after"]
            async with connect_ws(running.url.replace("http", "ws") + "/v1/stream") as stream:
                assert msgspec.json.decode(await stream.recv())["code"] == "database_down"
                with pytest.raises(ConnectionClosed):
                    await stream.recv()
            assert stream.close_code == 1013
            await asyncio.to_thread(postgres.start)
            while (await http.get("/v1/health/ready")).status_code != 200:
                await asyncio.sleep(0.1)
            assert (await http.get("/v1/calls")).status_code == 401
    await asyncio.to_thread(postgres.stop)


async def test_a_process_that_waits_for_its_database_can_be_stopped(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.app.START_S", 0.1)
    application = new_application("postgresql://nobody@/none?host=/nowhere", redis_url)
    with in_a_thread(application, until_open=False) as running:
        async with httpx.AsyncClient(base_url=running.url) as http:
            assert (await http.get("/v1/health/live")).status_code == 200
    assert application.services is None


async def test_metrics_are_prometheus_text(connect: Connect) -> None:
    async with connect() as api:
        key = await api.operator_key()
        await api.node("counted")
        for _ in range(3):
            await api.ask("GET", "/v1/calls", key)
        await api.ask("GET", "/v1/calls/call_none", key)
        answer = await api.ask("GET", "/metrics", key)
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
        text = answer.text
        assert 'irisx_api_requests_total{operation="list_calls",status="2xx"} 3.0' in text
        assert 'irisx_api_requests_total{operation="get_call",status="4xx"} 1.0' in text
        buckets = re.findall(r'duration_seconds_bucket\{le="([^"]+)",operation="list_calls"\} (\S+)', text)
        assert buckets[-1] == ("+Inf", "3.0")
        assert [float(count) for _, count in buckets] == sorted(float(count) for _, count in buckets)
        assert re.search(r'irisx_switch_up\{name="counted",node="node_\w+"\} 1.0', text)
        assert re.search(r'irisx_switch_heartbeat_sessions\{name="counted",node="node_\w+"\} 3.0', text)
        assert (await api.ask("GET", "/v1/metrics", key)).status_code == 200


async def test_incidents_are_listed_open_ones_first(connect: Connect) -> None:
    async with connect() as api:
        key = await api.key()
        await incidents.open_incident(api.database, "paris", severity="down", summary="paris does not answer")
        await incidents.close_incident(api.database, "paris")
        await incidents.open_incident(api.database, "rome", severity="degraded", summary="rome is slow")
        listed = (await api.ask("GET", "/v1/status/incidents", key)).json()["data"]
        assert [one["component"] for one in listed] == ["rome", "paris"]
        still = (await api.ask("GET", "/v1/status/incidents?open=true", key)).json()["data"]
        assert [one["component"] for one in still] == ["rome"]


async def test_jobs_are_seen_and_cancelled(connect: Connect) -> None:
    async with connect() as api:
        operator = await api.operator_key()
        job = await jobs.create_job(api.database, "tnt_main", kind="export", total=10)
        seen = await api.ask("GET", f"/v1/jobs/{job}", operator)
        assert (seen.json()["state"], seen.json()["total"]) == ("queued", 10)
        asked = await api.ask("POST", f"/v1/jobs/{job}/cancel", operator)
        assert asked.status_code == 202 and asked.json()["state"] == "cancelled"
        again = await api.ask("POST", f"/v1/jobs/{job}/cancel", operator)
        assert again.status_code == 409 and again.json()["code"] == "job_ended"
        listed = await api.ask("GET", "/v1/jobs?state[eq]=cancelled", operator)
        assert [one["id"] for one in listed.json()["data"]] == [job]


async def test_leases_say_who_commands(connect: Connect) -> None:
    async with connect() as api:
        from core.storage import leases

        node = await api.node("leased")
        assert await leases.take(api.bus.redis, node, "ctl-7", 5000) == 0
        found = (await api.ask("GET", "/v1/control/leases", await api.operator_key())).json()["data"]
        lease = next(one for one in found if one["node"] == node)
        assert (lease["owner"], lease["recorded_owner"], lease["fence"]) == ("ctl-7", "ctl-test", 1)
        assert 0 < lease["expires_in_ms"] <= 5000


async def test_every_code_of_a_problem_can_be_looked_up(connect: Connect) -> None:
    async with connect() as api:
        refused = await api.ask("GET", "/v1/calls/call_none", await api.key())
        meaning = await api.http.get(refused.json()["type"])
        assert meaning.status_code == 200 and meaning.json()["code"] == "no_such_call"
        assert len((await api.ask("GET", "/v1/problems")).json()["data"]) > 80
        assert (await api.ask("GET", "/v1/problems/user_busy")).status_code == 404


async def test_nodes_are_added_changed_and_removed_without_showing_passwords(connect: Connect) -> None:
    async with connect() as api:
        operator = await api.operator_key()
        body = {"url": "esl://:topsecret@192.0.2.9:8021", "name": "rome"}
        made = await api.ask("POST", "/v1/nodes", operator, body)
        assert made.status_code == 201 and "topsecret" not in made.text
        assert (made.json()["host"], made.json()["port"]) == ("192.0.2.9", 8021)
        path = f"/v1/nodes/{made.json()['id']}"
        twin = await api.ask("POST", "/v1/nodes", operator, body)
        assert twin.status_code == 409 and twin.json()["code"] == "name_taken"
        changed = await api.ask("PATCH", path, operator, {"dial_template": "sofia/gateway/b/{number}"})
        assert changed.json()["dial_template"] == "sofia/gateway/b/{number}"
        assert (await api.ask("PATCH", path, operator, {"name": "x"}, {"If-Match": '"1"'})).status_code == 412
        for url in (
            "http://x",
            "esl://",
            "esl://:a@h:1 esl://:b@h:2",
            "name=esl://:x@h:8021",
            "esl://h:99999",
        ):
            answer = await api.ask("PATCH", path, operator, {"url": url})
            assert answer.status_code == 400, url
        for template in ("sofia/gateway/b", "{number}; rm", "{number}\n"):
            assert (await api.ask("PATCH", path, operator, {"dial_template": template})).status_code == 400
        assert (await api.ask("DELETE", path, operator)).status_code == 204
        assert (await api.ask("GET", path, operator)).status_code == 404
        busy = await api.node()
        await api.call(busy)
        kept = await api.ask("DELETE", f"/v1/nodes/{busy}", operator)
        assert kept.status_code == 409 and kept.json()["code"] == "has_calls"


async def test_messages_out_and_webhooks_are_described_in_words_to_whom_they_belong(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        key, operator = await api.key(tenant_id=tenant), await api.operator_key()
        assert await component(api, key, "Webhooks") is None  # what nobody uses is no news
        hook, _ = await webhooks.create_webhook(
            api.database,
            tenant,
            secret=SECRET,
            name="Ours",
            url="https://203.0.114.9/",
            types=["*"],
            at_once=1,
        )
        account = await channels.create_channel(
            api.database, tenant, secret=SECRET, type="sms.twilio", name="Ours", settings={}, hidden=()
        )
        assert (await component(api, key, "Webhooks"))["detail"] == "1 endpoint."
        assert (await component(api, key, "Messages out"))["state"] == "good"
        async with api.database.system() as conn:
            async for name in api.bus.redis.scan_iter(match=HOSTS + "*"):
                await api.bus.redis.delete(name)
            await conn.execute(
                "update webhooks set failing_since_us = $2 where id = $1", hook.id, now_us() - 3_600_000_000
            )
            await conn.execute("update channels set state = 'misconfigured' where id = $1", account.id)
        said = await component(api, key, "Webhooks")
        assert (said["state"], said["detail"]) == (
            "attention",
            "1 endpoint, 1 failing, the longest for 60 min.",
        )
        said = await component(api, key, "Messages out")
        assert (said["state"], said["detail"]) == (
            "attention", "0 accounts, 1 misconfigured, nothing waits to be sent.",
        )  # fmt: skip
        lonely = await component(api, operator, "Channel hosts")
        assert (lonely["state"], lonely["detail"]) == ("bad", "None runs: nothing is sent or delivered.")
        host = {"name": "chh-1", "host": "h1", "accounts": 2, "listens": ["a"], "webhooks": {"under_way": 3}}
        await api.bus.present("chh-1", msgspec.json.encode(host), kind=HOSTS)
        assert await component(api, operator, "Channel hosts") is None
        assert (await component(api, operator, "chh-1"))["detail"] == (
            "Runs on h1, serves 2 accounts, holds 1 connection, delivers 3 webhooks now."
        )
        text = (await api.ask("GET", "/metrics", operator)).text
        assert "irisx_webhook_endpoints_failing 1.0" in text
        assert 'irisx_channel_host_webhooks_under_way{host="chh-1"} 3.0' in text
        assert "irisx_webhook_endpoints" not in (await api.ask("GET", "/metrics", key)).text
