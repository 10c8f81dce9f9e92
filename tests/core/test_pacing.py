"""Limits a second: what all processes together may send, with Redis and without."""

from typing import Any

import pytest
import redis.asyncio

from core.ids import new_id
from core.pacing import LOCAL_SHARE, Pace

pytestmark = pytest.mark.asyncio_loop


async def test_two_processes_draw_from_one_bucket(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        one, other, name = Pace(client), Pace(client), new_id("chn")
        first = await one.draw(name, 10.0, 10, most_s=1.0)
        assert first is not None and first.first_s == pytest.approx(-1.0, abs=0.05), (
            "a second's worth may go at once"
        )
        second = await other.draw(name, 10.0, 10, most_s=1.0)
        assert second is not None and second.first_s == pytest.approx(0.0, abs=0.1), (
            "the next ten follow, one each tenth of a second"
        )
        assert await one.draw(name, 10.0, 1, most_s=0.5) is None, "further ahead nothing is promised"
        third = await other.draw(name, 10.0, 1, most_s=2.0)
        assert third is not None and third.first_s == pytest.approx(1.0, abs=0.1)


async def test_who_is_told_to_wait_is_waited_for_by_all(redis_url: str) -> None:
    async with redis.asyncio.Redis.from_url(redis_url) as client:
        one, other, name = Pace(client), Pace(client), new_id("chn")
        await one.push(name, 3.0)
        assert await other.draw(name, 100.0, 1, most_s=1.0) is None
        turn = await other.draw(name, 100.0, 1, most_s=5.0)
        assert turn is not None and turn.first_s == pytest.approx(3.0, abs=0.2)


async def test_without_redis_each_process_takes_its_share() -> None:
    class Away:
        async def eval(self, *_: Any) -> Any:
            raise OSError

    pace = Pace(Away())
    turn = await pace.draw("b", 20.0, 1, most_s=0.0)
    assert turn is not None and turn.each_s == pytest.approx(1 / (20 * LOCAL_SHARE)), (
        "and keeps it within a draw"
    )
    count = 0
    while await pace.draw("a", 20.0, 1, most_s=0.0) is not None:
        count += 1
    assert count == pytest.approx(20 * LOCAL_SHARE + 1, abs=1)
