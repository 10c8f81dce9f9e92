"""A second, separate reading of captured Event Socket bytes, for checking ours against.

Shares nothing with the product: it splits frames with a regular expression, reads json with the standard library and
xml with ElementTree, and takes every leg's values from CHANNEL_HANGUP_COMPLETE alone. Slow and plain on purpose.
"""

import json
import re
import xml.etree.ElementTree as ET
from collections import Counter
from typing import Any
from urllib.parse import unquote

_LENGTH = re.compile(rb"^content-length: *(\d+)", re.MULTILINE | re.IGNORECASE)
_TYPE = re.compile(rb"^content-type: *(.+)$", re.MULTILINE | re.IGNORECASE)

Headers = dict[str, str]


def frames(data: bytes) -> list[tuple[str, bytes]]:
    """Every frame's content type and body."""
    out = []
    at = 0
    while at < len(data):
        if data[at : at + 1] == b"\n":
            at += 1
            continue
        end = data.find(b"\n\n", at)
        if end < 0:
            break
        head = data[at : end + 1]
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        kind = _TYPE.search(head)
        out.append(((kind[1] if kind else b"").decode().strip(), data[end + 2 : end + 2 + size]))
        at = end + 2 + size
    return out


def headers(kind: str, body: bytes) -> Headers | None:
    """The headers of an event, None for other frames. Of a header that is there twice the first counts; of
    ``Event-Name`` the last, because an event that is fired again is what it is fired as."""
    if kind == "text/event-plain":
        found: Headers = {}
        for line in body.partition(b"\n\n")[0].split(b"\n"):
            name, colon, value = line.partition(b": ")
            if colon:
                _take(found, name.decode(), unquote(value.decode(), errors="replace"))
        return found
    if kind == "text/event-json":
        pairs = json.loads(body.decode("utf-8", "replace"), object_pairs_hook=list)
        found = {}
        for name, value in pairs:
            if isinstance(value, str):
                _take(found, name, value)
        return found
    if kind == "text/event-xml":
        found = {}
        for element in ET.fromstring(body.decode("utf-8", "replace")).iter():
            if element.text and len(element) == 0:
                _take(found, element.tag, unquote(element.text, errors="replace"))
        return found
    return None


def _take(found: Headers, name: str, value: str) -> None:
    if name == "Event-Name":
        found[name] = value
    else:
        found.setdefault(name, value)


def expected(data: bytes) -> dict[str, Any]:
    """What the capture says, in the form of the expected.json files."""
    kinds: Counter[str] = Counter()
    names: Counter[str] = Counter()
    legs: list[dict[str, Any]] = []
    recordings: list[dict[str, Any]] = []
    for kind, body in frames(data):
        kinds[kind] += 1
        event = headers(kind, body)
        if event is None:
            continue
        name = event["Event-Name"]
        names[f"CUSTOM:{event['Event-Subclass']}" if name == "CUSTOM" else name] += 1
        if name == "CHANNEL_HANGUP_COMPLETE":
            legs.append(
                {
                    "uuid": event["Unique-ID"],
                    "direction": event["Call-Direction"],
                    "caller": event.get("Caller-Caller-ID-Number"),
                    "caller_name": event.get("Caller-Caller-ID-Name"),
                    "destination": event.get("Caller-Destination-Number"),
                    "created_us": int(event["Caller-Channel-Created-Time"]),
                    "answered_us": int(event["Caller-Channel-Answered-Time"]),
                    "hangup_us": int(event["Caller-Channel-Hangup-Time"]),
                    "hangup_cause": event["Hangup-Cause"],
                    "billsec": int(event["variable_billsec"]),
                    "duration": int(event["variable_duration"]),
                    "other_leg": event.get("Other-Leg-Unique-ID"),
                }
            )
        elif name in ("RECORD_START", "RECORD_STOP"):
            recordings.append({"event": name, "uuid": event["Unique-ID"], "path": event["Record-File-Path"]})
    return {
        "frames": sum(kinds.values()),
        "content_types": dict(kinds),
        "events": dict(names),
        "legs": legs,
        "recordings": recordings,
    }
