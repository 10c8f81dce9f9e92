"""What all switches of one controller share."""

from collections import OrderedDict
from pathlib import Path

from core.aio import Bridge, Inbox
from core.bus import Bus
from core.model.orders import Order
from core.storage.database import Database
from core.storage.nodes import Node

ORDERS_WAITING = 1_000
REMEMBERED_ORDERS = 10_000


class Parts:
    """What every node of one controller shares."""

    def __init__(self, name: str, bridge: Bridge, bus: Bus, db: Database, state_dir: Path) -> None:
        self.name = name
        self.bridge = bridge
        self.bus = bus
        self.db = db
        self.state_dir = state_dir
        self.owned: set[str] = set()
        """The switches that this controller commands now."""
        self.nodes: dict[str, Node] = {}
        """Every switch as the store describes it now."""
        self.shown: dict[str, object] = {}
        """What else this controller says of itself in its presence."""
        self._orders: OrderedDict[str, None] = OrderedDict()

    def inbox(self, node: str) -> Inbox[tuple[str, Order]]:
        """Where the bus leaves orders for a switch. Full means refused: the askers' deadlines answer."""
        return Inbox(ORDERS_WAITING)

    def first_time(self, order_id: str) -> bool:
        """False for an order that was met before: whatever sends it twice, it is done once."""
        if order_id in self._orders:
            return False
        self._orders[order_id] = None
        if len(self._orders) > REMEMBERED_ORDERS:
            self._orders.popitem(last=False)
        return True
