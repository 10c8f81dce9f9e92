"""Replays the events of a capture to every client that subscribes to all of them, as fast as it is read.

    replay_server.py CAPTURE REPEATS      prints the port and the number of events

Each repetition has other channel ids, so that a client that follows calls has new ones to follow. Lengths stay.
"""

import gzip
import re
import socketserver
import sys
from pathlib import Path
from typing import ClassVar

from freeswitch.esl import Decoder

_UUID = re.compile(rb"\b([0-9a-f]{8})(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b")
CORE = b"00000000-0000-4000-8000-000000000000"


def stream(capture: Path, repeats: int) -> tuple[list[bytes], int]:
    """The events' frames, one block a repetition, and how many events they are."""
    frames = [
        frame
        for frame in Decoder().feed(gzip.decompress(capture.read_bytes()))
        if frame.content_type == "text/event-plain"
    ]
    block = b"".join(frame.head + b"\n" + frame.body for frame in frames)

    def turn(number: int) -> bytes:
        return _UUID.sub(lambda match: b"%08x" % (int(match[1], 16) ^ number) + match[2], block)

    return [turn(number) for number in range(repeats)], len(frames) * repeats


class Listener(socketserver.BaseRequestHandler):
    blocks: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        link = self.request
        link.sendall(b"Content-Type: auth/request\n\n")
        buffer = b""
        try:
            while data := link.recv(65536):
                buffer += data
                while b"\n\n" in buffer:
                    command, buffer = buffer.split(b"\n\n", 1)
                    self.answer(command)
        except OSError:
            return  # the client has seen enough

    def answer(self, command: bytes) -> None:
        link = self.request
        if command.startswith(b"auth"):
            link.sendall(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n")
        elif command.startswith(b"api"):
            link.sendall(b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(CORE), CORE))
        else:
            link.sendall(b"Content-Type: command/reply\nReply-Text: +OK event listener enabled plain\n\n")
            if command.lower().startswith((b"event plain all", b"events plain all")):
                for block in self.blocks:
                    link.sendall(block)


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64


def main() -> None:
    Listener.blocks, count = stream(Path(sys.argv[1]), int(sys.argv[2]))
    with Server(("127.0.0.1", 0), Listener) as server:
        print(server.server_address[1], count, flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
