"""A request that is repeated with its key gets the first answer and does nothing a second time."""

import asyncio
from typing import Any

import httpx
import pytest
from msgspec import to_builtins

from core.model.orders import Order, Outcome
from tests.api.conftest import Connect
from tests.api.harness import Api

pytestmark = pytest.mark.asyncio_loop


class Dialler:
    """A caller with a key, and a switch that counts."""

    def __init__(self, api: Api, node: str, key: str) -> None:
        self.api, self.node, self.key = api, node, key

    async def dial(self, idem: str, to: str = "1000", **headers: str) -> httpx.Response:
        sent = {"Idempotency-Key": idem, **headers} if idem else headers
        return await self.api.ask("POST", "/v1/calls", self.key, {"to": to, "node": self.node}, sent)


async def dialler(api: Api) -> tuple[Dialler, Any]:
    node, key = await api.node(), await api.key()
    call = await api.call(node)

    def placed(order: Order) -> Outcome:
        return Outcome(order.id, "done", result={"call_id": call.id, "call": to_builtins(call)})

    return Dialler(api, node, key), placed


async def test_a_call_is_never_placed_without_a_key(connect: Connect) -> None:
    async with connect() as api:
        who, placed = await dialler(api)
        async with api.owner(who.node, placed) as got:
            answer = await who.dial("")
        assert answer.status_code == 400
        assert answer.json()["errors"][0] == {
            "code": "idempotency_key_required",
            "detail": "is required here: it makes a repetition safe",
            "parameter": "Idempotency-Key",
        }
        assert got == []


async def test_a_repetition_gets_the_first_answer(connect: Connect) -> None:
    async with connect() as api:
        who, placed = await dialler(api)
        async with api.owner(who.node, placed) as got:
            first = await who.dial("once")
            again = [await who.dial("once") for _ in range(3)]
        assert len(got) == 1, "the phone rings once"
        assert "idempotent-replayed" not in first.headers
        for one in again:
            assert (one.status_code, one.content) == (first.status_code, first.content)
            assert one.headers["idempotent-replayed"] == "true"
            assert one.headers["location"] == first.headers["location"]


async def test_of_many_at_once_one_is_done(connect: Connect) -> None:
    async with connect() as api:
        who, placed = await dialler(api)
        async with api.owner(who.node, placed) as got:
            answers = await asyncio.gather(*(who.dial("at-once") for _ in range(12)))
        assert len(got) == 1
        for answer in answers:
            if answer.status_code == 409:
                assert answer.json()["code"] == "still_running" and answer.headers["retry-after"] == "1"
            else:
                assert answer.status_code == 201


async def test_a_key_is_not_for_another_request(connect: Connect) -> None:
    async with connect() as api:
        who, placed = await dialler(api)
        async with api.owner(who.node, placed) as got:
            await who.dial("mine", to="1000")
            other = await who.dial("mine", to="1001")
        assert other.status_code == 422 and other.json()["code"] == "idempotency_key_reused"
        assert len(got) == 1


async def test_keys_belong_to_who_uses_them(connect: Connect) -> None:
    async with connect() as api:
        who, placed = await dialler(api)
        other = Dialler(api, who.node, await api.key())
        async with api.owner(who.node, placed) as got:
            await who.dial("the-same-word")
            answer = await other.dial("the-same-word")
        assert answer.status_code == 201 and len(got) == 2


async def test_a_refused_request_does_not_use_up_its_key(connect: Connect) -> None:
    async with connect() as api:
        who, placed = await dialler(api)
        wrong = await who.dial("patience", to="not a number at all")
        assert wrong.status_code == 400
        nobody = await who.dial("patience")
        assert nobody.status_code == 503, "no owner yet: nothing was done"
        async with api.owner(who.node, placed) as got:
            assert (await who.dial("patience")).status_code == 201
        assert len(got) == 1


@pytest.mark.parametrize(("status", "expected"), [("refused", 409), ("failed", 502), ("unknown", 504)])
async def test_once_an_order_was_given_its_outcome_stays(
    connect: Connect, status: str, expected: int
) -> None:
    """Busy, failed or unknown: the phone may have rung, so a repetition must not make it ring again."""
    async with connect() as api:
        who, _ = await dialler(api)
        async with api.owner(who.node, lambda order: Outcome(order.id, status, "user_busy")) as got:
            first, again = await who.dial("busy"), await who.dial("busy")
        assert first.status_code == again.status_code == expected
        assert again.headers["idempotent-replayed"] == "true"
        assert again.json() == first.json()
        assert len(got) == 1


async def test_a_key_whose_process_died_never_acts_again(connect: Connect) -> None:
    async with connect() as api:
        who, placed = await dialler(api)
        async with api.owner(who.node, placed) as got:
            await who.dial("interrupted")
            # (what was answered is noted behind the answer)
            async with asyncio.timeout(10):
                while api.services.finishing:
                    await asyncio.sleep(0.01)
            async with api.database.system() as conn:
                await conn.execute(
                    "update idempotency_keys set finished = false, created_at = now() - interval '2 minutes'"
                    " where key = 'interrupted'"
                )
            answer = await who.dial("interrupted")
        assert answer.status_code == 409 and answer.json()["code"] == "outcome_unknown"
        assert answer.json()["retryable"] is False and len(got) == 1


async def test_after_a_day_a_key_is_new(connect: Connect) -> None:
    async with connect() as api:
        who, placed = await dialler(api)
        async with api.owner(who.node, placed) as got:
            await who.dial("old")
            async with api.database.system() as conn:
                await conn.execute(
                    "update idempotency_keys set created_at = now() - interval '25 hours' where key = 'old'"
                )
            assert "idempotent-replayed" not in (await who.dial("old")).headers
        assert len(got) == 2


@pytest.mark.parametrize("key", ["x" * 256, "a b", "ümlaut".encode().decode("latin-1"), "\x01"])
async def test_a_key_is_visible_ascii_of_some_length(connect: Connect, key: str) -> None:
    async with connect() as api:
        who, _ = await dialler(api)
        try:
            answer = await who.dial(key)
        except (httpx.LocalProtocolError, UnicodeEncodeError):
            return  # cannot even be sent
        assert answer.status_code == 400


async def test_other_posts_take_a_key_if_they_get_one(connect: Connect) -> None:
    async with connect() as api:
        operator = await api.operator_key()
        named = {"Idempotency-Key": "one-tenant"}
        first = await api.ask("POST", "/v1/tenants", operator, {"name": "Once"}, named)
        again = await api.ask("POST", "/v1/tenants", operator, {"name": "Once"}, named)
        assert first.status_code == again.status_code == 201
        assert first.json()["id"] == again.json()["id"]
        other = await api.ask("POST", "/v1/tenants", operator, {"name": "Once"})
        assert other.json()["id"] != first.json()["id"]
