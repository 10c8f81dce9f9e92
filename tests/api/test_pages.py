"""The built pages: the right file, the right cache, a strict policy."""

import base64
import gzip
import hashlib
from pathlib import Path
from typing import Any

import pytest

from api.http.pages import FRAMES, Pages, find_build, policy_of
from tests.api.harness import serving

on_asyncio = pytest.mark.asyncio_loop

SCRIPT = "globalThis.started = true;"
INDEX = f"""<!doctype html><html><head><style>body {{ margin: 0 }}</style>
<script type="module" src="/_app/immutable/entry.js"></script></head>
<body><script>{SCRIPT}</script></body></html>"""


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A small build, as the pages' own looks."""
    folder = tmp_path / "build"
    files = {
        "index.html": INDEX,
        "admin/calls.html": "<!doctype html><title>Calls</title>",
        "favicon.svg": "<svg xmlns='http://www.w3.org/2000/svg'/>",
        "_app/immutable/entry.js": "export const answer = 42;" * 50,
        "_app/version.json": '{"version": "1"}',
    }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    packed = folder / "_app/immutable/entry.js"
    packed.with_name("entry.js.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.with_name("entry.js.br").write_bytes(b"pretended brotli")
    (tmp_path / "outside.txt").write_text("not for anybody")
    return folder


async def get(
    pages: Pages, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    found = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    await pages({"method": method, "path": path, "headers": found}, None, send)
    named = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], named, sent[1]["body"]


@on_asyncio
@pytest.mark.parametrize("path", ["/", "/admin", "/admin/nodes/node_1", "/status/", "/index.html"])
async def test_what_looks_like_a_page_is_the_application(build: Path, path: str) -> None:
    status, headers, body = await get(Pages(build), path)
    assert status == 200 and body.decode() == INDEX
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["cache-control"] == "no-cache"


@on_asyncio
async def test_a_page_that_was_built_is_itself(build: Path) -> None:
    _, _, body = await get(Pages(build), "/admin/calls")
    assert b"<title>Calls</title>" in body


@on_asyncio
@pytest.mark.parametrize(
    "path", ["/nothing.js", "/_app/immutable/gone.css", "/../outside.txt", "/%2e%2e/outside.txt"]
)
async def test_what_looks_like_a_file_and_is_none_is_404(build: Path, path: str) -> None:
    status, _, body = await get(Pages(build), path)
    assert status == 404 and b"not for anybody" not in body


@on_asyncio
async def test_hashed_files_are_kept_for_ever_and_others_asked_for_again(build: Path) -> None:
    pages = Pages(build)
    _, headers, _ = await get(pages, "/_app/immutable/entry.js")
    assert headers["cache-control"] == "public, max-age=31536000, immutable"
    assert headers["content-type"] == "text/javascript; charset=utf-8"
    _, headers, _ = await get(pages, "/_app/version.json")
    assert headers["cache-control"] == "no-cache"
    status, again, body = await get(pages, "/_app/version.json", if_none_match=headers["etag"])
    assert status == 304 and body == b"" and again["etag"] == headers["etag"]


ACCEPTED = [
    ("br, gzip", "br"),
    ("gzip", "gzip"),
    ("gzip, br;q=0", "gzip"),
    ("br;q=0.5, gzip;q=0.1", "br"),
    ("identity", ""),
    ("", ""),
    ("gzip;q=0", ""),
]


@on_asyncio
@pytest.mark.parametrize(("accepted", "encoding"), ACCEPTED)
async def test_the_smallest_form_that_is_taken_is_sent(build: Path, accepted: str, encoding: str) -> None:
    plain = (build / "_app/immutable/entry.js").read_bytes()
    _, headers, body = await get(Pages(build), "/_app/immutable/entry.js", accept_encoding=accepted)
    assert headers.get("content-encoding", "") == encoding
    assert headers["vary"] == "accept-encoding"
    wanted = {"": plain, "gzip": gzip.compress(plain), "br": b"pretended brotli"}[encoding]
    assert body == wanted or gzip.decompress(body) == plain


@on_asyncio
async def test_only_reading_is_possible(build: Path) -> None:
    status, headers, _ = await get(Pages(build), "/", "POST")
    assert status == 405 and headers["allow"] == "GET, HEAD"
    status, headers, body = await get(Pages(build), "/", "HEAD")
    assert status == 200 and body == b"" and int(headers["content-length"]) == len(INDEX)


def test_the_policy_allows_own_scripts_and_inline_ones_by_hash_only() -> None:
    policy = policy_of(INDEX.encode()).decode()
    parts = dict(part.strip().split(" ", 1) for part in policy.split(";"))
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    assert parts["script-src"] == f"'self' 'sha256-{digest}'"
    assert parts["default-src"] == "'none'" and parts["frame-ancestors"] == "'none'"
    assert parts["connect-src"] == "'self'" and parts["base-uri"] == "'none'"
    assert "unsafe-inline" not in parts["script-src"] + parts["style-src"] and "unsafe-eval" not in policy
    assert "http:" not in policy and "https:" not in policy and "*" not in policy


@on_asyncio
async def test_without_a_build_it_says_what_to_do(tmp_path: Path) -> None:
    assert find_build(tmp_path) is None
    status, _, body = await get(Pages(None), "/")
    assert status == 404 and b"make up" in body


@on_asyncio
async def test_the_server_serves_pages_beside_the_api(database_url: str, redis_url: str, build: Path) -> None:
    async with serving(database_url, redis_url, pages=build) as api:
        page = await api.http.get("/admin/calls/call_1")
        assert page.status_code == 200 and page.text == INDEX
        assert page.headers["x-content-type-options"] == "nosniff"
        assert (await api.http.get("/v1/admin")).json()["code"] == "no_such_address", "not a page"
        for path in ("/../outside.txt", "/..%2foutside.txt", "//etc/passwd", "/%00"):
            answer = await api.http.get(path)
            assert "not for anybody" not in answer.text and "root:" not in answer.text


async def test_a_strangers_mail_is_put_into_a_page_that_may_do_nothing(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(INDEX)
    (tmp_path / "frames").mkdir()
    for name in FRAMES:
        (tmp_path / name).write_text("<!doctype html><body></body>")
    pages = Pages(tmp_path)
    for name in FRAMES:
        file = pages.find(f"/{name}")
        assert file is not None
        parts = dict(part.strip().split(" ", 1) for part in file.policy.decode().split(";"))
        assert parts["default-src"] == "'none'" and "script-src" not in parts
        assert parts["frame-ancestors"] == "'self'" and parts["form-action"] == "'none'"
        # Only the one that a person has asked for loads pictures from elsewhere.
        assert ("https:" in parts["img-src"]) == (name == "frames/mail-pictures.html")
