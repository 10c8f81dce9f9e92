"""Files come home: into a folder or a bucket, verified before they go, whatever the store does meanwhile."""

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from core.errors import Conflict, Unavailable
from core.node_agent import agent as agents
from core.node_agent.agent import NodeAgent
from core.node_agent.files import Folder
from core.node_agent.prompts import fetch_prompts
from core.storage import incidents, media, recording_bucket, recording_upload
from core.storage.blobs import Blobs
from core.storage.blobs_s3 import S3Blobs
from core.storage.database import Database
from core.storage.recording_upload import Sealing, upload
from tests.node_agent.scene import Site, store_of, wav

pytestmark = pytest.mark.asyncio_loop


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
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return f"folder:{tmp_path / 'objects'}"
    bucket = f"b{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}"
    return f"s3:{request.getfixturevalue('s3_endpoint')}:{bucket}"


class Work:
    """An agent at a site."""

    def __init__(self, site: Site, folder: Folder, blobs: Blobs) -> None:
        self.site, self.blobs = site, blobs
        self.agent = NodeAgent(site.db, blobs, folder, site.node)

    async def round(self) -> None:
        await self.agent.look()
        await self.agent.settle()

    async def until_stored(self, recording_id: str) -> dict[str, Any]:
        async with asyncio.timeout(30):
            while (row := await self.site.row(recording_id))["state"] != "stored":
                await self.round()
                await asyncio.sleep(0.02)
        return row


@asynccontextmanager
async def at_work(url: str, tmp_path: Path, blobs: Blobs) -> AsyncIterator[Work]:
    folder = Folder(tmp_path / "recordings")
    try:
        async with await Database.open(url, max_size=4) as db:
            yield Work(Site(db, tmp_path / "recordings"), folder, blobs)
    finally:
        folder.close()


async def test_a_whole_file_comes_home_with_its_length_shape_and_checksum(
    database_url: str, tmp_path: Path, where: str
) -> None:
    content = wav(2.5)
    async with at_work(database_url, tmp_path, store_of(where)) as here:
        recording_id = await here.site.recording(content)
        await here.round()
        row = await here.site.row(recording_id)
        assert (row["state"], row["size"], row["sha256"]) == (
            "stored",
            len(content),
            hashlib.sha256(content).digest(),
        )
        assert (row["duration_ms"], row["channels"], len(row["peaks"])) == (2500, 2, 1600)
        assert here.blobs.get(row["key"]) == content
        assert not here.site.file(recording_id).exists()
        assert await here.site.told() == ["recording.stored"]
        assert list((tmp_path / "recordings" / ".irisx-uploads").iterdir()) == []


async def test_a_living_recording_is_left_alone_and_one_that_never_closes_is_reported(
    database_url: str, tmp_path: Path
) -> None:
    async with at_work(database_url, tmp_path, store_of(f"folder:{tmp_path / 'o'}")) as here:
        living = await here.site.recording(wav(1), state="recording", stopped_us=0, age_s=0)
        stuck = await here.site.recording(wav(1), state="recording", call_ended_us=1, age_s=0, stopped_us=0)
        await here.round()
        for recording_id in (living, stuck):
            assert here.site.file(recording_id).exists()
            assert (await here.site.row(recording_id))["state"] == "recording"
        assert here.agent.statistics.open == 1


async def test_what_is_not_there_is_missing_and_what_is_elsewhere_is_not_ours_to_say(
    database_url: str, tmp_path: Path
) -> None:
    async with at_work(database_url, tmp_path, store_of(f"folder:{tmp_path / 'o'}")) as here:
        gone = await here.site.recording(None)
        elsewhere = await here.site.recording(None, path="/other/disk/x.wav")
        await here.round()
        assert ((await here.site.row(gone))["state"], (await here.site.row(gone))["reason"]) == (
            "missing",
            "not_on_disk",
        )
        assert (await here.site.row(elsewhere))["state"] == "stopped"


async def test_the_file_of_an_erased_recording_goes_and_a_file_without_a_call_stays(
    database_url: str, tmp_path: Path
) -> None:
    async with at_work(database_url, tmp_path, store_of(f"folder:{tmp_path / 'o'}")) as here:
        erased = await here.site.recording(wav(1), state="erased")
        stranger = here.site.file("unknown")
        stranger.write_bytes(wav(1))
        os.utime(stranger, (1, 1))
        await here.round()
        assert not here.site.file(erased).exists()
        assert stranger.exists() and here.agent.statistics.unknown == 1


async def test_another_file_in_the_place_of_a_stored_one_does_not_replace_it(
    database_url: str, tmp_path: Path
) -> None:
    async with at_work(database_url, tmp_path, store_of(f"folder:{tmp_path / 'o'}")) as here:
        recording_id = await here.site.recording(wav(1))
        await here.round()
        here.site.file(recording_id).write_bytes(wav(1, seed=2))
        os.utime(here.site.file(recording_id), (1, 1))
        await here.round()
        assert here.site.file(recording_id).exists()
        assert here.blobs.get((await here.site.row(recording_id))["key"]) == wav(1)


class Moody:
    """A store that refuses for a while."""

    def __init__(self, blobs: Blobs, refusals: int) -> None:
        self._blobs = blobs
        self.left = refusals

    def __getattr__(self, name: str) -> Any:
        return getattr(self._blobs, name)

    def put_file(self, *args: Any, **more: Any) -> Any:
        if self.left:
            self.left -= 1
            raise Unavailable("the disk for objects is full", code="disk_full")
        return self._blobs.put_file(*args, **more)


async def test_a_store_that_is_full_costs_a_pause_one_line_and_one_incident(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(agents, "FIRST_PAUSE_S", 0.05)
    moody: Any = Moody(store_of(f"folder:{tmp_path / 'o'}"), 7)
    async with at_work(database_url, tmp_path, moody) as here:
        ids = [await here.site.recording(wav(1, seed=n)) for n in range(5)]
        await here.round()
        component = f"recordings:{here.site.node}"
        said = msgspec.json.decode(await incidents.list_incidents_json(here.site.db, only_open=True))
        assert [one["cause"] for one in said if one["component"] == component] == ["disk_full"]
        assert all(here.site.file(one).exists() for one in ids)
        for recording_id in ids:
            await here.until_stored(recording_id)
        await here.agent.settle()
        said = msgspec.json.decode(await incidents.list_incidents_json(here.site.db, only_open=True))
        assert not [one for one in said if one["component"] == component]
        assert here.agent.statistics.refusals == 7 and here.agent.trouble == ""
    assert capfd.readouterr().err.count("does not take recordings") <= 1


async def test_prompts_reach_the_switch_whole_and_leave_it_again(database_url: str, tmp_path: Path) -> None:
    async with at_work(database_url, tmp_path, store_of(f"folder:{tmp_path / 'o'}")) as here:
        content = wav(1)
        key = media.key_of(here.site.tenant, "med_1")
        here.blobs.put(key, content)
        given = {
            "id": "med_1", "name": "Consent", "language": "de", "size": len(content), "key": key,
            "sha256": hashlib.sha256(content).digest(), "duration_ms": 1000, "channels": 2, "rate": 8000,
        }  # fmt: skip
        await media.add(here.site.db, here.site.tenant, given)
        await fetch_prompts(here.site.db, here.blobs, here.agent._folder)
        there = tmp_path / "recordings" / here.site.tenant / "prompts" / "med_1.wav"
        assert there.read_bytes() == content
        await here.round()
        assert there.exists() and here.agent.statistics.unknown == 0
        await media.remove(here.site.db, here.site.tenant, "med_1")
        await fetch_prompts(here.site.db, here.blobs, here.agent._folder)
        assert not there.exists()


async def test_a_folder_belongs_to_one_process_at_a_time(tmp_path: Path) -> None:
    first = Folder(tmp_path)
    with pytest.raises(Conflict):
        Folder(tmp_path)
    first.close()
    Folder(tmp_path).close()


async def test_a_switch_may_call_its_folder_otherwise(tmp_path: Path) -> None:
    folder = Folder(tmp_path, there="/var/lib/irisx/recordings/")
    (tmp_path / "tnt_1").mkdir()
    (tmp_path / "tnt_1" / "rec_1.wav").write_bytes(wav(1))
    (seen,) = folder.scan()
    assert seen.path == "/var/lib/irisx/recordings/tnt_1/rec_1.wav"
    assert folder.local(seen.path) == tmp_path / "tnt_1" / "rec_1.wav"
    assert folder.local("/var/lib/irisx/recordings/../secret") is None
    assert folder.local("/etc/passwd") is None
    folder.close()


# -- into a bucket


@pytest.fixture
def bucket(s3_endpoint: str, tmp_path: Path) -> S3Blobs:
    made = store_of(f"s3:{s3_endpoint}:{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}")
    assert isinstance(made, S3Blobs)
    return made


def large(tmp_path: Path, parts: float = 2.5) -> Path:
    path = tmp_path / "large.wav"
    path.write_bytes(os.urandom(int(recording_upload.PART * parts)))
    return path


async def test_a_large_file_goes_in_parts_that_the_store_has_compared(
    bucket: S3Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_upload, "PART", 5 << 20)
    path = large(tmp_path)
    sealing = Sealing(algorithm="AES256")
    done = upload(bucket, "recordings/a.wav", path, tmp_path / "note", sealing=sealing)
    assert (done.size, done.sent) == (path.stat().st_size, path.stat().st_size)
    assert done.sha256 == hashlib.sha256(path.read_bytes()).digest()
    assert bucket.get("recordings/a.wav") == path.read_bytes()
    found = bucket.client.head_object(Bucket=bucket.bucket, Key="recordings/a.wav")
    assert found["ServerSideEncryption"] == "AES256"
    assert not (tmp_path / "note").exists()
    again = upload(bucket, "recordings/a.wav", path, tmp_path / "note")
    assert again.sent == 0 and again.sha256 == done.sha256


async def test_an_upload_goes_on_where_it_was_and_sends_no_part_twice(
    bucket: S3Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_upload, "PART", 5 << 20)
    monkeypatch.setattr(recording_upload, "AT_ONCE", 1)
    path = large(tmp_path)

    def stop(name: str) -> None:
        if name == "part 3":
            raise Unavailable("the line is cut")

    with pytest.raises(Unavailable):
        upload(bucket, "recordings/b.wav", path, tmp_path / "note", step=stop)
    done = upload(bucket, "recordings/b.wav", path, tmp_path / "note")
    assert done.sent == path.stat().st_size - 2 * recording_upload.PART
    assert bucket.get("recordings/b.wav") == path.read_bytes()
    # Nothing is left behind that would be paid for.
    assert not bucket.client.list_multipart_uploads(Bucket=bucket.bucket).get("Uploads")


async def test_a_file_that_is_another_one_by_now_is_not_put_together_with_the_old(
    bucket: S3Blobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording_upload, "PART", 5 << 20)

    def stop(name: str) -> None:
        if name == "parts":
            raise Unavailable("the line is cut")

    with pytest.raises(Unavailable):
        upload(bucket, "recordings/c.wav", large(tmp_path), tmp_path / "note", step=stop)
    other = large(tmp_path)
    upload(bucket, "recordings/c.wav", other, tmp_path / "note")
    assert bucket.get("recordings/c.wav") == other.read_bytes()


async def test_a_bucket_is_made_fit_for_recordings_and_an_object_ends_with_all_its_versions(
    bucket: S3Blobs, tmp_path: Path
) -> None:
    before = recording_bucket.condition(bucket)
    assert not before.versioning and len(before.lacking) == 2
    after = recording_bucket.prepare(bucket)
    assert after.versioning and not after.lacking
    assert (after.unfinished_days, after.replaced_days) == (7, 30)
    assert recording_bucket.prepare(bucket) == after
    bucket.put("recordings/x.wav", b"one")
    bucket.put("recordings/x.wav", b"two")
    bucket.put("recordings/x.wav.other", b"three")
    bucket.delete("recordings/x.wav")
    assert recording_bucket.erase(bucket, "recordings/x.wav") == 3
    assert bucket.client.list_object_versions(Bucket=bucket.bucket, Prefix="recordings/x.wav")["Versions"][0]["Key"] == "recordings/x.wav.other"  # fmt: skip
    assert recording_bucket.erase(bucket, "recordings/x.wav") == 0


async def test_rules_of_life_that_others_have_set_stay(bucket: S3Blobs) -> None:
    bucket.check()
    theirs = {
        "ID": "theirs",
        "Status": "Enabled",
        "Filter": {"Prefix": "exports/"},
        "Expiration": {"Days": 3},
    }
    bucket.client.put_bucket_lifecycle_configuration(
        Bucket=bucket.bucket, LifecycleConfiguration={"Rules": [theirs]}
    )
    recording_bucket.prepare(bucket)
    rules = bucket.client.get_bucket_lifecycle_configuration(Bucket=bucket.bucket)["Rules"]
    assert sorted(rule["ID"] for rule in rules) == ["irisx", "theirs"]


async def test_what_is_no_sound_comes_home_too_and_is_told_to_be_empty(
    database_url: str, tmp_path: Path
) -> None:
    async with at_work(database_url, tmp_path, store_of(f"folder:{tmp_path / 'o'}")) as here:
        empty = await here.site.recording(wav(0))
        odd = await here.site.recording(b"not a wav file")
        nothing = await here.site.recording(b"")
        await here.round()
        for recording_id in (empty, odd, nothing):
            row = await here.site.row(recording_id)
            assert (row["state"], row["reason"], row["duration_ms"]) == ("stored", "empty", 0)
