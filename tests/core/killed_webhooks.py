"""A channel host in a process of its own that kills itself (kill -9) at a step of delivering a webhook.

``planned``: deliveries are made and nothing is claimed. ``claimed``: some are claimed and none is sent. ``delivered``: the
endpoint has answered, and we have not written so.
"""

import os
import signal
import sys
from typing import Any

from core.channel_host import run
from core.config import Settings
from core.storage import webhook_results as results
from core.storage import webhook_work as work


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(step: str) -> None:
    # Its claims run out within a second instead of most of a minute.
    work.CLAIM_S = 1
    take = work.take

    async def taken(*args: Any, **more: Any) -> Any:
        if step == "planned":
            more["room"] = 0
        result = await take(*args, **more)
        if step == "planned" or (step == "claimed" and result[0]):
            die()
        return result

    async def finish(*_args: Any, **_more: Any) -> None:
        die()

    work.take = taken
    if step == "delivered":
        results.finish = finish
    run(Settings.from_env(), {})


if __name__ == "__main__":
    main(sys.argv[1])
