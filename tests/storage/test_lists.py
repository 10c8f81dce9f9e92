"""Lists of calls and records: filtered, newest first, page by page."""

from typing import Any

import msgspec
import pytest
from msgspec import Struct
from msgspec.structs import replace

from core.storage import calls, cdrs
from core.storage.calls import write_changes
from core.storage.database import Database
from core.storage.listing import Page
from tests.storage.samples import START, call, change, leg, life
from tests.storage.test_write_changes import a_node

pytestmark = pytest.mark.asyncio_loop

TENANT = "tnt_lists"


class Asked(Struct, frozen=True):
    field: str
    op: str
    value: Any


async def fill(db: Database) -> None:
    """Seven live calls (two at the same moment) and three ended ones, once."""
    async with db.reader(TENANT) as connection:
        if await connection.fetchval("select count(*) from calls"):
            return
    node, fence = await a_node(db, "lists")
    for n in range(7):
        one = call(
            leg(caller=f"+4930{n}", destination="+49%_5" if n == 3 else f"+4940{n % 3}"),
            tenant=TENANT,
            node=node,
            at=START + max(n, 1),
        )
        one = replace(one, state="answered" if n % 2 else "ringing")
        await write_changes(db, node=node, fence=fence, changes=[change(one)])
    for n in range(3):
        await write_changes(
            db, node=node, fence=fence, changes=life(tenant=TENANT, node=node, at=START - n * 10**7)
        )
    theirs = life(tenant="tnt_others", node=node, at=START + 50)
    await write_changes(db, node=node, fence=fence, changes=theirs)


def documents(page: Page) -> list[dict[str, Any]]:
    return list(msgspec.json.decode(page.data))


async def test_pages_join_up_to_the_whole_list(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await fill(db)
        whole = documents(await calls.list_calls_json(db, TENANT, limit=200))
        assert len(whole) == 10
        order = [(one["created_us"], one["id"]) for one in whole]
        assert order == sorted(order, reverse=True)
        found: list[dict[str, Any]] = []
        after = None
        while True:
            page = await calls.list_calls_json(db, TENANT, limit=3, after=after)
            found += documents(page)
            after = page.last
            if not page.has_more:
                break
        assert found == whole
        assert after == order[-1]
        end = await calls.list_calls_json(db, TENANT, after=after)
        assert (end.data, end.has_more, end.last) == (b"[]", False, None)


async def test_a_call_that_comes_in_between_shifts_no_page(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "shift")
        old = [call(tenant="tnt_shift", node=node, at=START + n) for n in range(6)]
        await write_changes(db, node=node, fence=fence, changes=[change(one) for one in old])
        first = await calls.list_calls_json(db, "tnt_shift", limit=3)
        new = call(tenant="tnt_shift", node=node, at=START + 99)
        await write_changes(db, node=node, fence=fence, changes=[change(new)])
        second = await calls.list_calls_json(db, "tnt_shift", limit=3, after=first.last)
        seen = [one["id"] for one in documents(first) + documents(second)]
        assert seen == [one.id for one in reversed(old)]


async def test_live_and_ended_calls_are_told_apart(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await fill(db)
        assert len(documents(await calls.list_calls_json(db, TENANT, live=True))) == 7
        assert len(documents(await calls.list_calls_json(db, TENANT, live=False))) == 3


@pytest.mark.parametrize(
    ("field", "op", "value", "count"),
    [
        ("state", "eq", "ringing", 4),
        ("state", "ne", "ringing", 6),
        ("state", "in", ["ringing", "ended"], 7),
        ("caller", "prefix", "+4930", 10),
        ("caller", "eq", "+49305", 1),
        ("destination", "prefix", "+49%", 1),
        ("destination", "prefix", "+4940", 6),
        ("created_us", "gt", START + 4, 2),
        ("created_us", "gte", START + 4, 3),
        ("created_us", "lt", START, 2),
        ("created_us", "lte", START, 3),
        ("answered_us", "eq", 0, 7),
        ("hangup_cause", "eq", "NORMAL_CLEARING", 3),
        ("caller", "eq", "'; drop table calls; --", 0),
    ],
)
async def test_lists_are_filtered(database_url: str, field: str, op: str, value: object, count: int) -> None:
    async with await Database.open(database_url) as db:
        await fill(db)
        page = await calls.list_calls_json(db, TENANT, conditions=[Asked(field, op, value)])
        assert len(documents(page)) == count


async def test_filters_add_up_and_go_with_pages(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await fill(db)
        conditions = [Asked("state", "eq", "ringing"), Asked("created_us", "gt", START + 1)]
        first = await calls.list_calls_json(db, TENANT, conditions=conditions, limit=2)
        rest = await calls.list_calls_json(db, TENANT, conditions=conditions, limit=2, after=first.last)
        assert (len(documents(first)), first.has_more) == (2, True)
        assert (len(documents(rest)), rest.has_more) == (1, False)


async def test_an_unknown_column_is_no_way_in(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        with pytest.raises(KeyError):
            await calls.list_calls_json(db, TENANT, conditions=[Asked("1=1 --", "eq", "x")])
        with pytest.raises(KeyError):
            await calls.list_calls_json(db, TENANT, conditions=[Asked("state", "= '' or", "x")])


async def test_records_are_listed_by_kind_and_beginning(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await fill(db)
        of_calls = documents(await cdrs.list_cdrs_json(db, TENANT, kind="call"))
        assert [one["kind"] for one in of_calls] == ["call"] * 3
        assert [one["started_us"] for one in of_calls] == [START, START - 10**7, START - 2 * 10**7]
        assert len(documents(await cdrs.list_cdrs_json(db, TENANT, kind="leg"))) == 6
        dear = await cdrs.list_cdrs_json(db, TENANT, conditions=[Asked("billsec", "gte", 7)])
        assert len(documents(dear)) == 9
        assert not documents(await cdrs.list_cdrs_json(db, TENANT, conditions=[Asked("billsec", "gt", 7)]))


async def test_old_documents_of_ended_calls_are_forgotten_and_records_stay(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        node, fence = await a_node(db, "prune")
        old = life(tenant="tnt_prune", node=node, at=START - 400 * 86_400 * 10**6)
        long_lived = call(tenant="tnt_prune", node=node, at=START - 400 * 86_400 * 10**6)
        await write_changes(db, node=node, fence=fence, changes=[*old, change(long_lived)])
        assert await calls.prune_calls(db, 300) == 1
        assert await calls.get_call_json(db, "tnt_prune", old[0].call.id) is None
        assert await calls.get_call_json(db, "tnt_prune", long_lived.id) is not None
        assert len(documents(await cdrs.list_cdrs_json(db, "tnt_prune"))) == 3


async def test_a_search_in_a_long_history_uses_an_index(database_url: str) -> None:
    async with await Database.open(database_url) as db, db.tenant("tnt_plan") as connection:
        await connection.execute(
            "insert into cdrs (tenant_id, id, kind, subject, call_id, node, direction, caller, destination,"
            " started_us, answered_us, ended_us, billsec, duration, hangup_cause, q850, sip_status, disposition,"
            " trunk, inferred, recovered, doc) select 'tnt_plan', 'cdr_' || n, 'leg', 'u' || n, 'c' || n, 'n', 'inbound',"
            " '+49' || n, '+1' || n, n, 0, 0, 0, 0, '', 0, 0, '', '', false, false, '{}' from generate_series(1, 20000) n"
        )
        await connection.execute("analyze cdrs")
        for condition in ("caller = '+49777'", "starts_with(destination, '+1777')"):
            plan = await connection.fetch(
                f"explain select doc from cdrs where tenant_id = 'tnt_plan' and {condition}"
                " order by started_us desc, id desc limit 51"
            )
            text = "\n".join(row[0] for row in plan)
            assert "cdrs_caller" in text or "cdrs_destination" in text, text
            assert "Seq Scan" not in text
