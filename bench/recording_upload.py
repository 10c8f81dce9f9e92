"""Recordings brought home a second: `irisx node` as it is (ledger in a Postgres that waits for its disk, checksums, verified
before the local file goes) against plain boto3 that uploads the same files, as many at once, and looks at nothing.

Small files are calls of half a minute, large ones hours. The bucket is moto's server in a process of its own, all in memory: it
takes most of the time of both, so the same bench on a real store says more (``S3_ENDPOINT`` and its keys, if they are set).
"""

import asyncio
import hashlib
import multiprocessing
import os
import shutil
import struct
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from bench.report import Figure, arguments, report
from core.clock import now_us
from core.ids import new_id
from core.node_agent.agent import FILES_AT_ONCE, NodeAgent
from core.node_agent.files import Folder
from core.storage.blobs_s3 import S3Blobs
from core.storage.database import Database
from core.storage.embedded import EmbeddedPostgres
from core.storage.migrate import migrate

WANTED = 0.8
"""Of plain boto3, to reach."""
TENANT, NODE = "tnt_main", "node_bench"


def main() -> None:
    """Run the bench and print its figures."""
    given = arguments(__doc__ or "", files=300, small_kb=480, large=3, large_mb=64)
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.Process(target=_server, args=(theirs,), daemon=True)
    endpoint = os.environ.get("S3_ENDPOINT", "")
    if not endpoint:
        server.start()
        endpoint = ours.recv()
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        postgres = EmbeddedPostgres(Path(folder) / "pg")
        postgres.start()
        try:
            migrate(postgres.url)
            for name, unit, count, size in (
                ("small files", "files/s", int(given.files), int(given.small_kb) << 10),
                ("large files", "MB/s", int(given.large), int(given.large_mb) << 20),
            ):
                each = 1.0 if unit == "files/s" else size / 1e6
                bare = _bare(endpoint, Path(folder) / "bare", count, size)
                whole = asyncio.run(_node(postgres.url, endpoint, Path(folder) / "node", count, size))
                value, reference = count * each / whole, count * each / bare
                figures.append(
                    Figure(
                        name=f"{name}: {count} of {size / 1e6:.1f} MB",
                        value=round(value, 1),
                        unit=unit,
                        reference=round(reference, 1),
                        reference_name="boto3 upload_file",
                        wanted=f"{WANTED} of plain boto3",
                        reached=value >= WANTED * reference,
                    )
                )
        finally:
            postgres.stop()
    if server.is_alive():
        server.terminate()
    report("recording_upload", figures, as_json=given.json)


def _server(line: Connection) -> None:
    import logging

    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    line.send(f"http://{host}:{port}")
    time.sleep(3600)


def _store(endpoint: str, bucket: str) -> S3Blobs:
    key, secret = os.environ.get("S3_ACCESS_KEY", "key"), os.environ.get("S3_SECRET_KEY", "secret")
    return S3Blobs(bucket=bucket, endpoint=endpoint, access_key=key, secret_key=secret)


def _files(folder: Path, count: int, size: int) -> list[Path]:
    """Files of chance, all different, that look like finished recordings."""
    place = folder / TENANT
    place.mkdir(parents=True, exist_ok=True)
    chance = os.urandom(1 << 20)
    found = []
    for n in range(count):
        path = place / f"{new_id('rec')}.wav"
        with path.open("wb") as file:
            fmt = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 2, 8000, 32000, 4, 16)
            file.write(b"RIFF\0\0\0\0WAVE" + fmt + struct.pack("<4sI", b"data", size))
            for at in range(0, size, len(chance)):
                file.write(
                    hashlib.sha256(f"{n}/{at}".encode()).digest() + chance[: min(len(chance), size - at) - 32]
                )
        then = time.time() - 60
        os.utime(path, (then, then))
        found.append(path)
    return found


def _bare(endpoint: str, folder: Path, count: int, size: int) -> float:
    """Seconds of plain boto3."""
    store = _store(endpoint, "irisx-bench-bare")
    store.check()
    files = _files(folder, count, size)
    began = time.monotonic()
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        list(pool.map(lambda path: store.client.upload_file(str(path), store.bucket, path.name), files))
    took = time.monotonic() - began
    for path in files:
        store.client.delete_object(Bucket=store.bucket, Key=path.name)
    shutil.rmtree(folder)
    return took


async def _node(url: str, endpoint: str, folder: Path, count: int, size: int) -> float:
    """Seconds of `irisx node`, from the first look to the last file that is gone."""
    store = _store(endpoint, "irisx-bench-node")
    store.check()
    files, moment = _files(folder, count, size), now_us()
    async with await Database.open(url, max_size=4) as db:
        async with db.tenant(TENANT) as connection:
            rows: list[tuple[Any, ...]] = [
                (TENANT, path.stem, "call_1", NODE, str(path), moment, moment - 60_000_000) for path in files
            ]
            await connection.executemany(
                "insert into recordings (tenant_id, id, call_id, node, path, expected_us, stopped_us, source, state)"
                " values ($1, $2, $3, $4, $5, $6, $7, 'policy', 'stopped')",
                rows,
            )
        held = Folder(folder)
        agent = NodeAgent(db, store, held, NODE)
        began = time.monotonic()
        while agent.statistics.brought < count:
            await agent.look()
            await agent.settle()
            if agent.statistics.refusals:
                raise SystemExit(f"the store refused: {agent.trouble}")
        took = time.monotonic() - began
        held.close()
        async with db.tenant(TENANT) as connection:
            stored = await connection.fetchval("select count(*) from recordings where state = 'stored'")
            if stored < count or any(path.exists() for path in files):
                raise SystemExit("not every file is stored and gone")
            await connection.execute("delete from recordings")
    for blob in list(store.list()):
        store.delete(blob.key)
    shutil.rmtree(folder)
    return took


if __name__ == "__main__":
    main()
