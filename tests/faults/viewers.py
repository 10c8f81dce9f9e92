"""Clients of the live log as programs out there are: they keep what they were sent, and after any cut they go on behind
the last number that they have."""

import contextlib
import json
import threading
import time
from abc import ABC, abstractmethod
from typing import Any

import httpx
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

RETRY_S = 0.1


class Viewer(threading.Thread, ABC):
    """Follows the log of a tenant from its first number until it is closed."""

    def __init__(self, url: str, token: str) -> None:
        super().__init__(daemon=True)
        self.url = url
        self.token = token
        self.entries: list[dict[str, Any]] = []
        self.gaps = 0
        self.cuts = 0
        self._closed = False
        self.start()

    @property
    def seq(self) -> int:
        """The last number that it has."""
        return self.entries[-1]["seq"] if self.entries else 0

    def run(self) -> None:
        while not self._closed:
            with contextlib.suppress(OSError, WebSocketException, httpx.HTTPError):
                self.follow()
            if not self._closed:
                self.cuts += 1
                time.sleep(RETRY_S)

    @abstractmethod
    def follow(self) -> None:
        """One connection, to its end."""

    def close(self) -> None:
        self._closed = True
        self.join(10)


class SocketViewer(Viewer):
    """Over the WebSocket."""

    def follow(self) -> None:
        url = self.url.replace("http", "ws") + "/v1/stream"
        with connect(url, proxy=None, max_size=2**24, close_timeout=1) as peer:
            peer.send(json.dumps({"type": "subscribe", "token": self.token, "after_seq": self.seq}))
            while not self._closed:
                with contextlib.suppress(TimeoutError):
                    frame = json.loads(peer.recv(timeout=0.5))
                    if frame["type"] == "event":
                        self.entries.append(frame["event"])
                    self.gaps += frame["type"] == "gap"


class SseViewer(Viewer):
    """Over server-sent events, as a browser's EventSource does it."""

    def follow(self) -> None:
        headers = {"Authorization": f"Bearer {self.token}", "Last-Event-ID": str(self.seq)}
        with httpx.stream("GET", self.url + "/v1/stream/sse", headers=headers, timeout=20) as answer:
            answer.raise_for_status()
            kind = ""
            for line in answer.iter_lines():
                if self._closed:
                    return
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data" and kind == "event":
                    self.entries.append(json.loads(value))
                self.gaps += name == "data" and kind == "gap"
