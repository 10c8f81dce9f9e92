"""The live stream's place in the documents: server-sent events, declared like any endpoint.

The WebSocket ``/v1/stream`` is no operation of OpenAPI; it is described in docs/api.md and served by `stream_ws`.
"""

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.events import MAX_SEQ, TYPES
from api.http.operation import Group
from api.http.query import bool_param, int_param, words_param
from api.http.stream_sse import serve_sse

stream = Group(
    "stream", "Follow the log live, from any number on: WebSocket `/v1/stream`, or server-sent events."
)

RESOURCES = words_param("resources", "Only entries about these things, by id, or of these kinds: `call_*`.")


@stream.operation(
    "GET",
    "/stream/sse",
    permission="events:read",
    summary="Follow the log as server-sent events",
    answers=str,
    media="text/event-stream",
    params=[
        int_param(
            "after_seq", 0, MAX_SEQ, "Go on after this number; without it only what happens from now on."
        ),
        TYPES,
        RESOURCES,
        bool_param("live", "Also `live` frames: what is going on right now, such as who types."),
    ],
    streaming=True,
)
async def stream_sse(ask: Ask[None]) -> Answer:
    """Events `hello`, `event`, `heartbeat` (every 15 s) and `gap`, each with a JSON object as data; `live` if asked for. The id of an
    `event` is its number, so a client that reconnects with `Last-Event-ID` misses nothing."""
    return await serve_sse(ask)
