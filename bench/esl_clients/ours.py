"""Our client: HOST PORT COUNT MODE, with MODE ``link`` (one link), ``switch`` (`Switch.receive`) or ``tracked``
(every event through translate and the switchboard)."""

import json
import resource
import sys
from collections.abc import Callable

import trio

from freeswitch.event import Event
from freeswitch.link import Endpoint, open_link
from freeswitch.switch import Events, SwitchSettings, Up, open_switch


def cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


class Seen:
    """Counts events by what every client reads of them."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.count = count
        self.names = 0
        self.uuids = 0
        self.done = trio.Event()

    def take(self, events: list[Event]) -> None:
        for event in events:
            self.names += len(event.name)
            self.uuids += len(event.uuid)
        self.count_down(len(events))

    def count_down(self, number: int) -> None:
        self.left -= number
        if self.left <= 0:
            self.done.set()


class Tracked(Seen):
    """The whole path of a controller but storage: events become facts, facts change calls."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        from core.model.switchboard import Switchboard
        from core.telephony.translate import translate

        self.board = Switchboard("bench", "tnt_main")
        self.translate = translate
        self.changes = 0

    def take(self, events: list[Event]) -> None:
        board, translate = self.board, self.translate
        for event in events:
            fact = translate(event, board)
            if fact is not None:
                self.changes += len(board.advance(fact))
        self.count_down(len(events))


async def over_link(endpoint: Endpoint, seen: Seen) -> float:
    async with open_link(endpoint, on_events=seen.take) as link:
        began = cpu()
        await link.command("event plain ALL")
        await seen.done.wait()
        return cpu() - began


async def over_switch(endpoint: Endpoint, seen: Seen, take: Callable[[list[Event]], None]) -> float:
    settings = SwitchSettings(bgapi_links=1, watch_log=False, max_events=1 << 30, max_bytes=1 << 40)
    began = cpu()
    async with open_switch(endpoint, subscriptions=["ALL"], settings=settings) as switch:
        while not seen.done.is_set():
            notice = await switch.receive()
            if isinstance(notice, Events):
                take(notice.events)
            elif isinstance(notice, Up):
                began = min(began, cpu())
        return cpu() - began


def main() -> None:
    host, port, count, mode = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    seen = Tracked(count) if mode == "tracked" else Seen(count)
    endpoint = Endpoint(host, port, "ClueCon")
    if mode == "link":
        seconds = trio.run(over_link, endpoint, seen)
    else:
        seconds = trio.run(over_switch, endpoint, seen, seen.take)
    result = {"events": seen.count - seen.left, "cpu_s": seconds, "names": seen.names, "uuids": seen.uuids}
    if isinstance(seen, Tracked):
        result |= {
            "changes": seen.changes,
            "live": len(seen.board.calls),
            "surprises": seen.board.surprises.total(),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
