"""What the local disk keeps of facts while the database is away."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.spool import Spool


def drain(spool: Spool, count: int = 3) -> list[bytes]:
    records: list[bytes] = []
    while spool:
        some, mark = spool.peek(count)
        records += some
        spool.taken(mark)
    return records


@given(st.lists(st.lists(st.binary(max_size=200), max_size=5), max_size=6))
def test_what_goes_in_comes_out_in_order(
    tmp_path_factory: pytest.TempPathFactory, batches: list[list[bytes]]
) -> None:
    path = tmp_path_factory.mktemp("spool") / "a.spool"
    spool = Spool(path)
    for batch in batches:
        spool.append(batch)
    assert drain(spool) == [record for batch in batches for record in batch]
    assert path.stat().st_size == 0
    spool.close()
    assert not path.exists()


def test_a_torn_record_ends_the_reading_and_what_stood_before_it_is_good(tmp_path: Path) -> None:
    path = tmp_path / "a.spool"
    spool = Spool(path)
    spool.append([b"one", b"two", b"three"])
    spool.close()
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - 2)
    assert drain(Spool(path)) == [b"one", b"two"]


def test_records_survive_the_kill_of_their_writer_and_only_then_are_left_behind(tmp_path: Path) -> None:
    code = (
        "import sys, os, signal; from pathlib import Path; from core.spool import Spool\n"
        "spool = Spool.open_for(Path(sys.argv[1]), 'node', 'dead'); spool.append([b'fact'])\n"
        "print('ready', flush=True); signal.pause()"
    )
    child = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    with child, child.stdout:
        assert child.stdout.readline() == b"ready\n"
        assert Spool.left_behind(tmp_path, "node") == []
        child.kill()
        child.wait()
    (left,) = Spool.left_behind(tmp_path, "node")
    assert drain(left) == [b"fact"]
    left.close()


def test_a_full_disk_refuses_the_whole_batch_and_keeps_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = Spool(tmp_path / "a.spool")
    spool.append([b"kept"])
    whole = os.pwrite

    def half(fd: int, data: bytes, offset: int) -> int:
        if len(data) < 4:
            raise OSError(28, "No space left on device")
        return whole(fd, data[: len(data) // 2], offset)

    monkeypatch.setattr(os, "pwrite", half)
    with pytest.raises(OSError, match="No space"):
        spool.append([b"lost" * 100])
    monkeypatch.undo()
    spool.append([b"later"])
    assert drain(spool) == [b"kept", b"later"]
    spool.close()
