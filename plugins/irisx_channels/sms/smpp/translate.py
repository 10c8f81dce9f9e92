"""Between the platform's messages and SMPP's, pure: who to write to and as whom, what comes back, and its settings."""

from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from irisx_channels.sms import numbers, outgoing, reading
from irisx_channels.sms.smpp import coding, receipts, words
from irisx_channels.sms.smpp.arriving import Arrived
from irisx_channels.sms.smpp.codec import Bind, Short
from irisx_sdk import Misconfigured, Outbound, Parsed, Refused, secret

TITLE = "SMPP"
MAX_TEXT = 1530
"""Ten parts of GSM-7."""

Octet = Annotated[int, Meta(ge=-1, le=255)]


class Settings(Struct, frozen=True, kw_only=True):
    """An account at a message centre that speaks SMPP 3.4."""

    host: Annotated[str, Meta(description="The centre's name or address", min_length=1)]
    port: Annotated[int, Meta(description="Its port", ge=1, le=65535)] = 2775
    tls: Annotated[bool, Meta(description="Speak TLS; the port is then another one")] = False
    system_id: Annotated[str, Meta(description="Who we are: at most 15 characters", max_length=15)]
    password: Annotated[str, secret("The password: at most 8 characters")]
    system_type: Annotated[
        str, Meta(description="The kind of system, where the centre wants one", max_length=12)
    ] = ""
    sender: Annotated[str, Meta(description="A number, short code or name to send as")] = ""
    alphabet: Annotated[
        coding.Alphabet, Meta(description="What the centre's default alphabet (data_coding 0) is")
    ] = "gsm7"
    long_texts: Annotated[
        coding.Way,
        Meta(
            description="How long texts are sent: udh (header in the text), sar or payload (optional fields)"
        ),
    ] = "udh"
    max_parts: Annotated[int, Meta(description="Parts that a text may have", ge=1, le=255)] = 10
    window: Annotated[int, Meta(description="Messages on the way at once", ge=1, le=1000)] = 10
    enquire_s: Annotated[float, Meta(description="Seconds of silence until we ask", ge=1, le=3600)] = 30
    response_s: Annotated[float, Meta(description="Seconds that an answer may take", ge=1, le=300)] = 30
    ids: Annotated[
        receipts.Bases, Meta(description="How the centre writes ids: in answers, then in receipts")
    ] = "auto"
    short_ton: Annotated[Octet, Meta(description="Type of number of short codes")] = 3
    alone: Annotated[
        bool,
        Meta(description="Where no session is held, open one for each message; some centres allow only one"),
    ] = False


def bind(settings: Settings) -> Bind:
    """Raises `Misconfigured` for what fits in no bind."""
    made = Bind(settings.system_id, settings.password, settings.system_type)
    if not (made.system_id + made.password + made.system_type).isascii() or len(made.password) > 8:
        raise Misconfigured(
            "SMPP: the system id has at most 15 characters, the password 8, all of them ASCII"
        )
    return made


def shorts(settings: Settings, message: Outbound, reference: int) -> list[Short]:
    """The message in as many units as it needs. Raises `Refused`."""
    text, _ = outgoing.words_and_files(message, TITLE, max_text=max(MAX_TEXT, settings.max_parts * 153))
    to = numbers.receiver(message)
    sender = numbers.sender(message, settings.sender)
    parts = coding.parts(text, reference, way=settings.long_texts, alphabet=settings.alphabet)
    needed = max(len(parts), outgoing.segments_of(message) if settings.long_texts == "payload" else 0)
    if needed > settings.max_parts:
        raise Refused(f"the text needs {needed} parts, and {settings.max_parts} are allowed", code="parts")
    source, source_ton, source_npi = _end(settings, sender)
    dest, dest_ton, dest_npi = _end(settings, to)
    return [
        Short(
            source_ton=source_ton,
            source_npi=source_npi,
            source=source,
            dest_ton=dest_ton,
            dest_npi=dest_npi,
            dest=dest,
            esm_class=part.esm_class,
            registered=1,
            data_coding=part.data_coding,
            message=part.message,
            tlvs=part.tlvs,
        )
        for part in parts
    ]


def _end(settings: Settings, value: str) -> tuple[str, int, int]:
    """The address without a plus, its type and its plan."""
    kind = numbers.kind_of(value)
    if kind == "number":
        return value[1:], words.INTERNATIONAL, words.ISDN
    if kind == "name":
        return value, words.ALPHANUMERIC, words.UNKNOWN
    # (3 is "network specific", what most centres want for short codes; some want 6, "abbreviated", or 0)
    return value, (max(settings.short_ton, 0) if value else words.UNKNOWN), words.UNKNOWN


def ends(short: Short) -> Short:
    """A delivery with addresses as `numbers.address` reads them: international ones begin with a plus."""
    return msgspec.structs.replace(
        short,
        source=_written(short.source, short.source_ton),
        dest=_written(short.dest, short.dest_ton),
    )


def _written(value: str, ton: int) -> str:
    return f"+{value}" if ton == words.INTERNATIONAL and value.isdigit() else value


def message(arrived: Arrived, now_us: int) -> Parsed:
    """An inbound message for the platform. Centres tell no time of sending."""
    sender = numbers.address(arrived.source, plus=False)
    recipient = numbers.address(arrived.dest, plus=False) if arrived.dest else None
    if arrived.binary:
        return reading.strange(arrived.id, sender, recipient, "binary", sent_us=now_us)
    return reading.came(arrived.id, sender, recipient, arrived.text, sent_us=now_us)
