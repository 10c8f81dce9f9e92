"""Bare clients: a socket and as little Python as possible, so that a bench measures the other side."""

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from bench.ear import PASSWORD


@contextmanager
def raw_esl(port: int) -> Iterator[Any]:
    """An authenticated Event Socket connection without any of our code; yields ``ask(line) -> body``."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as peer:
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        data = bytearray()

        def frame() -> tuple[bytes, bytes]:
            while b"\n\n" not in data:
                data.extend(_some(peer))
            head, _, _ = bytes(data).partition(b"\n\n")
            length = 0
            for line in head.split(b"\n"):
                if line.lower().startswith(b"content-length:"):
                    length = int(line.partition(b":")[2])
            while len(data) < len(head) + 2 + length:
                data.extend(_some(peer))
            body = bytes(data[len(head) + 2 : len(head) + 2 + length])
            del data[: len(head) + 2 + length]
            return head, body

        def ask(line: str) -> str:
            peer.sendall(f"api {line}\n\n".encode())
            return frame()[1].decode()

        frame()
        peer.sendall(f"auth {PASSWORD}\n\n".encode())
        if b"+OK" not in frame()[0]:
            raise RuntimeError("the switch refused us")
        yield ask


def _some(peer: socket.socket) -> bytes:
    data = peer.recv(262144)
    if not data:
        raise ConnectionError("the switch closed the connection")
    return data


class RawHttp:
    """One kept connection to an API, with one credential."""

    def __init__(self, url: str, token: str) -> None:
        place = urlsplit(url)
        assert place.hostname is not None
        self._peer = socket.create_connection((place.hostname, place.port or 80), timeout=20)
        self._peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._head = f"Host: bench\r\nAuthorization: Bearer {token}\r\nContent-Type: application/json\r\n"

    def post(self, path: str, **body: Any) -> tuple[int, bytes]:
        """Status and body of the answer."""
        content = json.dumps(body)
        self._peer.sendall(
            f"POST {path} HTTP/1.1\r\n{self._head}Idempotency-Key: {os.urandom(8).hex()}\r\n"
            f"Content-Length: {len(content)}\r\n\r\n{content}".encode()
        )
        data = b""
        while b"\r\n\r\n" not in data:
            data += _some(self._peer)
        head, _, rest = data.partition(b"\r\n\r\n")
        lines = head.lower().split(b"\r\n")
        length = next(int(line[15:]) for line in lines if line.startswith(b"content-length:"))
        while len(rest) < length:
            rest += _some(self._peer)
        return int(head[9:12]), rest

    def close(self) -> None:
        self._peer.close()
