"""What a bucket of recordings must be like, and the end of an object in it.

Versioning, so that nothing that was stored can be overwritten or deleted by a mistake alone; and rules of life: uploads that
were left unfinished are thrown away after a week (they are paid for), and so are versions that were replaced, after a month.
When *recordings* end is not the bucket's to say: their policies and holds do, in the ledger.

Blocking.
"""

import contextlib
from typing import Any

from botocore.exceptions import ClientError
from msgspec import Struct

from core.errors import PeerError
from core.storage.blobs import Blobs
from core.storage.blobs_s3 import S3Blobs, failures

PREFIX = "recordings/"
UNFINISHED_DAYS = 7
REPLACED_DAYS = 30
_RULE = "irisx"
_NONE = ("NoSuchLifecycleConfiguration", "NoSuchBucket", "404", "NotImplemented", "MethodNotAllowed",
         "ServerSideEncryptionConfigurationNotFoundError")  # fmt: skip


class Condition(Struct, frozen=True, kw_only=True):
    """How the object store is."""

    store: str
    """``folder`` or ``bucket``."""
    reachable: bool
    versioning: bool = False
    unfinished_days: int = 0
    """After how many days unfinished uploads are thrown away; 0: never."""
    replaced_days: int = 0
    encryption: str = ""
    """What the bucket does with what comes without a wish."""
    lacking: tuple[str, ...] = ()
    """What should be set, in words; empty when all is well."""


def condition(blobs: Blobs) -> Condition:
    """Look. Raises the store's errors when it is out of reach."""
    blobs.check()
    if not isinstance(blobs, S3Blobs):
        return Condition(store="folder", reachable=True)
    s3, bucket = blobs.client, {"Bucket": blobs.bucket}
    with failures():
        versioning = s3.get_bucket_versioning(**bucket).get("Status") == "Enabled"
        unfinished = replaced = 0
        for rule in _rules(s3, bucket):
            if rule.get("Status") == "Enabled" and _concerns(rule):
                unfinished = unfinished or rule.get("AbortIncompleteMultipartUpload", {}).get(
                    "DaysAfterInitiation", 0
                )
                replaced = replaced or rule.get("NoncurrentVersionExpiration", {}).get("NoncurrentDays", 0)
        encryption = _encryption(s3, bucket)
    lacking = [] if versioning else ["versioning is off"]
    lacking += [] if unfinished else ["unfinished uploads are never thrown away"]
    lacking += [] if replaced or not versioning else ["replaced versions are never thrown away"]
    return Condition(
        store="bucket",
        reachable=True,
        versioning=versioning,
        unfinished_days=unfinished,
        replaced_days=replaced,
        encryption=encryption,
        lacking=tuple(lacking),
    )


def prepare(blobs: Blobs) -> Condition:
    """Set what is lacking, leave what others have set, and look again."""
    before = condition(blobs)
    if not isinstance(blobs, S3Blobs) or not before.lacking:
        return before
    s3, bucket = blobs.client, {"Bucket": blobs.bucket}
    with failures():
        if not before.versioning:
            s3.put_bucket_versioning(**bucket, VersioningConfiguration={"Status": "Enabled"})
        kept = [rule for rule in _rules(s3, bucket) if rule.get("ID") != _RULE]
        own = {
            "ID": _RULE,
            "Status": "Enabled",
            "Filter": {"Prefix": ""},
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": UNFINISHED_DAYS},
            "NoncurrentVersionExpiration": {"NoncurrentDays": REPLACED_DAYS},
        }
        s3.put_bucket_lifecycle_configuration(**bucket, LifecycleConfiguration={"Rules": [*kept, own]})
    return condition(blobs)


def erase(blobs: Blobs, key: str) -> int:
    """Remove an object and every version of it, and look that nothing of it is left; how many there were.

    Erasing again finds none. Raises `PeerError` when the store says that it is gone and still has it.
    """
    if not isinstance(blobs, S3Blobs):
        there = blobs.stat(key) is not None
        blobs.delete(key)
        if blobs.stat(key) is not None:
            raise _still_there()
        return int(there)
    with failures():
        found = _versions(blobs, key)
        for version in found:
            blobs.client.delete_object(Bucket=blobs.bucket, Key=key, VersionId=version)
        if not found:
            blobs.delete(key)
        # (a store without versions lists none, and says so by the object itself)
        left = _versions(blobs, key)
    if left or blobs.stat(key) is not None:
        raise _still_there()
    return len(found)


def _still_there() -> PeerError:
    return PeerError("the object store still has what it was told to erase", code="not_erased")


def _versions(blobs: S3Blobs, key: str) -> list[str]:
    pages = blobs.client.get_paginator("list_object_versions").paginate(Bucket=blobs.bucket, Prefix=key)
    found = []
    with contextlib.suppress(*_not_known(blobs)):
        for page in pages:
            for one in (*page.get("Versions", ()), *page.get("DeleteMarkers", ())):
                if one["Key"] == key:
                    found.append(str(one["VersionId"]))
    return found


def _not_known(blobs: S3Blobs) -> tuple[type[BaseException], ...]:
    return (blobs.client.exceptions.NoSuchBucket,)


def _rules(s3: Any, bucket: dict[str, str]) -> list[dict[str, Any]]:
    try:
        return list(s3.get_bucket_lifecycle_configuration(**bucket).get("Rules", ()))
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") in _NONE:
            return []
        raise


def _concerns(rule: dict[str, Any]) -> bool:
    """Whether a rule of life is about recordings."""
    prefix = str(rule.get("Filter", {}).get("Prefix", rule.get("Prefix", "")) or "")
    return PREFIX.startswith(prefix)


def _encryption(s3: Any, bucket: dict[str, str]) -> str:
    try:
        rules = s3.get_bucket_encryption(**bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        return str(rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"])
    except ClientError as exc:
        if exc.response.get("Error", {}).get("Code") in _NONE:
            return ""
        raise
    except (KeyError, IndexError):
        return ""
