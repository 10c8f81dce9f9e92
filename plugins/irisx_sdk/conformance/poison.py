"""Bytes and texts that no provider should send, and that come all the same."""

import contextlib
import hmac
import json
import random
from collections.abc import Iterator
from typing import Any

TEXTS = {
    "empty": "",
    "a zero": "before\0after",
    "right to left": "\u202egnp.exe\u202c \u2066\u2069",
    "combining": "Z" + "\u0351\u0352\u0353" * 200,
    "beyond the basic plane": "👩‍👩‍👧‍👦" * 50,
    "lines of all kinds": "a\r\nb\rc\u2028d\u0085e",
    "markup": "<script>alert(1)</script><img src=x onerror=alert(1)>",
    "a formula": "=cmd|' /C calc'!A0\",\"",
    "half a character": "lone \ud800 surrogate",
    "long": "long " * 20_000,
}

_VALUES: list[Any] = [
    None,
    True,
    -1,
    1e308,
    10**40,
    "",
    "x" * 5000,
    [],
    {},
    [[]],
    {"a": None},
    "\u0000",
    "99999-99-99T99:99:99Z",
]


def bodies(sample: bytes, seed: int, *, count: int = 150) -> Iterator[bytes]:
    """Bodies that are nearly ``sample``, and some that are nothing like it."""
    chance = random.Random(seed)
    yield from (
        b"",
        b"\0",
        b"null",
        b"[]",
        b"{}",
        b'"text"',
        b"0",
        b"NaN",
        b"\xff\xfe\x00",
        b"a=b&a=c",
        b"<x/>",
        b"--\r\n",
    )
    yield b"[" * 100_000
    yield b'{"a":' * 50_000
    yield sample * 2
    yield chance.randbytes(10_000)
    yield b"9" * 100_000
    with contextlib.suppress(ValueError):
        shape = json.loads(sample)
        for _ in range(count):
            yield json.dumps(_changed(shape, chance)).encode()
    for _ in range(count):
        at = chance.randrange(len(sample) + 1)
        match chance.randrange(4):
            case 0:
                yield sample[:at]
            case 1:
                yield sample[:at] + chance.randbytes(chance.randint(1, 8)) + sample[at:]
            case 2:
                yield sample[:at] + bytes([chance.randrange(256)]) + sample[at + 1 :]
            case _:
                yield sample[:at] + sample[at + chance.randint(1, 40) :]


def _changed(shape: Any, chance: random.Random) -> Any:
    """The same document with one value somewhere in it replaced or left out."""
    if isinstance(shape, dict) and shape and chance.random() < 0.85:
        key = chance.choice(list(shape))
        if chance.random() < 0.15:
            return {name: value for name, value in shape.items() if name != key}
        return shape | {key: _changed(shape[key], chance)}
    if isinstance(shape, list) and shape and chance.random() < 0.85:
        at = chance.randrange(len(shape))
        return [*shape[:at], _changed(shape[at], chance), *shape[at + 1 :]]
    return chance.choice(_VALUES)


@contextlib.contextmanager
def believing() -> Iterator[None]:
    """Every symmetric signature is right for a while: what lies behind it can be reached with any body.

    Codecs compare by ``hmac.compare_digest``; one that took the name out of the module is not reached, and is then
    tried with refused signatures only (a fake's `Fake.signed` is the better way).
    """
    honest = hmac.compare_digest

    def credulous(a: Any, b: Any) -> bool:
        return True

    hmac.compare_digest = credulous
    try:
        yield
    finally:
        hmac.compare_digest = honest
