"""A switch for tests of the client: speaks enough of the Event Socket over any trio stream, and misbehaves on demand.

It shares the quoting of event values with the client and nothing else. The simulator is the faithful one; this
one is small, so that a test says in its own lines what the far side does.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio
import trio.testing

from freeswitch.quoting import quote_value

Answer = Callable[["Connection", str], Awaitable[None]]


def event_bytes(name: str, headers: dict[str, str] | None = None, body: bytes = b"") -> bytes:
    """An event as it is on the wire, envelope included."""
    lines = {"Event-Name": name, **(headers or {})}
    text = b"".join(b"%s: %s\n" % (key.encode(), quote_value(value)) for key, value in lines.items())
    if body:
        text += b"Content-Length: %d\n" % len(body)
    text += b"\n" + body
    return b"Content-Length: %d\nContent-Type: text/event-plain\n\n%s" % (len(text), text)


@dataclass
class Connection:
    """One client's connection, as the switch sees it."""

    switch: "FakeSwitch"
    stream: trio.abc.Stream
    commands: list[str] = field(default_factory=list)
    subscribed: bool = False
    """To anything but background jobs alone."""
    jobs: bool = False
    logs: bool = False

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def reply(self, text: str, more: str = "") -> None:
        await self.send(f"Content-Type: command/reply\nReply-Text: {text}\n{more}\n".encode())

    async def output(self, text: str) -> None:
        body = text.encode()
        await self.send(b"Content-Type: api/response\nContent-Length: %d\n\n%s" % (len(body), body))

    async def log(self, line: str) -> None:
        body = line.encode()
        head = b"Content-Type: log/data\nContent-Length: %d\nLog-Level: 2\n\n" % len(body)
        await self.send(head + body)


class FakeSwitch:
    """``answers`` maps the first words of a command to what happens; what is not there gets ``+OK``."""

    def __init__(self) -> None:
        self.core_uuid = "core-1"
        self.password = "secret"
        self.connections: list[Connection] = []
        self.accepting = True
        self.answers: dict[str, Answer] = {}
        self.api: dict[str, str] = {"show channels as json": '{"row_count":0}'}
        self.job_result = "+OK done\n"
        self.nursery: trio.Nursery
        self.dials = 0

    async def connect(self, endpoint: object) -> trio.abc.Stream:
        """A client's stream: what the client's own ``connect`` would make."""
        self.dials += 1
        await trio.lowlevel.checkpoint()
        if not self.accepting:
            raise ConnectionRefusedError("nobody listens")
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.serve, theirs)
        return ours

    async def serve(self, stream: trio.abc.Stream) -> None:
        connection = Connection(self, stream)
        self.connections.append(connection)
        try:
            await connection.send(b"Content-Type: auth/request\n\n")
            buffer = b""
            while data := await stream.receive_some(65536):
                buffer += data
                while b"\n\n" in buffer:
                    head, buffer = buffer.split(b"\n\n", 1)
                    length = 0
                    for line in head.split(b"\n"):
                        if line.lower().startswith(b"content-length:"):
                            length = int(line[15:])
                    while len(buffer) < length:
                        buffer += await stream.receive_some(65536)
                    body, buffer = buffer[:length], buffer[length:]
                    text = (head + (b"\n\n" + body if body else b"")).decode()
                    connection.commands.append(text)
                    await self.answer(connection, text)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            if connection in self.connections:
                self.connections.remove(connection)
            await trio.aclose_forcefully(stream)

    async def answer(self, connection: Connection, text: str) -> None:
        for start, what in self.answers.items():
            if text.startswith(start):
                await what(connection, text)
                return
        word, _, rest = text.partition(" ")
        if word == "auth":
            await connection.reply("+OK accepted" if rest == self.password else "-ERR invalid")
        elif word == "event":
            if rest.startswith("plain BACKGROUND_JOB"):
                connection.jobs = True
            else:
                connection.subscribed = True
            await connection.reply("+OK event listener enabled plain")
        elif text == "api global_getvar core_uuid":
            await connection.output(self.core_uuid)
        elif word == "api":
            await connection.output(self.api.get(rest, f"did {rest}"))
        elif word == "bgapi":
            job_uuid = text.partition("Job-UUID: ")[2]
            await connection.reply(f"+OK Job-UUID: {job_uuid}", f"Job-UUID: {job_uuid}\n")
            await self.end_job(job_uuid, self.job_result)
        elif word == "log":
            connection.logs = True
            await connection.reply("+OK log level 2 [2]")
        elif text == "exit":
            await connection.reply("+OK bye")
        else:
            await connection.reply("+OK")

    async def end_job(self, job_uuid: str, result: str) -> None:
        data = event_bytes("BACKGROUND_JOB", {"Job-UUID": job_uuid}, result.encode())
        for connection in [one for one in self.connections if one.jobs]:
            await connection.send(data)

    async def fire(self, name: str, headers: dict[str, str] | None = None, body: bytes = b"") -> None:
        """Send an event to every connection that listens."""
        for connection in [one for one in self.connections if one.subscribed]:
            await connection.send(event_bytes(name, headers, body))

    def the(self, kind: str) -> Connection:
        """The connection of a kind: ``subscribed``, ``jobs`` or ``logs``."""
        return next(one for one in self.connections if getattr(one, kind))

    async def drop(self, connection: Connection) -> None:
        await trio.aclose_forcefully(connection.stream)
