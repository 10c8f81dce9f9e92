"""Vonage's SMS interface, pure: forms out, an answer that is always 200, webhooks with fields in.

Long texts come in parts, each with an id of its own: the platform puts them together.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from irisx_channels.sms import numbers, reading
from irisx_channels.sms.outcomes import failure, receipt
from irisx_channels.sms.vonage.codes import CLASSIC_CODES, CLASSIC_STATES, RECEIPT_CODES
from irisx_sdk import Malformed, Outbound, OutcomeUnknown, Parsed, Piece, Sent, segments


def form(to: str, sender: str, text: str, message: Outbound) -> dict[str, str | list[str]]:
    """The fields that send a text."""
    fields: dict[str, str | list[str]] = {"to": to, "from": sender, "text": text, "client-ref": message.id}
    fields["type"] = "text" if segments.encoding_of(text) == "gsm7" else "unicode"
    if message.status_url:
        fields |= {"callback": message.status_url, "status-report-req": "1"}
    return fields


def sent(answer: Mapping[str, Any], title: str) -> Sent:
    """One element a part. Raises what the first part says; once a part is on its way the outcome is not certain."""
    parts = reading.items(answer, "messages")
    ids = [reading.word(part, "message-id") for part in parts]
    states = [reading.word(part, "status") for part in parts]
    bad = next((state for state in states if state != "0"), "")
    if bad and "0" not in states:
        raise failure(title, 0, bad, CLASSIC_CODES)
    if bad or not parts or not all(ids):
        raise OutcomeUnknown(f"{title} took some parts of the text and not all of them", code=bad)
    return Sent(tuple(ids), "queued", len(parts))


def parse(fields: Mapping[str, str]) -> Parsed:
    """Read a webhook whose signature is good. Raises `Malformed`."""
    name = reading.needed(fields, "messageId")
    if "status" in fields:
        return _receipt(name, fields)
    sender = numbers.address(reading.needed(fields, "msisdn"), plus=False)
    ours = fields.get("to", "")
    sent_us = reading.time_us(fields.get("message-timestamp", ""))
    recipient = numbers.address(ours, plus=False) if ours else None
    if fields.get("type") == "binary":
        return reading.strange(name, sender, recipient, "binary", sent_us=sent_us)
    parsed = reading.came(name, sender, recipient, fields.get("text", ""), sent_us=sent_us)
    (message,) = parsed.messages
    if fields.get("concat") != "true":
        return parsed
    number, total = (reading.whole(fields.get(f"concat-{what}", "")) for what in ("part", "total"))
    if not 1 <= number <= total <= segments.MAX_PARTS:
        return parsed
    piece = Piece(fields.get("concat-ref", ""), number, total)
    # A part of a longer text is no word that ends messages, whatever is in it.
    return Parsed(messages=(msgspec.structs.replace(message, piece=piece),))


def _receipt(name: str, fields: Mapping[str, str]) -> Parsed:
    told = fields["status"]
    if told not in CLASSIC_STATES:
        raise Malformed("the receipt has a state that nobody told us of", code=told[:40])
    status = receipt(
        name,
        CLASSIC_STATES[told],
        fields.get("err-code", ""),
        RECEIPT_CODES,
        at_us=reading.time_us(fields.get("message-timestamp", ""))
        or reading.compact_us(fields.get("scts", "")),
        reference=fields.get("client-ref", ""),
        price=fields.get("price", ""),
        # Vonage bills in euros and writes no currency into these receipts.
        currency="EUR" if fields.get("price") else "",
    )
    return Parsed(statuses=(status,))
