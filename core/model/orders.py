"""What the front doors ask of the controller that owns a switch, and what it answers.

An order has a deadline and an id. It is never sent twice: an answer that does not come is an outcome that is
not known (`core.errors.PeerTimeout`), and the asker says so.
"""

from msgspec import Struct


class Order(Struct, frozen=True, omit_defaults=True):
    """One request to act on a live thing."""

    id: str
    action: str
    """``call.hangup``, ``call.originate``, ``node.drain`` ..."""
    node: str
    tenant_id: str
    deadline_us: int
    """Wall time after which nobody waits any more: an order met later is dropped, not done."""
    call_id: str = ""
    args: dict[str, str | int | bool | float | None] = {}
    actor: str = ""
    """``usr_…`` or ``key_…``: for the log."""
    request_id: str = ""


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What came of an order."""

    order_id: str
    status: str
    """``done``, ``refused`` (409), ``not_found`` (404), ``unknown`` (504) or ``failed`` (502)."""
    code: str = ""
    detail: str = ""
    result: dict[str, object] = {}
