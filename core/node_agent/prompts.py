"""Prompts on their way to the switch: what a tenant has uploaded lies beside its recordings, for the switch to play.

A file is whole before it has its name, so the switch never plays half of one. What is no prompt any more goes. asyncio.
"""

import asyncio
import hashlib
from pathlib import Path

from core.errors import NotFound, PeerError
from core.logs import get_logger
from core.node_agent.files import PROMPTS, Folder
from core.storage import media
from core.storage.blobs import Blobs
from core.storage.database import Database

LOG = get_logger("node")


async def fetch_prompts(db: Database, blobs: Blobs, folder: Folder) -> int:
    """Have every tenant's prompts in the folder; how many were fetched. Raises the ledger's errors."""
    wanted = await media.for_switches(db)
    return await asyncio.to_thread(_fetch, wanted, blobs, folder)


def _fetch(wanted: list[media.Prompt], blobs: Blobs, folder: Folder) -> int:
    places = {folder.here / one.tenant_id / PROMPTS / f"{one.id}.wav": one for one in wanted}
    fetched = 0
    for path, one in places.items():
        try:
            if path.stat().st_size == one.size:
                continue
        except OSError:
            pass
        try:
            fetched += _fetch_one(path, one, blobs)
        except (PeerError, NotFound, OSError) as exc:
            LOG.warning("a prompt did not reach the switch", media=one.id, error=type(exc).__name__)
    for present in folder.here.glob(f"*/{PROMPTS}/*.wav"):
        if present not in places:
            present.unlink(missing_ok=True)
    return fetched


def _fetch_one(path: Path, one: media.Prompt, blobs: Blobs) -> bool:
    data = blobs.get(one.key)
    if hashlib.sha256(data).digest() != one.sha256:
        raise PeerError("the object store holds another prompt", code="blobs_failed")
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    fresh.replace(path)
    return True
