"""HTTP as servers truly speak it: kept connections, every way a body can end, every way it can go wrong, in time."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
import trio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from core import http_client
from core.http_client import MAX_HEAD, Transport

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
Script = Callable[["Server", trio.abc.Stream], Awaitable[None]]


class Server:
    """Speaks as its script says; remembers what it was asked."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def serve(self, stream: trio.abc.Stream) -> None:
        self.connections += 1
        async with stream:
            try:
                await self.script(self, stream)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                return

    async def hear(self, stream: trio.abc.Stream) -> bool:
        """One request, whole; False when there is none."""
        data = b""
        while b"\r\n\r\n" not in data:
            piece = await stream.receive_some(65536)
            if not piece:
                return False
            data += piece
        head, _, body = data.partition(b"\r\n\r\n")
        lower = head.lower()
        if b"chunked" in lower:
            while not body.endswith(b"0\r\n\r\n"):
                body += await stream.receive_some(65536)
        elif b"content-length: " in lower:
            length = int(lower.partition(b"content-length: ")[2].split(b"\r\n")[0])
            while len(body) < length:
                body += await stream.receive_some(65536)
        self.heads.append(head)
        self.bodies.append(body)
        return True


def says(*pieces: bytes) -> Script:
    """Answers each request with the same pieces, for as long as it is asked."""

    async def script(server: Server, stream: trio.abc.Stream) -> None:
        while await server.hear(stream):
            for piece in pieces:
                await stream.send_all(piece)
                await trio.sleep(0)

    return script


def once(*pieces: bytes) -> Script:
    """The same for one request; then the connection ends."""

    async def script(server: Server, stream: trio.abc.Stream) -> None:
        await server.hear(stream)
        for piece in pieces:
            await stream.send_all(piece)

    return script


async def silence(server: Server, stream: trio.abc.Stream) -> None:
    await server.hear(stream)
    await trio.sleep_forever()


@asynccontextmanager
async def talking(
    script: Script,
    *,
    tls: ssl.SSLContext | None = None,
    trust: ssl.SSLContext | None = None,
    connections: int = 8,
    timeout: httpx.Timeout | None = None,
) -> AsyncIterator[tuple[httpx.AsyncClient, str, Server]]:
    server = Server(script)
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listeners[0].socket.getsockname()[1]

        async def serve(stream: trio.SocketStream) -> None:
            wrapped = stream if tls is None else trio.SSLStream(stream, tls, server_side=True)
            await server.serve(wrapped)

        nursery.start_soon(trio.serve_listeners, serve, listeners)
        context = trust or ssl.create_default_context()
        transport = Transport(context, trio.open_tcp_stream, connections=connections)
        limits = timeout or httpx.Timeout(5)
        async with httpx.AsyncClient(transport=transport, timeout=limits, trust_env=False) as client:
            with trio.fail_after(20):
                yield client, f"http{'s' if tls else ''}://127.0.0.1:{port}/path?q=1", server
        nursery.cancel_scope.cancel()


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with talking(says(OK)) as (client, url, server):
        for _ in range(3):
            answer = await client.post(url, data={"a": "b"}, headers={"X-One": "1"})
            assert (answer.status_code, answer.text) == (200, "hi")
        assert server.connections == 1 and server.bodies == [b"a=b"] * 3
        assert server.heads[0].startswith(b"POST /path?q=1 HTTP/1.1\r\n") and b"X-One: 1" in server.heads[0]


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",),
        (
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel",
            b"lo",
        ),
        tuple(bytes([one]) for one in b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"),
    ],
)
async def test_however_an_answer_is_cut_it_is_the_same(pieces: tuple[bytes, ...]) -> None:
    async with talking(says(*pieces)) as (client, url, server):
        for _ in range(2):
            answer = await client.get(url)
            assert (answer.status_code, answer.text) == (200, "hello") and "link" not in answer.headers
        assert server.connections == 1


async def test_a_body_may_end_with_its_connection() -> None:
    async with talking(once(b"HTTP/1.0 200 OK\r\n\r\nhel", b"lo")) as (client, url, server):
        assert (await client.get(url)).text == "hello"
        assert (await client.get(url)).text == "hello" and server.connections == 2


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_answers_without_a_body_end_with_their_head(status: bytes) -> None:
    async with talking(says(b"HTTP/1.1 %s\r\n\r\n" % status)) as (client, url, server):
        for _ in range(2):
            assert (await client.get(url)).content == b""
        assert server.connections == 1


async def test_a_head_is_answered_without_a_body() -> None:
    async with talking(says(b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n")) as (client, url, _):
        assert (await client.head(url)).headers["content-length"] == "99"


async def test_a_connection_that_the_server_gave_up_is_not_used_again() -> None:
    async with talking(once(OK)) as (client, url, server):
        for _ in range(3):
            assert (await client.get(url)).text == "hi"
            await trio.sleep(0.02)  # (until its end has arrived)
        assert server.connections == 3


async def test_a_server_that_wants_to_close_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    close = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi"
    async with talking(says(close)) as (client, url, server):
        await client.get(url)
        await client.get(url)
        assert server.connections == 2
    monkeypatch.setattr(http_client, "IDLE_S", 0.0)
    async with talking(says(OK)) as (client, url, server):
        await client.get(url)
        await client.get(url)
        assert server.connections == 2, "kept too long"


async def test_a_large_body_goes_out_and_comes_in_by_pieces() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(40):
            yield bytes([number]) * 50_000
            yield b""

    big = b"x" * 2_000_000
    async with talking(says(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(big), big)) as (
        client,
        url,
        server,
    ):
        async with client.stream("POST", url, content=pieces()) as answer:
            length = 0
            async for piece in answer.aiter_bytes():
                length += len(piece)
        assert length == len(big)
        (body,) = server.bodies
        assert body.count(b"c350\r\n") >= 40 and len(body) > 2_000_000


async def test_a_body_that_nobody_reads_to_its_end_costs_its_connection() -> None:
    async with talking(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")) as (client, url, server):
        for _ in range(2):
            async with client.stream("GET", url) as answer:
                assert answer.status_code == 200
        assert server.connections == 2


async def test_a_reader_may_close_the_connection_under_way() -> None:
    async with talking(says(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")) as (client, url, _):
        with pytest.raises(httpx.ReadError):
            async with client.stream("GET", url) as answer:
                async for _ in answer.aiter_raw():
                    await answer.extensions["network_stream"].aclose()


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        (once(), httpx.RemoteProtocolError),
        (once(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhi"), httpx.RemoteProtocolError),
        (once(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhi"), httpx.RemoteProtocolError),
        (once(b"SSH-2.0-OpenSSH\r\n\r\n"), httpx.RemoteProtocolError),
        (once(b"HTTP/1.1 200 OK\r\nX: " + b"x" * (MAX_HEAD + 1) + b"\r\n\r\n"), httpx.RemoteProtocolError),
        (silence, httpx.ReadTimeout),
    ],
)
async def test_what_goes_wrong_is_told_in_httpxs_words(script: Script, wrong: type[Exception]) -> None:
    async with talking(script, timeout=httpx.Timeout(0.3)) as (client, url, _):
        with pytest.raises(wrong):
            await client.get(url)


async def test_no_connection_is_told_apart_from_what_comes_later() -> None:
    async with talking(says(OK)) as (client, _, _):
        with pytest.raises(httpx.ConnectError):
            await client.get("http://127.0.0.1:1/")
        with pytest.raises(httpx.UnsupportedProtocol):
            await client.get("ftp://127.0.0.1/")


async def test_a_connection_that_does_not_come_in_time_is_a_connect_timeout() -> None:
    async def never(host: str, port: int) -> trio.SocketStream:
        await trio.sleep_forever()
        raise AssertionError

    transport = Transport(ssl.create_default_context(), never, connections=1)
    async with httpx.AsyncClient(transport=transport, timeout=0.1) as client:
        for _ in range(2):  # (its place is free again)
            with pytest.raises(httpx.ConnectTimeout):
                await client.get("http://127.0.0.1:1/")


async def test_no_more_connections_than_wanted_and_whoever_waits_too_long_is_told() -> None:
    async def slow(server: Server, stream: trio.abc.Stream) -> None:
        while await server.hear(stream):
            await trio.sleep(0.2)
            await stream.send_all(OK)

    limits = httpx.Timeout(5, pool=2)
    async with talking(slow, connections=2, timeout=limits) as (client, url, server):
        async with trio.open_nursery() as nursery:
            for _ in range(6):
                nursery.start_soon(client.get, url)
        assert server.connections == 2 and len(server.heads) == 6
    async with (
        talking(silence, connections=1, timeout=httpx.Timeout(5, pool=0.1)) as (client, url, _),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(client.get, url)
        await trio.sleep(0.05)
        with pytest.raises(httpx.PoolTimeout):
            await client.get(url)
        nursery.cancel_scope.cancel()


async def test_a_cancelled_request_gives_its_place_back() -> None:
    async with talking(silence, connections=1) as (client, url, server):
        for _ in range(3):
            with trio.move_on_after(0.05):
                await client.get(url)
        assert server.connections == 3


async def test_a_peer_that_takes_nothing_is_a_write_timeout() -> None:
    async def deaf(server: Server, stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    async with talking(deaf, timeout=httpx.Timeout(5, write=0.3)) as (client, url, _):
        with pytest.raises(httpx.WriteTimeout):
            await client.post(url, content=b"x" * 50_000_000)


def _certificate(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's context with a certificate for an address, and a client's that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(name))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / "cert.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pem.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


async def test_tls_is_spoken_and_kept(tmp_path: Path) -> None:
    server_side, trust = _certificate(tmp_path, "127.0.0.1")
    async with talking(says(OK), tls=server_side, trust=trust) as (client, url, server):
        for _ in range(3):
            assert (await client.get(url)).text == "hi"
        assert server.connections == 1


@pytest.mark.parametrize("name", ["127.0.0.1", "127.0.0.9"])
async def test_a_certificate_that_is_not_trusted_or_another_hosts_is_refused(
    tmp_path: Path, name: str
) -> None:
    server_side, trust = _certificate(tmp_path, name)
    nobody = ssl.create_default_context() if name == "127.0.0.1" else trust
    async with talking(says(OK), tls=server_side, trust=nobody) as (client, url, server):
        with pytest.raises(httpx.ConnectError) as refused:
            await client.get(url)
        causes, one = [], refused.value.__cause__
        while one is not None:
            causes.append(one)
            one = one.__cause__
        assert any(isinstance(cause, ssl.SSLError) for cause in causes)
        assert not server.heads
