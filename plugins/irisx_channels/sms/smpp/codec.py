"""SMPP 3.4 on the wire, pure: protocol data units out of bytes in any chunking, and back. SMPP v3.4, sections 3 and 4.

A unit is a header of four big-endian numbers (length of everything, command, status, sequence) and a body: texts that
end with a zero octet, numbers of one octet, and optional fields (tag, length, value) behind them.
"""

import struct

from msgspec import Struct

from irisx_channels.sms.smpp import words

HEADER = 16
MAX_LENGTH = 1 << 17
"""A payload has at most 64 KiB; a length beyond twice that is no SMPP."""
MAX_SHORT = 254
"""Octets of ``short_message`` (section 5.2.21)."""
_HEADER = struct.Struct(">IIII")
_TLV = struct.Struct(">HH")


class BadUnit(Exception):
    """A unit whose body cannot be read. The stream is still good; ``status`` is what to answer."""

    def __init__(self, text: str, status: int = words.BAD_LENGTH) -> None:
        super().__init__(text)
        self.status = status


class BadStream(Exception):
    """Bytes that are no SMPP: where the next unit begins is lost for good."""


class Pdu(Struct, frozen=True):
    """One unit, its body not read yet."""

    command: int
    status: int
    sequence: int
    body: bytes = b""

    @property
    def is_response(self) -> bool:
        return self.command >= words.RESPONSE


class Bind(Struct, frozen=True):
    """Who we are (section 4.1.5)."""

    system_id: str
    password: str
    system_type: str = ""
    version: int = 0x34
    ton: int = 0
    npi: int = 0
    address_range: str = ""


class Short(Struct, frozen=True, kw_only=True):
    """The body of ``submit_sm`` and ``deliver_sm`` (sections 4.4.1 and 4.6.1)."""

    service_type: str = ""
    source_ton: int = 0
    source_npi: int = 0
    source: str = ""
    dest_ton: int = 0
    dest_npi: int = 0
    dest: str = ""
    esm_class: int = 0
    protocol: int = 0
    priority: int = 0
    schedule: str = ""
    validity: str = ""
    registered: int = 0
    replace: int = 0
    data_coding: int = 0
    default_id: int = 0
    message: bytes = b""
    tlvs: tuple[tuple[int, bytes], ...] = ()

    def tlv(self, tag: int) -> bytes | None:
        """The first optional field with this tag."""
        return next((value for name, value in self.tlvs if name == tag), None)


def encode(pdu: Pdu) -> bytes:
    """The unit as it is written."""
    return _HEADER.pack(HEADER + len(pdu.body), pdu.command, pdu.status, pdu.sequence) + pdu.body


class Decoder:
    """Turns a byte stream into units, in order; any chunking gives the same ones."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, data: bytes) -> list[Pdu]:
        """Every unit that ``data`` completes. Raises `BadStream`, and from then on always."""
        self._pending += data
        found: list[Pdu] = []
        place = 0
        while len(self._pending) - place >= HEADER:
            length, command, status, sequence = _HEADER.unpack_from(self._pending, place)
            if not HEADER <= length <= MAX_LENGTH:
                raise BadStream(f"a unit of {length} octets")
            if len(self._pending) - place < length:
                break
            found.append(
                Pdu(command, status, sequence, bytes(self._pending[place + HEADER : place + length]))
            )
            place += length
        del self._pending[:place]
        return found


def bind_body(bind: Bind) -> bytes:
    """Raises `ValueError` for a text that is too long or not ASCII."""
    return (
        _text(bind.system_id, 16)
        + _text(bind.password, 9)
        + _text(bind.system_type, 13)
        + bytes((bind.version, bind.ton, bind.npi))
        + _text(bind.address_range, 41)
    )


def read_bind(body: bytes) -> Bind:
    """Raises `BadUnit`."""
    reader = _Reader(body)
    system_id, password, system_type = (reader.text(most) for most in (16, 9, 13))
    version, ton, npi = (reader.number() for _ in range(3))
    return Bind(system_id, password, system_type, version, ton, npi, reader.text(41))


def bound_body(system_id: str, version: int | None = 0x34) -> bytes:
    """The answer to a bind, with the centre's version where it tells one."""
    tlv = b"" if version is None else _tlvs(((words.SC_VERSION, bytes((version,))),))
    return _text(system_id, 16) + tlv


def read_bound(body: bytes) -> tuple[str, int]:
    """The centre's name and version, 0 for a version that it does not tell. Never fails: some send an empty body."""
    try:
        reader = _Reader(body)
        name = reader.text(64)
        version = dict(reader.tlvs()).get(words.SC_VERSION, b"\0")
    except BadUnit:
        return "", 0
    return name, version[0] if version else 0


def short_body(short: Short) -> bytes:
    """Raises `ValueError` for a field that is too long."""
    if len(short.message) > MAX_SHORT:
        raise ValueError(f"a message of {len(short.message)} octets")
    return (
        _text(short.service_type, 6)
        + bytes((short.source_ton, short.source_npi))
        + _text(short.source, 21)
        + bytes((short.dest_ton, short.dest_npi))
        + _text(short.dest, 21)
        + bytes((short.esm_class, short.protocol, short.priority))
        + _text(short.schedule, 17)
        + _text(short.validity, 17)
        + bytes((short.registered, short.replace, short.data_coding, short.default_id, len(short.message)))
        + short.message
        + _tlvs(short.tlvs)
    )


def read_short(body: bytes) -> Short:
    """Addresses may be longer than the standard allows: some centres write more. Raises `BadUnit`."""
    reader = _Reader(body)
    service_type = reader.text(6)
    source_ton, source_npi, source = reader.number(), reader.number(), reader.text(65)
    dest_ton, dest_npi, dest = reader.number(), reader.number(), reader.text(65)
    esm_class, protocol, priority = (reader.number() for _ in range(3))
    schedule, validity = reader.text(17), reader.text(17)
    registered, replace, data_coding, default_id, length = (reader.number() for _ in range(5))
    return Short(
        service_type=service_type,
        source_ton=source_ton,
        source_npi=source_npi,
        source=source,
        dest_ton=dest_ton,
        dest_npi=dest_npi,
        dest=dest,
        esm_class=esm_class,
        protocol=protocol,
        priority=priority,
        schedule=schedule,
        validity=validity,
        registered=registered,
        replace=replace,
        data_coding=data_coding,
        default_id=default_id,
        message=reader.octets(length),
        tlvs=reader.tlvs(),
    )


def read_data(body: bytes) -> Short:
    """``data_sm`` (section 4.7.1): the same in fewer fields; its text is in the payload. Raises `BadUnit`."""
    reader = _Reader(body)
    service_type = reader.text(6)
    source_ton, source_npi, source = reader.number(), reader.number(), reader.text(65)
    dest_ton, dest_npi, dest = reader.number(), reader.number(), reader.text(65)
    esm_class, registered, data_coding = (reader.number() for _ in range(3))
    return Short(
        service_type=service_type,
        source_ton=source_ton,
        source_npi=source_npi,
        source=source,
        dest_ton=dest_ton,
        dest_npi=dest_npi,
        dest=dest,
        esm_class=esm_class,
        registered=registered,
        data_coding=data_coding,
        tlvs=reader.tlvs(),
    )


def id_body(name: str = "") -> bytes:
    """The answer to a ``submit_sm`` or, empty, to a ``deliver_sm``."""
    return _text(name, 65)


def read_id(body: bytes) -> str:
    """The message's id; "" where there is none, as with a refusal."""
    return body.partition(b"\0")[0].decode("latin-1").strip()


class _Reader:
    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    def number(self) -> int:
        if self._at >= len(self._body):
            raise BadUnit("the unit ends too early")
        self._at += 1
        return self._body[self._at - 1]

    def text(self, most: int) -> str:
        end = self._body.find(b"\0", self._at, self._at + most)
        if end < 0:
            raise BadUnit("a text without an end")
        found = self._body[self._at : end]
        self._at = end + 1
        return found.decode("latin-1")

    def octets(self, length: int) -> bytes:
        if self._at + length > len(self._body):
            raise BadUnit("the unit ends too early")
        self._at += length
        return self._body[self._at - length : self._at]

    def tlvs(self) -> tuple[tuple[int, bytes], ...]:
        found = []
        # (some centres pad the end with zeros: less than a header is no field)
        while len(self._body) - self._at >= _TLV.size:
            tag, length = _TLV.unpack(self.octets(_TLV.size))
            found.append((tag, self.octets(length)))
        return tuple(found)


def _text(text: str, most: int) -> bytes:
    octets = text.encode("ascii")
    if len(octets) >= most or b"\0" in octets:
        raise ValueError(f"a text of {len(octets)} octets where {most - 1} fit")
    return octets + b"\0"


def _tlvs(fields: tuple[tuple[int, bytes], ...]) -> bytes:
    return b"".join(_TLV.pack(tag, len(value)) + value for tag, value in fields)
