"""What the owner of a switch says by itself: to operators how the switch is, to the switch that somebody is there."""

from functools import partial
from typing import TYPE_CHECKING

import trio

from core.errors import Conflict, PeerError
from core.logs import get_logger
from core.storage import nodes as node_store
from freeswitch.conf import sign_of_life
from freeswitch.errors import EslError

if TYPE_CHECKING:
    from core.telephony.owner import Owner

LOG = get_logger("owner")

STATUS_S = 2.0
SIGN_OF_LIFE_S = 3.0
"""How often the switch is told that a controller is there; a sign holds for 10 s (`freeswitch.conf.life`)."""


async def show_life(owner: "Owner") -> None:
    """Tell the switch that a controller is there: its dialplan has a fallback for when none is."""
    number = 0
    while True:
        number += 1
        try:
            for line in sign_of_life(f"{owner.lease.token}.{number}"):
                await owner.api(line)
        except (EslError, PeerError, Conflict):
            LOG.info("no sign of life was sent", node=owner.node.id)
        await trio.sleep(SIGN_OF_LIFE_S)


async def report_status(owner: "Owner") -> None:
    noted: str | None = None
    while True:
        try:
            if owner.state == "draining" and not owner.board.calls:
                await owner.set_state("drained")
            await owner.parts.bridge.run(
                node_store.set_status, owner.parts.db, owner.node.id, owner.lease.token, status_of(owner)
            )
            failure = owner.recorder.failure
            if failure != noted:
                note = partial(node_store.note_journal, failure=failure)
                await owner.parts.bridge.run(note, owner.parts.db, owner.node.id)
                noted = failure
        except PeerError as exc:
            LOG.info("status is not stored now", node=owner.node.id, error=exc.code)
        await trio.sleep(STATUS_S)


def status_of(owner: "Owner") -> dict[str, object]:
    """What an operator wants to see of a switch at a glance."""
    beat, numbers = owner.switch.heartbeat, owner.switch.statistics()
    seen: dict[str, object] = {
        "up": owner.switch.up,
        "core_uuid": owner.switch.core_uuid,
        "calls": len(owner.board.calls),
        "event_lag_ms": round(numbers.lag_ms, 1),
        "events": numbers.events,
        "gaps": numbers.doubts,
        "events_dropped": numbers.dropped,
        "events_lost_by_switch": numbers.lost_by_switch,
        "reconnects": numbers.reconnects,
        "restarts": numbers.restarts,
        "commands": numbers.commands,
        "commands_unanswered": numbers.unanswered,
        "resyncs": owner.resyncs,
        "surprises": sum(owner.board.surprises.values()),
        "facts_written": owner.ledger.written,
        "facts_waiting": owner.ledger.waiting,
        "facts_lost": owner.ledger.lost,
        "store_away": owner.ledger.away,
        "orders_refused": owner.orders.refused,
        "journal_failing": bool(owner.recorder.failure),
        "journal_records_lost": owner.recorder.statistics.lost_records,
        "journal_bytes_lost": owner.recorder.statistics.lost_bytes,
    }
    if beat is not None:
        seen |= {
            "version": beat.version,
            "uptime_s": beat.uptime_ms // 1000,
            "sessions": beat.sessions,
            "max_sessions": beat.max_sessions,
            "sessions_per_second": beat.sessions_per_second,
            "idle_cpu": round(beat.idle_cpu, 1),
        }
    return seen
