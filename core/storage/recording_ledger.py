"""The ledger of recordings, from the log: every tenant's is read once, from a stored place, and says what is expected
and what was begun.

The place (`recording_places`) is moved in the transaction that does what the entries ask for and holds the place's row, so
a wish for a recording is noted once whoever reads, and the wish's id follows from the call: whoever gives the order to
begin gives it under the same name. A recording that began by itself, or because somebody asked for it, is entered as well.

Lock order: place, recordings, log.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from core.ids import derived_id
from core.logs import get_logger
from core.model.recording_policy import Facts, decide
from core.model.records import Call, Leg, Recording
from core.storage.appending import append
from core.storage.arrivals import entry_of
from core.storage.database import Connection, Database
from core.storage.entries import READ_BODY, NewEntry
from core.storage.recording_policies import PolicyRow, read_policies
from core.storage.texts import storable

LOG = get_logger("recordings")

SCAN = 5_000
"""Entries that are passed in one transaction at most."""
_DECIDING = ("call.answered", "call.bridged", "call.transferred", "queue.entered", "reservation.connected")
"""Entries after which more is known of a call than before."""
EVENTS = (
    *_DECIDING,
    "call.recording_started",
    "call.recording_stopped",
    "call.recording_paused",
    "call.recording_resumed",
    "call.merged",
    "call.ended",
)
_FACTS = "id, call_id, leg, source, state, path, started_us, stopped_us, masked, call_ended_us, version"


class _About(msgspec.Struct):
    """What an entry may say; others' entries have their object at the top or under its name."""

    call: Call | None = None
    recording: str = ""
    call_id: str | None = ""
    queue_id: str | None = ""
    agent_id: str | None = ""
    entry: "_About | None" = None
    reservation: "_About | None" = None


class _Body(msgspec.Struct):
    type: str
    occurred_at: datetime
    data: _About


_bodies = msgspec.json.Decoder(_Body)


class _Seen:
    """What a stretch of the log says of one call."""

    def __init__(self) -> None:
        self.call: Call | None = None
        self.queue_id = ""
        self.agents: list[str] = []
        self.decide = False
        self.moved = False
        """A leg was sent elsewhere, which ends its recording."""
        self.masks: list[tuple[str, bool, int]] = []


async def tenants_to_do(db: Database, *, limit: int = 500) -> list[str]:
    """Those whose log goes on after their place."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select h.tenant_id from log_heads h left join recording_places p on p.tenant_id = h.tenant_id"
            " where h.head > coalesce(p.seq, 0) and h.tenant_id <> '*' limit $1",
            limit,
        )
    return [row["tenant_id"] for row in rows]


async def work(db: Database, tenant_id: str, *, now_us: int) -> bool:
    """Deal with the next entries of a tenant's log; True when there are more. Raises the store's errors."""
    async with db.tenant(tenant_id) as connection:
        await connection.execute(
            "insert into recording_places (tenant_id, seq) values ($1, 0) on conflict do nothing", tenant_id
        )
        seq = await connection.fetchval(
            "select seq from recording_places where tenant_id = $1 for update skip locked", tenant_id
        )
        if seq is None:
            return False  # another host is at it
        head = await connection.fetchval("select head from log_heads where tenant_id = $1", tenant_id)
        if head is None or head <= seq:
            return False
        up_to = min(head, seq + SCAN)
        rows = await connection.fetch(
            f"select {READ_BODY} as body from events where tenant_id = $1 and seq > $2 and seq <= $3"  # noqa: S608
            " and type = any($4) order by seq",
            tenant_id,
            seq,
            up_to,
            list(EVENTS),
        )
        entries: list[NewEntry] = []
        seen = _read(row["body"] for row in rows)
        if seen:
            await _Ledger(connection, tenant_id, entries, now_us).enter(seen)
        await connection.execute(
            "update recording_places set seq = $2 where tenant_id = $1", tenant_id, up_to
        )
        await append(connection, entries)
    return bool(up_to < head)


def _read(bodies: Iterable[bytes]) -> dict[str, _Seen]:
    """What was said, by call, in the order in which calls were met."""
    found: dict[str, _Seen] = {}
    for raw in bodies:
        try:
            body = _bodies.decode(raw)
        except msgspec.MsgspecError as exc:
            # Whatever wrote it, it must not keep all that come behind it from being read.
            LOG.error("an entry about a call cannot be read", error=str(exc)[:200])
            continue
        about = body.data
        told = about.entry or about.reservation or about
        call_id = about.call.id if about.call is not None else told.call_id
        if not call_id:
            continue  # (a reservation of a conversation, which nobody hears)
        seen = found.setdefault(call_id, _Seen())
        seen.call = about.call or seen.call
        seen.queue_id = told.queue_id or seen.queue_id
        if told.agent_id and told.agent_id not in seen.agents:
            seen.agents.append(told.agent_id)
        seen.decide |= body.type in _DECIDING
        seen.moved |= body.type == "call.transferred"
        if body.type in ("call.recording_paused", "call.recording_resumed"):
            at_us = round(body.occurred_at.timestamp() * 1_000_000)
            seen.masks.append((about.recording, body.type.endswith("paused"), at_us))
    return found


class _Ledger:
    """The ledger's rows of some calls, in one transaction."""

    def __init__(self, connection: Connection, tenant_id: str, entries: list[NewEntry], now_us: int) -> None:
        self._connection = connection
        self._tenant = tenant_id
        self._entries = entries
        self._now_us = now_us
        self._rows: dict[str, list[dict[str, Any]]] = {}

    async def enter(self, seen: dict[str, _Seen]) -> None:
        policies = await read_policies(self._connection, self._tenant)
        rows = await self._connection.fetch(
            f"select {_FACTS} from recordings where tenant_id = $1 and call_id = any($2) order by id for update",  # noqa: S608
            self._tenant,
            list(seen),
        )
        for row in rows:
            self._rows.setdefault(row["call_id"], []).append(
                {**dict(row), "masked": msgspec.json.decode(row["masked"])}
            )
        for call_id, one in seen.items():
            await self._one(call_id, one, policies)

    async def _one(self, call_id: str, seen: _Seen, policies: Sequence[PolicyRow]) -> None:
        if seen.queue_id or seen.agents:
            await self._remember(call_id, seen)
        if seen.decide and seen.call is None and policies:
            seen.call = await self._stored_call(call_id)
        call = seen.call
        if call is None:
            return
        if call.merged_into:
            await self._connection.execute(
                "update recordings set call_id = $3 where tenant_id = $1 and call_id = $2",
                self._tenant,
                call_id,
                call.merged_into,
            )
            return
        for leg in call.legs:
            for recording in leg.recordings:
                await self._found(call, leg, recording)
        for name, paused, at_us in seen.masks:
            await self._mask(call_id, name, paused, at_us)
        if not call.live:
            await self._ended(call)
        elif seen.decide and policies:
            await self._decide(call, policies, moved=seen.moved)

    async def _remember(self, call_id: str, seen: _Seen) -> None:
        await self._connection.execute(
            "insert into recording_calls as was (tenant_id, call_id, queue_id, agents, updated_us) values ($1, $2, $3, $4, $5)"
            " on conflict (tenant_id, call_id) do update set"
            " queue_id = case when excluded.queue_id = '' then was.queue_id else excluded.queue_id end,"
            " agents = array(select distinct unnest(was.agents || excluded.agents)), updated_us = excluded.updated_us",
            self._tenant,
            call_id,
            seen.queue_id,
            seen.agents,
            self._now_us,
        )
        await self._connection.execute(
            "update recordings set queue_id = case when $3 = '' then queue_id else $3 end,"
            " agent_id = case when $4 = '' then agent_id else $4 end where tenant_id = $1 and call_id = $2",
            self._tenant,
            call_id,
            seen.queue_id,
            seen.agents[-1] if seen.agents else "",
        )

    async def _stored_call(self, call_id: str) -> Call | None:
        doc = await self._connection.fetchval(
            "select doc::text from calls where tenant_id = $1 and id = $2 and live", self._tenant, call_id
        )
        return None if doc is None else msgspec.json.decode(doc, type=Call)

    # -- what the switch says

    async def _found(self, call: Call, leg: Leg, recording: Recording) -> None:
        """A recording in the call's record: entered, or brought up to date."""
        row = self._row_of(call.id, recording)
        if row is None:
            await self._enter_other(call, leg, recording)
            return
        if (recording.started_us, recording.stopped_us) == (row["started_us"], row["stopped_us"]):
            return
        state = row["state"]
        if state in ("expected", "recording", "missing"):
            state = "stopped" if recording.stopped_us else "recording"
        was, row["state"] = row["state"], state
        row.update(
            path=recording.path, started_us=recording.started_us, stopped_us=recording.stopped_us,
            version=row["version"] + 1,
        )  # fmt: skip
        await self._connection.execute(
            "update recordings set state = $3, path = $4, started_us = $5, stopped_us = $6, samples = $7,"
            " size = case when size = 0 then $8 else size end, reason = '', version = version + 1"
            " where tenant_id = $1 and id = $2",
            self._tenant,
            row["id"],
            state,
            recording.path,
            recording.started_us,
            recording.stopped_us,
            recording.samples,
            recording.size,
        )
        if was != state:
            if was != "recording" and state == "stopped":
                self._tell("recording.started", row, call)
            self._tell(f"recording.{'started' if state == 'recording' else state}", row, call)

    def _row_of(self, call_id: str, recording: Recording) -> dict[str, Any] | None:
        rows, named = self._rows.get(call_id, []), _named(recording.path)
        for row in rows:
            if named and row["id"] == named:
                return row
            same = row["path"] == recording.path
            if same and recording.started_us and row["started_us"] in (0, recording.started_us):
                return row
            if same and not recording.started_us and row["stopped_us"] == recording.stopped_us:
                return row
        return None

    async def _enter_other(self, call: Call, leg: Leg, recording: Recording) -> None:
        """One that no policy asked for."""
        named = _named(recording.path)
        began = recording.started_us or recording.stopped_us
        source = f"{self._tenant}/{call.node}/{recording.path}/{began}"
        row = {
            "id": named or derived_id("rec", at_us=began, source=source),
            "leg": recording.leg or leg.uuid,
            "source": "order" if named else "switch",
            "state": "stopped" if recording.stopped_us else "recording",
            "path": storable(recording.path),
            "started_us": recording.started_us,
            "stopped_us": recording.stopped_us,
            "expected_us": began,
        }
        if await self._insert(call, row):
            self._tell("recording.started", row, call)
            if recording.stopped_us:
                self._tell("recording.stopped", row, call)

    async def _mask(self, call_id: str, name: str, paused: bool, at_us: int) -> None:
        row = next((one for one in self._rows.get(call_id, []) if one["id"] == name), None)
        if row is None:
            return
        masked: list[list[int]] = row["masked"]
        if paused and not (masked and not masked[-1][1]):
            masked.append([at_us, 0])
        elif not paused and masked and not masked[-1][1]:
            masked[-1][1] = at_us
        await self._connection.execute(
            "update recordings set masked = $3, version = version + 1 where tenant_id = $1 and id = $2",
            self._tenant,
            name,
            msgspec.json.encode(masked).decode(),
        )

    async def _ended(self, call: Call) -> None:
        """Nothing begins any more: what was expected and never began is missing."""
        ended_us = call.ended_us or self._now_us
        for row in self._rows.get(call.id, []):
            gone = row["state"] == "expected"
            if row["call_ended_us"] and not gone:
                continue
            row.update(call_ended_us=ended_us, state="missing" if gone else row["state"])
            await self._connection.execute(
                "update recordings set call_ended_us = $3, state = $4,"
                " reason = case when $5 and reason = '' then 'never_began' else reason end, version = version + 1"
                " where tenant_id = $1 and id = $2",
                self._tenant,
                row["id"],
                ended_us,
                row["state"],
                gone,
            )
            if gone:
                self._tell("recording.missing", row, call)

    # -- what policies say

    async def _decide(self, call: Call, policies: Sequence[PolicyRow], *, moved: bool) -> None:
        leg = leg_to_record(call)
        if leg is None:
            return
        ours = [
            row for row in self._rows.get(call.id, []) if row["source"] == "policy" and row["leg"] == leg.uuid
        ]
        over = all(row["state"] not in ("expected", "recording") for row in ours)
        if ours and not (moved and over):
            return
        facts, queue_id, agent_id = await self._facts(call)
        decision = decide([one.policy() for one in policies], facts)
        if not decision.record:
            return
        policy = next(one for one in policies if one.id == decision.policy_id)
        at_us = call.answered_us or self._now_us
        source = f"{self._tenant}/{call.id}/{leg.uuid}/{len(ours)}"
        row = {
            "id": derived_id("rec", at_us=at_us, source=source),
            "leg": leg.uuid,
            "source": "policy",
            "state": "expected",
            "path": "",
            "started_us": 0,
            "stopped_us": 0,
            "expected_us": self._now_us,
            "policy_id": policy.id,
            "queue_id": queue_id,
            "agent_id": agent_id,
            "announcement": policy.announcement,
            "stereo": policy.stereo,
            "pause_allowed": policy.pause_allowed,
            "retention_days": policy.retention_days,
            "hold": policy.hold,
        }
        if await self._insert(call, row):
            self._tell("recording.expected", row, call)

    async def _facts(self, call: Call) -> tuple[Facts, str, str]:
        known = await self._connection.fetchrow(
            "select queue_id, agents from recording_calls where tenant_id = $1 and call_id = $2",
            self._tenant,
            call.id,
        )
        agents = [leg.agent for leg in call.legs if leg.agent]
        agents += [one for one in (known["agents"] if known else ()) if one not in agents]
        facts = facts_of(call, queue_id=known["queue_id"] if known else "", agents=agents)
        return facts, facts.queue_id, agents[-1] if agents else ""

    async def _insert(self, call: Call, row: dict[str, Any]) -> bool:
        """False when it is there already."""
        given = {
            **row,
            "call_id": call.id,
            "node": call.node,
            "direction": call.direction,
            "caller": storable(call.caller),
            "destination": storable(call.destination),
        }
        names = ", ".join(given)
        places = ", ".join(f"${n}" for n in range(2, 2 + len(given)))
        done: str = await self._connection.execute(
            f"insert into recordings (tenant_id, {names}) values ($1, {places}) on conflict do nothing",  # noqa: S608 - our own words
            self._tenant,
            *given.values(),
        )
        row.update(call_id=call.id, masked=[], call_ended_us=0, version=1)
        self._rows.setdefault(call.id, []).append(row)
        return done.endswith(" 1")

    def _tell(self, kind: str, row: dict[str, Any], call: Call) -> None:
        self._entries.append(told(self._tenant, kind, {**row, "call_id": call.id}, self._now_us))


def told(tenant_id: str, kind: str, row: Any, now_us: int, **more: object) -> NewEntry:
    """The entry that says what became of a recording."""
    about = {name: row[name] for name in ("id", "call_id", "state")}
    return entry_of(tenant_id, kind, row["id"], {"recording": {**about, **more}}, now_us)


def facts_of(call: Call, *, queue_id: str = "", agents: Sequence[str] = ()) -> Facts:
    """What a decision is made from."""
    return Facts(
        call_id=call.id,
        direction=call.direction,
        caller=call.caller,
        destination=call.destination,
        queue_id=queue_id,
        agents=tuple(agents),
        answered=bool(call.answered_us),
        talking=any(leg.bridged_us for leg in call.legs),
    )


def leg_to_record(call: Call) -> Leg | None:
    """The leg that stays whoever talks to it: the outside's. None while none is answered."""
    answered = [leg for leg in call.legs if leg.state == "answered"]
    return next((leg for leg in answered if not leg.agent), answered[0] if answered else None)


def _named(path: str) -> str:
    """``rec_…`` where a controller has named the file."""
    name = path.rpartition("/")[2].partition(".")[0]
    return name if name.startswith("rec_") and name[4:].isalnum() else ""
