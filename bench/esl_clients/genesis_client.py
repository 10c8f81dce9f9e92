"""genesis (asyncio), with one handler for every event name."""

import asyncio
import json
import resource
import sys
from typing import Any

from genesis import Inbound


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


async def run(host: str, port: int, count: int) -> None:
    seen = {"events": 0, "names": 0, "uuids": 0}
    done = asyncio.Event()

    async def handle(event: Any) -> None:
        seen["events"] += 1
        seen["names"] += len(event.get("Event-Name", ""))
        seen["uuids"] += len(event.get("Unique-ID", ""))
        if seen["events"] == count:
            done.set()

    async with Inbound(host, port, "ClueCon") as client:
        client.on("*", handle)
        began = cpu()
        await client.send("event plain ALL")
        await done.wait()
        print(json.dumps({**seen, "cpu_s": cpu() - began}), flush=True)


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
