"""Recordings under fire: kill -9 of the process beside the switch at each named step of an upload.

At every moment the sound is on the switch's disk or, verified, in the object store; whoever comes next finishes what was
begun, and the ledger says "stored" once. The steps are named in `core.node_agent.agent` and `core.storage.recording_upload`.
"""

import asyncio
import hashlib
import multiprocessing
import os
from collections.abc import Iterator
from multiprocessing.context import ForkServerContext
from pathlib import Path
from typing import Any

import pytest

from core.node_agent.agent import NodeAgent
from core.node_agent.files import Folder
from core.storage import recording_upload
from core.storage.blobs_s3 import S3Blobs
from core.storage.database import Database
from tests.node_agent import scene
from tests.node_agent.scene import PART_STEPS, STEPS, Site, store_of, wav

pytestmark = pytest.mark.asyncio_loop


@pytest.fixture(scope="module")
def processes() -> Iterator[ForkServerContext]:
    """Processes that begin at once: the modules are loaded already where they are forked from."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.node_agent.scene"])
    yield context


@pytest.fixture(scope="module")
def s3_endpoint() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


async def killed(processes: ForkServerContext, *args: Any) -> None:
    process = processes.Process(target=scene.run_until_dead, args=args)
    process.start()
    await asyncio.to_thread(process.join, 40)
    assert process.exitcode == -9, "it did not come to this step"


async def finish(db: Database, folder: Path, where: str, node: str) -> NodeAgent:
    held = Folder(folder)  # a dead process holds nothing
    try:
        agent = NodeAgent(db, store_of(where), held, node)
        await agent.look()
        await agent.settle()
        return agent
    finally:
        held.close()


@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step_a_recording_is_never_lost_and_stored_once(
    step: str, processes: ForkServerContext, database_url: str, s3_endpoint: str, tmp_path: Path
) -> None:
    # (what differs between folder and bucket is below the steps; both are tried)
    folder = STEPS.index(step) % 2 == 0
    bucket = hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]
    where = f"folder:{tmp_path / 'o'}" if folder else f"s3:{s3_endpoint}:{bucket}"
    content = wav(1)
    async with await Database.open(database_url, max_size=3) as db:
        site = Site(db, tmp_path / "recordings")
        recording_id = await site.recording(content)
        await killed(processes, step, database_url, site.path, where, site.node)
        row = await site.row(recording_id)
        there = site.file(recording_id).exists()
        assert there or store_of(where).get(row["key"]) == content
        await finish(db, site.path, where, site.node)
        row = await site.row(recording_id)
        assert (row["state"], row["sha256"]) == ("stored", hashlib.sha256(content).digest())
        assert store_of(where).get(row["key"]) == content
        assert not site.file(recording_id).exists()
        assert (await site.told()).count("recording.stored") == 1


@pytest.mark.parametrize("step", PART_STEPS)
async def test_killed_within_a_large_upload_the_parts_that_are_there_are_not_sent_again(
    step: str,
    processes: ForkServerContext,
    database_url: str,
    s3_endpoint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = f"s3:{s3_endpoint}:{hashlib.sha256(str(tmp_path).encode()).hexdigest()[:20]}"
    size = 5 << 20
    content = os.urandom(size * 2 + 1000)
    monkeypatch.setattr(recording_upload, "PART", size)
    async with await Database.open(database_url, max_size=3) as db:
        site = Site(db, tmp_path / "recordings")
        recording_id = await site.recording(content)
        await killed(processes, step, database_url, site.path, where, site.node, size)
        assert site.file(recording_id).exists()
        agent = await finish(db, site.path, where, site.node)
        row = await site.row(recording_id)
        assert (row["state"], row["size"]) == ("stored", len(content))
        blobs = store_of(where)
        assert isinstance(blobs, S3Blobs)
        assert blobs.get(row["key"]) == content
        assert agent.statistics.bytes <= len(content)
        if step == "parts":
            assert agent.statistics.bytes == 0
        # Only what died before its note was written is left for the bucket's rule of life.
        left = blobs.client.list_multipart_uploads(Bucket=blobs.bucket).get("Uploads") or []
        assert len(left) == 0
