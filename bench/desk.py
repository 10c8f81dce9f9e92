"""Agents without browsers: they speak the signaling protocol, take every offer, and say what they saw and when. asyncio.

What they offer to the switch is a browser's words with nobody behind them, so the switch of such a bench has no sound.
"""

import asyncio
import itertools
import json
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, Self

import websockets

from core.access.tokens import Keyring
from core.clock import monotonic
from core.model.signaling import PROTOCOL

ANSWER_S = 30.0


def offer(version: int = 1) -> str:
    """What a browser offers, as far as a switch looks at it."""
    lines = (
        "v=0",
        f"o=- 1 {version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111 0",
        "c=IN IP4 127.0.0.1",
        "a=candidate:1 1 udp 2122194687 127.0.0.1 9 typ host generation 0",
        "a=ice-ufrag:rHUf",
        "a=ice-pwd:csB/a+6WEjCQAfGAE2DpdgpS",
        "a=fingerprint:sha-256 " + ":".join(["AB"] * 32),
        "a=setup:actpass",
        "a=mid:0",
        "a=sendrecv",
        "a=rtcp-mux",
        "a=rtpmap:111 opus/48000/2",
        "a=rtpmap:0 PCMU/8000",
        "",
    )
    return "\r\n".join(lines)


def token(secret: str, user_id: str, tenant_id: str = "tnt_main") -> str:
    """What an API would sign for this user's page."""
    return Keyring(secret).sign(
        "signaling",
        subject=user_id,
        tenant_id=tenant_id,
        session_id=f"ses_{uuid.uuid4().hex}",
        seconds=60,
        acts_in=tenant_id,
    )


class Refused(Exception):
    """A request was answered with an error; its code."""


class Agent:
    """One page. Use as a context manager; `on` gets every event with the moment when it came."""

    def __init__(
        self, url: str, said: str, on: Callable[["Agent", dict[str, Any], float], Coroutine[Any, Any, None]]
    ) -> None:
        self._url = url
        self._token = said
        self._on = on
        self._numbers = itertools.count(1)
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.took: dict[str, list[float]] = {}
        """Seconds from each kind of request to its answer."""
        self.hello: dict[str, Any] = {}

    async def __aenter__(self) -> Self:
        self._socket = await websockets.connect(
            self._url, subprotocols=[websockets.Subprotocol(PROTOCOL)], compression=None, close_timeout=1
        )
        self._reader = asyncio.create_task(self._read())
        self.hello = await self.ask(
            "hello", token=self._token, device={"id": uuid.uuid4().hex, "label": "bench"}, take_over=True
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        self._reader.cancel()
        for task in self._tasks:
            task.cancel()

    async def ask(self, kind: str, **members: Any) -> dict[str, Any]:
        """The answer to a request. Raises `Refused`."""
        name = str(next(self._numbers))
        answer = self._waiting[name] = asyncio.get_running_loop().create_future()
        began = monotonic()
        await self._socket.send(json.dumps({"type": kind, "id": name, **members}))
        said: dict[str, Any] = await asyncio.wait_for(answer, ANSWER_S)
        self.took.setdefault(kind, []).append(monotonic() - began)
        if not said["ok"]:
            raise Refused(said["code"])
        return said

    async def _read(self) -> None:
        try:
            async for text in self._socket:
                self._take(json.loads(text), monotonic())
        except websockets.ConnectionClosed:
            pass
        finally:
            for answer in self._waiting.values():
                if not answer.done():
                    answer.set_exception(ConnectionError("the controller is gone"))

    def _take(self, frame: dict[str, Any], at: float) -> None:
        if "re" in frame:
            answer = self._waiting.pop(frame["re"])
            if not answer.done():
                answer.set_result(frame)
            return
        task = asyncio.create_task(self._on(self, frame, at))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
