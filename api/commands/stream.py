"""Following the numbered log over the WebSocket, for ever: what is lost on the way is asked for again by number.

`follow` is a plain generator for a thread of its own. It ends only when told to, or when the API refuses us.
"""

import json
import random
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from api.commands.client import Client, Refused
from api.commands.common import Failure

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

FIRST_PAUSE_S = 0.2
MAX_PAUSE_S = 10.0
SILENCE_S = 40.0
"""Heartbeats come every 15 s: after more than two of them nobody is there."""
OPEN_S = 10.0
MAX_FRAME = 4 << 20
_FINAL = (4400, 4403)
"""Close codes after which another try would end the same way: not understood, not allowed."""


class Hello(Struct, frozen=True):
    """Connected; what the log has at this moment."""

    head_seq: int
    oldest_seq: int


class Entry(Struct, frozen=True):
    """One entry of the log."""

    seq: int
    event: dict[str, Any]


class Beat(Struct, frozen=True):
    """The other side lives; its newest number."""

    head_seq: int


class Gap(Struct, frozen=True):
    """Some entries cannot be had from the stream any more: list things again. It goes on behind ``resume_at``."""

    resume_at: int


class Lost(Struct, frozen=True):
    """The connection is gone; the next try is in ``pause_s`` seconds."""

    reason: str
    pause_s: float


Item = Hello | Entry | Beat | Gap | Lost


class _Cut(Exception):
    """This connection is over; the message says why."""


def follow(
    client: Client,
    *,
    after: int | None,
    types: Sequence[str] = (),
    resources: Sequence[str] = (),
    stop: threading.Event | None = None,
) -> Iterator[Item]:
    """Every entry after the number ``after``, once and in order; None begins with what comes next.

    Raises `Failure` when the API refuses us for good (no key, not allowed).
    """
    stop = stop or threading.Event()
    position, pause = after, FIRST_PAUSE_S
    while not stop.is_set():
        try:
            for item in _connection(client, position, types, resources, stop):
                match item:
                    case Hello():
                        pause = FIRST_PAUSE_S
                        position = item.head_seq if position is None else position
                    case Entry():
                        if position is not None and item.seq <= position:
                            continue
                        position = item.seq
                    case Gap():
                        position = item.resume_at
                    case Beat() if position is not None:
                        # Everything before it was sent, or was not what we asked for.
                        position = max(position, item.head_seq)
                    case _:
                        pass
                yield item
            return
        except _Cut as cut:
            wait = pause * random.uniform(0.7, 1.3)
            yield Lost(str(cut), wait)
            stop.wait(wait)
            pause = min(pause * 2, MAX_PAUSE_S)


def _connection(
    client: Client, after: int | None, types: Sequence[str], resources: Sequence[str], stop: threading.Event
) -> Iterator[Item]:
    # Only now: `--help` and most commands have no stream.
    from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
    from websockets.sync.client import connect

    asked: dict[str, Any] = {"type": "subscribe", "token": _token(client)}
    asked |= {"types": list(types)} if types else {}
    asked |= {"resources": list(resources)} if resources else {}
    if after is not None:
        asked["after_seq"] = after
    address = client.who.url.replace("http", "ws", 1) + "/v1/stream"
    try:
        with connect(address, open_timeout=OPEN_S, close_timeout=1, max_size=MAX_FRAME) as socket:
            socket.send(json.dumps(asked))
            yield from _frames(socket, stop)
    except (ConnectionClosed, InvalidHandshake, InvalidURI, OSError, TimeoutError) as error:
        why = _why(error)
        if isinstance(error, ConnectionClosed) and error.rcvd is not None and error.rcvd.code in _FINAL:
            raise Failure(why) from error
        raise _Cut(why) from error


def _token(client: Client) -> str:
    """A fresh one for each connection: it lives a minute. Being refused is final, being unreachable is not."""
    try:
        return str(client.post("/auth/tokens/realtime")["token"])
    except Refused as refused:
        if refused.status in (401, 403):
            raise
        raise _Cut(str(refused)) from refused
    except Failure as failure:
        raise _Cut(str(failure)) from failure


def _frames(socket: "ClientConnection", stop: threading.Event) -> Iterator[Item]:
    silent = 0.0
    while not stop.is_set():
        try:
            raw = socket.recv(timeout=0.5)
        except TimeoutError:
            silent += 0.5
            if silent >= SILENCE_S:
                raise _Cut(f"nothing came for {SILENCE_S:.0f} s") from None
            continue
        silent = 0.0
        frame = json.loads(raw)
        match frame.get("type"):
            case "hello":
                yield Hello(frame["head_seq"], frame["oldest_seq"])
            case "event":
                event = frame.get("event", frame)
                yield Entry(event["seq"], event)
            case "heartbeat":
                yield Beat(frame["head_seq"])
            case "gap":
                yield Gap(frame["resume_at"])
            case _:
                pass  # a newer API may say more than we understand


def _why(error: Exception) -> str:
    from websockets.exceptions import ConnectionClosed

    if not isinstance(error, ConnectionClosed):
        return f"no stream ({type(error).__name__})"
    return error.rcvd.reason if error.rcvd is not None and error.rcvd.reason else "the connection broke"
