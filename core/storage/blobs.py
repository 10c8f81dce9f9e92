"""Objects: recordings, journals, exports. A folder or an S3 bucket behind one interface, with the same behaviour.

Keys are paths of words (``recordings/2026/11/22/call_….wav``). The rules for them (`core.storage.blob_keys`) are the
narrower of what a file system and what S3 takes, so that what works on a laptop works in a bucket; a key can
never leave its folder.

Blocking code: call it from a worker thread. Objects may be used from any number of threads.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from core.config import Settings
from core.storage.blob_keys import Blob
from core.storage.blobs_folder import FolderBlobs

__all__ = ["Blob", "Blobs", "open_blobs"]


class Blobs(Protocol):
    """A store of objects. All raise `RequestError` for a bad key and `core.errors.PeerError` when the store fails."""

    def put(self, key: str, data: bytes, *, content_type: str = "") -> Blob:
        """Store ``data``, replacing what was there. All or nothing: readers see the old or the new object."""

    def put_file(self, key: str, path: Path, *, content_type: str = "") -> Blob:
        """Store a file of any size (which stays where it is). All or nothing."""

    def get(self, key: str) -> bytes:
        """The whole object. Raises `core.errors.NotFound`."""

    def open_range(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """The bytes from ``start`` up to (not including) ``stop``, in chunks; fewer if the object ends before.

        Raises `core.errors.NotFound` at once, not at the first chunk. Close the iterator if you stop early.
        """

    def stat(self, key: str) -> Blob | None:
        """What is known of an object, None when there is none."""

    def delete(self, key: str) -> None:
        """Remove an object. No error when there is none."""

    def list(self, prefix: str = "") -> Iterator[Blob]:
        """Every object whose key begins with ``prefix`` (any text), in the order of the keys' UTF-8 bytes."""

    def presign(self, key: str, seconds: int) -> str | None:
        """An address from which anybody can read the object for so long; None where the store has no such thing."""

    def check(self) -> None:
        """Raise `core.errors.PeerError` unless objects can be written now."""


def open_blobs(settings: Settings) -> Blobs:
    """The store that the settings name: S3 if there is an endpoint or a bucket, else a folder. Does no I/O yet."""
    if settings.s3_bucket:
        from core.storage.blobs_s3 import S3Blobs  # boto3 takes a second to import

        return S3Blobs(
            bucket=settings.s3_bucket,
            endpoint=settings.s3_endpoint,
            access_key=settings.s3_access_key,
            secret_key=settings.s3_secret_key,
            region=settings.s3_region,
        )
    return FolderBlobs(settings.blobs_folder())
