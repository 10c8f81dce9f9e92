"""Doing things with a conversation: what macros, bulk orders and rules are made of (`core.model.automation.Action`).

All of it is one transaction of the caller's. First every action is looked at and nothing is changed; then those that can be
done are done together: one change of the conversation, its entries in the log, notes, and replies into the outbox last.
So either nothing happens (`strict`), or each that cannot be done is told apart and the others happen.
"""

from collections.abc import Iterable
from typing import Any

import msgspec
from msgspec import Struct

from core.errors import Conflict, IrisxError, NotFound, RequestError
from core.ids import new_id
from core.model import automation as do
from core.model import content as documents
from core.model import conversing, rendering
from core.model.automation import Action
from core.storage import content, outbox
from core.storage.appending import append
from core.storage.conversations import CONVERSATION_TOLD, WayBack, way_back
from core.storage.database import Connection
from core.storage.entries import NewEntry
from core.storage.facts import Situation, read_situation
from core.storage.texts import json_text, storable
from irisx_sdk.messages import Content, Text

MOST_LABELS = 50


class Done(Struct, frozen=True):
    """What became of one action."""

    action: str
    ok: bool
    code: str = ""
    detail: str = ""


class Acted(Struct, frozen=True):
    """What became of all of them."""

    done: list[Done]
    ring: list[str]
    """Accounts through which something waits to be sent: tell the bus after the commit."""


class ActionFailed(Conflict):
    """One of several actions cannot be done, so none was."""

    code = "action_failed"


class _Plan(Struct):
    state: conversing.State
    labels: list[str]
    now_us: int
    actor: str
    changes: dict[str, object] = {}
    kinds: list[str] = []
    notes: list[str] = []
    replies: list[Content] = []
    emitted: list[str] = []


async def act(
    connection: Connection,
    tenant_id: str,
    conversation_id: str,
    actions: Iterable[Action],
    *,
    actor: str,
    now_us: int,
    strict: bool,
    causation_id: str = "",
    request_id: str = "",
) -> Acted:
    """Do ``actions``; the caller commits. The conversation stays locked, and so does the tenant's log.

    Raises `NotFound`; with ``strict`` also `ActionFailed`, and then nothing may be committed.
    """
    row = await connection.fetchrow(
        "select state, labels from conversations where tenant_id = $1 and id = $2 and merged_into is null for update",
        tenant_id,
        conversation_id,
    )
    if row is None:
        raise NotFound(f"there is no conversation {conversation_id}", code="no_such_conversation")
    situation = await read_situation(
        connection, tenant_id, conversation_id, agent="" if actor.startswith("rul_") else actor, now_us=now_us
    )
    way = await way_back(connection, tenant_id, conversation_id)
    plan = _Plan(row["state"], list(row["labels"]), now_us, actor, {}, [], [], [], [])
    done: list[Done] = []
    for number, action in enumerate(actions):
        name = type(action).__struct_config__.tag
        try:
            await _plan(connection, tenant_id, action, plan, situation, way)
        except IrisxError as exc:
            if strict:
                raise ActionFailed(f"action {number} ({name}): {exc.detail}") from exc
            done.append(Done(str(name), ok=False, code=exc.code, detail=exc.detail))
        else:
            done.append(Done(str(name), ok=True))
    return Acted(done, await _carry_out(connection, tenant_id, way, plan, causation_id, request_id))


async def _plan(
    connection: Connection, tenant_id: str, action: Action, plan: _Plan, situation: Situation, way: WayBack
) -> None:
    match action:
        case do.Assign(to=to):
            await need_user(connection, tenant_id, to)
            plan.changes["assignee"] = to
            plan.kinds.append("conversation.assigned")
        case do.Label(add=add, remove=remove):
            plan.labels = [one for one in plan.labels if one not in remove]
            plan.labels += [one for one in add if one not in plan.labels]
            if len(plan.labels) > MOST_LABELS:
                raise Conflict(f"a conversation has at most {MOST_LABELS} labels", code="too_many")
            plan.changes["labels"] = list(plan.labels)
            plan.kinds.append("conversation.labelled")
        case do.Priority(value=value):
            plan.changes["priority"] = value
            plan.kinds.append("conversation.updated")
        case do.Queue(name=name):
            plan.changes |= {"queue": name, "assignee": ""}
            plan.kinds.append("conversation.transferred")
        case do.Snooze(for_s=for_s):
            _move(plan, "snooze", until_us=plan.now_us + for_s * 1_000_000)
        case do.Resolve():
            _move(plan, "resolve")
        case do.Reopen():
            _move(plan, "reopen")
        case do.Note(text=text):
            plan.notes.append(rendering.render(text, situation.values).text)
        case do.Emit(name=name):
            plan.emitted.append(name)
        case do.Reply():
            plan.replies.append(await _reply(connection, tenant_id, action, situation, way))


def _move(plan: _Plan, move: conversing.Move, *, until_us: int = 0) -> None:
    plan.state = conversing.moved(plan.state, move)
    plan.changes |= conversing.changes(move, at_us=plan.now_us, until_us=until_us)
    plan.kinds.append(conversing.KINDS[move])


async def _reply(
    connection: Connection, tenant_id: str, action: do.Reply, situation: Situation, way: WayBack
) -> Content:
    if way.to is None or not way.channel_id:
        raise Conflict("nobody has written here yet: there is no way back", code="no_way_back")
    if action.template_id:
        template = await content.load(
            connection, tenant_id, "template", action.template_id, documents.Template
        )
        filled = documents.fill(template, situation.values)
        said, missing = filled.content, filled.missing
    else:
        rendered = rendering.render(action.text, situation.values)
        said, missing = Text(rendered.text), rendered.missing
    if missing:
        raise RequestError(f"there is no value for {', '.join(missing)}", code="missing_values")
    if isinstance(said, Text) and not said.text.strip():
        raise RequestError("nothing would be said", code="missing_values")
    return said


async def _carry_out(
    connection: Connection, tenant_id: str, way: WayBack, plan: _Plan, causation_id: str, request_id: str
) -> list[str]:
    entries: list[NewEntry] = []

    def tell(kind: str, resource: str, data: dict[str, Any]) -> None:
        entries.append(
            NewEntry(
                tenant_id=tenant_id,
                type=kind,
                resource=resource,
                data=msgspec.json.encode({**data, "actor": plan.actor}),
                occurred_us=plan.now_us,
                causation_id=causation_id,
                request_id=request_id,
            )
        )

    if plan.changes:
        assignments = "".join(f"{column} = ${n}, " for n, column in enumerate(plan.changes, start=3))
        told = await connection.fetchrow(
            f"update conversations set {assignments}version = version + 1"  # noqa: S608 - our own columns
            f" where tenant_id = $1 and id = $2 returning {CONVERSATION_TOLD}",
            tenant_id,
            way.conversation_id,
            *(storable(value) if isinstance(value, str) else value for value in plan.changes.values()),
        )
        for kind in dict.fromkeys(plan.kinds):
            tell(kind, way.conversation_id, {"conversation": dict(told)})
    for text in plan.notes:
        message_id = new_id("msg", at_us=plan.now_us)
        await connection.execute(
            "insert into messages (tenant_id, id, conversation_id, contact_id, kind, direction, state, author, content,"
            " text, order_us, created_us) values ($1, $2, $3, $4, 'note', '', 'noted', $5, $6::json, $7, $8, $8)",
            tenant_id,
            message_id,
            way.conversation_id,
            way.contact_id,
            plan.actor,
            json_text(Text(text)),
            storable(text),
            plan.now_us,
        )
        data = {"message": {"id": message_id, "conversation_id": way.conversation_id, "author": plan.actor}}
        tell("message.noted", message_id, data)
    for name in plan.emitted:
        tell(
            "automation.emitted",
            way.conversation_id,
            {"conversation": {"id": way.conversation_id}, "name": name},
        )
    await append(connection, entries)
    for said in plan.replies:
        if way.to is not None:
            await outbox.enqueue(
                connection,
                tenant_id,
                outbox.NewMessage(
                    conversation_id=way.conversation_id,
                    contact_id=way.contact_id,
                    channel_id=way.channel_id,
                    to=way.to,
                    content=said,
                    author=plan.actor,
                    now_us=plan.now_us,
                ),
            )
    return [way.channel_id] if plan.replies else []


async def need_user(connection: Connection, tenant_id: str, user_id: str) -> None:
    """Raises `NotFound` unless this is somebody of the tenant, or nobody at all."""
    if user_id and not await connection.fetchval(
        "select true from users where tenant_id = $1 and id = $2 and deleted_at is null", tenant_id, user_id
    ):
        raise NotFound(f"there is no user {user_id}", code="no_such_user")
