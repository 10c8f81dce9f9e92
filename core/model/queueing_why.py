"""Why somebody waits: a list of reasons for one entry, at any moment. Pure.

The same facts that the decision maker uses (`core.model.queueing.Board`) are asked in the order in which people would ask:
is it open, is anybody there, can anybody do it, has anybody room, is somebody kept from it, whose turn is it.
"""

from msgspec import Struct

from core.model.capacity import Load
from core.model.queueing import Board, names, needs_of
from core.model.queueing_pools import Seat
from core.model.queueing_records import QueueEntry


class Reason(Struct, frozen=True):
    """One reason; ``code`` is for programs, ``detail`` for people."""

    code: str
    detail: str
    agents: int = 0
    """How many agents it is about."""


def why(board: Board, entry_id: str, now_us: int) -> list[Reason]:
    """The reasons, the weightiest first; empty for who is not waiting. Raises `KeyError` for one that is not known."""
    entry = board.entries[entry_id]
    desk = board.desks[entry.queue_id]
    if entry.state == "offered":
        return [_offered(board, entry)]
    if entry.due_us > now_us:
        return [Reason("not_due", f"a callback that is due in {_seconds(entry.due_us - now_us)}")]
    if not desk.open:
        return [Reason("closed", "the queue is closed at this hour")]
    members = [seat for one in desk.agents if (seat := board.seats.get(one)) is not None]
    if not members:
        return [Reason("no_agents", "the queue has no agents")]
    found: list[Reason] = []
    lane = board.lane_of(entry_id)
    if lane is not None and lane.only:
        left = _seconds(max(entry.sticky_until_us - now_us, 0))
        found.append(Reason("sticky", f"kept for {_name(board, lane.only)}, who knows them, for {left}", 1))
    needs = needs_of(entry, desk.queue)
    able = [seat for seat in members if seat.has(needs)]
    if not able:
        return [*found, *_missing(members, dict(needs))]
    load = board.settings.weights.of(entry.class_)
    too_small = [seat for seat in able if not Load().fits(load, seat.agent.capacity)]
    if len(too_small) == len(able):
        return [*found, Reason("too_heavy", "no agent's capacity is large enough for it", len(able))]
    refused = set(lane.without) if lane is not None else set()
    found += _states(able, refused, load)
    busy = [
        seat for seat in able if seat.agent.state == "ready" and not seat.used.fits(load, seat.agent.capacity)
    ]
    if busy:
        said = (
            f"all {len(busy)} who could take it are busy"
            if len(busy) == len(able)
            else f"{len(busy)} are busy"
        )
        found.append(Reason("busy", said, len(busy)))
    kept = [seat for seat in able if seat.promised is not None]
    if kept and not load.audio:
        found.append(
            Reason("reserved", f"{len(kept)} are kept free for a call that has waited too long", len(kept))
        )
    if lane is not None and (position := board.position(entry_id, now_us)) > 1:
        found.append(Reason("not_first", f"{position - 1} are before it"))
    return found or [Reason("about_to", "it is being offered now")]


def _offered(board: Board, entry: QueueEntry) -> Reason:
    for one in board.reservations.values():
        if one.entry_id == entry.id:
            said = "rings at" if one.state == "offered" else "was taken by"
            return Reason(one.state, f"it {said} {_name(board, one.agent_id)}", 1)
    return Reason("offered", "it is being offered")


def _missing(members: list[Seat], needs: dict[str, int]) -> list[Reason]:
    """Which skills nobody has, or nobody has together."""
    lacking = [
        Reason("no_skill", f"no agent of the queue has {names([(skill, level)])}")
        for skill, level in needs.items()
        if not any(seat.agent.skills.get(skill, 0) >= level for seat in members)
    ]
    return lacking or [Reason("no_skill", f"no agent of the queue has {names(needs.items())} together")]


def _states(able: list[Seat], refused: set[str], load: Load) -> list[Reason]:
    found = []
    groups = {
        "offline": ("{} are not signed in", [s for s in able if s.agent.state == "offline"]),
        "not_ready": ("{} are not ready", [s for s in able if s.agent.state == "not_ready"]),
        "no_phone": (
            "{} are ready without a connected telephone",
            [s for s in able if load.audio and s.agent.state == "ready" and not s.agent.session],
        ),
        "refused": (
            "{} have just refused it",
            [s for s in able if s.agent.id in refused and s.agent.state == "ready"],
        ),
    }
    for code, (text, seats) in groups.items():
        if seats:
            number = f"all {len(seats)}" if len(seats) == len(able) else str(len(seats))
            found.append(Reason(code, text.format(f"{number} with the skills"), len(seats)))
    return found


def _name(board: Board, agent_id: str) -> str:
    seat = board.seats.get(agent_id)
    return seat.agent.name if seat is not None else agent_id


def _seconds(us: int) -> str:
    return f"{-(-us // 1_000_000)} s"
