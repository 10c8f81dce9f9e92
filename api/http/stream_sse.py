"""The log live as server-sent events: for programs that speak plain HTTP (and `curl -N`)."""

import asyncio
from typing import Any

from api.http.answer import Answer, encode
from api.http.ask import Ask
from api.http.follow import Codec, Follow, Wanted
from api.http.problem import bad_parameter
from api.http.query import integer
from api.http.stream_hub import Ending, StreamHub
from api.http.version import API_VERSION
from api.http.wire import CUT
from core.errors import Unavailable
from core.model.entries import LogEntry

STUCK_S = 30.0
KNOWN_S = 5.0
MAX_SEQ = 2**53 - 1


class SseCodec:
    """Frames as events (WHATWG HTML, 9.2): JSON has no line breaks, so one data line is enough."""

    kind = "sse"

    def event(self, entry: LogEntry) -> bytes:
        return b"id: %d\nevent: event\ndata: %s\n\n" % (entry.seq, entry.body)

    def frame(self, name: str, members: dict[str, Any]) -> bytes:
        # After a gap the client's next Last-Event-ID is where it may go on.
        mark = b"id: %d\n" % members["resume_at"] if name == "gap" else b""
        return b"%sevent: %s\ndata: %s\n\n" % (mark, name.encode(), encode(members))


CODEC: Codec = SseCodec()


async def serve_sse(ask: Ask[None]) -> Answer:
    """Send events until the client goes. Raises before the first byte what any other request raises."""
    hub: StreamHub = ask.services.streams
    after_seq = _after(ask)
    feed = hub.feeds.open(ask.tenant_id)
    try:
        with hub.admitted(ask.actor) as ending:
            try:
                async with asyncio.timeout(KNOWN_S):
                    await feed.known.wait()
            except TimeoutError as exc:
                raise Unavailable("the log is out of reach now") from exc
            follow = Follow(
                hub.database,
                feed,
                CODEC,
                wanted=Wanted(ask.value("types", ()), ask.value("resources", ())),
                after_seq=after_seq,
                note_gap=lambda: _note_gap(hub),
                live=ask.value("live", False),
            )
            await _run(ask, hub, follow, ending)
    finally:
        hub.feeds.close(feed)
    return Answer(200)


async def _run(ask: Ask[None], hub: StreamHub, follow: Follow, ending: Ending) -> None:
    receive, send = ask.transport
    await send(
        {
            "type": "http.response.start",
            "status": 200,
            "headers": [
                (b"content-type", b"text/event-stream"),
                (b"cache-control", b"no-store"),
                (b"x-content-type-options", b"nosniff"),
                # nginx would gather what should go out at once.
                (b"x-accel-buffering", b"no"),
                (b"api-version", API_VERSION.encode()),
                (b"request-id", ask.request_id.encode()),
            ],
        }
    )
    tasks = [
        asyncio.create_task(_speak(send, hub, follow)),
        asyncio.create_task(_listen(receive)),
        asyncio.create_task(hub.watch_rights(ending)),
        asyncio.create_task(ending.event.wait()),
    ]
    try:
        await asyncio.wait([*tasks[:2], tasks[3]], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception) and not isinstance(result, TimeoutError):
            raise result
    if any(isinstance(result, TimeoutError) for result in results):
        hub.metrics.stream_closed_slow += 1
        cut = ask.scope.get("extensions", {}).get(CUT)
        if cut is not None:
            cut()
        return
    if ending.event.is_set():
        await send(
            {
                "type": "http.response.body",
                "body": CODEC.frame("end", {"reason": ending.why}),
                "more_body": True,
            }
        )
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _speak(send: Any, hub: StreamHub, follow: Follow) -> None:
    """Raises TimeoutError when the client reads nothing for `STUCK_S`."""
    piece = follow.hello()
    while True:
        async with asyncio.timeout(STUCK_S):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        hub.metrics.stream_frames += 1
        try:
            piece = await follow.next()
        except EOFError:
            return


async def _listen(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        continue


def _after(ask: Ask[None]) -> int | None:
    """Where to go on: what the client's library remembers comes before what is in the address."""
    remembered = ask.header(b"last-event-id").strip()
    if remembered:
        try:
            return integer(0, MAX_SEQ)(remembered)
        except ValueError as exc:
            raise bad_parameter("Last-Event-ID", str(exc)) from exc
    found: int | None = ask.value("after_seq")
    return found


def _note_gap(hub: StreamHub) -> None:
    hub.metrics.stream_gaps += 1
