"""A file into the object store, so that it may be deleted afterwards: in parts, verified, to be resumed at any point.

Into a bucket: a file of more than one part goes up as a multipart upload with a SHA-256 for each part, which the store
compares with what came. Which upload it is stands in a small note beside the file; what the store has of it is asked from
the store itself, so that a killed process costs the parts that were under way and nothing else. Afterwards the object is
asked for its size and checksum; only when both are those of the file is it there. A store that keeps no SHA-256 is
compared by its ETag, and one whose ETag means nothing is read back.

Into a folder: copied, flushed to the disk, renamed, compared.

Blocking. Raises the store's errors (`core.errors.PeerError`) and OSError for the file.
"""

import base64
import contextlib
import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError
from msgspec import Struct

from core.errors import PeerError
from core.storage.blob_keys import checked_key
from core.storage.blobs import Blobs
from core.storage.blobs_s3 import S3Blobs, failures

PART = 8 << 20
"""Bytes of a part: 10,000 of them are 80 GB, a recording of a month."""
AT_ONCE = 4
"""Parts of one file that are under way together."""
WAV = "audio/wav"

Step = Callable[[str], None]
"""Told the name of each step before it is taken: tests kill the process there."""


class Sealing(Struct, frozen=True, kw_only=True):
    """How the store shall encrypt what it keeps; nothing: as the bucket says."""

    algorithm: str = ""
    """``AES256`` or ``aws:kms``."""
    kms_key: str = ""

    def options(self) -> dict[str, str]:
        given = {"ServerSideEncryption": self.algorithm, "SSEKMSKeyId": self.kms_key}
        return {name: value for name, value in given.items() if value}


class Uploaded(Struct, frozen=True, kw_only=True):
    """An object that holds what the file holds."""

    key: str
    size: int
    sha256: bytes
    sent: int
    """Bytes that were sent now: none when it was there, fewer than all when an upload was resumed."""
    proof: str
    """By what it was verified: ``sha256``, ``etag`` or ``read``."""


def _no_step(_name: str) -> None:
    """Nobody wants to know."""


def upload(
    blobs: Blobs,
    key: str,
    path: Path,
    note: Path,
    *,
    sealing: Sealing | None = None,
    step: Step = _no_step,
    fresh: bool = False,
) -> Uploaded:
    """Have the object ``key`` hold what the file holds. ``note`` is where an upload under way is remembered.

    ``fresh``: nobody has tried before as far as is known, so it is not looked first whether the object is there.
    """
    checked_key(key)
    if isinstance(blobs, S3Blobs):
        return _Upload(blobs, key, path, note, sealing or Sealing(), step).run(fresh)
    return _into_folder(blobs, key, path, step)


def _into_folder(blobs: Blobs, key: str, path: Path, step: Step) -> Uploaded:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        size = file.tell()
    sent = 0
    found = blobs.stat(key)
    if found is None or (found.size, found.sha256) != (size, digest.hexdigest()):
        step("sending")
        blobs.put_file(key, path, content_type=WAV)
        sent = size
        step("sent")
        found = blobs.stat(key)
    if found is None or (found.size, found.sha256) != (size, digest.hexdigest()):
        raise PeerError("the object store holds something else than it was given", code="blobs_failed")
    return Uploaded(key=key, size=size, sha256=digest.digest(), sent=sent, proof="sha256")


class _Upload:
    """One file on its way into a bucket."""

    def __init__(
        self, blobs: S3Blobs, key: str, path: Path, note: Path, sealing: Sealing, step: Step
    ) -> None:
        self._blobs = blobs
        self._s3 = blobs.client
        self._names = {"Bucket": blobs.bucket, "Key": key}
        self._key = key
        self._path = path
        self._note = note
        self._sealing = sealing
        self._step = step
        self._sent = 0

    def run(self, fresh: bool) -> Uploaded:
        about = self._path.stat()
        self._size = about.st_size
        self._print = f"{about.st_size} {about.st_mtime_ns}"
        with failures():
            if self._size <= PART:
                data = self._path.read_bytes()
                self._sums = [hashlib.sha256(data).digest()]
                whole = self._sums[0]
                if fresh or not self._verified(whole, must=False):
                    self._put(data)
            else:
                whole = self._parts()
            proof = self._verified(whole, must=True)
        self._note.unlink(missing_ok=True)
        return Uploaded(key=self._key, size=self._size, sha256=whole, sent=self._sent, proof=proof)

    def _put(self, data: bytes) -> None:
        self._step("sending")
        given = {"Body": data, "ContentType": WAV, "ChecksumSHA256": _b64(self._sums[0]),
                 "Metadata": {"sha256": self._sums[0].hex()}}  # fmt: skip
        self._blobs_there(lambda: self._s3.put_object(**self._names, **given, **self._sealing.options()))
        self._sent = len(data)
        self._step("sent")

    def _blobs_there(self, act: Callable[[], Any]) -> Any:
        """Do it; make the bucket first where there is none."""
        try:
            return act()
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") != "NoSuchBucket":
                raise
        self._blobs.check()
        return act()

    # -- in parts

    def _parts(self) -> bytes:
        """Send the parts that the store does not have yet and put them together; the SHA-256 of the whole."""
        resumed = self._resumed()
        upload_id, have = resumed if resumed is not None else ("", {})
        count = -(-self._size // PART)
        self._sums = [b""] * count
        whole = hashlib.sha256()
        if not upload_id:
            # (the upload may be whole already: then there is no note, and the object is there)
            if (found := self._head()) is not None and found.get("ContentLength") == self._size:
                whole_sum = self._hash_all()
                if self._verified(whole_sum, must=False):
                    return whole_sum
            upload_id = self._begin()
        with self._path.open("rb") as file, ThreadPoolExecutor(AT_ONCE) as pool:
            waiting: list[Any] = []
            for number in range(1, count + 1):
                data = file.read(PART)
                whole.update(data)
                digest = self._sums[number - 1] = hashlib.sha256(data).digest()
                if number in have and have[number] in (_b64(digest), _md5(data)):
                    continue
                waiting.append(pool.submit(self._send, upload_id, number, data, digest))
                del data
                if len(waiting) >= AT_ONCE:
                    have.update([waiting.pop(0).result()])
            have.update(one.result() for one in waiting)
        self._step("parts")
        self._complete(upload_id)
        self._step("sent")
        return whole.digest()

    def _begin(self) -> str:
        self._step("beginning")
        begun = self._blobs_there(
            lambda: self._s3.create_multipart_upload(
                **self._names, ContentType=WAV, ChecksumAlgorithm="SHA256", **self._sealing.options()
            )
        )
        said = {"upload": begun["UploadId"], "key": self._key, "file": self._print}
        fresh = self._note.with_name(self._note.name + ".new")
        fresh.write_text(json.dumps(said))
        fresh.replace(self._note)
        self._step("begun")
        return str(begun["UploadId"])

    def _resumed(self) -> tuple[str, dict[int, str]] | None:
        """The upload that the note names, and what the store has of it: a checksum for each part."""
        try:
            said = json.loads(self._note.read_text())
        except (OSError, ValueError):
            return None
        if (said.get("key"), said.get("file")) != (self._key, self._print):
            return None  # of a file that was another one then
        upload_id, have = str(said["upload"]), {}
        try:
            pages = self._s3.get_paginator("list_parts").paginate(**self._names, UploadId=upload_id)
            for page in pages:
                for part in page.get("Parts", ()):
                    have[part["PartNumber"]] = part.get("ChecksumSHA256") or part["ETag"].strip('"')
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") not in ("NoSuchUpload", "404", "NoSuchKey"):
                raise
            return None  # it was put together, or the store has thrown it away
        return upload_id, have

    def _send(self, upload_id: str, number: int, data: bytes, digest: bytes) -> tuple[int, str]:
        self._step(f"part {number}")
        self._s3.upload_part(
            **self._names, UploadId=upload_id, PartNumber=number, Body=data, ChecksumSHA256=_b64(digest)
        )
        self._sent += len(data)
        return number, _b64(digest)

    def _complete(self, upload_id: str) -> None:
        listed: dict[int, str] = {}
        for page in self._s3.get_paginator("list_parts").paginate(**self._names, UploadId=upload_id):
            for part in page.get("Parts", ()):
                listed[part["PartNumber"]] = part["ETag"]
        parts = [
            {"PartNumber": n, "ETag": listed.get(n, ""), "ChecksumSHA256": _b64(digest)}
            for n, digest in enumerate(self._sums, start=1)
        ]
        self._s3.complete_multipart_upload(
            **self._names, UploadId=upload_id, MultipartUpload={"Parts": parts}
        )

    def _hash_all(self) -> bytes:
        whole = hashlib.sha256()
        with self._path.open("rb") as file:
            for number in range(len(self._sums)):
                data = file.read(PART)
                whole.update(data)
                self._sums[number] = hashlib.sha256(data).digest()
        return whole.digest()

    # -- whether it is there

    def _head(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._s3.head_object(**self._names, ChecksumMode="ENABLED")
        except ClientError as exc:
            if exc.response.get("Error", {}).get("Code") in ("404", "NoSuchKey", "NotFound", "NoSuchBucket"):
                return None
            raise
        return found

    def _verified(self, whole: bytes, *, must: bool) -> str:
        """By what the object is known to be the file; empty, or an error (``must``), when it is not."""
        found = self._head()
        if found is not None and found.get("ContentLength") == self._size:
            of_parts = _b64(hashlib.sha256(b"".join(self._sums)).digest())
            # (a checksum of the parts' checksums has their number behind it; not every store writes that)
            if found.get("ChecksumSHA256") in (_b64(whole), of_parts, f"{of_parts}-{len(self._sums)}"):
                return "sha256"
            if str(found.get("ETag", "")).strip('"') == self._etag():
                return "etag"
            if must and self._read_back() == whole:
                return "read"
        if must:
            raise PeerError("the object store holds something else than it was given", code="blobs_failed")
        return ""

    def _etag(self) -> str:
        """The ETag that S3 gives such an object, unless it seals it with a key of its own. Reads the file again."""
        digests = []
        with self._path.open("rb") as file:
            while data := file.read(PART if len(self._sums) > 1 else -1):
                digests.append(hashlib.md5(data, usedforsecurity=False).digest())
        if len(digests) == 1:
            return digests[0].hex()
        return f"{hashlib.md5(b''.join(digests), usedforsecurity=False).hexdigest()}-{len(digests)}"

    def _read_back(self) -> bytes:
        digest = hashlib.sha256()
        body = self._s3.get_object(**self._names)["Body"]
        with contextlib.closing(body):
            for chunk in body.iter_chunks(1 << 20):
                digest.update(chunk)
        return digest.digest()


def _md5(data: bytes) -> str:
    """What the ETag of a part is made of."""
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _b64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
