"""The live log: from any number on, nothing lost, nothing twice, whoever is slow and whatever is cut."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets
from msgspec.structs import replace
from websockets.asyncio.client import ClientConnection

from core import log
from core.clock import now_us
from core.model.records import Call, Change
from core.storage.entries import NewEntry
from tests.api.conftest import Connect
from tests.api.harness import Api, a_call, serving

pytestmark = pytest.mark.asyncio_loop


class Viewer:
    """A client of ``/v1/stream`` that remembers what it was sent."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.frames: list[Any] = []
        self.seqs: list[int] = []
        """The numbers of the events it was sent."""

    async def frame(self, kind: str = "", within_s: float = 10.0) -> Any:
        """The next frame, or the next one of a kind."""
        async with asyncio.timeout(within_s):
            while True:
                frame = json.loads(await self.socket.recv())
                self.frames.append(frame)
                if frame["type"] == "event":
                    self.seqs.append(frame["event"]["seq"])
                if not kind or frame["type"] == kind:
                    return frame

    async def until(self, seq: int, within_s: float = 20.0) -> list[int]:
        """Read until number ``seq``; all numbers seen so far."""
        async with asyncio.timeout(within_s):
            while not self.seqs or self.seqs[-1] < seq:
                await self.frame(within_s=within_s)
        return self.seqs


@asynccontextmanager
async def viewing(api: Api, token: str, **wanted: Any) -> AsyncIterator[Viewer]:
    url = api.url.replace("http", "ws") + "/v1/stream"
    async with websockets.connect(url, max_size=2**24, proxy=None, close_timeout=0.5) as connection:
        await connection.send(json.dumps({"type": "subscribe", "token": token, **wanted}))
        yield Viewer(connection)


async def head_of(api: Api, tenant: str) -> int:
    return (await log.bounds(api.database, tenant))[1]


class Traffic:
    """A tenant with a switch on which things happen."""

    def __init__(self, api: Api, tenant: str, node: str, key: str) -> None:
        self.api, self.tenant, self.node, self.key = api, tenant, node, key

    @classmethod
    async def begin(cls, api: Api) -> "Traffic":
        tenant = await api.tenant()
        node = await api.node(tenant_id=tenant)
        return cls(api, tenant, node, await api.key(tenant_id=tenant))

    async def happen(self, count: int, *, show: bool = True, kind: str = "call.muted") -> Call:
        """``count`` changes of one call, stored in one go, and shown on the bus unless told otherwise."""
        call = a_call(self.node, tenant_id=self.tenant)
        changes = [Change(kind, replace(call, version=n), now_us()) for n in range(1, count + 1)]
        if show:
            await self.api.store(self.node, *changes)
        else:
            from core.storage import nodes
            from core.storage.calls import write_changes

            fence = (await nodes.get_node(self.api.database, self.node)).fence
            await write_changes(self.api.database, node=self.node, fence=fence, changes=changes)
        return call

    async def fill(self, count: int) -> None:
        """Many small entries, fast and unseen."""
        for first in range(0, count, 2000):
            await self.write(min(2000, count - first), b"{}")

    async def write(self, count: int, data: bytes) -> None:
        """Entries with this data, shown on the bus."""
        entries = [
            NewEntry(tenant_id=self.tenant, type="test.filled", resource="x", occurred_us=now_us(), data=data)
            for _ in range(count)
        ]
        async with self.api.database.tenant(self.tenant) as conn:
            written = await log.append(conn, entries)
        for tenant_id, fresh in written.items():
            await self.api.bus.publish(tenant_id, fresh)


async def test_it_begins_with_hello_and_goes_on_with_what_happens(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        await traffic.happen(3)
        head = await head_of(api, traffic.tenant)
        async with viewing(api, traffic.key) as viewer:
            hello = await viewer.frame()
            assert hello == {
                "type": "hello", "head_seq": head, "oldest_seq": 1, "tenant": traffic.tenant, "after_seq": head
            }  # fmt: skip
            call = await traffic.happen(2)
            assert await viewer.until(head + 2) == [head + 1, head + 2]
            event = viewer.frames[-1]["event"]
            assert event["type"] == "call.muted" and event["resource"] == call.id
            assert event["data"]["call"]["id"] == call.id and event["id"].startswith("evt_")
            listed = await api.ask("GET", f"/v1/events?after_seq={head + 1}", traffic.key)
            assert listed.json()["data"] == [event], "the same entry, however it is read"


async def test_it_resumes_after_any_number(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        await traffic.happen(30)
        head = await head_of(api, traffic.tenant)
        for after in (0, head - 7, head):
            async with viewing(api, traffic.key, after_seq=after) as viewer:
                await traffic.happen(1)
                head += 1
                assert await viewer.until(head) == list(range(after + 1, head + 1))


async def test_a_viewer_that_is_cut_again_and_again_ends_equal_to_the_log(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        chance = random.Random(7)
        stop = asyncio.Event()

        async def keep_happening() -> None:
            while not stop.is_set():
                # Some changes are never shown on the bus: those losses must be found and filled, too.
                await traffic.happen(chance.randint(1, 4), show=chance.random() < 0.7)
                await asyncio.sleep(0.01)

        making = asyncio.create_task(keep_happening())
        seen: list[int] = []
        for _ in range(25):
            after = seen[-1] if seen else 0
            async with viewing(api, traffic.key, after_seq=after) as viewer:
                goal = after + chance.randint(1, 20)
                await viewer.until(goal)
                seen += viewer.seqs
        stop.set()
        await making
        head = await head_of(api, traffic.tenant)
        async with viewing(api, traffic.key, after_seq=seen[-1]) as viewer:
            if seen[-1] < head:
                seen += await viewer.until(head)
        assert seen == list(range(1, head + 1)), "every number once, in order"


async def test_what_the_bus_lost_is_read_from_the_store(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        async with viewing(api, traffic.key) as viewer:
            first = (await viewer.frame("hello"))["head_seq"] + 1
            await traffic.happen(5, show=False)
            await traffic.happen(1)
            assert await viewer.until(first + 5) == list(range(first, first + 6))
            await traffic.happen(2, show=False)
            seqs = await viewer.until(first + 7, within_s=8)
            assert seqs == list(range(first, first + 8)), "a loss that nothing follows is found, too"


async def test_types_and_resources_choose(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        start = await head_of(api, traffic.tenant)
        one = await traffic.happen(1, kind="call.held")
        await traffic.happen(1, kind="conference.joined")
        await traffic.happen(1, kind="call.resumed")
        end = await head_of(api, traffic.tenant)
        for wanted, types in (
            ({"types": ["call.*"]}, ["call.held", "call.resumed"]),
            ({"types": ["call.resumed", "conference.joined"]}, ["conference.joined", "call.resumed"]),
            ({"resources": [one.id]}, ["call.held"]),
            ({"resources": ["call_*"], "types": ["conference.*"]}, ["conference.joined"]),
            ({"types": ["*"]}, ["call.held", "conference.joined", "call.resumed"]),
        ):
            async with viewing(api, traffic.key, after_seq=start, **wanted) as viewer:
                while len(viewer.seqs) < len(types):
                    await viewer.frame()
                assert [f["event"]["type"] for f in viewer.frames if f["type"] == "event"] == types
        assert end == start + 3


async def test_a_heartbeat_tells_the_head(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect() as api:
        monkeypatch.setattr("api.http.follow.HEARTBEAT_S", 0.2)
        traffic = await Traffic.begin(api)
        async with viewing(api, traffic.key) as viewer:
            await viewer.frame("hello")
            await traffic.happen(3)
            await viewer.until(await head_of(api, traffic.tenant))
            beat = await viewer.frame("heartbeat")
            assert beat == {"type": "heartbeat", "head_seq": await head_of(api, traffic.tenant)}


async def test_too_old_numbers_get_a_gap_and_go_on_from_the_head(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        await traffic.happen(5)
        async with api.database.system() as conn:
            await conn.execute("update log_heads set oldest = 4 where tenant_id = $1", traffic.tenant)
            await conn.execute("delete from events where tenant_id = $1 and seq < 4", traffic.tenant)
        head = await head_of(api, traffic.tenant)
        async with viewing(api, traffic.key, after_seq=1) as viewer:
            gap = await viewer.frame("gap")
            assert gap["resume_at"] == head and "calls" in gap["resources"]
            await traffic.happen(1)
            assert await viewer.until(head + 1) == [head + 1]


async def test_more_than_ten_thousand_behind_is_a_gap(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        await traffic.fill(10_050)
        head = await head_of(api, traffic.tenant)
        async with viewing(api, traffic.key, after_seq=head - 10_001) as viewer:
            assert (await viewer.frame("gap"))["resume_at"] == head
        async with viewing(api, traffic.key, after_seq=head - 9_990) as viewer:
            assert len(await viewer.until(head)) == 9_990, "and as many as that are sent"


async def test_a_number_from_the_future_is_a_gap(connect: Connect) -> None:
    """The store was set back, or is another one: what the client holds is not true any more."""
    async with connect() as api:
        traffic = await Traffic.begin(api)
        await traffic.happen(2)
        head = await head_of(api, traffic.tenant)
        async with viewing(api, traffic.key, after_seq=head + 500) as viewer:
            assert (await viewer.frame("gap"))["resume_at"] == head


async def _deaf_socket(api: Api, token: str) -> socket.socket:
    """A WebSocket that asks for everything and never reads it."""
    deaf = await _tiny_socket(api)
    loop = asyncio.get_running_loop()
    payload = json.dumps({"type": "subscribe", "token": token, "after_seq": 0}).encode()
    await loop.sock_sendall(
        deaf,
        b"GET /v1/stream HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
    )
    assert b" 101 " in await loop.sock_recv(deaf, 1024)
    await loop.sock_sendall(
        deaf,
        b"\x81" + (0x80 | 126).to_bytes(1, "big") + len(payload).to_bytes(2, "big") + b"\0\0\0\0" + payload,
    )
    return deaf


async def _deaf_reader(api: Api, token: str) -> socket.socket:
    """The same with server-sent events."""
    deaf = await _tiny_socket(api)
    await asyncio.get_running_loop().sock_sendall(
        deaf,
        b"GET /v1/stream/sse?after_seq=0 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n"
        % token.encode(),
    )
    return deaf


async def _tiny_socket(api: Api) -> socket.socket:
    host, port = api.url.removeprefix("http://").split(":")
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.setblocking(False)
    await asyncio.get_running_loop().sock_connect(made, (host, int(port)))
    return made


@pytest.mark.parametrize("connect_deaf", [_deaf_socket, _deaf_reader])
async def test_a_viewer_that_never_reads_is_cut_and_slows_nobody(
    database_url: str,
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    connect_deaf: Callable[[Api, str], Awaitable[socket.socket]],
) -> None:
    monkeypatch.setattr("api.http.stream_ws.STUCK_S", 1.0)
    monkeypatch.setattr("api.http.stream_sse.STUCK_S", 1.0)
    loop = asyncio.get_running_loop()
    async with serving(database_url, redis_url) as api:
        traffic = await Traffic.begin(api)
        deaf = await connect_deaf(api, traffic.key)
        async with viewing(api, traffic.key) as viewer:
            first = (await viewer.frame("hello"))["head_seq"] + 1
            async with asyncio.timeout(5):
                while api.services.metrics.streams < 2:
                    await asyncio.sleep(0.01)
            seq = first - 1
            # 20 MB: more than the two kernels' buffers and ours hold.
            large = json.dumps({"text": "x" * 4000}).encode()
            for _ in range(50):
                await traffic.write(100, large)
                seq += 100
                began = loop.time()
                await viewer.until(seq)
                # (whoever waited for the deaf one would wait for as long as it stays: for ever)
                assert loop.time() - began < 15
            assert viewer.seqs == list(range(first, seq + 1))
            async with asyncio.timeout(30):
                while api.services.metrics.stream_closed_slow < 1:
                    await asyncio.sleep(0.05)
                while api.services.metrics.streams > 1:
                    await asyncio.sleep(0.05)
        deaf.close()


async def test_two_hundred_viewers_get_the_same(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        viewers = [viewing(api, traffic.key) for _ in range(200)]
        opened = await asyncio.gather(*(one.__aenter__() for one in viewers))
        first = [(await viewer.frame("hello"))["head_seq"] + 1 for viewer in opened]
        for _ in range(10):
            await traffic.happen(10)
        head = await head_of(api, traffic.tenant)
        await asyncio.gather(*(viewer.until(head) for viewer in opened))
        for viewer, start in zip(opened, first, strict=True):
            assert viewer.seqs == list(range(start, head + 1))
        await asyncio.gather(*(one.__aexit__(None, None, None) for one in viewers))


async def test_while_redis_is_away_the_store_is_read_each_second(database_url: str, tmp_path: Any) -> None:
    from core.storage.embedded import EmbeddedValkey

    valkey = EmbeddedValkey(tmp_path)
    url = valkey.start()
    async with serving(database_url, url) as api:
        traffic = await Traffic.begin(api)
        async with viewing(api, traffic.key) as viewer:
            first = (await viewer.frame("hello"))["head_seq"] + 1
            await asyncio.to_thread(valkey.stop)
            await traffic.happen(3, show=False)
            assert await viewer.until(first + 2, within_s=10) == [first, first + 1, first + 2]
            assert (await api.ask("GET", "/v1/health/ready")).status_code == 200, "reading goes on"
            answer = await api.ask("GET", "/v1/calls", traffic.key)
            assert answer.status_code == 200
            assert (await api.ask("GET", "/v1/control/leases", traffic.key)).status_code == 503
            await asyncio.to_thread(valkey.start)
            async with asyncio.timeout(15):
                while not api.services.bus.listening.is_set() or not api.bus.listening.is_set():
                    await asyncio.sleep(0.05)
            await traffic.happen(2)
            assert (await viewer.until(first + 4))[-2:] == [first + 3, first + 4]
    await asyncio.to_thread(valkey.stop)


async def closing(api: Api, first: Any, wait_s: float = 12.0) -> tuple[int, Any]:
    """How the server ends a connection whose first message is ``first``: close code and error frame."""
    url = api.url.replace("http", "ws") + "/v1/stream"
    async with websockets.connect(url, proxy=None) as connection:
        if first is not None:
            await connection.send(first if isinstance(first, str | bytes) else json.dumps(first))
        error = None
        try:
            async with asyncio.timeout(wait_s):
                while True:
                    frame = json.loads(await connection.recv())
                    error = frame if frame["type"] == "error" else error
        except websockets.ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else 0, error


BAD = [
    ("not json", 4400, "malformed_json"),
    (b"\x00\x01", 4400, "malformed_json"),
    ({"type": "hello"}, 4400, "invalid_request"),
    ({"type": "subscribe"}, 4400, "invalid_request"),
    ({"type": "subscribe", "token": "x", "after": 1}, 4400, "invalid_request"),
    ({"type": "subscribe", "token": "x", "after_seq": -1}, 4400, "invalid_request"),
    ({"type": "subscribe", "token": "x" * 5000}, 4400, "invalid_request"),
    ({"type": "subscribe", "token": "x"}, 4401, "bad_token"),
    ({"type": "subscribe", "token": "irx_" + "0" * 26 + "_" + "0" * 52}, 4401, "bad_credential"),
]


@pytest.mark.parametrize(("first", "code", "word"), BAD, ids=[str(one[0])[:40] for one in BAD])
async def test_a_wrong_first_message_ends_it_with_a_reason(
    connect: Connect, first: Any, code: int, word: str
) -> None:
    async with connect() as api:
        closed, error = await closing(api, first)
        assert closed == code
        assert error["code"] == word


async def test_nobody_may_follow_without_the_permission(connect: Connect) -> None:
    async with connect() as api:
        key = await api.key(["calls:read"])
        assert (await closing(api, {"type": "subscribe", "token": key}))[0] == 4403
        assert (await api.ask("POST", "/v1/auth/tokens/realtime", key)).status_code == 403


async def test_who_says_nothing_is_sent_away(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    async with connect() as api:
        monkeypatch.setattr("api.http.stream_ws.SUBSCRIBE_S", 0.2)
        code, error = await closing(api, None)
        assert code == 4400 and error["code"] == "too_slow"


async def test_an_acknowledgement_is_fine_and_anything_else_is_not(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        async with viewing(api, traffic.key) as viewer:
            await viewer.frame("hello")
            await viewer.socket.send('{"type": "ack", "seq": 1}')
            await traffic.happen(1)
            await viewer.frame("event")
            await viewer.socket.send('{"type": "drop table"}')
            error = await viewer.frame("error")
            assert error["code"] == "invalid_request"


async def test_a_realtime_token_opens_a_stream_and_nothing_else(connect: Connect) -> None:
    async with connect() as api:
        person = await api.person("supervisor")
        made = await api.ask("POST", "/v1/auth/tokens/realtime", person.token)
        assert made.status_code == 201 and made.json()["expires_in"] == 60
        token = made.json()["token"]
        async with viewing(api, token) as viewer:
            assert (await viewer.frame("hello"))["tenant"] == "tnt_main"
        assert (await api.ask("GET", "/v1/calls", token)).status_code == 401


async def test_an_operators_token_follows_the_tenant_it_was_made_for(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        operator = await api.operator_key()
        made = await api.ask("POST", "/v1/auth/tokens/realtime", operator, headers={"Tenant": traffic.tenant})
        async with viewing(api, made.json()["token"]) as viewer:
            assert (await viewer.frame("hello"))["tenant"] == traffic.tenant
            await traffic.happen(1)
            assert (await viewer.frame("event"))["event"]["data"]["call"]["tenant_id"] == traffic.tenant


async def test_one_tenant_never_sees_anothers_events(connect: Connect) -> None:
    async with connect() as api:
        mine, theirs = await Traffic.begin(api), await Traffic.begin(api)
        async with viewing(api, mine.key, after_seq=0) as viewer:
            await theirs.happen(5)
            await mine.happen(1)
            await viewer.until(await head_of(api, mine.tenant))
            assert theirs.tenant not in json.dumps(viewer.frames)


@pytest.mark.parametrize("how", ["revoke the key", "suspend the tenant", "change the scopes"])
async def test_a_stream_ends_when_the_right_to_it_does(connect: Connect, how: str) -> None:
    async with connect() as api:
        tenant, operator = await api.tenant(), await api.operator_key()
        admin = await api.key(tenant_id=tenant)
        made = (await api.ask("POST", "/v1/api-keys", admin, {"name": "k", "scopes": ["events:read"]})).json()
        path = f"/v1/api-keys/{made['key']['id']}"
        async with viewing(api, made["secret"]) as viewer:
            await viewer.frame("hello")
            await {
                "revoke the key": lambda: api.ask("DELETE", path, admin),
                "suspend the tenant": lambda: api.ask("POST", f"/v1/tenants/{tenant}/suspend", operator),
                "change the scopes": lambda: api.ask("PATCH", path, admin, {"scopes": ["calls:read"]}),
            }[how]()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                async with asyncio.timeout(5):
                    while True:
                        await viewer.socket.recv()
            assert closed.value.rcvd is not None and closed.value.rcvd.code == 4401


async def test_viewers_are_sent_to_another_process_when_this_one_stops(
    database_url: str, redis_url: str
) -> None:
    async with serving(database_url, redis_url) as api:
        traffic = await Traffic.begin(api)
        async with viewing(api, traffic.key) as viewer:
            await viewer.frame("hello")
            api.services.drain()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await viewer.frame(within_s=5)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1012, "restarting")


async def sse_events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        if not line:
            yield event
            event = {}
        else:
            name, _, value = line.partition(": ")
            event[name] = json.loads(value) if name == "data" else value


async def test_server_sent_events_are_the_same_log(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        await traffic.happen(3)
        head = await head_of(api, traffic.tenant)
        headers = {"Authorization": f"Bearer {traffic.key}"}
        async with asyncio.timeout(20):
            async with api.http.stream(
                "GET", f"/v1/stream/sse?after_seq={head - 2}", headers=headers
            ) as answer:
                assert answer.status_code == 200
                assert answer.headers["content-type"] == "text/event-stream"
                events = sse_events(answer)
                hello = await anext(events)
                assert hello["event"] == "hello" and hello["data"]["head_seq"] == head
                first, second = await anext(events), await anext(events)
                assert [first["id"], second["id"]] == [str(head - 1), str(head)]
                assert first["event"] == "event" and first["data"]["seq"] == head - 1
            resumed = {**headers, "Last-Event-ID": str(head - 1)}
            async with api.http.stream("GET", "/v1/stream/sse", headers=resumed) as answer:
                events = sse_events(answer)
                await anext(events)
                assert (await anext(events))["id"] == str(head)


@pytest.mark.parametrize(
    ("query", "headers"),
    [("?after_seq=-1", {}), ("?after_seq=x", {}), ("", {"Last-Event-ID": "soon"}), ("?types=a,,b;", {})],
)
async def test_a_wrong_place_is_refused_before_anything_is_sent(
    connect: Connect, query: str, headers: dict[str, str]
) -> None:
    async with connect() as api:
        answer = await api.ask("GET", f"/v1/stream/sse{query}", await api.key(), headers=headers)
        assert answer.status_code == 400 and answer.headers["content-type"] == "application/problem+json"


async def test_streams_are_gone_when_their_clients_are(connect: Connect) -> None:
    async with connect() as api:
        traffic = await Traffic.begin(api)
        before = api.services.metrics.streams
        for _ in range(5):
            async with viewing(api, traffic.key) as viewer:
                await viewer.frame("hello")
            async with api.http.stream(
                "GET", "/v1/stream/sse", headers={"Authorization": f"Bearer {traffic.key}"}
            ) as answer:
                await anext(sse_events(answer))
        async with asyncio.timeout(5):
            while api.services.metrics.streams > before:
                await asyncio.sleep(0.02)
