"""Event Socket bytes taken apart for tests, without any code of the program."""

import json
import re
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree import ElementTree

import msgspec

Pairs = list[tuple[str, str]]


class Frame(msgspec.Struct):
    """One frame: its envelope, its body, and where it ended in the stream."""

    envelope: Pairs
    body: bytes
    end: int

    def header(self, name: str) -> str:
        """The envelope's header, or nothing."""
        return next((value for have, value in self.envelope if have == name), "")

    @property
    def kind(self) -> str:
        """The envelope's Content-Type."""
        return self.header("Content-Type")


def frames(data: bytes) -> Iterator[Frame]:
    """Every whole frame of ``data``."""
    start = 0
    while (end := data.find(b"\n\n", start)) >= 0:
        lines = data[start:end].decode("utf-8", "surrogateescape").split("\n")
        envelope = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
        size = next((int(value) for name, value in envelope if name == "Content-Length"), 0)
        if ("Socket-Mode", "async") in envelope or ("Socket-Mode", "static") in envelope:
            # The answer to connect is an event in place of an envelope: a length in it is the event's.
            size = 0
        start = end + 2 + size
        if len(data) < start:
            return
        yield Frame(envelope, data[end + 2 : start], start)


def pairs(frame: Frame) -> Pairs:
    """The headers of an event frame in order, values decoded, values of an array one by one."""
    form = frame.kind.removeprefix("text/event-")
    if form == "plain":
        return _plain(frame.body)
    text = frame.body.decode("utf-8", "surrogateescape")
    if form == "json":
        found: Pairs = []
        for name, value in json.loads(text, object_pairs_hook=list):
            found += [(name, one) for one in value] if isinstance(value, list) else [(name, value)]
        return found
    return _xml(text)


def _plain(body: bytes) -> Pairs:
    head, _, rest = body.partition(b"\n\n")
    found = []
    for line in head.decode("utf-8", "surrogateescape").split("\n"):
        name, _, value = line.partition(": ")
        found.append((name, unquote(value, errors="surrogateescape") if "%" in value else value))
    if rest:
        found.append(("_body", rest.decode("utf-8", "surrogateescape")))
    return found


def _xml(text: str) -> Pairs:
    event = ElementTree.fromstring(text)
    headers = event.find("headers")
    assert headers is not None
    found = [(one.tag, unquote(one.text or "")) for one in headers]
    for tag in ("Content-Length", "body"):
        if (one := event.find(tag)) is not None:
            found.append((tag.replace("body", "_body"), one.text or ""))
    return found


def get(event: Pairs, name: str) -> str:
    """The first value of a header, or nothing."""
    return next((value for have, value in event if have == name), "")


UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
