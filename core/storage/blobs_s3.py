"""Objects in an S3 bucket (or in anything that speaks S3: MinIO, Ceph, R2).

The checksum (SHA-256) travels as metadata of the object; on the wire every body carries its MD5, which every S3
verifies. Large files go in parts, and an upload that fails is taken back, for abandoned parts are paid for.
"""

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from core.errors import NotFound, PeerError, Unavailable
from core.storage.blob_keys import CHUNK, Blob, checked_key, checked_prefix

PART = 16 << 20
"""Bytes of a part. S3 takes 10,000 parts of at least 5 MiB: this allows 160 GB."""
_CONFIG = Config(
    connect_timeout=5,
    read_timeout=30,
    retries={"mode": "standard", "max_attempts": 4},
    signature_version="s3v4",
    # Newer checksums than MD5 are sent only where S3 insists: not everything that speaks S3 knows them.
    request_checksum_calculation="when_required",
    response_checksum_validation="when_required",
    max_pool_connections=32,
)


class S3Blobs:
    """A store of objects in ``bucket``, which is made when it is not there. No connection is made before use."""

    def __init__(
        self,
        *,
        bucket: str,
        endpoint: str = "",
        access_key: str = "",
        secret_key: str = "",
        region: str = "",
    ) -> None:
        self.bucket = bucket
        self._options: dict[str, Any] = {
            "endpoint_url": endpoint or None,
            # Without keys boto3 looks where it always does: environment, profile, the machine's role.
            "aws_access_key_id": access_key or None,
            "aws_secret_access_key": secret_key or None,
            "region_name": region or ("us-east-1" if endpoint else None),
            # Names of buckets as hosts need DNS, which a private endpoint rarely has.
            "config": _CONFIG.merge(Config(s3={"addressing_style": "path"})) if endpoint else _CONFIG,
        }
        self._made: Any = None
        self._making = threading.Lock()

    @property
    def client(self) -> Any:
        """boto3's own, for what only recordings need (`core.storage.recording_upload`, `recording_bucket`)."""
        return self._s3

    @property
    def _s3(self) -> Any:
        with self._making:
            if self._made is None:
                # A session of our own: the default one is not for threads.
                self._made = boto3.session.Session().client("s3", **self._options)
            return self._made

    def put(self, key: str, data: bytes, *, content_type: str = "") -> Blob:
        return self._put(key, data, hashlib.sha256(data).hexdigest(), content_type)

    def put_file(self, key: str, path: Path, *, content_type: str = "") -> Blob:
        checked_key(key)
        try:
            file = path.open("rb")
        except FileNotFoundError:
            raise NotFound(f"there is no file {path.name} to store") from None
        with file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = file.tell()
            file.seek(0)
            if size <= PART:
                return self._put(key, file.read(), digest, content_type)
            return self._put_parts(key, file, size, digest, content_type)

    def get(self, key: str) -> bytes:
        return b"".join(self.open_range(key))

    def open_range(self, key: str, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        wanted = f"bytes={start}-" if stop is None else f"bytes={start}-{stop - 1}"
        options = {} if start == 0 and stop is None else {"Range": wanted}
        with failures():
            if stop is not None and stop <= start:
                self._s3.head_object(Bucket=self.bucket, Key=checked_key(key))
                return iter(())
            try:
                answer = self._s3.get_object(Bucket=self.bucket, Key=checked_key(key), **options)
            except ClientError as exc:
                if _code(exc) in ("InvalidRange", "416"):
                    return iter(())
                raise
        return _chunks(answer["Body"])

    def stat(self, key: str) -> Blob | None:
        try:
            with failures():
                found = self._s3.head_object(Bucket=self.bucket, Key=checked_key(key))
        except NotFound:
            return None
        digest = found.get("Metadata", {}).get("sha256", "")
        return Blob(key, found["ContentLength"], _us(found["LastModified"]), digest)

    def delete(self, key: str) -> None:
        try:
            with failures():
                self._s3.delete_object(Bucket=self.bucket, Key=checked_key(key))
        except NotFound:
            return

    def list(self, prefix: str = "") -> Iterator[Blob]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(
            Bucket=self.bucket, Prefix=checked_prefix(prefix)
        )
        try:
            with failures():
                for page in pages:
                    for found in page.get("Contents", ()):
                        yield Blob(found["Key"], found["Size"], _us(found["LastModified"]))
        except NotFound:  # no bucket yet
            return

    def presign(self, key: str, seconds: int) -> str | None:
        with failures():
            url: str = self._s3.generate_presigned_url(
                "get_object", Params={"Bucket": self.bucket, "Key": checked_key(key)}, ExpiresIn=seconds
            )
        return url

    def check(self) -> None:
        try:
            with failures():
                self._s3.head_bucket(Bucket=self.bucket)
        except NotFound:
            self._make_bucket()

    def _put(self, key: str, data: bytes, digest: str, content_type: str) -> Blob:
        options = {
            "Bucket": self.bucket,
            "Key": checked_key(key),
            "Body": data,
            "ContentMD5": _md5(data),
            **_about(digest, content_type),
        }
        with failures():
            try:
                self._s3.put_object(**options)
            except self._s3.exceptions.NoSuchBucket:
                self._make_bucket()
                self._s3.put_object(**options)
        return self._stored(key, len(data), digest)

    def _put_parts(self, key: str, file: BinaryIO, size: int, digest: str, content_type: str) -> Blob:
        self.check()
        names = {"Bucket": self.bucket, "Key": key}
        with failures():
            upload = self._s3.create_multipart_upload(**names, **_about(digest, content_type))
            names["UploadId"] = upload["UploadId"]
            try:
                parts: list[dict[str, object]] = []
                while part := file.read(PART):
                    number = len(parts) + 1
                    sent = self._s3.upload_part(**names, PartNumber=number, Body=part, ContentMD5=_md5(part))
                    parts.append({"PartNumber": number, "ETag": sent["ETag"]})
                self._s3.complete_multipart_upload(**names, MultipartUpload={"Parts": parts})
            except BaseException:
                self._s3.abort_multipart_upload(**names)
                raise
        return self._stored(key, size, digest)

    def _stored(self, key: str, size: int, digest: str) -> Blob:
        found = self.stat(key)
        if found is None or (found.size, found.sha256) != (size, digest):
            raise PeerError("the object store holds something else than it was given", code="blobs_failed")
        return found

    def _make_bucket(self) -> None:
        region = self._s3.meta.region_name
        options = {}
        if region and region != "us-east-1":
            options["CreateBucketConfiguration"] = {"LocationConstraint": region}
        with failures():
            try:
                self._s3.create_bucket(Bucket=self.bucket, **options)
            except ClientError as exc:
                if _code(exc) != "BucketAlreadyOwnedByYou":  # somebody was faster
                    raise


def _about(digest: str, content_type: str) -> dict[str, Any]:
    return {"Metadata": {"sha256": digest}, "ContentType": content_type or "application/octet-stream"}


def _md5(data: bytes) -> str:
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _us(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000)


def _chunks(body: Any) -> Iterator[bytes]:
    try:
        with failures():
            yield from body.iter_chunks(CHUNK)
    finally:
        body.close()


def _code(exc: ClientError) -> str:
    return str(exc.response.get("Error", {}).get("Code", ""))


@contextmanager
def failures() -> Iterator[None]:
    """S3's errors as ours; their text (which has the endpoint and the key) goes no further."""
    try:
        yield
    except ClientError as exc:
        code = _code(exc)
        status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if code in ("NoSuchKey", "NoSuchBucket", "404", "NotFound"):
            raise NotFound("there is no such object", code="no_such_object") from None
        if status >= 500 or code in ("SlowDown", "RequestTimeout"):
            raise Unavailable(f"the object store cannot do it now ({code})", code="blobs_down") from None
        raise PeerError(f"the object store refused ({code})", code="blobs_failed") from None
    except BotoCoreError as exc:
        raise Unavailable(
            f"the object store is out of reach ({type(exc).__name__})", code="blobs_down"
        ) from None
