"""Every channel of ours keeps its promises, by the same kit that strangers use.

The kit mostly waits (for retries, for receipts, for deadlines), so all channels are checked at once, each in a process of
its own: it listens to what a channel compares, and that is the whole process's.
"""

import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor

import pytest

from irisx_channels import irisx_channels
from irisx_sdk import conformance
from irisx_sdk.loading import fake_of

pytestmark = pytest.mark.timeout(400)

EVERY = sorted(channel.name for channel in irisx_channels())
ONE_OF_EACH = ("sms.twilio", "email.mailgun", "whatsapp", "telegram", "discord", "slack", "teams")
NAMES = EVERY if os.environ.get("IRISX_KIT") == "all" else ONE_OF_EACH
"""By itself a suite tries one channel of each family; ``IRISX_KIT=all`` tries all of them (minutes)."""
AT_ONCE = 3


def what_failed(name: str) -> list[str]:
    """The promises that a channel does not keep."""
    channel = next(one for one in irisx_channels() if one.name == name)
    report = conformance.check(fake_of(channel))
    assert report.channel == name
    return [str(one) for one in report.failed]


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, "Future[list[str]]"]]:
    """The kit at work on all of them."""
    with ProcessPoolExecutor(AT_ONCE, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield {name: pool.submit(what_failed, name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_channel_of_ours_conforms(found: dict[str, "Future[list[str]]"], name: str) -> None:
    assert found[name].result() == []
