"""Rate limits: separate buckets, shared by processes, few round trips, and no worse without Redis."""

import asyncio
from typing import Any

import pytest
import redis.asyncio

from api.http.ratelimit import Limit, Limits, RateLimits
from core.storage import limits as shared
from tests.api.harness import WIDE_OPEN, serving

pytestmark = pytest.mark.asyncio_loop


def client(url: str) -> Any:
    return redis.asyncio.Redis.from_url(url)


def some(**given: Limit) -> dict[tuple[str, str], Limit]:
    """Wide open limits with a few callers' ones replaced."""
    return {**WIDE_OPEN, **{("caller", bucket): limit for bucket, limit in given.items()}}


async def test_a_bucket_gives_what_it_holds_and_then_what_it_gains(redis_url: str) -> None:
    async with client(redis_url) as redis_client:
        first = await shared.take(redis_client, "one", rate=2.0, burst=5, want=3)
        second = await shared.take(redis_client, "one", rate=2.0, burst=5, want=3)
        empty = await shared.take(redis_client, "one", rate=2.0, burst=5, want=3)
        assert (first.tokens, second.tokens, empty.tokens) == (3, 2, 0)
        assert 0 < empty.wait_s <= 0.5
        await asyncio.sleep(1.1)
        assert (await shared.take(redis_client, "one", rate=2.0, burst=5, want=5)).tokens == 2


async def test_a_bucket_that_is_full_again_is_forgotten(redis_url: str) -> None:
    async with client(redis_url) as redis_client:
        await shared.take(redis_client, "short", rate=1000.0, burst=10, want=10)
        left_ms = await redis_client.pttl(shared.BUCKET + "short")
        assert 0 < left_ms <= 1100


async def test_two_processes_share_one_bucket(redis_url: str) -> None:
    async with client(redis_url) as redis_client:
        limits = some(reads=Limit(0.01, 40))
        one, two = RateLimits(redis_client, limits), RateLimits(redis_client, limits)
        given = 0
        for turn in range(200):
            which = (one, two)[turn % 2]
            given += (await which.spend_as_caller("tnt_share", "usr_a", "reads", None)).allowed
        assert 36 <= given <= 40, "a token or two may be held by the one that stops first"


async def test_requests_cost_few_round_trips(redis_url: str) -> None:
    async with client(redis_url) as redis_client:
        limits = RateLimits(redis_client, some(reads=Limit(1000.0, 4000)))
        for _ in range(1000):
            if limits.spend_now("tnt_few", "usr_a", "reads", None) is None:
                assert (await limits.spend_as_caller("tnt_few", "usr_a", "reads", None)).allowed
        assert limits.asked <= 12


async def test_many_at_once_ask_redis_once(redis_url: str) -> None:
    async with client(redis_url) as redis_client:
        limits = RateLimits(redis_client, some(reads=Limit(100.0, 400)))
        verdicts = await asyncio.gather(
            *(limits.spend_as_caller("tnt_burst", "usr_a", "reads", None) for _ in range(20))
        )
        assert all(verdict.allowed for verdict in verdicts)
        assert limits.asked == 2, "once for the caller, once for the tenant"


async def test_without_redis_the_limit_still_holds() -> None:
    nowhere = redis.asyncio.Redis(unix_socket_path="/nonexistent/redis.sock")
    limits = RateLimits(nowhere, some(reads=Limit(0.5, 10)))
    verdicts = [await limits.spend_as_caller("tnt_away", "usr_a", "reads", None) for _ in range(15)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 10 + [False] * 5
    assert verdicts[-1].wait_s > 0
    assert limits.asked <= 4, "a Redis that is away is not asked for every request"
    await nowhere.aclose()


async def test_every_answer_says_how_much_is_left(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url, limits=some(reads=Limit(1.0, 100))) as api:
        key = await api.key()
        left = []
        for _ in range(3):
            answer = await api.ask("GET", "/v1/calls", key)
            assert answer.headers["ratelimit-policy"] == '"reads";q=100;w=100'
            left.append(int(answer.headers["ratelimit"].partition("r=")[2].partition(";")[0]))
        assert left == [99, 98, 97]


async def test_too_many_reads_do_not_stop_calls(database_url: str, redis_url: str) -> None:
    """The reason why there are several buckets."""
    async with serving(database_url, redis_url, limits=some(reads=Limit(0.1, 5))) as api:
        node, key, other = await api.node(), await api.key(), await api.key()
        call = await api.call(node)
        answers = [await api.ask("GET", "/v1/calls", key) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 2
        refused = answers[-1]
        assert refused.json()["code"] == "rate_limited" and refused.json()["retryable"] is True
        assert 1 <= int(refused.headers["retry-after"]) <= 10
        assert "r=0" in refused.headers["ratelimit"]
        async with api.owner(node):
            assert (await api.ask("POST", f"/v1/calls/{call.id}/mute", key)).status_code == 200
        assert (await api.ask("GET", "/v1/calls", other)).status_code == 200


async def test_a_tenant_as_a_whole_has_its_limit(database_url: str, redis_url: str) -> None:
    limits = {**WIDE_OPEN, ("tenant", "reads"): Limit(0.1, 6)}
    async with serving(database_url, redis_url, limits=limits) as api:
        tenant = await api.tenant()
        keys = [await api.key(tenant_id=tenant) for _ in range(4)]
        answers = [await api.ask("GET", "/v1/calls", keys[n % 4]) for n in range(8)]
        assert [answer.status_code for answer in answers] == [200] * 6 + [429] * 2
        assert answers[-1].headers["ratelimit-policy"].startswith('"tenant-reads"')
        assert (await api.ask("GET", "/v1/calls", await api.key())).status_code == 200, (
            "others are not affected"
        )


async def test_an_operator_changes_a_tenants_limits_and_they_count_at_once(
    database_url: str, redis_url: str
) -> None:
    async with serving(database_url, redis_url) as api:
        tenant, operator = await api.tenant(), await api.operator_key()
        key = await api.key(tenant_id=tenant)
        assert (await api.ask("GET", "/v1/calls", key)).status_code == 200
        wanted = {"caller": {"reads": {"rate": 0.1, "burst": 3}}}
        put = await api.ask("PUT", f"/v1/tenants/{tenant}/limits", operator, wanted)
        assert put.status_code == 200 and put.json()["caller"]["reads"] == {"rate": 0.1, "burst": 3}
        answers = [await api.ask("GET", "/v1/calls", key) for _ in range(5)]
        assert [answer.status_code for answer in answers] == [200] * 3 + [429] * 2
        seen = await api.ask("GET", f"/v1/tenants/{tenant}/limits", operator)
        assert seen.json()["caller"]["reads"]["burst"] == 3


async def test_those_who_are_not_signed_in_are_limited_by_address(database_url: str, redis_url: str) -> None:
    limits = {**WIDE_OPEN, ("address", "public"): Limit(0.1, 4)}
    async with serving(database_url, redis_url, limits=limits) as api:
        answers = [await api.ask("GET", "/v1/version") for _ in range(6)]
        assert [answer.status_code for answer in answers] == [200] * 4 + [429] * 2
        # Trying keys is limited too, apart from the rest.
        wrong = "irx_" + "0" * 26 + "_" + "0" * 52
        guesses = [await api.ask("GET", "/v1/calls", wrong) for _ in range(6)]
        assert [answer.status_code for answer in guesses] == [401] * 4 + [429] * 2
        assert (await api.ask("GET", "/v1/calls", await api.key())).status_code == 200


def test_limits_that_cannot_be_read_are_the_defaults() -> None:
    assert Limits.of({"caller": {"reads": {"rate": "fast"}}}) == Limits()
    assert Limits.of({}) == Limits()
