"""The built pages: read into memory at the start, served with a strict policy.

Files whose names carry a hash never change and may be kept for ever; everything else is asked for again each time
(with its ETag, so mostly 304). An address that is no file and looks like a page gets ``index.html``: the application
in the browser knows what it shows.
"""

import base64
import hashlib
import mimetypes
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from msgspec import Struct

from api.http.etag import matches

IMMUTABLE = b"public, max-age=31536000, immutable"
ASK_AGAIN = b"no-cache"
HASHED = "_app/immutable/"
"""Where the build puts files whose names carry their hash."""
FALLBACK = "index.html"
FRAMES = {
    "frames/mail.html": "img-src data:",
    "frames/mail-pictures.html": "img-src data: http: https:",
}
"""Empty pages that our own pages put a stranger's mail into: without scripts, without any right, and the first one
without loading anything from anywhere."""
_INLINE = re.compile(rb"<(script|style)(?![^>]*\bsrc=)[^>]*>(.*?)</\1>", re.DOTALL)
_ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
_TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".webmanifest": "application/manifest+json"}


class File(Struct, frozen=True):
    """One file, with those of its encodings that the build made."""

    body: bytes
    media: bytes
    etag: str
    cache: bytes
    encoded: dict[str, bytes]
    policy: bytes


def find_build(wanted: Path | None = None) -> Path | None:
    """The folder of built pages: the one that is wanted, or the one in the package; None when there is none."""
    folder = wanted if wanted is not None else Path(str(files("dashboards"))) / "build"
    return folder if (folder / FALLBACK).is_file() else None


class Pages:
    """The files of a build, and which of them answers a path."""

    def __init__(self, folder: Path | None, connect: Sequence[str] = ()) -> None:
        """``connect``: where pages may connect to beside us (origins of ``connect-src``)."""
        self._files = dict(_read(folder, connect)) if folder is not None else {}

    def __bool__(self) -> bool:
        return bool(self._files)

    def find(self, path: str) -> File | None:
        """The file for ``path`` (with its leading slash); ``index.html`` for what looks like a page."""
        name = path.lstrip("/")
        found = self._files.get(name)
        if found is None and "." not in name.rpartition("/")[2]:
            found = self._files.get(f"{name.rstrip('/')}.html") or self._files.get(FALLBACK)
        return found

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a GET or HEAD of a file that `find` has found."""
        headers: dict[bytes, bytes] = dict(scope["headers"])
        if scope["method"] not in ("GET", "HEAD"):
            await _answer(send, 405, [(b"allow", b"GET, HEAD")], b"")
            return
        file = self.find(scope["path"])
        if file is None:
            text = (
                b"There is no such file." if self else b"The pages are not built: run `make up`, or use /v1."
            )
            await _answer(send, 404, [(b"content-type", b"text/plain; charset=utf-8")], text)
            return
        body, encoding = _best(file, headers.get(b"accept-encoding", b"").decode("latin-1"))
        etag = f"{file.etag}-{encoding}" if encoding else file.etag
        found = [
            (b"content-type", file.media),
            (b"cache-control", file.cache),
            (b"etag", f'"{etag}"'.encode()),
            (b"vary", b"accept-encoding"),
            (b"content-security-policy", file.policy),
            (b"x-content-type-options", b"nosniff"),
            (b"referrer-policy", b"no-referrer"),
            (b"cross-origin-opener-policy", b"same-origin"),
            (b"cross-origin-resource-policy", b"same-origin"),
            (b"permissions-policy", b"camera=(), geolocation=(), microphone=(self), payment=(), usb=()"),
        ]
        if encoding:
            found.append((b"content-encoding", encoding.encode()))
        if matches(headers.get(b"if-none-match", b"").decode("latin-1"), etag):
            await _answer(send, 304, found, b"")
        else:
            await _answer(send, 200, found, body, only_head=scope["method"] == "HEAD")


async def _answer(
    send: Any, status: int, headers: list[tuple[bytes, bytes]], body: bytes, *, only_head: bool = False
) -> None:
    if status != 304:
        headers = [*headers, (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if only_head else body})


def _best(file: File, accepted: str) -> tuple[bytes, str]:
    """The smallest form that the client takes. ``q=0`` means that it does not."""
    takes = {
        part.partition(";")[0].strip().lower()
        for part in accepted.split(",")
        if not re.search(r";\s*q=0(\.0*)?\s*$", part)
    }
    for encoding, _ in _ENCODINGS:
        if encoding in takes and encoding in file.encoded:
            return file.encoded[encoding], encoding
    return file.body, ""


def _read(folder: Path, connect: Sequence[str]) -> Iterator[tuple[str, File]]:
    suffixes = tuple(suffix for _, suffix in _ENCODINGS)
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if not path.is_file() or name.endswith(suffixes):
            continue
        body = path.read_bytes()
        encoded = {}
        for encoding, suffix in _ENCODINGS:
            beside = path.with_name(path.name + suffix)
            if beside.is_file():
                encoded[encoding] = beside.read_bytes()
        media = _TYPES.get(path.suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
        if media.startswith("text/") or media.endswith(("json", "javascript", "xml")):
            media += "; charset=utf-8"
        yield (
            name,
            File(
                body,
                media.encode(),
                hashlib.sha256(body).hexdigest()[:24],
                IMMUTABLE if name.startswith(HASHED) else ASK_AGAIN,
                encoded,
                frame_policy(FRAMES[name])
                if name in FRAMES
                else policy_of(body if name.endswith(".html") else b"", connect),
            ),
        )


def policy_of(page: bytes, connect: Sequence[str] = ()) -> bytes:
    """The content security policy of a page: nothing from elsewhere, and of inline scripts only its own, by hash.

    Style attributes are allowed: the build's templates have some, and they can load nothing.
    """
    hashes: dict[bytes, list[str]] = {b"script": [], b"style": []}
    for kind, text in _INLINE.findall(page):
        digest = base64.b64encode(hashlib.sha256(text).digest()).decode()
        hashes[kind].append(f"'sha256-{digest}'")
    scripts = " ".join(["'self'", *hashes[b"script"]])
    styles = " ".join(["'self'", *hashes[b"style"]])
    connects = " ".join(["'self'", *connect])
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; "
        "style-src-attr 'unsafe-inline'; "
        f"img-src 'self' data: blob:; font-src 'self'; media-src 'self' blob:; connect-src {connects}; "
        "manifest-src 'self'; worker-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ).encode()


def frame_policy(pictures: str) -> bytes:
    """The policy of a page in `FRAMES`: words, colours, and pictures as far as ``pictures`` allows them.

    No ``sandbox`` here: the page around it sets one without scripts, and has to reach the frame's document.
    """
    return (
        f"default-src 'none'; style-src 'unsafe-inline'; {pictures}; form-action 'none'; frame-ancestors 'self'"
    ).encode()
