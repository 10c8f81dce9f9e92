"""Where providers deliver: webhooks, as they come, to the account that their address names.

Public, because providers bring proofs of their own: the channel checks them over the raw bytes before anything is believed.
Nothing is answered with success that is not stored. What a provider is told otherwise decides whether it comes again:
4xx for what will never be right, 503 for "later".
"""

from typing import Any

from api.http.answer import Answer
from api.http.ask import Ask
from api.http.body import read_body
from api.http.channels import CHANNEL
from api.http.operation import PUBLIC, Group
from api.http.problem import Refused
from api.http.wire import REPLY, status_line
from core.channels import Forged
from core.clock import now_us
from irisx_sdk import Request

inbound = Group("channels")

MAX_BODY = 40 * 1024 * 1024
"""Bytes: a mail of 25 MB with its files in base64, and some room."""


@inbound.operation(
    "POST",
    "/channels/{channel_id}/inbound",
    permission=PUBLIC,
    summary="Deliver a webhook",
    paths=[CHANNEL],
    problems=[401, 404, 409, 413, 503],
    streaming=True,
    bucket="webhooks",
    idempotency="none",
)
async def receive_webhook(ask: Ask[None]) -> Answer:
    """For providers, in their own form: enter this address there. The answer is the one that the provider wants."""
    return await _receive(ask)


@inbound.operation(
    "GET",
    "/channels/{channel_id}/inbound",
    permission=PUBLIC,
    summary="Prove that the address for webhooks is ours",
    paths=[CHANNEL],
    problems=[401, 404, 409, 503],
    streaming=True,
    bucket="webhooks",
)
async def prove_webhook(ask: Ask[None]) -> Answer:
    """Some providers ask the address to say something back before they use it."""
    return await _receive(ask)


async def _receive(ask: Ask[None]) -> Answer:
    receive, send = ask.transport
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in ask.scope["headers"]}
    declared = headers.get("content-length", "0" if ask.scope["method"] == "GET" else "")
    try:
        async with ask.services.channels.room_for(int(declared) if declared.isdigit() else None):
            request = Request(
                method=ask.scope["method"],
                url=_url(ask, headers),
                headers=headers,
                body=await read_body(declared.encode(), receive, most=MAX_BODY, what="a webhook"),
                received_us=now_us(),
            )
            reply = await ask.services.channels.receive(ask.path["channel_id"], request)
    except Forged as exc:
        if not exc.challenge:
            raise
        asks = [("www-authenticate", f'{exc.challenge} realm="irisx"')]
        raise Refused(401, exc.code, exc.detail, headers=asks) from None
    lines = [
        (b"content-type", reply.media_type.encode()),
        (b"content-length", b"%d" % len(reply.body)),
        (b"request-id", ask.request_id.encode()),
        (b"cache-control", b"no-store"),
        *((name.encode(), value.encode()) for name, value in reply.headers),
    ]
    extensions = ask.scope.get("extensions")
    at_once = extensions.get(REPLY) if extensions else None
    if at_once is not None:
        # One write for the whole answer: this is the busiest address of all.
        head = b"".join([b"%s: %s\r\n" % line for line in lines])
        await at_once(status_line(reply.status) + head, reply.body)
        return Answer(reply.status)
    await send({"type": "http.response.start", "status": reply.status, "headers": lines})
    await send({"type": "http.response.body", "body": reply.body})
    return Answer(reply.status)


def _url(ask: Ask[Any], headers: dict[str, str]) -> str:
    """The address as the provider called it: signatures cover it."""
    base = ask.services.settings.public_url.rstrip("/")
    if not base:
        scheme = "https" if ask.services.is_secure(ask.scope) else "http"
        base = f"{scheme}://{headers.get('host', 'localhost')}"
    query = ask.scope["query_string"].decode("latin-1")
    path = (ask.scope.get("raw_path") or ask.scope["path"].encode()).split(b"?", 1)[0].decode("latin-1")
    return f"{base}{path}{'?' + query if query else ''}"
