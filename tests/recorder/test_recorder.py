"""The flight recorder: nothing waits for it, and what it keeps can be read again."""

import errno
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from core import journal
from core.errors import PeerError
from core.journal import Chunk, Header, Journal, Mark
from core.recorder import Limits, Recorder, open_recorder
from core.storage.blob_keys import Blob
from core.storage.blobs_folder import FolderBlobs

QUICK = Limits(gather_s=0.01, retry_s=0.05)


def journals(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{journal.SUFFIX}"))


def read(folder: Path) -> list[Chunk | Mark]:
    return [record for path in journals(folder) for record in journal.read(path)]


def data(folder: Path) -> bytes:
    return b"".join(one.data for one in read(folder) if isinstance(one, Chunk))


async def until_written(recorder: Recorder) -> None:
    with trio.fail_after(10):
        while recorder.waiting_bytes:
            await trio.sleep(0.005)
        await trio.sleep(0.05)


async def test_bytes_and_marks_are_kept_in_order(tmp_path: Path) -> None:
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "me", None, tenant="tnt_a", limits=QUICK) as recorder:
            recorder.write(b"one")
            recorder.mark("connected", core_uuid="c")
            recorder.write(b"two")
            await until_written(recorder)
            recorder.write(b"three")
    records = read(tmp_path / "me")
    assert data(tmp_path / "me") == b"onetwothree"
    assert [one.mark for one in records if isinstance(one, Mark)] == ["connected"]
    assert isinstance(records[1], Mark)
    header = journal.read_header(journals(tmp_path / "me")[0])
    assert (header.node, header.tenant) == ("pbx-1", "tnt_a")


async def test_what_waits_is_written_when_it_is_closed(tmp_path: Path) -> None:
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "me", None, limits=Limits(gather_s=60)) as recorder:
            recorder.write(b"late")
            await trio.sleep(0.02)
    assert data(tmp_path / "me") == b"late"


async def test_a_quiet_switch_makes_no_journal(tmp_path: Path) -> None:
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "me", None, limits=QUICK):
            await trio.sleep(0.05)
    assert journals(tmp_path / "me") == []


async def test_journals_are_rotated_by_size(tmp_path: Path) -> None:
    limits = Limits(gather_s=0.01, rotate_bytes=10_000)
    sent = b""
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "me", None, limits=limits) as recorder:
            for _ in range(5):
                noise = os.urandom(12_000)
                sent += noise
                recorder.write(noise)
                await until_written(recorder)
    assert len(journals(tmp_path / "me")) == 5
    assert data(tmp_path / "me") == sent


async def test_journals_are_rotated_by_age(tmp_path: Path) -> None:
    limits = Limits(gather_s=0.01, rotate_s=0.1)
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "me", None, limits=limits) as recorder:
            recorder.write(b"one")
            await until_written(recorder)
            await trio.sleep(0.3)
            (path,) = journals(tmp_path / "me")
            assert not journal.is_being_written(path)
            recorder.write(b"two")
            await until_written(recorder)
    assert len(journals(tmp_path / "me")) == 2
    assert data(tmp_path / "me") == b"onetwo"


async def test_a_full_buffer_loses_counts_and_marks(tmp_path: Path) -> None:
    limits = Limits(gather_s=0.1, buffer_bytes=1_000)
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "me", None, limits=limits) as recorder:
            for _ in range(20):
                recorder.write(b"x" * 100)
            assert recorder.statistics.lost_records > 0
            assert recorder.waiting_bytes <= 1_000
            await until_written(recorder)
            recorder.write(b"after")
            await until_written(recorder)
            lost = recorder.statistics.lost_records
    kept = [one for one in read(tmp_path / "me") if isinstance(one, Chunk)]
    gaps = [one for one in read(tmp_path / "me") if isinstance(one, Mark)]
    assert len(kept) == 21 - lost
    assert [one.values["records"] for one in gaps] == [lost]
    assert kept[-1].data == b"after"


@contextmanager
def disk_full_beyond(size: int) -> Iterator[None]:
    """No file of this process can grow beyond ``size``: the next write fails with EFBIG, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_loses_bytes_and_nothing_else(tmp_path: Path) -> None:
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "me", None, limits=QUICK) as recorder:
            recorder.write(b"before")
            await until_written(recorder)
            with disk_full_beyond(4_096):
                for _ in range(20):
                    recorder.write(os.urandom(2_000))
                    await trio.sleep(0.01)
                await until_written(recorder)
                assert recorder.statistics.write_failures > 0
                assert recorder.statistics.lost_bytes > 0
            await trio.sleep(0.1)
            recorder.write(b"after")
            await until_written(recorder)
    kept = data(tmp_path / "me")
    assert kept.startswith(b"before")
    assert kept.endswith(b"after")
    gaps = [one for one in read(tmp_path / "me") if isinstance(one, Mark) and one.mark == "gap"]
    # A mark that was torn with the end of a file may be told again in the next one.
    assert sum(one.values["bytes"] for one in gaps) >= recorder.statistics.lost_bytes > 0


async def test_a_folder_that_cannot_be_made_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "me").write_text("a file is in the way")
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "me", None, limits=QUICK) as recorder:
            recorder.write(b"lost")
            await until_written(recorder)
            assert recorder.statistics.write_failures == 1
            (tmp_path / "me").unlink()
            await trio.sleep(0.1)
            recorder.write(b"kept")
            await until_written(recorder)
    assert data(tmp_path / "me") == b"kept"


async def wait_uploaded(recorder: Recorder, count: int) -> None:
    with trio.fail_after(10):
        while recorder.statistics.uploaded < count:
            await trio.sleep(0.01)


async def test_finished_journals_move_to_the_object_store(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    limits = Limits(gather_s=0.01, rotate_bytes=1, retry_s=0.05)
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "run" / "me", blobs, limits=limits) as recorder:
            recorder.write(b"one")
            await wait_uploaded(recorder, 1)
            recorder.write(b"two")
            await wait_uploaded(recorder, 2)
    assert journals(tmp_path / "run" / "me") == []
    found = list(blobs.list("journals/pbx-1/"))
    assert len(found) == 2
    copy = tmp_path / f"copy{journal.SUFFIX}"
    copy.write_bytes(blobs.get(found[0].key))
    assert [one.data for one in journal.read(copy) if isinstance(one, Chunk)] == [b"one"]


async def test_what_a_dead_recorder_left_is_taken_by_the_next_one(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path / "blobs")
    dead = tmp_path / "run" / "dead"
    dead.mkdir(parents=True)
    left = Journal(
        dead / f"pbx-1-20260101T000000.000000Z{journal.SUFFIX}", Header(node="pbx-1", started_us=1)
    )
    left.append([journal.pack_chunk(1, b"left")])
    os.close(left._fd)  # as a kill does: no end of the stream, no lock
    alive = tmp_path / "run" / "alive"
    alive.mkdir()
    other = Journal(
        alive / f"pbx-1-20260101T000001.000000Z{journal.SUFFIX}", Header(node="pbx-1", started_us=2)
    )
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "run" / "me", blobs, limits=QUICK) as recorder:
            await wait_uploaded(recorder, 1)
            await trio.sleep(0.05)
            assert recorder.statistics.uploaded == 1
    assert not dead.exists()
    assert journals(alive) == [other.path], "a living recorder's journal is its own"
    other.close()


class Refusing(FolderBlobs):
    """An object store that is away until it is told otherwise."""

    away = True

    def put_file(self, key: str, path: Path, *, content_type: str = "") -> Blob:
        if self.away:
            raise PeerError("the object store is away")
        return super().put_file(key, path, content_type=content_type)


async def test_journals_wait_here_while_the_object_store_is_away(tmp_path: Path) -> None:
    blobs = Refusing(tmp_path / "blobs")
    limits = Limits(gather_s=0.01, rotate_bytes=1, retry_s=0.02)
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "run" / "me", blobs, limits=limits) as recorder:
            recorder.write(b"one")
            await until_written(recorder)
            assert len(journals(tmp_path / "run" / "me")) == 1
            assert recorder.statistics.upload_failures > 0
            blobs.away = False
            await wait_uploaded(recorder, 1)
    assert journals(tmp_path / "run" / "me") == []


async def test_the_oldest_journals_go_when_too_many_wait(tmp_path: Path) -> None:
    limits = Limits(gather_s=0.01, rotate_bytes=1, retry_s=0.02, keep_bytes=25_000)
    with trio.fail_after(20):
        async with open_recorder("pbx-1", tmp_path / "run" / "me", None, limits=limits) as recorder:
            for at in range(6):
                recorder.write(bytes([at]) + os.urandom(10_000))
                await until_written(recorder)
            await trio.sleep(0.1)
            assert recorder.statistics.discarded == 4
    firsts = [one.data[0] for one in read(tmp_path / "run" / "me") if isinstance(one, Chunk)]
    assert firsts == [4, 5]


async def test_writing_never_waits(tmp_path: Path) -> None:
    async with open_recorder("pbx-1", tmp_path / "me", None, limits=QUICK) as recorder:
        with trio.testing.assert_no_checkpoints():
            for _ in range(1_000):
                recorder.write(b"x" * 4_000)


def test_a_full_disk_is_what_the_limit_imitates(tmp_path: Path) -> None:
    with disk_full_beyond(10), pytest.raises(OSError) as failed:
        (tmp_path / "x").write_bytes(b"x" * 100)
    assert failed.value.errno == errno.EFBIG
