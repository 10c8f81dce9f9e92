"""A task beside a block: it lives as long as the block, and the block's errors keep their type."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def beside(task: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Run ``task`` while the block runs, and cancel it when the block is left.

    An exception of the block leaves as it is: a plain nursery would wrap it into a group, and callers want to
    catch `NotSent`. An exception of ``task`` is a bug, cancels the block and leaves as a nursery's group.
    """
    raised: Exception | None = None
    async with trio.open_nursery() as nursery:
        nursery.start_soon(task)
        try:
            yield
        except trio.Cancelled:
            raise
        except Exception as exc:  # noqa: BLE001 - raised again below, outside of the nursery
            raised = exc
        nursery.cancel_scope.cancel()
    if raised is not None:
        raise raised
