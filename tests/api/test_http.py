"""What every request goes through, whatever it asks for."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from api.app import create_app, serve
from api.http.origin import Origins
from core.config import ConfigError, Settings
from tests.api.conftest import Connect
from tests.api.harness import Api, serving

on_asyncio = pytest.mark.asyncio_loop


@on_asyncio
async def test_an_own_request_id_comes_back_and_a_bad_one_is_replaced(connect: Connect) -> None:
    async with connect() as api:
        mine = await api.ask("GET", "/v1/version", headers={"Request-Id": "shop-42.a_b"})
        assert mine.headers["request-id"] == "shop-42.a_b"
        seen = set()
        for bad in ("", "a b", "x" * 65, "<script>"):
            answer = await api.ask("GET", "/v1/version", headers={"Request-Id": bad})
            assert answer.headers["request-id"].startswith("req_")
            seen.add(answer.headers["request-id"])
        assert len(seen) == 4


@on_asyncio
async def test_every_answer_carries_the_version_and_safe_headers(connect: Connect) -> None:
    async with connect() as api:
        key = await api.key()
        for path in ("/v1/version", "/v1/calls", "/v1/calls/call_x", "/v1/nothing"):
            answer = await api.ask("GET", path, key)
            if path != "/v1/nothing":
                assert answer.headers["api-version"] == "2026-11-22"
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "default-src 'none'" in answer.headers["content-security-policy"]
            assert "no-store" in answer.headers["cache-control"]
            assert "server" not in answer.headers


@on_asyncio
async def test_an_unknown_version_is_refused(connect: Connect) -> None:
    async with connect() as api:
        answer = await api.ask("GET", "/v1/version", headers={"Api-Version": "2001-01-01"})
        assert answer.status_code == 400 and answer.json()["errors"][0]["code"] == "unknown_version"


BODIES: list[tuple[bytes, dict[str, str], int, str]] = [
    (b"{", {}, 400, "malformed_json"),
    (b'{"name": "a"', {}, 400, "malformed_json"),
    (b"\xff\xfe", {}, 400, "malformed_json"),
    (b'{"name": "\xff"}', {}, 400, "malformed_json"),
    (b"[" * 100_000, {}, 400, "invalid_request"),
    (b'{"name": "x", "limits": ' + b'{"tenant": ' * 20_000, {}, 400, ""),
    (b"[]", {}, 400, "invalid_request"),
    (b"null", {}, 400, "invalid_request"),
    (b"", {}, 400, "malformed_json"),
    (b'{"name": "x", "name2": 1}', {}, 400, "invalid_request"),
    (b'{"name": 7}', {}, 400, "invalid_request"),
    (b'{"name": "\\u0000"}', {}, 400, "invalid_request"),
    (b'{"name": "   "}', {}, 400, "invalid_request"),
    (b'{"name": "x"}', {"Content-Type": "text/plain"}, 415, "unsupported_type"),
    (b'{"name": "x"}', {"Content-Type": ""}, 415, "unsupported_type"),
    (b'{"name": "' + b"x" * 300_000 + b'"}', {}, 413, "body_too_large"),
    (b'{"name": "x"}', {"Content-Type": "application/json; charset=utf-8"}, 201, ""),
]


@on_asyncio
@pytest.mark.parametrize(
    ("raw", "headers", "status", "code"), BODIES, ids=[str(one[0][:24]) for one in BODIES]
)
async def test_bodies_are_taken_or_refused_by_name(
    connect: Connect, raw: bytes, headers: dict[str, str], status: int, code: str
) -> None:
    async with connect() as api:
        sent = {
            "Content-Type": "application/json",
            "Authorization": f"Bearer {await api.operator_key()}",
            **headers,
        }
        answer = await api.http.post("/v1/tenants", content=raw, headers=sent)
        assert answer.status_code == status, answer.text
        if code:
            assert answer.json()["code"] == code


@on_asyncio
async def test_a_body_without_a_length_is_limited_too(connect: Connect) -> None:
    async with connect() as api:

        async def endless() -> Any:
            for _ in range(100):
                yield b"x" * 10_000

        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {await api.operator_key()}"}
        answer = await api.http.post("/v1/tenants", content=endless(), headers=headers)
        assert answer.status_code == 413


@on_asyncio
async def test_a_body_where_none_belongs_is_refused(connect: Connect) -> None:
    async with connect() as api:
        node, operator = await api.node(), await api.operator_key()
        answer = await api.ask("POST", f"/v1/nodes/{node}/drain", operator, {"now": True})
        assert answer.status_code == 400 and answer.json()["code"] == "unexpected_body"


@on_asyncio
async def test_a_wrong_method_says_which_are_right(connect: Connect) -> None:
    async with connect() as api:
        answer = await api.ask("PUT", "/v1/calls", await api.key())
        assert answer.status_code == 405 and answer.json()["code"] == "method_not_allowed"
        assert {"GET", "POST"} <= set(answer.headers["allow"].replace(" ", "").split(","))


@on_asyncio
async def test_a_bug_of_ours_is_a_500_that_tells_nothing(
    connect: Connect, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async with connect() as api:
        key = await api.key()

        async def broken(*_: object, **__: object) -> None:
            raise ZeroDivisionError("the secret inner life")

        monkeypatch.setattr("core.storage.access_keys.list_keys", broken)
        answer = await api.ask("GET", "/v1/api-keys", key, headers={"Request-Id": "find-me"})
        assert answer.status_code == 500 and answer.json()["code"] == "internal"
        assert "inner life" not in answer.text
        said = "".join(capfd.readouterr())
        assert "ZeroDivisionError" in said and "find-me" in said


async def raw_exchange(api: Api, data: bytes, wait_s: float = 5.0) -> bytes:
    """What the server sends for raw bytes until it hangs up."""
    host, port = api.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(data)
        async with asyncio.timeout(wait_s):
            return await reader.read()
    except (TimeoutError, ConnectionError):
        return b""
    finally:
        writer.close()


@on_asyncio
async def test_an_endless_head_is_cut_off(connect: Connect) -> None:
    async with connect() as api:
        answer = await raw_exchange(api, b"GET /v1/version HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 200_000)
        assert answer.startswith(b"HTTP/1.1 400 ")


@on_asyncio
async def test_a_large_body_is_no_large_head(connect: Connect) -> None:
    async with connect() as api:
        token = await api.operator_key()
        body = json.dumps({"name": "x", "limits": None}).encode() + b" " * 100_000
        head = (
            f"POST /v1/tenants HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nConnection: close\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        assert (await raw_exchange(api, head.encode() + body)).startswith(b"HTTP/1.1 201 ")


@on_asyncio
async def test_a_head_that_trickles_is_cut_off(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect() as api:
        monkeypatch.setattr("api.http.wire.HEAD_S", 0.2)
        began = asyncio.get_running_loop().time()
        assert await raw_exchange(api, b"GET /v1/version HTTP/1.1\r\nHost: x\r\n", wait_s=5) == b""
        assert asyncio.get_running_loop().time() - began < 3


@on_asyncio
async def test_pipelined_requests_are_answered_in_order(connect: Connect) -> None:
    async with connect() as api:
        one = b"GET /v1/version HTTP/1.1\r\nHost: x\r\nRequest-Id: n%d\r\n%s\r\n"
        sent = b"".join(one % (n, b"Connection: close\r\n" if n == 9 else b"") for n in range(10))
        answers = await raw_exchange(api, sent)
        found = [line for line in answers.split(b"\r\n") if line.startswith(b"request-id: ")]
        assert found == [b"request-id: n%d" % n for n in range(10)]


@on_asyncio
async def test_an_old_http_1_0_client_is_served_and_closed(connect: Connect) -> None:
    async with connect() as api:
        answer = await raw_exchange(api, b"GET /v1/version HTTP/1.0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 200 ") and b"connection: close" in answer
        assert answer.endswith(b'"api_version":"2026-11-22"}')


@on_asyncio
async def test_under_another_asgi_server_the_same_is_said(database_url: str, redis_url: str) -> None:
    """The one-write answer is an extension of our server's; without it plain ASGI messages are sent."""
    async with serving(database_url, redis_url) as api:
        transport = httpx.ASGITransport(app=api.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as plain:
            key = await api.key()
            headers = {"Authorization": f"Bearer {key}"}
            for path in ("/v1/calls", "/v1/version", "/v1/calls/call_none", "/v1/nothing"):
                here, there = await plain.get(path, headers=headers), await api.ask("GET", path, key)
                assert here.status_code == there.status_code
                volatile = {"request-id", "date", "ratelimit"}
                assert {n: v for n, v in here.headers.items() if n not in volatile} == {
                    n: v for n, v in there.headers.items() if n not in volatile
                }


@on_asyncio
async def test_other_sites_get_nothing_by_default(connect: Connect) -> None:
    async with connect() as api:
        answer = await api.ask("GET", "/v1/version", headers={"Origin": "https://elsewhere.example"})
        assert "access-control-allow-origin" not in answer.headers


@on_asyncio
async def test_allowed_sites_get_cors(database_url: str, redis_url: str) -> None:
    async with serving(database_url, redis_url, cors_origins=("https://desk.example",)) as api:
        asked = {"Origin": "https://desk.example", "Access-Control-Request-Method": "POST"}
        before = await api.http.request("OPTIONS", "/v1/calls", headers=asked)
        assert before.status_code == 204
        assert before.headers["access-control-allow-origin"] == "https://desk.example"
        assert "idempotency-key" in before.headers["access-control-allow-headers"]
        answer = await api.ask("GET", "/v1/version", headers={"Origin": "https://desk.example"})
        assert answer.headers["access-control-allow-origin"] == "https://desk.example"
        assert "access-control-allow-credentials" not in answer.headers
        other = await api.ask("GET", "/v1/version", headers={"Origin": "https://desk.example.evil"})
        assert "access-control-allow-origin" not in other.headers


def test_only_proxies_are_believed_about_addresses() -> None:
    def scope(client: str, forwarded: str) -> dict[str, Any]:
        return {"client": (client, 1), "headers": [(b"x-forwarded-for", forwarded.encode())]}

    none = Origins(public_url="", proxies=(), allowed=())
    assert none.address(scope("192.0.2.7", "10.9.9.9")) == "192.0.2.7"
    proxied = Origins(public_url="", proxies=("10.0.0.0/8",), allowed=())
    assert proxied.address(scope("10.0.0.1", "203.0.113.5")) == "203.0.113.5"
    assert proxied.address(scope("10.0.0.1", "6.6.6.6, 203.0.113.5, 10.0.0.2")) == "203.0.113.5"
    assert proxied.address(scope("192.0.2.7", "203.0.113.5")) == "192.0.2.7"


@pytest.mark.parametrize("secret", ["", " ", ",", " , "])
def test_without_a_secret_it_does_not_start(secret: str) -> None:
    with pytest.raises(ConfigError, match="IRISX_SECRET"):
        create_app(Settings(secret=secret))
    with pytest.raises(ConfigError, match="IRISX_SECRET"):
        serve(Settings(secret=secret, listen="127.0.0.1:0"))


@on_asyncio
async def test_it_stops_in_order(database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told to stop: not ready at once, running requests finish, then nobody listens."""
    monkeypatch.setattr("api.http.server.DRAIN_S", 0.3)
    async with serving(database_url, redis_url) as api:
        node, key = await api.node(), await api.key()
        call = await api.call(node)
        release = asyncio.Event()

        async def slow_owner() -> None:
            async with api.owner(node, lambda _: None) as got:
                while not got:
                    await asyncio.sleep(0.005)
                await release.wait()
                from core.model.orders import Outcome

                await api.bus.answer(f"irisx:replies:{api.services.bus.name}", Outcome(got[0].id, "done"))

        owner = asyncio.create_task(slow_owner())
        await asyncio.sleep(0.05)
        running = asyncio.create_task(api.ask("POST", f"/v1/calls/{call.id}/mute", key))
        await asyncio.sleep(0.1)
        api.server.stop()
        ready = await api.ask("GET", "/v1/health/ready")
        assert ready.status_code == 503 and ready.json()["reasons"] == ["this process is about to stop"]
        assert (await api.ask("GET", "/v1/health/live")).status_code == 200
        await asyncio.sleep(0.5)
        release.set()
        assert (await running).status_code == 200, "what had begun is finished"
        await owner
        port = int(api.url.rpartition(":")[2])
        async with asyncio.timeout(5):
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 0.2).close()
                except OSError:
                    break
                await asyncio.sleep(0.05)


def test_nothing_in_the_room_knows_this_machine() -> None:
    root = Path(__file__).resolve().parents[2]
    for path in (root / "api").rglob("*.py"):
        assert f"{root.parent}/" not in path.read_text()
