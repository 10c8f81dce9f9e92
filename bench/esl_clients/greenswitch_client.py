"""greenswitch (gevent), as its README uses it: a handler for every event."""

import json
import resource
import sys
from typing import Any

import gevent.event  # type: ignore[import-untyped]  # not in our own environment
import greenswitch


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    seen = {"events": 0, "names": 0, "uuids": 0}
    done = gevent.event.Event()

    def handle(event: Any) -> None:
        seen["events"] += 1
        seen["names"] += len(event.headers.get("Event-Name", ""))
        seen["uuids"] += len(event.headers.get("Unique-ID", ""))
        if seen["events"] == count:
            done.set()

    client = greenswitch.InboundESL(host=host, port=port, password="ClueCon")
    client.connect()
    client.register_handle("*", handle)
    began = cpu()
    client.send("event plain ALL")
    done.wait()
    print(json.dumps({**seen, "cpu_s": cpu() - began}), flush=True)


if __name__ == "__main__":
    main()
