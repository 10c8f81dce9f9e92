"""``/v1/stream``: the log live, over a WebSocket.

The first message of the client subscribes and carries its token: an address ends up in logs. From then on the server
speaks (`api.http.follow`) and the client may acknowledge or say nothing.
"""

import asyncio
from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from api.http.answer import encode
from api.http.body import decode
from api.http.follow import Codec, Follow, Wanted
from api.http.problem import Invalid
from api.http.stream_hub import Ending, StreamHub
from api.http.wire import EXTENSION, Wire, text_frame
from core.access.actors import Actor
from core.access.service import Access
from core.errors import IrisxError, NotAllowed, NotAuthenticated, Unavailable
from core.model.entries import LogEntry

SUBSCRIBE_S = 10.0
"""How long a client may take to say what it wants."""
STUCK_S = 30.0
"""How long a client may read nothing before it is cut off."""
KNOWN_S = 5.0
"""How long the first look at the store may take."""
MAX_SEQ = 2**53 - 1

Word = Annotated[str, Meta(min_length=1, max_length=100)]
Words = Annotated[list[Word], Meta(max_length=50)]


class Subscribe(Struct, tag="subscribe", forbid_unknown_fields=True):
    """The first message."""

    token: Annotated[str, Meta(max_length=4096)]
    """A realtime token, an access token or an API key."""
    after_seq: Annotated[int, Meta(ge=0, le=MAX_SEQ)] | None = None
    """Go on after this number; without it only what happens from now on."""
    types: Words = []
    resources: Words = []
    live: bool = False
    """Also what is going on right now: who types."""


class Ack(Struct, tag="ack"):
    """What the client has dealt with. It keeps its place itself, so this is only a sign of life."""

    seq: int = 0


_first = msgspec.json.Decoder(Subscribe)
_later = msgspec.json.Decoder(Ack)


class WsCodec:
    """Frames as whole WebSocket frames."""

    kind = "ws"

    def event(self, entry: LogEntry) -> bytes:
        return text_frame(b'{"type":"event","event":%s}' % entry.body)

    def frame(self, name: str, members: dict[str, Any]) -> bytes:
        return text_frame(encode({"type": name, **members}))


CODEC: Codec = WsCodec()


class Gone(Exception):
    """The client has gone, or was cut off."""


class StreamSocket:
    """The endpoint: one ASGI call for each connection."""

    def __init__(self, hub: StreamHub, access: Access) -> None:
        self._hub = hub
        self._access = access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        wire: Wire = scope["extensions"][EXTENSION]
        if (await receive())["type"] != "websocket.connect":
            return
        await send({"type": "websocket.accept"})
        wire.enlarge()
        with suppress(Gone):
            try:
                await self._serve(wire, receive, send)
            except Invalid as exc:
                await _refuse(send, 4400, exc)
            except NotAuthenticated as exc:
                await _refuse(send, 4401, exc)
            except NotAllowed as exc:
                await _refuse(send, 4403, exc)
            except Unavailable as exc:
                await _refuse(send, 1013, exc)
            except IrisxError as exc:
                await _refuse(send, 4400, exc)

    async def _serve(self, wire: Wire, receive: Any, send: Any) -> None:
        asked = await _subscription(receive)
        actor, tenant_id = await self._who(asked.token)
        if not actor.may("events:read"):
            raise NotAllowed("this needs the permission events:read")
        feed = self._hub.feeds.open(tenant_id)
        try:
            with self._hub.admitted(actor) as ending:
                try:
                    async with asyncio.timeout(KNOWN_S):
                        await feed.known.wait()
                except TimeoutError as exc:
                    raise Unavailable("the log is out of reach now") from exc
                follow = Follow(
                    self._hub.database,
                    feed,
                    CODEC,
                    wanted=Wanted(asked.types, asked.resources),
                    after_seq=asked.after_seq,
                    note_gap=self._note_gap,
                    live=asked.live,
                )
                await self._run(wire, receive, send, follow, ending)
        finally:
            self._hub.feeds.close(feed)

    async def _run(self, wire: Wire, receive: Any, send: Any, follow: Follow, ending: Ending) -> None:
        tasks = [
            asyncio.create_task(self._speak(wire, follow)),
            asyncio.create_task(_listen(receive)),
            asyncio.create_task(self._hub.watch_rights(ending)),
            asyncio.create_task(ending.event.wait()),
        ]
        try:
            await asyncio.wait([*tasks[:2], tasks[3]], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception) and not isinstance(result, asyncio.CancelledError):
                raise result
        if ending.event.is_set():
            await send({"type": "websocket.close", "code": ending.code, "reason": ending.why})

    async def _speak(self, wire: Wire, follow: Follow) -> None:
        wire.write(follow.hello())
        metrics = self._hub.metrics
        while not wire.closed:
            try:
                piece = await follow.next()
            except EOFError as exc:
                raise Unavailable("the stream broke on our side") from exc
            if not wire.ready:
                await self._wait_ready(wire)
            wire.write(piece)
            metrics.stream_frames += 1

    async def _wait_ready(self, wire: Wire) -> None:
        try:
            async with asyncio.timeout(STUCK_S):
                await wire.wait_ready()
        except TimeoutError:
            # It would not read a close frame either.
            self._hub.metrics.stream_closed_slow += 1
            wire.cut()
            raise Gone from None

    async def _who(self, token: str) -> tuple[Actor, str]:
        try:
            return await self._access.authenticate_realtime(token)
        except NotAuthenticated as exc:
            if exc.code == "token_expired":
                raise
        actor = await self._access.authenticate(token)
        return actor, actor.tenant_id

    def _note_gap(self) -> None:
        self._hub.metrics.stream_gaps += 1


async def _subscription(receive: Any) -> Subscribe:
    try:
        async with asyncio.timeout(SUBSCRIBE_S):
            message = await receive()
    except TimeoutError as exc:
        raise Invalid("nothing was subscribed in time", code="too_slow") from exc
    return decode(_first, _payload(message))  # type: ignore[no-any-return]  # the decoder's own type


def _payload(message: Any) -> bytes:
    if message["type"] != "websocket.receive":
        raise Gone
    text = message.get("text")
    return text.encode() if text is not None else bytes(message.get("bytes") or b"")


async def _listen(receive: Any) -> None:
    """Until the client goes. What it says beside acknowledgements is an error."""
    while True:
        decode(_later, _payload(await receive()))


async def _refuse(send: Any, code: int, error: IrisxError) -> None:
    told = encode({"type": "error", "code": error.code, "detail": error.detail})
    await send({"type": "websocket.send", "text": told.decode()})
    await send({"type": "websocket.close", "code": code, "reason": error.code})
