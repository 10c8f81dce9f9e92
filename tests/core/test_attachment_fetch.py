"""Files that a message names are got from the provider, whatever the provider or its channel does meanwhile."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import httpx
import msgspec
import pytest
import trio

from core import attachment_fetch, log
from core.aio import Bridge, open_bridge
from core.attachments import Filing
from core.channel_account import Parts
from core.clock import now_us
from core.config import AttachmentLimits, Settings
from core.ids import new_id
from core.storage import attachments as store
from core.storage.blobs_folder import FolderBlobs
from core.storage.channels import create_channel
from core.storage.database import Database
from core.storage.inbound import Arrival, write_inbound
from irisx_sdk import Account, Address, Capabilities, Channel, File, Inbound, Refused, Text, Tools

SECRET = "a secret for tests that is long enough to be one"
PNG = bytes.fromhex("89504e470d0a1a0a0000000d49484452") + b"\0" * 64
LIMITS = AttachmentLimits(file_bytes=10_000)


class Album(Channel):
    """A channel whose files come as the test says, by the file's id."""

    name: ClassVar[str] = "album"
    title: ClassVar[str] = "Album"
    address: ClassVar[Any] = "user"
    capabilities: ClassVar[Capabilities] = Capabilities(sends=frozenset({"text"}))

    class Settings(msgspec.Struct):
        pass

    def __init__(self) -> None:
        self.tries: dict[str, int] = {}
        self.open = self.most = 0

    async def fetch(self, account: Account, file: File, tools: Tools) -> AsyncIterator[bytes]:
        self.tries[file.id] = number = self.tries.get(file.id, 0) + 1
        self.open += 1
        self.most = max(self.most, self.open)
        try:
            await trio.sleep(0.01)
            match file.id:
                case "picture":
                    yield PNG[:7]
                    yield PNG[7:]
                case "endless":
                    while True:
                        yield b"x" * 1000
                case "gone":
                    answer = httpx.Response(404, request=httpx.Request("GET", "https://x.example"))
                    answer.raise_for_status()
                case "refused":
                    raise Refused("it was deleted there")
                case "moody" if number < 3:
                    async with trio.open_nursery():
                        raise RuntimeError("token=hush")
                case "hangs":
                    await trio.sleep_forever()
                case _:
                    yield b"words"
        finally:
            self.open -= 1


class Office:
    def __init__(self, parts: Parts, channel: Album, tenant: str, account: str) -> None:
        self.parts, self.channel, self.tenant, self.account = parts, channel, tenant, account

    async def came(self, *files: File, account: str = "") -> str:
        """A message with these files; its id."""
        filing = Filing(self.parts.blobs, SECRET, LIMITS)
        arrival = Arrival(
            account or self.account,
            Inbound(new_id("m"), Address("user", "ann"), Text("see"), files=files),
            now_us(),
        )
        arrival = msgspec.structs.replace(arrival, files=tuple(filing.file(self.tenant, arrival)))
        (stored,) = await self.parts.bridge.run(write_inbound, self.parts.db, self.tenant, [arrival])
        return stored.message_id

    async def rows(self, message: str) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            async with self.parts.db.reader(self.tenant) as connection:
                found = await connection.fetch(
                    "select * from attachments where message_id = $1 order by part", message
                )
            return [dict(one) for one in found]

        return await self.parts.bridge.run(read)

    async def settled(self, message: str, done: Callable[[dict[str, Any]], bool] = lambda row: row["state"] != "pending") -> list[dict[str, Any]]:  # fmt: skip
        while True:
            rows = await self.rows(message)
            if all(map(done, rows)):
                return rows
            await trio.sleep(0.02)


@asynccontextmanager
async def office(database_url: str, tmp_path: Path) -> AsyncIterator[Office]:
    async with open_bridge() as bridge:
        db = await bridge.run(Database.open, database_url)
        try:
            yield await _office(bridge, db, tmp_path)
        finally:
            with trio.CancelScope(shield=True):
                await bridge.run(db.close)


async def _office(bridge: Bridge, db: Database, tmp_path: Path) -> Office:
    channel, tenant = Album(), new_id("tnt")
    row = await bridge.run(
        partial(create_channel, secret=SECRET, type="album", name="A", settings={}, hidden=()), db, tenant
    )
    parts = Parts(
        "host-1", bridge, None, db, None, FolderBlobs(tmp_path), None, {"album": channel},  # type: ignore[arg-type]
        secret=SECRET, settings=Settings(attachments=LIMITS),
    )  # fmt: skip
    return Office(parts, channel, tenant, row.id)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attachment_fetch, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(attachment_fetch, "IDLE_S", 0.05)


def named(*ids: str) -> list[File]:
    return [File(f"{one}.png", "image/png", id=one) for one in ids]


async def test_files_are_fetched_checked_and_told_of(
    database_url: str, tmp_path: Path, nursery: trio.Nursery
) -> None:
    async with office(database_url, tmp_path) as ours:
        nursery.start_soon(attachment_fetch.run, ours.parts)
        message = await ours.came(*named("picture", "endless", "gone", "refused", "moody"))
        rows = await ours.settled(message)
        assert [(row["state"], row["reason"]) for row in rows] == [
            ("ready", ""), ("refused", "too_large"), ("refused", "gone"), ("refused", "gone"),
            ("ready", "type_mismatch"),
        ]  # fmt: skip
        assert ours.parts.blobs.get(rows[0]["key"]) == PNG and rows[0]["size"] == len(PNG)
        assert all(row["source"] is None for row in rows)
        assert ours.channel.tries == {"picture": 1, "endless": 1, "gone": 1, "refused": 1, "moody": 3}
        assert sorted(one.key for one in ours.parts.blobs.list()) == sorted((rows[0]["key"], rows[4]["key"]))
        entries = await ours.parts.bridge.run(
            partial(log.read_entries, limit=100), ours.parts.db, ours.tenant
        )
        kinds = [entry.type for entry in entries if entry.type.startswith("attachment.")]
        assert sorted(kinds) == ["attachment.ready"] * 2 + ["attachment.refused"] * 3
        assert [entry.resource for entry in entries if entry.type == "message.updated"] == [message] * 5
        nursery.cancel_scope.cancel()


async def test_a_fetch_that_hangs_is_given_up_and_an_album_holds_up_no_other_account(
    database_url: str, tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attachment_fetch, "FETCH_S", 0.3)
    monkeypatch.setattr(attachment_fetch, "MAX_ATTEMPTS", 2)
    async with office(database_url, tmp_path) as ours:
        make = partial(create_channel, secret=SECRET, type="album", name="B", settings={}, hidden=())
        other = await ours.parts.bridge.run(make, ours.parts.db, ours.tenant)
        album = await ours.came(*named(*["hangs"] * 12))
        quick = await ours.came(*named("picture"), account=other.id)
        nursery.start_soon(attachment_fetch.run, ours.parts)
        with trio.fail_after(2):
            await ours.settled(quick)
        assert [row["state"] for row in await ours.rows(album)] == ["pending"] * 12
        rows = await ours.settled(album)
        assert {(row["state"], row["reason"]) for row in rows} == {("refused", "too_slow")}
        assert ours.channel.most <= attachment_fetch.EACH + 1
        nursery.cancel_scope.cancel()


async def test_what_a_killed_host_had_taken_is_taken_again_and_its_late_word_counts_no_more(
    database_url: str, tmp_path: Path, nursery: trio.Nursery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "CLAIM_S", 0.3)
    async with office(database_url, tmp_path) as ours:
        message = await ours.came(*named("picture"))
        claim = partial(store.claim, limit=10, now_us=now_us())
        (dead,) = await ours.parts.bridge.run(claim, ours.parts.db, ours.account, "dead-host")
        assert await ours.parts.bridge.run(claim, ours.parts.db, ours.account, "another") == []
        nursery.start_soon(attachment_fetch.run, ours.parts)
        (row,) = await ours.settled(message)
        assert (row["state"], row["attempts"]) == ("ready", 2)
        late = partial(store.refused, now_us=now_us())
        assert not await ours.parts.bridge.run(late, ours.parts.db, dead, "dead-host", "gone")
        nursery.cancel_scope.cancel()


async def test_files_of_an_account_that_is_gone_are_refused(
    database_url: str, tmp_path: Path, nursery: trio.Nursery
) -> None:
    async with office(database_url, tmp_path) as ours:
        message = await ours.came(*named("picture"), account="chn_gone")
        nursery.start_soon(attachment_fetch.run, ours.parts)
        (row,) = await ours.settled(message)
        assert (row["state"], row["reason"]) == ("refused", "account_removed")
        nursery.cancel_scope.cancel()
