"""An ear of its own on a switch, with none of our code between: what truly happened there."""

import contextlib
import socket
import threading
from collections.abc import Callable
from urllib.parse import unquote

PASSWORD = "ClueCon"


class Ear(threading.Thread):
    """Hears events of a switch over a plain socket until it is closed; calls ``heard`` with each one's headers."""

    def __init__(self, port: int, names: str, heard: Callable[[dict[str, str]], None]) -> None:
        super().__init__(daemon=True)
        self._heard = heard
        self._peer = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._peer.sendall(f"auth {PASSWORD}\n\nevent plain {names}\n\n".encode())
        self._peer.settimeout(None)
        self.start()

    def run(self) -> None:
        data = bytearray()
        while True:
            try:
                chunk = self._peer.recv(262144)
            except OSError:
                return
            if not chunk:
                return
            data += chunk
            while (end := data.find(b"\n\n")) >= 0:
                length = 0
                for line in bytes(data[:end]).split(b"\n"):
                    if line.startswith(b"Content-Length:"):
                        length = int(line[15:])
                if len(data) < end + 2 + length:
                    break
                body = bytes(data[end + 2 : end + 2 + length])
                del data[: end + 2 + length]
                if length:
                    self._event(body)

    def _event(self, body: bytes) -> None:
        headers = {}
        for line in body.partition(b"\n\n")[0].decode().split("\n"):
            name, _, value = line.partition(": ")
            headers[name] = unquote(value)
        self._heard(headers)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the switch may have gone first
            self._peer.shutdown(socket.SHUT_RDWR)
        self._peer.close()
        self.join(5)
