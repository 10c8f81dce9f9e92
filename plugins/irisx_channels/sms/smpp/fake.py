"""A fake message centre: one account, SMPP 3.4 on a port of its own, receipts in the usual text, store and forward.

What a person writes waits until somebody is bound and is delivered until it is answered with success, as centres do:
what was not answered comes again with the next session.
"""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, ClassVar

from msgspec import Struct

from irisx_channels.sms import numbers
from irisx_channels.sms.smpp import codec, coding, translate, words
from irisx_channels.sms.smpp.client import Smpp
from irisx_channels.sms.smpp.codec import BadStream, BadUnit, Decoder, Pdu, Short
from irisx_sdk.fake import Answer, Call, Delivery, Fake, FakeMessage, Faults, same

_SENDER = "+15005550006"
_STATES = {"sent": "ENROUTE", "delivered": "DELIVRD", "undelivered": "UNDELIV", "failed": "REJECTD"}
_EARLY_S = 0.15


class _Waiting(Struct):
    """Something to deliver, and to whom it was given."""

    short: Short
    to: "Peer | None" = None
    sequence: int = 0


class Peer:
    """One connection."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.bound = False
        self.sequence = 0

    def write(self, pdu: Pdu) -> None:
        """Without waiting: what piles up is bounded by the few messages of a test."""
        if not self.writer.transport.is_closing():
            self.writer.write(codec.encode(pdu))


class FakeSmpp(Fake):
    """A message centre with one account."""

    channel = Smpp()
    pushes: ClassVar[bool] = True

    def __init__(
        self,
        *,
        webhook_url: str = "",
        faults: Faults = Faults(),  # noqa: B008 - frozen
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(webhook_url=webhook_url, faults=faults, seed=seed, clock=clock)
        self.system_id, self.password = "irisx", self.new_id(digits=8)
        self.port = 1
        self.peers: list[Peer] = []
        self.waiting: deque[_Waiting] = deque()
        """Deliveries without a successful answer."""
        self.answers: list[int] = []
        """Statuses that deliveries were answered with."""
        self.units: list[Pdu] = []
        """Everything that came, newest last."""
        self.refuse_with = 0
        """A status to answer every message with."""
        self.silent = False
        """Answer nothing any more, and keep the connections."""
        self.hex_ids = False
        """Answer with hexadecimal ids and report on decimal ones."""
        self.odd_receipts = False
        """Unmarked, without optional fields, with other spellings."""
        self._parts: dict[tuple[str, int, int], dict[int, str]] = {}
        self._names_of: dict[tuple[str, int, int], list[str]] = {}
        self._server: asyncio.Server | None = None
        self._count = 0
        self._number = self.random.randrange(10**6, 10**7)
        self.route("GET", "/health", self.health)

    @property
    def settings(self) -> translate.Settings:
        return translate.Settings(
            host="127.0.0.1",
            port=self.port,
            system_id=self.system_id,
            password=self.password,
            sender=_SENDER,
            alone=True,
            response_s=5,
        )

    async def started(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stopped(self) -> None:
        if self._server is not None:
            self._server.close()
        self.drop()

    async def health(self, call: Call) -> Answer:
        return Answer(200, {"bound": sum(peer.bound for peer in self.peers), "port": self.port})

    def drop(self) -> None:
        """Cut every connection at once."""
        for peer in list(self.peers):
            peer.writer.transport.abort()

    def say(self, sender: str, text: str, *, parts: str = "udh", **more: Any) -> list[Delivery]:
        """``parts``: how a long text is cut (`coding.Way`); ``more`` replaces fields of the unit."""
        self._count += 1
        way: Any = parts
        for part in coding.parts(text, self._count, way=way, alphabet="gsm7"):
            source, ton = (sender[1:], words.INTERNATIONAL) if sender[:1] == "+" else (sender, words.UNKNOWN)
            fields: dict[str, Any] = {
                "source": source, "source_ton": ton, "source_npi": 1, "dest": _SENDER[1:], "dest_ton": 1, "dest_npi": 1,
                "esm_class": part.esm_class, "data_coding": part.data_coding, "message": part.message,
                "tlvs": part.tlvs,
            }  # fmt: skip
            self.push(Short(**fields | more))
        return []

    def receipt(self, sent: FakeMessage, state: str) -> list[Delivery]:
        if state in _STATES:
            for name in (sent.id, *sent.media):
                self.push(self.receipt_of(name, sent, state))
        return []

    def receipt_of(self, name: str, sent: FakeMessage, state: str) -> Short:
        """The unit that reports on one part."""
        word = _STATES[state]
        told = str(int(name, 16)) if self.hex_ids else name
        now = datetime.fromtimestamp(self.clock(), UTC).strftime("%y%m%d%H%M")
        error = {"undelivered": "027", "failed": "045"}.get(state, "000")
        if self.odd_receipts:
            text = f"id:{told.upper()} done date:{now}00 stat:{word.lower()} err:{error} Text:id:1 stat:x"
            tlvs: tuple[tuple[int, bytes], ...] = ()
        else:
            done = f"sub:001 dlvrd:{int(state == 'delivered'):03} submit date:{now} done date:{now}"
            text = f"id:{told} {done} stat:{word} err:{error} text:{sent.text[:20]}"
            number = words.STATE_WORDS.index(word) + 1
            tlvs = ((words.RECEIPTED_ID, told.encode() + b"\0"), (words.MESSAGE_STATE, bytes((number,))))
        return Short(
            source=sent.to.lstrip("+"),
            source_ton=1,
            source_npi=1,
            dest=sent.sender.lstrip("+"),
            esm_class=0 if self.odd_receipts else words.RECEIPT,
            message=text.encode("latin-1", "replace"),
            tlvs=tlvs,
        )

    def push(self, short: Short) -> None:
        """Keep something to deliver, and deliver it if somebody is there."""
        self.waiting.append(_Waiting(short))
        if self._loop is not None:
            self._flush()

    def _flush(self) -> None:
        peer = next((peer for peer in self.peers if peer.bound), None)
        for one in self.waiting if peer else ():
            if peer is not None and one.to is None:
                peer.sequence += 1
                one.to, one.sequence = peer, peer.sequence
                peer.write(Pdu(words.DELIVER_SM, 0, peer.sequence, codec.short_body(one.short)))

    # Connections ----------------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, decoder = Peer(writer), Decoder()
        self.peers.append(peer)
        try:
            while data := await reader.read(65536):
                for pdu in decoder.feed(data):
                    self.units.append(pdu)
                    if not self.silent and not await self._unit(peer, pdu):
                        return
                await writer.drain()
        except (OSError, BadStream, BadUnit):
            pass
        finally:
            self.peers.remove(peer)
            for one in self.waiting:
                if one.to is peer:
                    one.to = None  # not answered: it will come again
            with contextlib.suppress(Exception):
                writer.close()

    async def _unit(self, peer: Peer, pdu: Pdu) -> bool:
        """Carry out one unit; False when the connection ends with it."""
        if pdu.is_response:
            self._answered(peer, pdu)
        elif pdu.command == words.BIND_TRANSCEIVER:
            self._bind(peer, pdu)
        elif pdu.command == words.ENQUIRE_LINK:
            peer.write(Pdu(pdu.command | words.RESPONSE, 0, pdu.sequence))
        elif pdu.command == words.UNBIND:
            peer.bound = False
            peer.write(Pdu(pdu.command | words.RESPONSE, 0, pdu.sequence))
            await peer.writer.drain()
            return False
        elif pdu.command == words.SUBMIT_SM:
            return await self._with_its_faults(peer, pdu)
        else:
            peer.write(Pdu(words.GENERIC_NACK, words.BAD_COMMAND, pdu.sequence))
        return True

    def _bind(self, peer: Peer, pdu: Pdu) -> None:
        bind = codec.read_bind(pdu.body)
        status = 0
        if not same(bind.system_id, self.system_id):
            status = words.BAD_SYSTEM_ID
        elif not same(bind.password, self.password):
            status = words.BAD_PASSWORD
        if status:
            self.unauthorized += 1
        peer.bound = not status
        body = b"" if status else codec.bound_body("FAKESMSC")
        peer.write(Pdu(pdu.command | words.RESPONSE, status, pdu.sequence, body))
        self._flush()

    def _answered(self, peer: Peer, pdu: Pdu) -> None:
        for one in list(self.waiting):
            if one.to is peer and one.sequence == pdu.sequence:
                self.answers.append(pdu.status)
                if pdu.status in (words.OK, 0x65, 0x66):
                    self.waiting.remove(one)

    async def _with_its_faults(self, peer: Peer, pdu: Pdu) -> bool:
        faults = self.faults
        self.requests += 1
        if faults.delay_s:
            await asyncio.sleep(faults.delay_s)
        if self._chance(faults.drop_before):
            peer.writer.transport.abort()
            return False
        status, name = self._submit(peer, pdu)
        self._notice()
        if faults.early and status == words.OK:
            await asyncio.sleep(_EARLY_S)
        if self._chance(faults.drop_after):
            peer.writer.transport.abort()
            return False
        body = codec.id_body(name) if status == words.OK else b""
        peer.write(Pdu(pdu.command | words.RESPONSE, status, pdu.sequence, body))
        return True

    def _submit(self, peer: Peer, pdu: Pdu) -> tuple[int, str]:
        if not peer.bound:
            return words.BAD_STATE, ""
        if self.refuse_with:
            return self.refuse_with, ""
        faults = self.faults
        if faults.throttle_every and self.requests % faults.throttle_every == 0:
            return words.THROTTLED, ""
        if faults.error_every and self.requests % faults.error_every == 0:
            return words.SYSTEM_ERROR, ""
        short = codec.read_short(pdu.body)
        if not short.dest.isdigit() or numbers.kind_of(f"+{short.dest}") != "number":
            return words.BAD_RECEIVER, ""
        self._number += 1
        name = f"{self._number:x}" if self.hex_ids else str(self._number)
        self._keep(short, name)
        return words.OK, name

    def _keep(self, short: Short, name: str) -> None:
        """A message, once all of its parts are there: its text, the first part's id, and the others as its files."""
        came = coding.read(short, "gsm7")
        key = (short.dest, came.reference, came.total)
        parts = self._parts.setdefault(key, {})
        parts[came.number] = came.text
        names = self._names_of.setdefault(key, [])
        names.append(name)
        if len(parts) < came.total:
            return
        del self._parts[key], self._names_of[key]
        text = "".join(parts[number] for number in sorted(parts))
        self.took(
            FakeMessage(
                names[0],
                f"+{short.dest}",
                text,
                tuple(names[1:]),
                raw=short,
                at=self.clock(),
                sender=f"+{short.source}" if short.source_ton == words.INTERNATIONAL else short.source,
            )
        )
