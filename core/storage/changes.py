"""What is done to a message later: its author changes it or takes it back, somebody puts a sign at it.

Each is kept once (`message_changes`) and applied to its target; what a newer one has decided stays. A deletion that comes
before its message waits for it. An edit or a sign for a message that we do not have is no loss either: the caller shows it
as a message of its own.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from core.model import messaging
from core.storage.appending import append
from core.storage.database import Connection, Database
from core.storage.entries import NewEntry
from core.storage.texts import json_text, storable
from core.storage.threads import Target, find_targets
from irisx_sdk.messages import Address, Content, Deletion, Edit, Inbound, Media, Reaction, Text

_encode = msgspec.json.Encoder().encode
_contents: "msgspec.json.Decoder[Content]" = msgspec.json.Decoder(Content)
GONE = Text("")
SETTLED_US = 2_000_000
RECENT_US = 3_600_000_000
"""How long `find_late` looks after a deletion: two deliveries of one moment have met long before."""


class Change(msgspec.Struct, frozen=True):
    """One that came in."""

    channel_id: str
    message: Inbound
    arrived_us: int

    @property
    def target(self) -> str:
        """The provider's id of the message that it is about."""
        content = self.message.content
        return storable(content.target) if isinstance(content, Edit | Deletion | Reaction) else ""

    @property
    def order_us(self) -> int:
        return messaging.order_us(self.message.sent_us, self.arrived_us)


class Done(msgspec.Struct, frozen=True):
    """``target`` is None for a deletion that waits for its message."""

    target: Target | None
    fresh: bool


def is_change(message: Inbound) -> bool:
    """Whether it is about another message."""
    return isinstance(message.content, Edit | Deletion | Reaction) and bool(message.content.target)


async def apply(db: Database, tenant_id: str, changes: Sequence[Change]) -> list[Done | None]:
    """Keep and apply; None for those whose message we do not have. Raises the store's errors: then nothing is written."""
    async with db.tenant(tenant_id) as connection:
        targets = await find_targets(connection, tenant_id, [(one.channel_id, one.target) for one in changes])
        answers: list[Done | None] = []
        fresh: list[tuple[Change, Target]] = []
        for one in changes:
            target = targets.get((one.channel_id, one.target))
            if target is None and not isinstance(one.message.content, Deletion):
                answers.append(None)
                continue
            new = await _keep(connection, tenant_id, one, target)
            answers.append(Done(target, new))
            if new and target is not None:
                fresh.append((one, target))
        await append(connection, await _apply(connection, tenant_id, fresh))
    return answers


async def find_late(db: Database, *, now_us: int, limit: int = 100) -> list[tuple[str, Change, Target]]:
    """Deletions whose message came at the very same moment, so that neither saw the other: (tenant, it, its message)."""
    async with db.system() as connection:
        rows = await connection.fetch(
            "select tenant_id, channel_id, provider_id, sender, content, order_us, created_us from message_changes"
            " where message_id = '' and created_us between $1 and $2 order by created_us desc limit $3",
            now_us - RECENT_US,
            now_us - SETTLED_US,
            limit,
        )
    found = []
    for row in rows:
        message = Inbound(
            row["provider_id"],
            msgspec.json.decode(row["sender"], type=Address),
            _contents.decode(row["content"]),
            sent_us=row["order_us"],
        )
        change = Change(row["channel_id"], message, row["created_us"])
        async with db.reader(row["tenant_id"]) as connection:
            there = await find_targets(connection, row["tenant_id"], [(change.channel_id, change.target)])
        found += [(row["tenant_id"], change, target) for target in there.values()]
    return found


async def apply_late(db: Database, tenant_id: str, change: Change, target: Target) -> None:
    """Do what `find_late` has found."""
    async with db.tenant(tenant_id) as connection:
        done: str = await connection.execute(
            "update message_changes set message_id = $4 where tenant_id = $1 and channel_id = $2 and provider_id = $3"
            " and message_id = ''",
            tenant_id,
            change.channel_id,
            storable(change.message.id),
            target.message_id,
        )
        if done.endswith(" 1"):
            await append(connection, await _apply(connection, tenant_id, [(change, target)]))


async def early_deletions(
    connection: Connection, tenant_id: str, arrived: Sequence[tuple[str, str, str]]
) -> dict[str, int]:
    """For new messages (id, account, provider's id): which of them were taken back before they came, and when."""
    rows = await connection.fetch(
        "update message_changes c set message_id = w.id from unnest($2::text[], $3::text[], $4::text[])"
        " w (id, channel_id, provider_id) where c.tenant_id = $1 and c.channel_id = w.channel_id"
        " and c.target = w.provider_id and c.message_id = '' returning w.id, c.order_us",
        tenant_id,
        *([one[n] for one in arrived] for n in range(3)),
    )
    return {row["id"]: row["order_us"] for row in rows}


async def _keep(connection: Connection, tenant_id: str, one: Change, target: Target | None) -> bool:
    sender = one.message.sender
    done: str = await connection.execute(
        "insert into message_changes (tenant_id, channel_id, provider_id, target, message_id, contact_id, sender, content,"
        " order_us, created_us) select $1, $2, $3, $4, $5, coalesce((select coalesce(c.merged_into, i.contact_id)"
        " from identities i left join contacts c on c.tenant_id = i.tenant_id and c.id = i.contact_id where i.tenant_id = $1"
        " and i.kind = $10 and i.scope = $11 and i.value = $12), ''), $6::json, $7::json, $8, $9"
        " where not exists (select from messages where tenant_id = $1 and channel_id = $2 and inbound_id = $3)"
        " on conflict do nothing",
        tenant_id,
        one.channel_id,
        storable(one.message.id),
        one.target,
        target.message_id if target else "",
        json_text(sender),
        json_text(one.message.content),
        one.order_us,
        one.arrived_us,
        sender.kind,
        one.channel_id if sender.kind == "user" else "",
        storable(sender.value).lower() if sender.kind == "email" else storable(sender.value),
    )
    return done.endswith(" 1")


async def _apply(
    connection: Connection, tenant_id: str, fresh: Sequence[tuple[Change, Target]]
) -> list[NewEntry]:
    if not fresh:
        return []
    rows = await connection.fetch(
        "select id, conversation_id, content, edited_us, deleted_us, version from messages"
        " where tenant_id = $1 and id = any($2) order by id for update",
        tenant_id,
        sorted({target.message_id for _, target in fresh}),
    )
    known = {row["id"]: dict(row) for row in rows}
    entries: list[NewEntry] = []
    previews: dict[str, list[tuple[str, str]]] = {}
    for one, target in sorted(fresh, key=lambda pair: pair[0].order_us):
        row = known.get(target.message_id)
        if row is None:
            continue
        content = one.message.content
        if isinstance(content, Reaction):
            await _react(connection, tenant_id, row)
            entries.append(_told(tenant_id, "message.reacted", row, one))
            continue
        if row["deleted_us"] or (isinstance(content, Edit) and one.order_us < row["edited_us"]):
            continue  # (what came later in time has been applied already)
        before = _contents.decode(row["content"])
        after = _edited(before, content) if isinstance(content, Edit) else GONE
        await _rewrite(connection, tenant_id, row, one, after)
        previews.setdefault(row["conversation_id"], []).append(
            (messaging.preview_of(before), messaging.preview_of(after))
        )
        kind = "message.deleted" if isinstance(content, Deletion) else "message.edited"
        entries.append(_told(tenant_id, kind, row, one))
    for conversation_id in sorted(previews):
        for old, new in previews[conversation_id]:
            await connection.execute(
                "update conversations set preview = $4, version = version + 1"
                " where tenant_id = $1 and id = $2 and preview = $3",
                tenant_id,
                conversation_id,
                storable(old),
                storable(new),
            )
    return entries


def _edited(before: Content, edit: Edit) -> Content:
    if isinstance(before, Media):
        return msgspec.structs.replace(before, caption=edit.text)
    return Text(edit.text, html=edit.html)


async def _rewrite(
    connection: Connection, tenant_id: str, row: dict[str, Any], one: Change, after: Content
) -> None:
    gone = after is GONE
    await connection.execute(
        "update message_changes set before = $4::json where tenant_id = $1 and channel_id = $2 and provider_id = $3",
        tenant_id,
        one.channel_id,
        storable(one.message.id),
        row["content"],
    )
    row["content"], row["version"] = json_text(after), row["version"] + 1
    row["deleted_us" if gone else "edited_us"] = one.order_us
    await connection.execute(
        "update messages set content = $3::json, text = $4, edited_us = $5, deleted_us = $6, version = version + 1"
        " where tenant_id = $1 and id = $2",
        tenant_id,
        row["id"],
        row["content"],
        storable(messaging.words_of(after)),
        row["edited_us"],
        row["deleted_us"],
    )
    if gone:
        # What was taken back is handed out no more.
        await connection.execute(
            "update attachments set state = 'refused', reason = 'deleted', source = null"
            " where tenant_id = $1 and message_id = $2 and state <> 'refused'",
            tenant_id,
            row["id"],
        )


async def _react(connection: Connection, tenant_id: str, row: dict[str, Any]) -> None:
    """The newest sign of each person, whatever the order in which they came."""
    row["version"] += 1
    await connection.execute(
        "update messages m set version = version + 1, reactions = (select coalesce(json_agg(json_build_object('contact_id',"
        " r.contact_id, 'name', coalesce(r.name, ''), 'emoji', r.emoji) order by r.order_us), '[]') from"
        " (select distinct on (c.sender ->> 'value') c.contact_id, c.sender ->> 'name' as name,"
        " coalesce(c.content ->> 'emoji', '') as emoji, c.order_us from message_changes c where c.tenant_id = $1"
        " and c.message_id = $2 and c.content ->> 'type' = 'reaction' order by c.sender ->> 'value', c.order_us desc,"
        " c.created_us desc) r where r.emoji <> '') where m.tenant_id = $1 and m.id = $2",
        tenant_id,
        row["id"],
    )


def _told(tenant_id: str, kind: str, row: dict[str, Any], one: Change) -> NewEntry:
    data = {
        "message": {
            "id": row["id"],
            "conversation_id": row["conversation_id"],
            "version": row["version"],
        }
    }
    return NewEntry(
        tenant_id=tenant_id,
        type=kind,
        resource=row["id"],
        data=_encode(data),
        occurred_us=one.arrived_us,
    )
