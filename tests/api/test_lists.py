"""Pages, filters, ``fields=`` and ETags: one grammar for every list and every single thing."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.http.problem import Invalid
from api.http.query import Filter, Page, QueryReader, decode_cursor, encode_cursor
from core.clock import now_us
from core.model.records import Change
from tests.api.conftest import Connect
from tests.api.harness import Api, a_call

on_asyncio = pytest.mark.asyncio_loop


async def all_pages(api: Api, key: str, path: str, limit: int) -> list[list[Any]]:
    pages, cursor = [], ""
    while True:
        answer = await api.ask("GET", f"{path}&limit={limit}{cursor}", key)
        assert answer.status_code == 200, answer.text
        said = answer.json()
        pages.append(said["data"])
        assert said["has_more"] == (said["next_cursor"] is not None)
        if not said["has_more"]:
            return pages
        cursor = f"&cursor={said['next_cursor']}"


@on_asyncio
async def test_pages_hold_everything_once_though_new_rows_come_in(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        node, key = await api.node(tenant_id=tenant), await api.key(tenant_id=tenant)
        calls = [await api.call(node, tenant_id=tenant, at_us=now_us() - n * 1000) for n in range(23)]
        first = await api.ask("GET", "/v1/calls?limit=10", key)
        for _ in range(5):
            await api.call(node, tenant_id=tenant)
        cursor, seen = first.json()["next_cursor"], [one["id"] for one in first.json()["data"]]
        while cursor:
            page = (await api.ask("GET", f"/v1/calls?limit=10&cursor={cursor}", key)).json()
            seen += [one["id"] for one in page["data"]]
            cursor = page["next_cursor"]
        assert sorted(seen) == sorted(call.id for call in calls)


@on_asyncio
@pytest.mark.parametrize("path", ["/v1/users?", "/v1/api-keys?", "/v1/tenants?", "/v1/nodes?"])
async def test_every_list_pages_the_same_way(connect: Connect, path: str) -> None:
    async with connect() as api:
        operator = await api.operator_key()
        for _ in range(5):
            await api.person("viewer")
            await api.key(["calls:read"])
            await api.tenant()
            await api.node()
        whole = await all_pages(api, operator, path, 200)
        small = await all_pages(api, operator, path, 2)
        ids = [one["id"] for page in small for one in page]
        assert ids == [one["id"] for page in whole for one in page]
        assert len(set(ids)) == len(ids) >= 5
        assert all(len(page) == 2 for page in small[:-1])


@on_asyncio
async def test_live_calls_unless_one_says_otherwise(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        node, key = await api.node(tenant_id=tenant), await api.key(tenant_id=tenant)
        live, over = await api.call(node, tenant_id=tenant), await api.call(node, tenant_id=tenant)
        await api.store(
            node, Change("call.ended", replace(over, state="ended", ended_us=now_us(), version=2), now_us())
        )

        async def ids(query: str) -> set[str]:
            return {one["id"] for one in (await api.ask("GET", f"/v1/calls{query}", key)).json()["data"]}

        assert await ids("") == {live.id}
        assert await ids("?live=false") == {over.id}
        assert await ids("?state[eq]=ended") == {over.id}
        assert await ids("?state[in]=ended,answered") == {live.id, over.id}
        assert await ids("?live=true&state[eq]=ended") == set()


FILTERED = [
    ("caller[eq]=%2B14155550111", True),
    ("caller[ne]=%2B14155550111", False),
    ("caller[prefix]=%2B1415555", True),
    ("caller[prefix]=%25", False),
    ("caller[prefix]=_1415", False),
    ("caller[in]=1,%2B14155550111", True),
    ("destination[eq]=2000&caller[prefix]=%2B1", True),
    ("destination[eq]=2000&caller[prefix]=%2B44", False),
    ("created_us[gte]=0&created_us[lt]=99999999999999999", None),
    ("created_us[gte]=1000000&answered_us[gt]=0", True),
    ("direction[eq]=outbound", False),
    ("caller[eq]=' or 1=1 --", False),
]


@on_asyncio
@pytest.mark.parametrize(("query", "found"), FILTERED, ids=[query for query, _ in FILTERED])
async def test_filters_find_what_they_say(connect: Connect, query: str, found: bool | None) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        node, key = await api.node(tenant_id=tenant), await api.key(tenant_id=tenant)
        await api.call(node, tenant_id=tenant, caller="+14155550111", destination="2000")
        answer = await api.ask("GET", f"/v1/calls?{query}", key)
        if found is None:
            assert answer.status_code == 400, "beyond what every JSON reader can hold"
        else:
            assert len(answer.json()["data"]) == int(found)


WRONG = [
    ("limit=0", "limit"),
    ("limit=201", "limit"),
    ("limit=ten", "limit"),
    ("limit=1&limit=2", "limit"),
    ("cursor=garbage", "cursor"),
    ("cursor=WyJhIiwgMV0", "cursor"),
    ("state[eq]=dancing", "state[eq]"),
    ("state[like]=x", "state[like]"),
    ("state=ended", "state"),
    ("created_us[gte]=yesterday", "created_us[gte]"),
    ("colour[eq]=red", "colour[eq]"),
    ("staet[eq]=ended", "staet[eq]"),
    ("live=maybe", "live"),
    ("caller[eq]=a%00b", "caller[eq]"),
    ("fields=id,colour", "fields"),
    ("fields=", "fields"),
]


@on_asyncio
@pytest.mark.parametrize(("query", "parameter"), WRONG, ids=[query for query, _ in WRONG])
async def test_what_is_not_known_is_refused_by_name(connect: Connect, query: str, parameter: str) -> None:
    """A filter with a typing error that is ignored would answer with everything."""
    async with connect() as api:
        answer = await api.ask("GET", f"/v1/calls?{query}", await api.key())
        assert answer.status_code == 400
        assert answer.json()["errors"][0]["parameter"] == parameter


@on_asyncio
async def test_fields_trim_lists_and_single_things(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        node, key = await api.node(tenant_id=tenant), await api.key(tenant_id=tenant)
        call = await api.call(node, tenant_id=tenant)
        listed = (await api.ask("GET", "/v1/calls?fields=state,caller", key)).json()
        assert listed == {
            "data": [{"id": call.id, "state": "answered", "caller": call.caller}],
            "has_more": False,
            "next_cursor": None,
        }
        one = await api.ask("GET", f"/v1/calls/{call.id}?fields=state", key)
        assert one.json() == {"id": call.id, "state": "answered"}


@on_asyncio
async def test_a_known_etag_is_304_until_the_thing_changes(connect: Connect) -> None:
    async with connect() as api:
        node, key = await api.node(), await api.key()
        call = await api.call(node)
        path = f"/v1/calls/{call.id}"
        etag = (await api.ask("GET", path, key)).headers["etag"]
        for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
            answer = await api.ask("GET", path, key, headers={"If-None-Match": known})
            assert answer.status_code == 304 and answer.content == b""
        await api.store(node, Change("call.held", replace(call, state="held", version=2), now_us()))
        assert (await api.ask("GET", path, key, headers={"If-None-Match": etag})).status_code == 200


@on_asyncio
async def test_of_two_who_edit_the_second_is_told(connect: Connect) -> None:
    async with connect() as api:
        operator = await api.operator_key()
        tenant = await api.tenant()
        path = f"/v1/tenants/{tenant}"
        etag = (await api.ask("GET", path, operator)).headers["etag"]
        both = await asyncio.gather(
            *(api.ask("PATCH", path, operator, {"name": f"Name {n}"}, {"If-Match": etag}) for n in (1, 2))
        )
        assert sorted(answer.status_code for answer in both) == [200, 412]
        late = next(answer for answer in both if answer.status_code == 412)
        assert late.json()["code"] == "changed_meanwhile"
        fresh = next(answer for answer in both if answer.status_code == 200).headers["etag"]
        assert (await api.ask("PATCH", path, operator, {"name": "X"}, {"If-Match": fresh})).status_code == 200


@on_asyncio
@pytest.mark.parametrize(
    ("value", "status"), [("*", 200), ('W/"1"', 412), ('"x"', 412), ("7", 400), ("", 400)]
)
async def test_if_match_takes_what_http_says(connect: Connect, value: str, status: int) -> None:
    async with connect() as api:
        operator, tenant = await api.operator_key(), await api.tenant()
        answer = await api.ask("PATCH", f"/v1/tenants/{tenant}", operator, {"name": "Y"}, {"If-Match": value})
        assert answer.status_code == status


@given(st.integers(-(2**63) + 1, 2**63 - 1), st.text("abcdefghijklmnopqrstuvwxyz_0123456789", max_size=60))
def test_a_cursor_comes_back_as_it_was(sort: int, row: str) -> None:
    assert decode_cursor(encode_cursor(sort, row)) == (sort, row)


@given(st.text(max_size=80))
def test_no_text_breaks_the_cursor(text: str) -> None:
    try:
        sort, row = decode_cursor(text)
    except Invalid:
        return
    assert isinstance(sort, int) and isinstance(row, str)


@given(st.binary(max_size=300))
def test_no_query_string_breaks_the_reader(raw: bytes) -> None:
    reader = QueryReader(
        params=(),
        filters=(Filter("a"), Filter("b", "integer"), Filter("c", "time")),
        paged=True,
        trimmed=True,
    )
    try:
        assert isinstance(reader.read(raw).page, Page)
    except Invalid as refused:
        assert refused.errors or refused.detail


@on_asyncio
async def test_a_thousand_equal_reads_share_a_few_readings(connect: Connect) -> None:
    async with connect() as api:
        tenant = await api.tenant()
        node, key = await api.node(tenant_id=tenant), await api.key(tenant_id=tenant)
        call = await api.call(node, tenant_id=tenant)
        services = api.services
        before = services.call_pages.readings + services.calls.readings
        answers = await asyncio.gather(
            *(api.ask("GET", "/v1/calls?limit=50", key) for _ in range(60)),
            *(api.ask("GET", f"/v1/calls/{call.id}", key) for _ in range(60)),
        )
        assert {answer.status_code for answer in answers} == {200}
        assert services.call_pages.readings + services.calls.readings - before < 120


@on_asyncio
async def test_what_was_just_written_is_in_what_is_read_next(connect: Connect) -> None:
    """Sharing a reading must not give an answer that is older than the question."""
    async with connect() as api:
        node, key = await api.node(), await api.key()
        call = await api.call(node)
        busy = [
            asyncio.create_task(_keep_reading(api, key, f"/v1/calls/{call.id}")),
            asyncio.create_task(_keep_reading(api, key, "/v1/calls?limit=200")),
        ]
        try:
            for version in range(2, 40):
                await api.store(node, Change("call.muted", replace(call, version=version), now_us()))
                one = (await api.ask("GET", f"/v1/calls/{call.id}", key)).json()
                assert one["version"] == version
                listed = (await api.ask("GET", "/v1/calls?limit=200", key)).json()["data"]
                assert [row["version"] for row in listed if row["id"] == call.id] == [version]
        finally:
            for task in busy:
                task.cancel()


async def _keep_reading(api: Api, key: str, path: str) -> None:
    while True:
        await asyncio.gather(*(api.ask("GET", path, key) for _ in range(4)))


def test_a_call_of_the_harness_is_live() -> None:
    assert a_call("node_1").live
