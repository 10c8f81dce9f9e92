"""A channel host in a process of its own that kills itself (kill -9) at a step that a test names.

``claimed``: a message is taken and nothing written of it yet. ``begun``: the provider is about to be called. ``sent``: the
provider has it, and we have not written so.
"""

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from core.channel_host import run
from core.config import Settings
from core.storage import attempt_results as results
from core.storage import attempts
from core.storage import outbox as store
from irisx_sdk.loading import installed

CLAIM_S = 2


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def after(act: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    async def acted(*args: Any, **more: Any) -> Any:
        result = await act(*args, **more)
        if result:
            die()
        return result

    return acted


async def instead(*_args: Any, **_more: Any) -> None:
    die()


def main(step: str) -> None:
    # Its messages are looked after within seconds instead of a minute.
    store.CLAIM_S = CLAIM_S
    if step == "claimed":
        store.claim = after(store.claim)  # type: ignore[assignment]
    elif step == "begun":
        attempts.begin = after(attempts.begin)  # type: ignore[assignment]
    elif step == "sent":
        results.sent = instead
    run(Settings.from_env(), installed().channels)


if __name__ == "__main__":
    main(sys.argv[1])
