"""A folder and a bucket are the same to whoever stores objects: every test here runs on both."""

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.config import Settings
from core.errors import NotFound, PeerError, RequestError, Unavailable
from core.storage.blob_keys import checked_key
from core.storage.blobs import Blobs, open_blobs
from core.storage.blobs_folder import FolderBlobs
from core.storage.blobs_s3 import PART, S3Blobs

MIB = 1 << 20


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    """An S3 in this process, all in memory."""
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(params=["folder", "s3"])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "folder":
        return open_blobs(Settings(blobs_dir=tmp_path / "objects"))
    # A bucket of its own for each test, and one that is not there yet.
    bucket = f"b{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}"
    return open_blobs(
        Settings(
            s3_endpoint=request.getfixturevalue("s3_endpoint"),
            s3_bucket=bucket,
            s3_access_key="key",
            s3_secret_key="secret",
        )
    )


def test_what_is_put_is_what_is_read(blobs: Blobs) -> None:
    stored = blobs.put("recordings/2026/call.wav", b"RIFF....", content_type="audio/wav")
    assert stored.size == 8
    assert stored.sha256 == hashlib.sha256(b"RIFF....").hexdigest()
    assert blobs.get("recordings/2026/call.wav") == b"RIFF...."
    found = blobs.stat("recordings/2026/call.wav")
    assert found is not None
    assert (found.size, found.sha256) == (8, stored.sha256)
    assert found.modified_us > 1_700_000_000_000_000


def test_an_object_is_replaced_as_a_whole(blobs: Blobs) -> None:
    blobs.put("a", b"a long first version")
    blobs.put("a", b"short")
    assert blobs.get("a") == b"short"
    found = blobs.stat("a")
    assert found is not None
    assert found.sha256 == hashlib.sha256(b"short").hexdigest()


def test_an_object_may_be_empty(blobs: Blobs, tmp_path: Path) -> None:
    (tmp_path / "nothing").write_bytes(b"")
    assert blobs.put("none", b"").size == 0
    assert blobs.put_file("file/none", tmp_path / "nothing").size == 0
    assert blobs.get("none") == b""
    assert list(blobs.open_range("file/none", 0, 100)) == []


def test_a_large_file_goes_up_in_parts_and_comes_back_the_same(blobs: Blobs, tmp_path: Path) -> None:
    path = tmp_path / "large.irj"
    content = os.urandom(MIB) * (2 * PART // MIB + 1)
    path.write_bytes(content)
    stored = blobs.put_file("journal/large.irj", path)
    assert stored.size == len(content)
    assert stored.sha256 == hashlib.sha256(content).hexdigest()
    digest = hashlib.sha256()
    for chunk in blobs.open_range("journal/large.irj"):
        assert len(chunk) <= MIB
        digest.update(chunk)
    assert digest.hexdigest() == stored.sha256
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("start", "stop", "wanted"),
    [
        (0, None, b"0123456789"),
        (3, 5, b"34"),
        (9, None, b"9"),
        (5, 100, b"56789"),
        (4, 4, b""),
        (6, 2, b""),
        (10, None, b""),
        (50, 60, b""),
    ],
)
def test_a_range_is_read_as_python_slices(blobs: Blobs, start: int, stop: int | None, wanted: bytes) -> None:
    blobs.put("digits", b"0123456789")
    assert b"".join(blobs.open_range("digits", start, stop)) == wanted


def test_what_is_not_there_is_said_at_once(blobs: Blobs, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        blobs.open_range("nothing/here")
    with pytest.raises(NotFound):
        blobs.open_range("nothing/here", 5, 5)
    with pytest.raises(NotFound):
        blobs.get("nothing/here")
    with pytest.raises(NotFound):
        blobs.put_file("x", tmp_path / "no such file")
    assert blobs.stat("nothing/here") is None
    assert list(blobs.list("nothing")) == []


def test_deleting_twice_is_deleting_once(blobs: Blobs) -> None:
    blobs.put("a/b/c", b"1")
    blobs.put("a/d", b"2")
    blobs.delete("a/b/c")
    blobs.delete("a/b/c")
    assert blobs.stat("a/b/c") is None
    assert blobs.get("a/d") == b"2"
    blobs.put("a/b/c", b"3")
    assert blobs.get("a/b/c") == b"3"


KEYS = [
    "a",
    "a/b",
    "a/b.wav",
    "a.b",
    "a#b/c#",
    "a%23b/c",
    "journal/eins",
    "journal/zwei drei",
    "ordner/ünïcødé/電話.wav",
    "ordner/e\u0301",
    "ordner/é",
]


def test_keys_are_listed_in_order_by_any_prefix(blobs: Blobs) -> None:
    for number, key in enumerate(KEYS):
        blobs.put(key, b"x" * number)
    for prefix in ("", "a", "a/", "a/b", "journal/", "journal/z", "ordner/ü", "nichts", "a#", "a%"):
        wanted = sorted((key for key in KEYS if key.startswith(prefix)), key=str.encode)
        found = list(blobs.list(prefix))
        assert [blob.key for blob in found] == wanted
        assert [blob.size for blob in found] == [KEYS.index(key) for key in wanted]


@pytest.mark.parametrize(
    "key",
    ["", "/", "/etc/passwd", "a//b", "a/", "../x", "a/../../x", ".", "a/./b", "a\x00b", "a\nb", "x" * 901,
     "a/" + "y" * 300, "#" * 100, "\ud800"],
)  # fmt: skip
def test_a_key_cannot_leave_its_place_or_be_odd(blobs: Blobs, key: str) -> None:
    for act in (blobs.get, blobs.stat, blobs.delete, blobs.open_range, lambda k: blobs.put(k, b"x")):
        with pytest.raises(RequestError) as refused:
            act(key)
        assert not isinstance(refused.value, NotFound)


@given(key=st.text(max_size=40))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
def test_whatever_the_key_the_file_stays_in_the_folder(tmp_path: Path, key: str) -> None:
    folder = tmp_path / "objects"
    blobs = FolderBlobs(folder)
    try:
        checked_key(key)
    except RequestError:
        with pytest.raises(RequestError):
            blobs.put(key, b"x")
    else:
        blobs.put(key, b"x")
        assert [blob.key for blob in blobs.list()] == [key]
        blobs.delete(key)
    outside = {path.name for path in tmp_path.iterdir()}
    assert outside <= {"objects"}
    assert not [path for path in folder.rglob("*") if path.is_file()]


def test_readers_see_the_old_or_the_new_object_never_a_mixture(blobs: Blobs) -> None:
    versions = [bytes([n]) * 200_000 for n in range(4)]
    blobs.put("same", versions[0])
    seen: list[bytes] = []

    def read() -> None:
        for _ in range(20):
            seen.append(blobs.get("same"))

    reader = threading.Thread(target=read)
    reader.start()
    for version in versions * 3:
        blobs.put("same", version)
    reader.join(30)
    assert seen
    assert all(one in versions for one in seen)


def test_a_presigned_address_needs_no_key(blobs: Blobs) -> None:
    blobs.put("for/everybody", b"hello")
    address = blobs.presign("for/everybody", 60)
    if isinstance(blobs, FolderBlobs):
        assert address is None
        return
    assert address is not None
    assert "secret" not in address
    assert httpx.get(address).content == b"hello"


def test_a_store_that_can_be_written_says_so(blobs: Blobs) -> None:
    blobs.check()
    assert list(blobs.list()) == []


def test_a_bucket_out_of_reach_is_unavailable_and_names_no_secret() -> None:
    away = S3Blobs(bucket="b", endpoint="http://127.0.0.1:9", access_key="AKIA", secret_key="hush")
    with pytest.raises(Unavailable) as failed:
        away.get("a")
    assert "hush" not in str(failed.value)
    assert "127.0.0.1" not in str(failed.value)


def test_a_folder_that_cannot_be_written_is_the_stores_fault(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PeerError):
        FolderBlobs(tmp_path / "file").put("a", b"x")
    with pytest.raises(PeerError):
        FolderBlobs(tmp_path / "file").check()


def test_a_file_changed_behind_our_back_gets_a_true_checksum(tmp_path: Path) -> None:
    blobs = FolderBlobs(tmp_path)
    blobs.put("a.txt", b"what we wrote")
    (tmp_path / "a.txt").write_bytes(b"what they wrote")
    found = blobs.stat("a.txt")
    assert found is not None
    assert found.sha256 == hashlib.sha256(b"what they wrote").hexdigest()
