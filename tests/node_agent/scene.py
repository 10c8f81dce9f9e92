"""A switch's folder with a recording that is whole, its ledger, and a store of objects; a process that dies in it."""

import asyncio
import hashlib
import os
import signal
import struct
import time
from pathlib import Path
from typing import Any

from core.clock import now_us
from core.ids import new_id
from core.node_agent.agent import NodeAgent
from core.node_agent.files import Folder
from core.storage import recording_upload
from core.storage.blobs import Blobs
from core.storage.blobs_folder import FolderBlobs
from core.storage.blobs_s3 import S3Blobs
from core.storage.database import Database

STEPS = ("claiming", "claimed", "sending", "sent", "verified", "entered", "removed")
"""Of a file of one part."""
PART_STEPS = ("begun", "part 2", "parts")
"""What is different for one of three parts."""


def wav(seconds: float, *, seed: int = 1) -> bytes:
    """Sound of a kind, 8 kHz stereo, that no other seed gives."""
    frames = int(seconds * 8000)
    data = hashlib.shake_128(bytes([seed])).digest(4096) * (frames * 4 // 4096 + 1)
    data = data[: frames * 4]
    fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 8000, 32000, 4, 16)
    head = b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVE" + fmt
    return head + struct.pack("<4sI", b"data", len(data)) + data


class Site:
    """One switch's folder, and what the ledger knows of it."""

    def __init__(self, db: Database, folder: Path) -> None:
        self.db = db
        self.path = folder
        self.node = new_id("node")
        self.tenant = new_id("tnt")

    async def recording(
        self, content: bytes | None, *, state: str = "stopped", age_s: float = 100.0, **more: Any
    ) -> str:
        """A recording in the ledger and, unless ``content`` is None, on the disk."""
        recording_id = new_id("rec")
        path = self.path / self.tenant / f"{recording_id}.wav"
        if content is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            then = time.time() - age_s
            os.utime(path, (then, then))
        moment = now_us()
        given = {
            "tenant_id": self.tenant, "id": recording_id, "call_id": new_id("call"), "node": self.node, "leg": "leg-1",
            "source": "policy", "state": state, "path": str(path), "expected_us": moment - 200_000_000,
            "started_us": moment - 190_000_000, "stopped_us": moment - 100_000_000, **more,
        }  # fmt: skip
        names, places = ", ".join(given), ", ".join(f"${n}" for n in range(1, len(given) + 1))
        async with self.db.tenant(self.tenant) as connection:
            await connection.execute(f"insert into recordings ({names}) values ({places})", *given.values())
        return recording_id

    def file(self, recording_id: str) -> Path:
        return self.path / self.tenant / f"{recording_id}.wav"

    async def row(self, recording_id: str) -> dict[str, Any]:
        async with self.db.reader(self.tenant) as connection:
            return dict(await connection.fetchrow("select * from recordings where id = $1", recording_id))

    async def told(self) -> list[str]:
        async with self.db.reader(self.tenant) as connection:
            rows = await connection.fetch("select type from events order by seq")
        return [row["type"] for row in rows]


def die_at(wanted: str) -> Any:
    def step(name: str) -> None:
        if name == wanted:
            os.kill(os.getpid(), signal.SIGKILL)

    return step


def store_of(where: str) -> Blobs:
    """``folder:PATH`` or ``s3:ENDPOINT:BUCKET``."""
    kind, _, rest = where.partition(":")
    if kind == "folder":
        return FolderBlobs(Path(rest))
    endpoint, _, bucket = rest.rpartition(":")
    return S3Blobs(bucket=bucket, endpoint=endpoint, access_key="key", secret_key="secret")


def run_until_dead(
    step: str, database_url: str, folder: Path, where: str, node: str, part: int = recording_upload.PART
) -> None:
    """In a process of its own: bring what there is, and die on the way."""
    recording_upload.PART, recording_upload.AT_ONCE = part, 1

    async def main() -> None:
        async with await Database.open(database_url, max_size=3) as db:
            agent = NodeAgent(db, store_of(where), Folder(folder), node, step=die_at(step))
            async with asyncio.timeout(25):
                while True:
                    await agent.look()
                    await agent.settle()
                    await asyncio.sleep(0.05)

    asyncio.run(main())
