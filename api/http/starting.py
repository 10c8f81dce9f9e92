"""What the API answers until it has reached its database: alive, not ready, and when to ask again.

A process that starts before its database is no error. It listens at once, so that whoever restarts processes can tell
"waits" from "dead" and a load balancer gets its answer; pages are served, everything below ``/v1`` is refused.
"""

from typing import Any

from api.http.answer import Answer, encode, json_answer
from api.http.pipeline import BASE_HEADERS, NO_STORE, Endpoint
from api.http.request_id import request_id_of
from api.http.system import Live, Ready
from core.errors import PeerError

TRY_AGAIN_LATER = 1013
"""A close code of the WebSocket registry at IANA: come back later."""


async def answer_for_now(scope: Any, send: Any, waits_for: PeerError) -> None:
    """Answer one request, or turn one WebSocket away, with what this process waits for."""
    if scope["type"] == "websocket":
        told = encode({"type": "error", "code": waits_for.code, "detail": waits_for.detail})
        await send({"type": "websocket.accept"})
        await send({"type": "websocket.send", "text": told.decode()})
        await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": waits_for.code})
        return
    request_id = request_id_of(dict(scope["headers"]))
    answer = _answer(scope["path"], waits_for, request_id)
    headers = [
        *BASE_HEADERS,
        NO_STORE,
        (b"request-id", request_id.encode()),
        (b"content-type", answer.media),
        (b"content-length", b"%d" % len(answer.body)),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})


def _answer(path: str, waits_for: PeerError, request_id: str) -> Answer:
    if path == "/v1/health/live":
        return json_answer(Live("live"))
    if path == "/v1/health/ready":
        return json_answer(Ready("not_ready", [waits_for.detail]), 503)
    return Endpoint.refusal(waits_for, request_id, path)
