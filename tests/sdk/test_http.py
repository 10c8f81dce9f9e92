"""What a failure of HTTP means, seen on real sockets."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import httpx
import pytest

from irisx_sdk import ChannelError, Misconfigured, NotSent, OutcomeUnknown, Refused, Throttled
from irisx_sdk.http import call, expect, retry_after_s

SECRET = "tok_4711_of_nobody"


@contextlib.contextmanager
def server(answer: Callable[[socket.socket], None]) -> Iterator[str]:
    """Somebody who takes one connection, reads a request and does ``answer``."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener.accept()[0] as taken:
            taken.recv(65536)
            answer(taken)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    thread.join(5)
    listener.close()


async def failure(url: str, **more: object) -> ChannelError:
    async with httpx.AsyncClient(timeout=0.5, trust_env=False) as http:
        with pytest.raises(ChannelError) as caught:
            await call(http, "POST", f"{url}/{SECRET}/send", **more)
    assert SECRET not in f"{caught.value!r} {caught.value.__cause__!r}"
    return caught.value


async def test_without_a_connection_nothing_was_sent() -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        error = await failure(f"http://127.0.0.1:{nobody.getsockname()[1]}")
    assert type(error) is NotSent


@pytest.mark.parametrize(
    "answer",
    [
        lambda taken: None,
        lambda taken: taken.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"),
        lambda taken: taken.sendall(b"220 this is not HTTP tok_4711_of_nobody\r\n\r\n"),
        lambda taken: threading.Event().wait(1.5),
    ],
    ids=["closed", "half an answer", "another protocol", "silence"],
)
async def test_what_fails_after_the_request_left_may_have_been_sent(
    answer: Callable[[socket.socket], None],
) -> None:
    with server(answer) as url:
        assert type(await failure(url, json={"text": "x"})) is OutcomeUnknown


@pytest.mark.asyncio_loop
async def test_asyncio_tells_the_same() -> None:
    with server(lambda taken: None) as url:
        assert type(await failure(url)) is OutcomeUnknown


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1:1", {"authorization": f"Bearer {SECRET}\r\nx: y"}),
        ("http://127.0.0.1:1", {"authorization": f"Bearer {SECRET}\n"}),
        ("http://127.0.0.1:1", {"authorization": f"Bearer {SECRET}€"}),
        ("ftp://127.0.0.1", {}),
        ("http://[half", {}),
    ],
)
async def test_settings_that_no_request_can_carry_are_named_as_that(
    url: str, headers: dict[str, str]
) -> None:
    error = await failure(url, headers=headers)
    assert type(error) in (Misconfigured, NotSent)
    assert not isinstance(error, OutcomeUnknown)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "12"}, 12.0),
        ({"retry-after": "0.65"}, 0.65),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 -0000", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
    ],
)
def test_the_wish_to_wait_is_read_as_seconds(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(httpx.Response(429, headers=headers)) == seconds


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Misconfigured), (403, Misconfigured), (404, Refused), (408, OutcomeUnknown), (422, Refused),
        (429, Throttled), (500, OutcomeUnknown), (502, OutcomeUnknown), (503, NotSent), (302, OutcomeUnknown),
    ],
)  # fmt: skip
def test_a_status_means_what_it_means_at_most_providers(status: int, error: type[ChannelError]) -> None:
    with pytest.raises(error) as caught:
        expect(httpx.Response(status, headers={"retry-after": "7"}), "Acme")
    assert caught.value.code == str(status)
    if isinstance(caught.value, Throttled):
        assert caught.value.retry_after_s == 7


def test_what_went_well_is_handed_on() -> None:
    assert expect(httpx.Response(201), "Acme").status_code == 201
