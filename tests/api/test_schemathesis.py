"""Whatever the document allows, and much that it forbids, is sent to every operation: never a 5xx, and every answer is
as the document says. Requests are made by schemathesis from the document, half of them wrong on purpose.

Each operation is tried twice: with ids out of thin air, and with the ids of things that exist, so that handlers are
reached behind their first look-up.
"""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.http import openapi
from api.http.operation import SIGNED_IN
from core.access.roles import EVERYTHING
from core.ids import new_id
from core.model.orders import Order, Outcome
from tests.api.harness import Running, connected
from tests.api.test_tenants_apart import DOCUMENT, belongings

SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
OPERATIONS: list[Any] = [found.ok() for found in SCHEMA.get_all_operations()]  # type: ignore[union-attr]
STREAMING = {"stream_sse"}
"""Their answers have no end; tests of their own read them."""
# What ends things comes last, so that there is something to try the others on.
OPERATIONS.sort(key=lambda one: (one.method == "delete", one.path.endswith(("deactivate", "suspend"))))
TRIED = [one for one in OPERATIONS if one.definition.raw["operationId"] not in STREAMING]
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 4
SUCCEEDED: set[str] = set()
"""Operations that answered 2xx at least once: what they answer then was checked, too."""
TURN = ("done", "refused", "not_found")


@pytest.fixture(scope="module")
def known(running: Running, database_url: str, redis_url: str) -> Iterator[dict[str, str]]:
    """Ids of things that exist, an operator's key, and a controller that answers orders."""
    found: dict[str, str] = {}
    stop = asyncio.Event()

    def answer(order: Order) -> Outcome:
        status = TURN[hash(order.id) % len(TURN)]
        result: dict[str, object] = {"call_id": order.call_id or found["call_id"]} if status == "done" else {}
        return Outcome(order_id=order.id, status=status, result=result)

    async def control(ready: "asyncio.Future[None]") -> None:
        async with connected(running, database_url, redis_url) as api:
            own = await belongings(api, "Tried")
            found.update(own.ids, token=await api.key(EVERYTHING, own.mark, all_tenants=True))
            # Whom the requests are from must outlive what they do to users and tenants.
            found["person"] = (await api.person("admin", tenant_id=own.mark)).token
            found["tenant_id"] = await api.tenant("Tried and perhaps suspended")
            async with api.owner(found["node_id"], answer):
                ready.set_result(None)
                await stop.wait()

    with asyncio.Runner() as runner:
        loop = runner.get_loop()
        ready = loop.create_future()
        task = loop.create_task(control(ready))
        loop.run_until_complete(
            asyncio.wait({asyncio.ensure_future(ready, loop=loop), task}, return_when="FIRST_COMPLETED")
        )
        if task.done():
            task.result()
        thread = threading.Thread(target=loop.run_until_complete, args=(task,))
        thread.start()
        yield found
        loop.call_soon_threadsafe(stop.set)
        thread.join(20)


def test_every_operation_is_tried() -> None:
    assert len(OPERATIONS) == sum(len(path) for path in DOCUMENT["paths"].values())
    assert {one.definition.raw["operationId"] for one in OPERATIONS} >= STREAMING


@pytest.mark.parametrize("mode", ["positive", "negative"])
@pytest.mark.parametrize("operation", TRIED, ids=lambda one: one.label)
def test_answers_are_as_the_document_says(
    operation: Any, mode: str, running: Running, known: dict[str, str]
) -> None:
    wanted = GenerationMode(mode)
    personal = operation.definition.raw["x-permission"] == SIGNED_IN
    headers = {"Authorization": f"Bearer {known['person' if personal else 'token']}"}
    checks = [*CHECKS, negative_data_rejection] if wanted is GenerationMode.NEGATIVE else CHECKS
    turns = iter(range(10_000))

    @given(case=operation.as_strategy(generation_mode=wanted))
    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def send(case: Any) -> None:
        if wanted is GenerationMode.POSITIVE:
            # Out of thin air these are a 404, a 400 or a 412 each time; wrong ones have tests of their own.
            for name in ("Tenant", "If-Match"):
                (case.headers or {}).pop(name, None)
            for name in ("cursor", "fields"):
                (case.query or {}).pop(name, None)
        if next(turns) % 2 and wanted is GenerationMode.POSITIVE:
            case.path_parameters = {
                name: known.get(name, value) for name, value in (case.path_parameters or {}).items()
            }
        if "Idempotency-Key" in (case.headers or {}) and wanted is GenerationMode.POSITIVE:
            case.headers["Idempotency-Key"] = new_id("idem")
        answer = case.call_and_validate(base_url=running.url, headers=headers, checks=checks, timeout=15)
        if answer.status_code < 300:
            SUCCEEDED.add(operation.definition.raw["operationId"])

    send()


def test_most_operations_succeeded_at_least_once() -> None:
    """Otherwise the test above has checked little more than refusals."""
    assert len(SUCCEEDED) >= 0.7 * len(TRIED), sorted(
        {one.definition.raw["operationId"] for one in TRIED} - SUCCEEDED
    )


def test_the_document_that_was_tried_is_the_one_that_is_served(running: Running) -> None:
    served = httpx.get(f"{running.url}/v1/openapi.json", trust_env=False)
    assert served.content == openapi.text()
