"""What really happened: an ear of its own on the switch, with none of our code between, and the store's side of it."""

import asyncio
import contextlib
import socket
import threading
from collections import Counter
from typing import Any
from urllib.parse import unquote

from bench.stack import PASSWORD


class Ear(threading.Thread):
    """Hears every CHANNEL_HANGUP_COMPLETE of a switch over a plain socket, until it is closed."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.ended: dict[str, dict[str, str]] = {}
        """Leg uuid -> headers of its end, as the switch told them."""
        self._peer = socket.create_connection(("127.0.0.1", port), timeout=30)
        self._peer.sendall(f"auth {PASSWORD}\n\nevent plain CHANNEL_HANGUP_COMPLETE\n\n".encode())
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
        for line in body.decode().split("\n"):
            name, _, value = line.partition(": ")
            headers[name] = unquote(value)
        self.ended[headers["Unique-ID"]] = headers

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the switch may have gone first
            self._peer.shutdown(socket.SHUT_RDWR)
        self._peer.close()
        self.join(5)


def ask(url: str, *statements: str) -> list[list[Any]]:
    """Rows of SQL statements that see every tenant."""
    import asyncpg

    async def go() -> list[list[Any]]:
        connection = await asyncpg.connect(url, timeout=10)
        try:
            await connection.execute("set irisx.tenant = '*'")
            return [await connection.fetch(statement) for statement in statements]
        finally:
            await connection.close()

    return asyncio.run(go())


class Books:
    """What the store says in the end."""

    def __init__(self, url: str) -> None:
        self.legs, self.calls, events, live = ask(
            url,
            "select subject, billsec, hangup_cause, inferred from cdrs where kind = 'leg'",
            "select subject, inferred from cdrs where kind = 'call'",
            "select seq, type, resource from events where tenant_id = 'tnt_main' order by seq",
            "select id from calls where live",
        )
        self.events = [tuple(row) for row in events]
        self.live = [row["id"] for row in live]

    def check(self, ear: Ear, *, may_be_inferred: bool = False) -> None:
        """Nothing lost, nothing doubled, nothing invented. With ``may_be_inferred`` an end that nobody could hear may be
        concluded, but what the switch said and we heard must stand as it said it."""
        written = Counter(row["subject"] for row in self.legs)
        assert not {uuid: times for uuid, times in written.items() if times > 1}, "a leg has two records"
        lost = ear.ended.keys() - written.keys()
        assert not lost, f"{len(lost)} of {len(ear.ended)} legs have no record"
        for row in self.legs:
            truth = ear.ended.get(row["subject"])
            if row["inferred"]:
                assert may_be_inferred, "an end was concluded that the switch had told"
            elif truth is not None:
                assert row["billsec"] == int(truth["variable_billsec"])
                assert row["hangup_cause"] == truth["Hangup-Cause"]
        seqs = [seq for seq, _, _ in self.events]
        assert seqs == list(range(1, len(seqs) + 1)), "the log has a hole"
        ends = Counter(resource for _, kind, resource in self.events if kind == "call.ended")
        assert not {call for call, times in ends.items() if times > 1}, "a call ended twice"
        begins = Counter(resource for _, kind, resource in self.events if kind == "call.created")
        assert not {call for call, times in begins.items() if times > 1}, "a call began twice"
        assert set(ends) == set(begins), "a call began and did not end"
        assert not self.live
