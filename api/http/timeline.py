"""Orders in the log: who asked what of a call, and what came of it, beside what happened to the call.

Written after the caller has the answer: the log explains later, it must not slow the command. What was typed (digits,
numbers, names) is not in it; the facts that follow show what they did.
"""

from typing import Any

import msgspec

from core import log
from core.clock import now_us
from core.errors import IrisxError
from core.logs import get_logger
from core.model.orders import Order
from core.storage.database import Database

LOG = get_logger("timeline")

TYPE = "call.ordered"
_TOLD = frozenset(
    {"leg", "other_leg", "call_id", "cause", "mode", "recording", "monitor_leg", "conference", "member"}
)
"""The arguments of an order that name things, and nothing that a person typed."""


class Timeline:
    """Puts orders into the log."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, order: Order, began_us: int, status: str, code: str) -> None:
        """Add one order about a call. Without the store it is lost: it explains, and nothing follows from it."""
        told: dict[str, Any] = {name: value for name, value in order.args.items() if name in _TOLD}
        data = {
            "order": order.id,
            "action": order.action,
            "status": status,
            "code": code,
            "actor": order.actor,
            "took_ms": round((now_us() - began_us) / 1000, 1),
            "args": told,
        }
        entry = log.NewEntry(
            tenant_id=order.tenant_id,
            type=TYPE,
            resource=order.call_id,
            data=msgspec.json.encode(data),
            occurred_us=began_us,
            request_id=order.request_id,
        )
        try:
            async with self._database.reader(order.tenant_id) as conn:  # one statement: it commits itself
                await log.append(conn, [entry])
        except IrisxError as exc:
            LOG.warning("an order is not in the log", order=order.id, error=exc.code)
