"""Changes of calls as the arrays that ``irisx_write`` takes: one row a call, a record, a meeting, an entry.

Pure: what costs processor time when calls are written is here. Each call document is encoded once for each entry
of the log, and the newest one serves the table of calls, too.
"""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

from core.ids import derived_id
from core.model.cdrs import Cdr, cdrs_of
from core.model.records import Call, Change
from core.storage.entries import Columns
from core.storage.texts import bigint, encode_storable, integer

ARGUMENTS = 50
WRITE = f"select seqs, recorded from irisx_write({', '.join(f'${n + 1}' for n in range(ARGUMENTS))})"  # noqa: S608

_json = msgspec.json.Encoder()


class _Meeting(Struct):
    """What a batch knows of one conference."""

    instance: str
    first_us: int
    name: str = ""
    call_id: str = ""
    created_us: int = 0
    ended_us: int = 0


class Batch:
    """Changes as the arrays that ``irisx_write`` takes."""

    def __init__(self, node: str) -> None:
        self._node = node
        self.entries = Columns()
        self._calls: dict[tuple[str, str], tuple[Call, bytes]] = {}
        self._cdrs: dict[tuple[str, str, str], Cdr] = {}
        self._conferences: dict[tuple[str, str], _Meeting] = {}

    def add(self, change: Change) -> None:
        document, call = encode_storable(change.call, _json)
        more, data = encode_storable(change.data, _json) if change.data else (b"{}", change.data)
        if call is not change.call or data is not change.data:
            change = Change(type=change.type, call=call, occurred_us=change.occurred_us, data=data)
        body = b'{"call":' + document + (b"," + more[1:] if data else b"}")
        # The data are part of the source: two members may leave a conference in one version of the call.
        source = f"{call.id}/{call.version}/{change.type}/{more.decode()}"
        self.entries.put(
            call.tenant_id,
            derived_id("evt", at_us=change.occurred_us, source=source),
            change.type,
            call.id,
            change.occurred_us,
            body,
            "",
            call.request_id,
        )
        key = call.tenant_id, call.id
        known = self._calls.get(key)
        if known is None or known[0].version <= call.version:
            self._calls[key] = call, document
        for cdr in cdrs_of(change):
            self._cdrs[cdr.tenant_id, cdr.kind, cdr.subject] = cdr
        if change.type.startswith("conference."):
            self._meet(change)

    def _meet(self, change: Change) -> None:
        call, instance = change.call, str(change.data.get("instance") or change.data.get("conference", ""))
        key = call.tenant_id, instance
        meeting = self._conferences.get(key) or _Meeting(instance, change.occurred_us)
        meeting.name = str(change.data.get("conference", ""))
        meeting.call_id = call.id
        if change.type == "conference.created":
            meeting.created_us = change.occurred_us
        elif change.type == "conference.ended":
            meeting.ended_us = change.occurred_us
        self._conferences[key] = meeting

    def arguments(self) -> list[Sequence[object]]:
        calls = list(self._calls.values())
        cdrs = list(self._cdrs.values())
        return [
            *self.entries.arguments,
            [call.tenant_id for call, _ in calls],
            [call.id for call, _ in calls],
            [call.state != "ended" for call, _ in calls],
            [call.state for call, _ in calls],
            [call.direction for call, _ in calls],
            [call.caller for call, _ in calls],
            [call.destination for call, _ in calls],
            [call.hangup_cause for call, _ in calls],
            [bigint(call.created_us) for call, _ in calls],
            [bigint(call.answered_us) for call, _ in calls],
            [bigint(call.ended_us) for call, _ in calls],
            [call.version for call, _ in calls],
            [document.decode() for _, document in calls],
            [cdr.tenant_id for cdr in cdrs],
            [cdr.id for cdr in cdrs],
            [cdr.kind for cdr in cdrs],
            [cdr.subject for cdr in cdrs],
            [cdr.call_id for cdr in cdrs],
            [cdr.direction for cdr in cdrs],
            [cdr.caller for cdr in cdrs],
            [cdr.destination for cdr in cdrs],
            [bigint(cdr.started_us) for cdr in cdrs],
            [bigint(cdr.answered_us) for cdr in cdrs],
            [bigint(cdr.ended_us) for cdr in cdrs],
            [integer(cdr.billsec) for cdr in cdrs],
            [integer(cdr.duration) for cdr in cdrs],
            [cdr.hangup_cause for cdr in cdrs],
            [integer(cdr.q850) for cdr in cdrs],
            [integer(cdr.sip_status) for cdr in cdrs],
            [cdr.disposition for cdr in cdrs],
            [cdr.trunk for cdr in cdrs],
            [cdr.inferred for cdr in cdrs],
            [cdr.recovered for cdr in cdrs],
            [_json.encode(cdr).decode() for cdr in cdrs],
            *self._conference_arguments(self._node),
        ]

    def _conference_arguments(self, node: str) -> list[Sequence[object]]:
        meetings = self._conferences.items()
        return [
            [tenant_id for (tenant_id, _), _ in meetings],
            [
                derived_id("conf", at_us=one.first_us, source=f"{tenant_id}/{node}/{one.instance}")
                for (tenant_id, _), one in meetings
            ],
            [one.instance for _, one in meetings],
            [one.name for _, one in meetings],
            [one.call_id for _, one in meetings],
            [bigint(one.first_us) for _, one in meetings],
            [bigint(one.created_us) for _, one in meetings],
            [bigint(one.ended_us) for _, one in meetings],
        ]
