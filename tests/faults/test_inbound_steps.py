"""kill -9 between any two steps of what comes in: nothing is lost, nothing doubled, once somebody tries again.

The steps are named in `tests.faults.killed_intake`. Providers deliver again what they got no answer to; hosts take over
what a killed one had claimed. What is compared is everything that can be seen: rows, files, and the numbered log.
"""

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from core import log
from core.channels import Forged
from core.ids import new_id
from core.model.records import Call
from core.storage import attachments as attachment_store
from core.storage.appending import append
from core.storage.blobs_folder import FolderBlobs
from core.storage.channels import create_channel
from core.storage.database import Database
from core.storage.entries import NewEntry
from irisx_sdk import Address, File, Inbound, Parsed, Preference, Status, Text
from tests.faults import killed_intake
from tests.faults.killed_intake import CALLING, FETCHING, SECRET, STEPS, receive, request_of

NOW = 1_795_000_000_000_000
ANN = Address("phone", "+493012345678")
EVERYTHING = Parsed(
    messages=(
        Inbound("SM1", ANN, Text("stop"), files=(File("a.txt", "text/plain", content=b"hello"),)),
        Inbound("SM2", ANN, Text("see"), files=(File("b.txt", "text/plain", id="b"),)),
    ),
    statuses=(Status("SM0", "delivered"),),
    preferences=(Preference("E1", Address("phone", "+493087654321"), False),),
)
TABLES = {
    "contacts": "name", "identities": "kind, value", "conversations": "messages, unread, state, preview",
    "messages": "provider_id, text, state", "attachments": "name, state, size, sha256", "receipts": "provider_id, state",
    "suppressions": "value, scope", "preference_reports": "provider_id",
}  # fmt: skip


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """Processes that begin at once: the modules are loaded already where they are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.killed_intake"])
    yield context


def killed(processes: ForkServerContext, act: Callable[..., None], *args: Any) -> None:
    process = processes.Process(target=act, args=args)
    process.start()
    process.join(30)
    assert process.exitcode == -9, "it did not come to this step"


async def tenant_of(db: Database) -> tuple[str, str]:
    tenant = new_id("tnt")
    row = await create_channel(db, tenant, secret=SECRET, type="sms.post", name="P", settings={}, hidden=())
    return tenant, row.id


async def seen(db: Database, tenant: str, folder: Path) -> dict[str, Any]:
    """All that anybody can see of a tenant, without ids and times."""
    found: dict[str, Any] = {}
    async with db.reader(tenant) as connection:
        for table, columns in TABLES.items():
            rows = await connection.fetch(f"select {columns} from {table} order by {columns}")
            found[table] = [tuple(row) for row in rows]
        keys = await connection.fetch("select key from attachments where key <> '' order by key")
    entries = await log.read_entries(db, tenant, limit=1000)
    assert [entry.seq for entry in entries] == list(range(1, len(entries) + 1))
    found["log"] = sorted(entry.type for entry in entries)
    blobs = FolderBlobs(folder)
    assert sorted(one.key for one in blobs.list(f"attachments/{tenant}/")) == [row["key"] for row in keys]
    return found


@pytest.fixture(scope="module")
def undisturbed(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What is there after a delivery that nothing happened to."""

    async def deliver() -> dict[str, Any]:
        folder = tmp_path_factory.mktemp("blobs")
        async with await Database.open(database_url) as db:
            tenant, channel_id = await tenant_of(db)
            await receive(db, folder, channel_id, request_of(EVERYTHING))
            return await seen(db, tenant, folder)

    found = asyncio.run(deliver())
    assert len(found["messages"]) == 2 and len(found["suppressions"]) == 2 and len(found["attachments"]) == 2
    return found


@pytest.mark.parametrize("step", STEPS)
def test_a_webhook_whose_process_is_killed_is_whole_after_the_next_delivery(
    step: str, processes: ForkServerContext, database_url: str, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    async def prepare() -> tuple[str, str]:
        async with await Database.open(database_url) as db:
            return await tenant_of(db)

    async def deliver_again() -> dict[str, Any]:
        async with await Database.open(database_url, max_size=5) as db:
            again = [receive(db, tmp_path, channel_id, request_of(EVERYTHING)) for _ in range(5)]
            await asyncio.gather(*again)
            return await seen(db, tenant, tmp_path)

    tenant, channel_id = asyncio.run(prepare())
    killed(processes, killed_intake.run_webhook, step, database_url, tmp_path, channel_id, EVERYTHING)
    assert asyncio.run(deliver_again()) == undisturbed


@pytest.mark.parametrize("step", FETCHING)
def test_a_file_whose_host_is_killed_is_fetched_by_the_next(
    step: str,
    processes: ForkServerContext,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attachment_store, "CLAIM_S", 1)
    monkeypatch.setattr("core.attachment_fetch.IDLE_S", 0.1)

    async def prepare() -> str:
        async with await Database.open(database_url) as db:
            tenant, channel_id = await tenant_of(db)
            await receive(db, tmp_path, channel_id, request_of(EVERYTHING))
            return tenant

    async def row(tenant: str) -> Any:
        async with await Database.open(database_url) as db, db.reader(tenant) as connection:
            return await connection.fetchrow(
                "select state, size, attempts from attachments where name = 'b.txt'"
            )

    async def told(tenant: str) -> int:
        async with await Database.open(database_url) as db:
            return len(await log.read_entries(db, tenant, types=["attachment.ready"]))

    tenant = asyncio.run(prepare())
    killed(processes, killed_intake.run_fetch, step, database_url, tmp_path)
    asyncio.run(_forget_others(database_url, tenant))

    async def heir() -> None:
        with trio.fail_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(killed_intake.fetch, database_url, tmp_path)
                while (await trio.to_thread.run_sync(asyncio.run, row(tenant)))["state"] != "ready":
                    await trio.sleep(0.1)
                nursery.cancel_scope.cancel()

    trio.run(heir)
    found = asyncio.run(row(tenant))
    assert (found["state"], found["size"]) == ("ready", len(b"words of b"))
    assert asyncio.run(told(tenant)) == 1


async def _forget_others(url: str, tenant: str) -> None:
    """Files of other examples are none of this one's."""
    async with await Database.open(url) as db, db.system() as connection:
        await connection.execute("update attachments set state = 'refused' where tenant_id <> $1", tenant)


@pytest.mark.parametrize("step", CALLING)
def test_a_call_whose_host_is_killed_is_in_the_conversation_once(
    step: str, processes: ForkServerContext, database_url: str
) -> None:
    tenant = new_id("tnt")
    call = Call(id=new_id("call"), tenant_id=tenant, node="n", caller=ANN.value, destination="1", created_us=NOW, version=1)  # fmt: skip

    async def prepare() -> None:
        data = msgspec.json.encode({"call": call})
        entry = NewEntry(tenant_id=tenant, type="call.created", resource=call.id, data=data, occurred_us=NOW)
        async with await Database.open(database_url) as db, db.tenant(tenant) as connection:
            await append(connection, [entry])

    async def heir() -> list[str]:
        async with await Database.open(database_url) as db:
            await killed_intake.follow(db, tenant)
            async with db.reader(tenant) as connection:
                assert await connection.fetchval("select count(*) from messages") == 1
            return [entry.type for entry in await log.read_entries(db, tenant, limit=100)]

    asyncio.run(prepare())
    killed(processes, killed_intake.run_voice, step, database_url, tenant)
    kinds = asyncio.run(heir())
    assert (kinds.count("message.created"), kinds.count("conversation.created")) == (1, 1)


@pytest.mark.asyncio_loop
async def test_a_signed_request_that_is_replayed_stores_nothing_and_a_changed_one_is_refused(
    database_url: str, undisturbed: dict[str, Any], tmp_path: Path
) -> None:
    async with await Database.open(database_url) as db:
        tenant, channel_id = await tenant_of(db)
        signed = request_of(EVERYTHING)
        for _ in range(3):
            await receive(db, tmp_path, channel_id, signed)
        assert await seen(db, tenant, tmp_path) == undisturbed
        changed = msgspec.structs.replace(signed, body=signed.body.replace(b"SM1", b"SM9"))
        with pytest.raises(Forged):
            await receive(db, tmp_path, channel_id, changed)
        assert await seen(db, tenant, tmp_path) == undisturbed


def test_the_steps_are_those_of_the_product() -> None:
    for owner, name in (*STEPS.values(), *FETCHING.values(), *CALLING.values()):
        assert callable(getattr(owner, name)), name
