"""Journals: what was written is read, wherever the file ends."""

import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core import journal
from core.journal import Chunk, DamagedJournal, Header, Journal, Mark

HEADER = Header(node="pbx-1", started_us=1_795_375_000_000_000, tenant="tnt_main")


def write(path: Path, *batches: list[bytes], close: bool = True) -> Journal:
    made = Journal(path, HEADER)
    for batch in batches:
        made.append(batch)
    if close:
        made.close()
    return made


def test_what_was_written_is_read_in_order(tmp_path: Path) -> None:
    path = tmp_path / f"a{journal.SUFFIX}"
    records = [
        Chunk(at_us=7, data=b"Content-Type: x\n\n"),
        Mark(at_us=8, mark="lost"),
        Chunk(at_us=9, data=b""),
    ]
    write(
        path,
        [journal.pack_chunk(7, b"Content-Type: x\n\n"), journal.pack_mark(Mark(at_us=8, mark="lost"))],
        [journal.pack_chunk(9, b"")],
    )
    assert list(journal.read(path)) == records
    assert journal.read_header(path) == HEADER


def test_a_mark_keeps_its_values(tmp_path: Path) -> None:
    path = tmp_path / f"a{journal.SUFFIX}"
    mark = Mark(at_us=5, mark="listing", values={"since_us": 4, "rows": [{"uuid": "a"}]})
    write(path, [journal.pack_mark(mark)])
    assert list(journal.read(path)) == [mark]


def test_a_journal_is_readable_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / f"a{journal.SUFFIX}"
    open_one = write(path, [journal.pack_chunk(1, b"one")], [journal.pack_chunk(2, b"two")], close=False)
    assert list(journal.read(path)) == [Chunk(1, b"one"), Chunk(2, b"two")]
    open_one.close()


def test_a_journal_that_ends_anywhere_gives_its_whole_records(tmp_path: Path) -> None:
    path = tmp_path / f"a{journal.SUFFIX}"
    chunks = [Chunk(at, os.urandom(40)) for at in range(20)]
    write(path, *([journal.pack_chunk(one.at_us, one.data)] for one in chunks))
    whole = path.read_bytes()
    torn = tmp_path / f"torn{journal.SUFFIX}"
    lengths = []
    for end in range(len(whole)):
        torn.write_bytes(whole[:end])
        try:
            found = list(journal.read(torn))
        except DamagedJournal:
            assert end < 200, "only a torn header makes a journal unreadable"
            continue
        assert found == chunks[: len(found)]
        lengths.append(len(found))
    assert lengths == sorted(lengths)
    assert lengths[-1] == 20


@given(st.binary(min_size=1, max_size=30), st.floats(0.5, 1.0))
@settings(max_examples=60, deadline=None)
def test_a_damaged_block_ends_the_reading_and_never_raises_anything_else(damage: bytes, where: float) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"a{journal.SUFFIX}"
        chunks = [Chunk(at, os.urandom(200)) for at in range(20)]
        write(path, *([journal.pack_chunk(one.at_us, one.data)] for one in chunks))
        data = bytearray(path.read_bytes())
        at = int((len(data) - 1) * where)
        data[at : at + len(damage)] = damage
        path.write_bytes(data)
        try:
            found = list(journal.read(path))
        except DamagedJournal:
            return
        assert found[:8] == chunks[:8]


@pytest.mark.parametrize("content", [b"", b"not a journal", b"\x28\xb5\x2f\xfd\x00"])
def test_what_is_no_journal_is_called_so(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / f"a{journal.SUFFIX}"
    path.write_bytes(content)
    with pytest.raises(DamagedJournal):
        journal.read_header(path)


def test_a_journal_is_known_to_be_written_as_long_as_its_writer_lives(tmp_path: Path) -> None:
    path = tmp_path / f"a{journal.SUFFIX}"
    open_one = write(path, [journal.pack_chunk(1, b"x")], close=False)
    assert journal.is_being_written(path)
    open_one.close()
    assert not journal.is_being_written(path)
    assert not journal.is_being_written(tmp_path / "none")


def _write_for_ever(path: Path, said: Connection) -> None:
    made = Journal(path, HEADER)
    for at in range(1_000_000):
        made.append([journal.pack_chunk(at, b"x" * 1000)])
        if at == 50:
            said.send("fifty are written")


def test_a_writer_that_is_killed_leaves_everything_up_to_its_last_flush(tmp_path: Path) -> None:
    path = tmp_path / f"a{journal.SUFFIX}"
    here, there = multiprocessing.Pipe()
    context = multiprocessing.get_context("spawn")
    writer = context.Process(target=_write_for_ever, args=(path, there))
    writer.start()
    assert here.poll(30)
    assert writer.pid is not None
    os.kill(writer.pid, signal.SIGKILL)
    writer.join(30)
    found = list(journal.read(path))
    assert len(found) > 50
    assert found == [Chunk(at, b"x" * 1000) for at in range(len(found))]
    assert not journal.is_being_written(path)
