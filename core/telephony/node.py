"""A controller's whole relation to one switch: keep it connected, stand by, own it, stand by again.

The connections live as long as the controller does; ownership comes and goes over them. So taking over costs no
dialling, and what a standby overhears (`core.telephony.standby`) is there when it is needed.
"""

import trio

from core.cluster.lease import Lease
from core.logs import get_logger
from core.recorder import Recorder
from core.storage.nodes import Node
from core.telephony.owner import Owner
from core.telephony.parts import Parts
from core.telephony.standby import Recent
from core.telephony.translate import CUSTOM_SUBCLASSES, EVENT_NAMES
from freeswitch.link import Endpoint
from freeswitch.switch import Events, Switch, open_switch

LOG = get_logger("node")

SUBSCRIPTIONS = (
    *(name for name in EVENT_NAMES if name not in ("CHANNEL_CALLSTATE", "CHANNEL_OUTGOING")),
    "CUSTOM",
    *CUSTOM_SUBCLASSES,
)
"""What a call's record needs, and no more: STATE, CALLSTATE, CODEC and EXECUTE are two thirds of what a call sends,
and what they say the others repeat."""


WARM_S = 3.0
"""Who has listened for so long has heard everything since an owner that dies now last wrote. A controller that was killed is
back within the lease that it held: it must not be faster than the one that has heard what happened meanwhile."""


async def keep_node(parts: Parts, node: Node, recorder: Recorder) -> None:
    """Stand by and own ``node`` for ever. Cancelling hands the lease over."""
    lease = Lease(parts.bridge, parts.bus, node.id, parts.name)
    async with open_switch(
        Endpoint.parse(node.url),
        subscriptions=SUBSCRIPTIONS,
        guard=lease.check,
    ) as switch:
        try:
            while True:
                recent = await _stand_by(lease, switch)
                parts.owned.add(node.id)
                try:
                    await Owner(parts, parts.nodes.get(node.id, node), switch, lease, recorder).run(recent)
                finally:
                    parts.owned.discard(node.id)
        finally:
            with trio.CancelScope(shield=True):
                await lease.release()


async def _stand_by(lease: Lease, switch: Switch) -> Recent:
    """Overhear the switch until the lease is ours; what was overheard in the last seconds."""
    recent = Recent()
    warm_at = trio.current_time() + WARM_S

    async def overhear() -> None:
        while True:
            notice = await switch.receive()
            if isinstance(notice, Events):
                recent.add(notice.events)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(overhear)
        await lease.wait_taken(lambda: switch.up and trio.current_time() >= warm_at)
        nursery.cancel_scope.cancel()
    return recent
