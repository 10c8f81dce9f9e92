"""The work of `irisx node`: look, bring, verify, say so, and only then delete.

asyncio; files and the object store in worker threads. Each file goes through the same steps, each of which may be the last
one of this process: the ledger says that it is on its way, the object comes to be and is verified
(`core.storage.recording_upload`), the ledger says that it is stored, the local file goes. Whoever comes next finds the file
still there and takes the same steps, of which those that were taken cost nothing.

An object store that is slow, refuses or is full makes everything wait: the pause doubles up to `MAX_PAUSE_S`, with one
line of log and one incident for all of it, until something is taken again. The files stay where they are meanwhile.
"""

import asyncio
import contextlib
import hashlib
import os
import random
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from msgspec import Struct

from core.bus import NODE_AGENTS, Bus
from core.clock import monotonic, now_us
from core.errors import PeerError
from core.logs import get_logger
from core.node_agent import choosing
from core.node_agent.choosing import Seen
from core.node_agent.files import Folder, Sound, listen
from core.node_agent.prompts import fetch_prompts
from core.storage import incidents, recording_bucket
from core.storage import recording_work as work
from core.storage.blobs import Blobs
from core.storage.database import Database
from core.storage.recording_upload import PART, Sealing, Step, Uploaded, upload
from core.storage.recording_work import Brought, Known

LOG = get_logger("node")

LOOK_S = 1.0
PRESENCE_S = 1.0
PROMPTS_S = 10.0
BUCKET_S = 300.0
FILES_AT_ONCE = 8
"""Small ones mostly wait: for the object store, for a disk, for the ledger."""
LARGE_AT_ONCE = 2
"""Of those that go in parts, which take some 40 MiB of memory each."""
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
FILE_PAUSE_S = 30.0
"""After one file could not be read."""
ASK_AT_ONCE = 1000
GONE_US = 60_000_000
"""A recording whose end was told so long ago, and whose file is not there, is missing."""


class Statistics(Struct):
    """Since the start, but for the last three, which are of the last look."""

    brought: int = 0
    bytes: int = 0
    removed: int = 0
    missing: int = 0
    refusals: int = 0
    """Times that the object store did not take something."""
    waiting: int = 0
    open: int = 0
    """Files that never close."""
    unknown: int = 0
    """Files of which the ledger knows nothing."""


class NodeAgent:
    """One folder of one switch."""

    def __init__(
        self,
        db: Database,
        blobs: Blobs,
        folder: Folder,
        node: str,
        *,
        name: str = "",
        sealing: Sealing | None = None,
        step: Step = lambda _name: None,
    ) -> None:
        self.statistics = Statistics()
        self.trouble = ""
        """Why the object store took nothing the last time."""
        self.lacking: tuple[str, ...] = ()
        """What the bucket should have and has not (`core.storage.recording_bucket`)."""
        self._db = db
        self._blobs = blobs
        self._folder = folder
        self._node = node
        self._name = name or node
        self._sealing = sealing or Sealing()
        self._step = step
        self._wanted: dict[str, tuple[Seen, Known, str]] = {}
        """What the last look found to do, the oldest first."""
        self._busy: set[str] = set()
        self._large: set[str] = set()
        self._files: set[asyncio.Task[None]] = set()
        self._reported: set[str] = set()
        self._not_before: dict[str, float] = {}
        self._pause_s = 0.0
        self._resume_at = 0.0
        self._store_away = False
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Until told to stop; then finish the files under way as far as the process lets us."""
        looked_for_prompts = looked_at_bucket = 0.0
        while not stop.is_set():
            try:
                await self.look()
                if monotonic() - looked_for_prompts > PROMPTS_S:
                    await fetch_prompts(self._db, self._blobs, self._folder)
                    looked_for_prompts = monotonic()
                if monotonic() - looked_at_bucket > BUCKET_S:
                    looked_at_bucket = monotonic()
                    await self._look_at_bucket()
                self._store_away = False
            except PeerError as exc:
                if not self._store_away:
                    LOG.warning("recordings wait for the ledger", error=exc.code)
                self._store_away = True
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), LOOK_S * random.uniform(0.8, 1.2))
        self._stopping = True
        if self._files:
            await asyncio.wait(self._files)

    async def _look_at_bucket(self) -> None:
        try:
            found = await asyncio.to_thread(recording_bucket.condition, self._blobs)
        except PeerError:
            return  # (the next upload says so)
        if found.lacking and found.lacking != self.lacking:
            LOG.warning("the bucket is not fit for recordings: irisx storage prepare", lacking=found.lacking)
        self.lacking = found.lacking

    async def settle(self) -> None:
        """Wait for the files that are under way."""
        while self._files:
            await asyncio.wait(self._files)

    async def look(self) -> None:
        """Look at every file once, and begin to bring those that are whole. Raises the ledger's errors."""
        moment = now_us()
        files = await asyncio.to_thread(lambda: list(self._folder.scan()))
        known = await self._known(files)
        counts = Statistics()
        wanted: dict[str, tuple[Seen, Known, str]] = {}
        for file in sorted(files, key=lambda one: one.changed_us):
            about = known.get(file.path)
            act = choosing.choose(file, about, moment)
            if act == "open":
                counts.open += 1
                self._report(file, "a recording does not close", about)
            elif act == "unknown":
                counts.unknown += 1
                self._report(file, "a file that no call has", about)
            elif act in ("bring", "compare", "remove") and about is not None:
                counts.waiting += 1
                wanted[file.path] = (file, about, act)
        self._wanted = wanted
        self._begin()
        there = {file.path for file in files}
        self.statistics.waiting, self.statistics.open = counts.waiting, counts.open
        self.statistics.unknown = counts.unknown
        self._reported &= there
        self._not_before = {path: at for path, at in self._not_before.items() if path in there}
        await self._say_missing(there, moment)

    async def _known(self, files: Sequence[Seen]) -> dict[str, Known]:
        known: dict[str, Known] = {}
        for at in range(0, len(files), ASK_AT_ONCE):
            paths = [file.path for file in files[at : at + ASK_AT_ONCE]]
            known |= await work.known_files(self._db, paths, node=self._node)
        return known

    def _report(self, file: Seen, what: str, known: Known | None) -> None:
        if file.path not in self._reported:
            self._reported.add(file.path)
            LOG.warning(what, recording="" if known is None else known.id, size=file.size)

    async def _say_missing(self, there: set[str], moment: int) -> None:
        for known in await work.awaited_files(self._db, node=self._node, before_us=moment - GONE_US):
            local = self._folder.local(known.path)
            if local is None or known.path in there or known.path in self._busy:
                continue
            if await asyncio.to_thread(local.exists):
                continue
            if await work.give_up(self._db, known.tenant_id, known.id, reason="not_on_disk", now_us=moment):
                self.statistics.missing += 1
                LOG.warning("a recording is missing", recording=known.id)

    def _begin(self) -> None:
        """As many of the wanted as there is room for; each that ends makes room for the next."""
        for path in list(self._wanted):
            # After a refusal one file asks for all.
            room = 1 if self._pause_s else FILES_AT_ONCE
            if len(self._busy) >= room or monotonic() < self._resume_at:
                return
            if path in self._busy:
                del self._wanted[path]
            elif monotonic() >= self._not_before.get(path, 0.0):
                file, known, act = self._wanted[path]
                if file.size > PART and len(self._large) >= LARGE_AT_ONCE:
                    continue
                del self._wanted[path]
                self._busy.add(path)
                if file.size > PART:
                    self._large.add(path)
                task = asyncio.get_running_loop().create_task(self._one(file, known, act))
                self._files.add(task)
                task.add_done_callback(self._files.discard)

    async def _one(self, file: Seen, known: Known, act: str) -> None:
        try:
            local = self._folder.local(file.path)
            if local is None:
                return
            if act == "remove":
                await asyncio.to_thread(local.unlink, missing_ok=True)
                self.statistics.removed += 1
                LOG.info("the file of an erased recording was removed", recording=known.id)
            else:
                await self._bring(local, file, known)
        except PeerError as exc:
            self._refused(exc.code)
        except FileNotFoundError:
            pass  # it was brought, or taken away, since it was looked at
        except OSError as exc:
            self._not_before[file.path] = monotonic() + FILE_PAUSE_S
            LOG.warning(
                "a recording cannot be read", recording=known.id, error=exc.strerror or type(exc).__name__
            )
        finally:
            self._busy.discard(file.path)
            self._large.discard(file.path)
            if not self._stopping:
                self._begin()

    async def _bring(self, local: Path, file: Seen, known: Known) -> None:
        self._step("claiming")
        if known.state == "stored":
            # It was stored, and this process or another died before the file went; or the path was used again.
            if known.sha256 != await asyncio.to_thread(_digest, local):
                self._report(file, "a file is not the one that was stored", known)
                return
        elif file.size > PART and not await work.uploading(self._db, known, now_us=now_us()):
            return  # (a small file is there before anybody could read that it is on its way)
        self._step("claimed")
        key = known.key or key_of(known)
        came = await asyncio.to_thread(self._take, local, key, known)
        if came is None:
            return  # it was written to after all: the next look takes it anew
        done, sound = came
        self._step("verified")
        found = Brought(
            key=key,
            size=done.size,
            sha256=done.sha256,
            duration_ms=sound.duration_ms,
            channels=sound.channels,
            samples=sound.samples,
            peaks=sound.peaks,
        )
        if not await work.brought(self._db, known, found, now_us=now_us()):
            return  # it was erased meanwhile: the next look removes the file
        self._step("entered")
        await asyncio.to_thread(local.unlink)
        self._step("removed")
        self.statistics.brought += 1
        self.statistics.bytes += done.sent
        await self._taken()

    def _take(self, local: Path, key: str, known: Known) -> tuple[Uploaded, Sound] | None:
        """Have the object store hold it, and listen to it; None when it changed meanwhile. In a worker thread."""
        before = local.stat()
        note, fresh = self._folder.note(known.id), known.state == "stopped"
        done = upload(self._blobs, key, local, note, sealing=self._sealing, step=self._step, fresh=fresh)
        sound, after = listen(local), local.stat()
        same = (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)
        return (done, sound) if same else None

    def _refused(self, code: str) -> None:
        self.statistics.refusals += 1
        if monotonic() < self._resume_at:
            return  # of those that were under way together one is enough
        if not self._pause_s:
            LOG.warning("the object store does not take recordings; they wait here", error=code)
        self._pause_s = min(max(self._pause_s * 2, FIRST_PAUSE_S), MAX_PAUSE_S)
        self._resume_at = monotonic() + self._pause_s * random.uniform(0.5, 1.0)
        fresh, self.trouble = not self.trouble, code
        if fresh:
            self._files.add(task := asyncio.get_running_loop().create_task(self._tell_trouble(code)))
            task.add_done_callback(self._files.discard)

    async def _tell_trouble(self, code: str) -> None:
        with contextlib.suppress(PeerError):
            await incidents.open_incident(
                self._db,
                f"recordings:{self._node}",
                severity="degraded",
                summary=f"recordings of the switch {self._name} cannot be stored; they wait on its disk",
                cause=code,
            )

    async def _taken(self) -> None:
        if self._pause_s:
            LOG.info("the object store takes recordings again")
        self._pause_s, self._resume_at = 0.0, 0.0
        if self.trouble:
            self.trouble = ""
            with contextlib.suppress(PeerError):
                await incidents.close_incident(self._db, f"recordings:{self._node}")


def key_of(known: Known) -> str:
    """Where a recording is in the object store: by tenant and day of UTC, so that a day can be found without the ledger."""
    began = known.started_us or known.stopped_us or known.expected_us
    day = datetime.fromtimestamp(began / 1e6, UTC)
    return f"recordings/{known.tenant_id}/{day:%Y/%m/%d}/{known.id}.wav"


def _digest(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


async def show_presence(bus: Bus, agent: NodeAgent, name: str, node: str, stop: asyncio.Event) -> None:
    """Tell the status pages that it lives, and what it does. Runs out in Redis by itself."""
    began = now_us()
    while not stop.is_set():
        said = {
            "name": name,
            "host": socket.gethostname(),
            "pid": os.getpid(),
            "node": node,
            "started_us": began,
            "trouble": agent.trouble,
            "lacking": agent.lacking,
            **msgspec.structs.asdict(agent.statistics),
        }
        await bus.present(name, msgspec.json.encode(said), kind=NODE_AGENTS)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), PRESENCE_S)
