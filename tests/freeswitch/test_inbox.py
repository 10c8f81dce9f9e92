"""The queue between the reader and a slow consumer: bounded, ordered, and honest about what it dropped."""

import trio
import trio.testing

from freeswitch.event import Event
from freeswitch.inbox import Doubt, Down, Events, Notices, Up


def batch(count: int, size: int = 10) -> list[Event]:
    return [Event(b"x" * size) for _ in range(count)]


async def drain(notices: Notices) -> list[object]:
    out: list[object] = []
    with trio.move_on_after(0.05):
        while True:
            notice = await notices.receive()
            out.append(len(notice.events) if isinstance(notice, Events) else notice)
    return out


async def test_notices_come_in_the_order_in_which_they_were_put(
    autojump_clock: trio.testing.MockClock,
) -> None:
    notices = Notices()
    notices.put(Up("core", changed=False, first=True))
    notices.put_events(batch(2))
    notices.put(Down("gone"))
    assert await drain(notices) == [Up("core", changed=False, first=True), 2, Down("gone")]


async def test_a_full_queue_drops_the_batch_counts_it_and_leaves_a_doubt_in_its_place(
    autojump_clock: trio.testing.MockClock,
) -> None:
    notices = Notices(max_events=10)
    notices.put_events(batch(8))
    for _ in range(5):
        notices.put_events(batch(3))
    notices.put_events(batch(2))
    assert (notices.events, notices.dropped, notices.overflows) == (10, 15, 1)
    assert await drain(notices) == [8, Doubt("overflow"), 2]
    notices.put_events(batch(3))
    assert await drain(notices) == [3]
    assert (notices.events, notices.bytes) == (0, 0)


async def test_bytes_are_bounded_too(autojump_clock: trio.testing.MockClock) -> None:
    notices = Notices(max_bytes=1000)
    notices.put_events(batch(1, 900))
    notices.put_events(batch(1, 200))
    assert await drain(notices) == [1, Doubt("overflow")]
    assert notices.dropped == 1


async def test_every_run_of_drops_has_its_own_doubt(autojump_clock: trio.testing.MockClock) -> None:
    notices = Notices(max_events=2)
    notices.put_events(batch(2))
    notices.put_events(batch(1))
    notices.put(Down("gone"))
    notices.put_events(batch(1))
    assert await drain(notices) == [2, Doubt("overflow"), Down("gone"), Doubt("overflow")]
    assert notices.overflows == 2


async def test_news_about_the_link_always_fits(autojump_clock: trio.testing.MockClock) -> None:
    notices = Notices(max_events=0)
    notices.put(Up("core", changed=True, first=False))
    notices.put(Doubt("a"))
    notices.put(Doubt("a"))
    notices.put(Doubt("b"))
    assert await drain(notices) == [Up("core", changed=True, first=False), Doubt("a"), Doubt("b")]


async def test_cancelling_a_receive_loses_nothing(autojump_clock: trio.testing.MockClock) -> None:
    notices = Notices()
    with trio.move_on_after(1):
        await notices.receive()
    notices.put_events(batch(1))
    with trio.CancelScope() as scope:
        scope.cancel()
        await notices.receive()
    assert scope.cancelled_caught
    assert await drain(notices) == [1]


async def test_a_waiting_receiver_is_woken(
    autojump_clock: trio.testing.MockClock, nursery: trio.Nursery
) -> None:
    notices = Notices()

    async def later() -> None:
        await trio.sleep(3)
        notices.put(Down("gone"))

    nursery.start_soon(later)
    assert await notices.receive() == Down("gone")
