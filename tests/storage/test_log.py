"""The numbered log: no gap, no double, whatever happens to those who write."""

import asyncio
import itertools
import random
import subprocess
import sys
import time
from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core import log
from core.storage.database import Database
from core.storage.entries import NewEntry, iso
from tests.storage.samples import START

pytestmark = pytest.mark.asyncio_loop


def entry(tenant: str, number: int = 0, **more: object) -> NewEntry:
    said = {
        "type": "test.said",
        "resource": "res_1",
        "occurred_us": START + number,
        "data": b'{"n":%d}' % number,
    }
    return NewEntry(tenant_id=tenant, **{**said, **more})  # type: ignore[arg-type]


async def numbers(db: Database, tenant: str) -> list[int]:
    async with db.reader(tenant) as connection:
        rows = await connection.fetch("select seq from events where tenant_id = $1 order by seq", tenant)
    return [row["seq"] for row in rows]


async def write(db: Database, entries: Sequence[NewEntry]) -> dict[str, list[log.LogEntry]]:
    async with db.system() as connection:
        return await log.append(connection, entries)


async def test_an_entry_reads_the_same_for_its_writer_and_everybody_else(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        written = await write(
            db,
            [
                entry("tnt_read", 1, causation_id="evt_x", request_id='req "1" \\ ü', id="evt_1"),
                entry("tnt_read", 2, type="test.other", resource="res_2"),
            ],
        )
        mine = written["tnt_read"]
        assert [one.body for one in mine] == await log.read(db, "tnt_read")
        assert await log.get(db, "tnt_read", "evt_1") == mine[0].body
        assert await log.get(db, "tnt_other", "evt_1") is None
    said = msgspec.json.decode(mine[0].body)
    assert list(said) == [
        "seq", "recorded_at", "id", "type", "occurred_at", "resource", "data", "causation_id", "request_id",
        "schema_version",
    ]  # fmt: skip
    assert said["seq"] == 1
    assert said["occurred_at"] == iso(START + 1)
    assert said["request_id"] == 'req "1" \\ ü'
    assert said["data"] == {"n": 1}
    assert mine[1].type == "test.other"


async def test_what_is_committed_is_shown_and_nothing_else(database_url: str) -> None:
    shown: list[tuple[str, int]] = []

    async def show(tenant: str, entries: Sequence[log.LogEntry]) -> None:
        shown.extend((tenant, one.seq) for one in entries)

    async with await Database.open(database_url, max_size=1) as db:
        db.show = show
        with pytest.raises(RuntimeError, match="changed our mind"):
            async with db.tenant("tnt_shown") as connection:
                await log.append(connection, [entry("tnt_shown")])
                raise RuntimeError("changed our mind")
        async with db.system() as connection:
            await log.append(connection, [entry("tnt_shown", 1), entry("tnt_shown_too", 2)])
            assert shown == []
            await log.append(connection, [entry("tnt_shown", 3)])
        assert shown == [("tnt_shown", 1), ("tnt_shown_too", 1), ("tnt_shown", 2)]
        await write(db, [entry("tnt_shown", 4)])
        assert shown[3:] == [("tnt_shown", 3)]


async def test_each_tenant_counts_for_itself(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        written = await write(db, [entry("tnt_x", n) if n % 2 else entry("tnt_y", n) for n in range(7)])
        assert [one.seq for one in written["tnt_x"]] == [1, 2, 3]
        assert [one.seq for one in written["tnt_y"]] == [1, 2, 3, 4]
        assert await log.bounds(db, "tnt_x") == (1, 3)
        assert await log.bounds(db, "tnt_nobody") == (1, 0)


async def test_a_reader_goes_on_where_it_was(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, [entry("tnt_page", n, resource=f"res_{n % 3}") for n in range(10)])
        seen: list[int] = []
        while page := await log.read(db, "tnt_page", after_seq=seen[-1] if seen else 0, limit=4):
            seen += [msgspec.json.decode(body)["seq"] for body in page]
        assert seen == list(range(1, 11))
        assert len(await log.read(db, "tnt_page", resource="res_1")) == 3
        assert len(await log.read(db, "tnt_page", up_to=4)) == 4


async def test_a_reader_may_want_types_and_groups_of_types(database_url: str) -> None:
    kinds = ["call.created", "call.ended", "callback.made", "node.drained"]
    async with await Database.open(database_url) as db:
        await write(db, [entry("tnt_types", type=kind) for kind in kinds])

        async def read(*types: str) -> list[str]:
            return [one.type for one in await log.read_entries(db, "tnt_types", types=types)]

        assert await read() == kinds
        assert await read("call.ended", "node.drained") == ["call.ended", "node.drained"]
        assert await read("call.*") == ["call.created", "call.ended"]
        assert await read("call.*", "node.drained") == ["call.created", "call.ended", "node.drained"]
        assert await read("nothing.*") == []


async def test_writing_again_gives_the_same_numbers(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        batch = [entry("tnt_twice", n, id=f"evt_twice_{n}") for n in range(5)]
        first = await write(db, batch)
        again = await write(db, [*batch[2:], entry("tnt_twice", 9, id="evt_twice_new"), batch[0], batch[0]])
        assert [one.seq for one in again["tnt_twice"]] == [1, 3, 4, 5, 6]
        assert [one.body for one in again["tnt_twice"]][:4] == [
            first["tnt_twice"][n].body for n in (0, 2, 3, 4)
        ]
        assert await numbers(db, "tnt_twice") == [1, 2, 3, 4, 5, 6]


async def test_the_same_batch_from_several_writers_at_once_is_stored_once(database_url: str) -> None:
    batch = [entry("tnt_race", n, id=f"evt_race_{n}") for n in range(20)]
    async with await Database.open(database_url, max_size=4) as db:
        written = await asyncio.gather(*(write(db, batch) for _ in range(4)))
        assert all(one == written[0] for one in written)
        assert await numbers(db, "tnt_race") == list(range(1, 21))
        assert await log.bounds(db, "tnt_race") == (1, 20)


async def test_a_rolled_back_writer_leaves_no_gap(database_url: str) -> None:
    async with await Database.open(database_url) as db:
        await write(db, [entry("tnt_back")])
        with pytest.raises(ZeroDivisionError):
            async with db.system() as connection:
                given = await log.append(connection, [entry("tnt_back"), entry("tnt_back")])
                assert [one.seq for one in given["tnt_back"]] == [2, 3]
                raise ZeroDivisionError
        assert [one.seq for one in (await write(db, [entry("tnt_back")]))["tnt_back"]] == [2]
        assert await log.bounds(db, "tnt_back") == (1, 2)


RUNS = itertools.count()


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), writers=st.integers(2, 6))
async def test_writers_side_by_side_leave_neither_gap_nor_double(
    database_url: str, seed: int, writers: int
) -> None:
    chance = random.Random(seed)
    run = next(
        RUNS
    )  # one seed may come twice, with other writers: each example has tenants and ids of its own
    tenants = [f"tnt_{run}_{name}" for name in "ab"]
    plans = [
        [
            [
                entry(chance.choice(tenants), id=f"evt_{run}_{writer}_{batch}_{n}")
                for n in range(chance.randint(1, 9))
            ]
            for batch in range(5)
        ]
        for writer in range(writers)
    ]
    async with await Database.open(database_url, max_size=writers) as db:

        async def work(plan: list[list[NewEntry]]) -> int:
            kept = 0
            for batch in plan:
                try:
                    async with db.system() as connection:
                        await log.append(connection, batch)
                        if chance.random() < 0.3:
                            raise ZeroDivisionError
                    kept += len(batch)
                    if chance.random() < 0.3:
                        await write(db, batch)  # its answer was lost, say
                except ZeroDivisionError:
                    pass
            return kept

        kept = sum(await asyncio.gather(*map(work, plans)))
        found = [await numbers(db, tenant) for tenant in tenants]
        for tenant, seqs in zip(tenants, found, strict=True):
            assert seqs == list(range(1, len(seqs) + 1))
            assert await log.bounds(db, tenant) == (1, len(seqs))
        assert sum(map(len, found)) == kept


WRITER = """
import asyncio, sys, uvloop
from core import log
from core.storage.database import Database
from core.storage.entries import NewEntry
async def main(url, name):
    async with await Database.open(url) as db:
        print("ready", flush=True)
        for n in range(10**9):
            async with db.system() as connection:
                await log.append(connection, [NewEntry(tenant_id="tnt_killed", type="t", resource=name,
                    occurred_us=n, id=f"evt_{name}_{n}_{k}") for k in range(5)])
            print(n, flush=True)
uvloop.run(main(*sys.argv[1:]))
"""


@pytest.mark.faults
async def test_killed_writers_leave_neither_gap_nor_half_a_batch(database_url: str) -> None:
    acknowledged: dict[str, int] = {}
    for round_ in range(2):
        writers = {
            f"w{round_}{n}": subprocess.Popen(
                [sys.executable, "-c", WRITER, database_url, f"w{round_}{n}"],
                stdout=subprocess.PIPE,
                text=True,
            )
            for n in range(2)
        }
        for writer in writers.values():
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        time.sleep(random.uniform(0.2, 0.5))
        for name, writer in writers.items():
            writer.kill()
            with writer:  # not communicate: it would miss what readline had buffered
                assert writer.stdout is not None
                said = writer.stdout.read()
            acknowledged[name] = len([line for line in said.split("\n")[:-1] if line.isdigit()])
    async with await Database.open(database_url) as db:
        # Postgres ends what the killed ones had begun; the next writer waits for that.
        await write(db, [entry("tnt_killed", resource="after")])
        seqs = await numbers(db, "tnt_killed")
        assert seqs == list(range(1, len(seqs) + 1))
        assert await log.bounds(db, "tnt_killed") == (1, len(seqs))
        assert len(seqs) > 20
        async with db.reader("tnt_killed") as connection:
            rows = await connection.fetch("select resource, count(*) as n from events group by resource")
    stored = {row["resource"]: row["n"] for row in rows if row["resource"] != "after"}
    for name, count in acknowledged.items():
        assert stored.get(name, 0) % 5 == 0
        # Everything that was acknowledged is there; at most one batch more was on its way.
        assert count * 5 <= stored.get(name, 0) <= (count + 1) * 5


async def test_numbers_and_times_grow_together(database_url: str) -> None:
    async with await Database.open(database_url, max_size=4) as db:
        await asyncio.gather(*(write(db, [entry("tnt_time", n)]) for n in range(40)))
        async with db.reader("tnt_time") as connection:
            rows = await connection.fetch(
                "select recorded_at from events where tenant_id = 'tnt_time' order by seq"
            )
    moments = [row["recorded_at"] for row in rows]
    assert moments == sorted(moments)


async def test_old_entries_are_forgotten_and_the_bound_says_so(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "PRUNE_CHUNK", 3)
    async with await Database.open(database_url) as db:
        await write(db, [entry("tnt_old", n) for n in range(10)])
        await write(db, [entry("tnt_young")])
        async with db.system() as connection:
            await connection.execute(
                "update events set recorded_at = now() - interval '7 days 1 minute'"
                " where tenant_id = 'tnt_old' and seq <= 8"
            )
        assert await log.prune(db, days=7) == 8
        assert await log.bounds(db, "tnt_old") == (9, 10)
        assert [msgspec.json.decode(body)["seq"] for body in await log.read(db, "tnt_old")] == [9, 10]
        assert await log.bounds(db, "tnt_young") == (1, 1)
        # Seven days are promised: nobody can ask for less.
        assert await log.prune(db, days=0) == 0
        # A log that was forgotten as a whole goes on counting.
        async with db.system() as connection:
            await connection.execute("update events set recorded_at = now() - interval '8 days'")
        await log.prune(db)
        assert await log.bounds(db, "tnt_old") == (11, 10)
        assert (await write(db, [entry("tnt_old")]))["tnt_old"][0].seq == 11


@given(st.integers(-(10**19), 10**19))
@example(-30_610_224_000_000_001)
@settings(deadline=None)
def test_any_moment_can_be_written(at_us: int) -> None:
    text = iso(at_us)
    assert len(text) >= 24
    assert text.endswith("Z")


def test_moments_are_cut_to_milliseconds_not_rounded() -> None:
    assert iso(1_790_000_000_999_999) == "2026-09-21T14:13:20.999Z"
    assert iso(0) == "1970-01-01T00:00:00.000Z"
