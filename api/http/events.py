"""The numbered log: list it, read one entry, and the types there are."""

from typing import Any

from msgspec import Struct

from api.http.answer import Answer, json_answer
from api.http.ask import Ask
from api.http.operation import SIGNED_IN, Group, Path
from api.http.query import int_param, text_param, words_param
from core import log
from core.errors import NotFound

events = Group(
    "events", "The numbered log of a tenant: every change, gap-free, kept for at least seven days."
)

EVENT = Path("event_id", "The entry's id: `evt_…`.")
MAX_SEQ = 2**53 - 1

AFTER_SEQ = int_param("after_seq", 0, MAX_SEQ, "Only entries with a higher number.", 0)
TYPES = words_param("types", "Only these types, or groups such as `call.*`; separated by commas.")
RESOURCE = text_param("resource", "Only entries about this thing, by its id.")

EVENT_TYPES: dict[str, str] = {
    "agent.devices": "An agent's page said how its microphone, speaker and network are",
    "call.created": "A call began",
    "call.ringing": "The far side rings",
    "call.answered": "A leg was answered",
    "call.bridged": "Two legs hear each other",
    "call.unbridged": "Two legs were parted",
    "call.held": "A leg was put on hold",
    "call.resumed": "A leg was taken off hold",
    "call.muted": "A leg was muted",
    "call.unmuted": "A leg is heard again",
    "call.dtmf": "A key was pressed",
    "call.leg_added": "A leg joined the call",
    "call.leg_ended": "A leg ended",
    "call.parked": "A leg waits, parked",
    "call.transferred": "A leg was transferred",
    "call.transfer_failed": "A transfer did not come about",
    "call.merged": "The call became part of another one",
    "call.monitored": "Somebody listens in",
    "call.recording_started": "A recording began",
    "call.recording_paused": "A recording was paused",
    "call.recording_resumed": "A recording goes on",
    "call.recording_stopped": "A recording ended",
    "call.playback_started": "A sound began",
    "call.playback_stopped": "A sound ended",
    "call.recovered": "The call goes on after its switch's fail-over",
    "call.in_doubt": "Its switch is out of reach",
    "call.ended": "The call ended",
    "call.ordered": "Somebody gave an order about the call",
    "recording.expected": "A policy wants a call recorded",
    "recording.started": "A recording was begun",
    "recording.stopped": "A recording is whole",
    "recording.stored": "A recording is in the object store, verified",
    "recording.missing": "A recording that should be there is not",
    "recording.played": "Somebody heard a recording",
    "recording.held": "A recording is held",
    "recording.released": "A recording is held no longer",
    "recording.erased": "A recording was erased",
    "recording_policy.created": "A recording policy was added",
    "recording_policy.updated": "A recording policy was changed",
    "recording_policy.deleted": "A recording policy was removed",
    "media.created": "A prompt was uploaded",
    "media.updated": "A prompt was changed",
    "media.deleted": "A prompt was removed",
    "conference.created": "A conference began",
    "conference.joined": "Somebody came in",
    "conference.left": "Somebody left",
    "conference.muted": "A member was muted",
    "conference.unmuted": "A member is heard again",
    "conference.ended": "A conference ended",
    "node.created": "A switch was added",
    "node.updated": "A switch's description was changed",
    "node.deleted": "A switch was removed",
    "node.owned": "A controller took over a switch",
    "node.connected": "A switch is within reach",
    "node.lost": "A switch is out of reach",
    "node.active": "A switch takes calls again",
    "node.draining": "A switch takes no new calls",
    "node.drained": "A switch takes no new calls and has none left",
    "channel.created": "An account was connected",
    "channel.updated": "An account was changed, or its state has",
    "channel.paused": "An account sends nothing for a while",
    "channel.deleted": "An account was disconnected",
    "contact.created": "Somebody new",
    "contact.updated": "What is known of somebody was changed",
    "contact.merged": "Two contacts are one person",
    "contact.unmerged": "They are two again",
    "contact.deleted": "A contact was deleted",
    "contact.identity_added": "Somebody has another address",
    "contact.identity_removed": "Somebody has an address less",
    "contact.noted": "A note about somebody was written",
    "conversation.created": "A conversation began",
    "conversation.updated": "A conversation was changed, or something was written in it",
    "conversation.assigned": "Somebody else answers",
    "conversation.labelled": "Its labels were changed",
    "conversation.snoozed": "It rests until a moment",
    "conversation.reopened": "It is open again",
    "conversation.resolved": "It is done",
    "conversation.transferred": "It went to another queue or person",
    "conversation.merged": "It became part of another one",
    "conversation.split": "A part of it became one of its own",
    "message.received": "Somebody wrote",
    "message.created": "A call is in the conversation of whom it is with",
    "message.updated": "A file of it has come, or a call has gone on, ended, or was recorded",
    "message.queued": "A message waits to be sent",
    "message.sent": "It is on its way",
    "message.delivered": "It has arrived",
    "message.read": "It was read",
    "message.undelivered": "It did not arrive",
    "message.failed": "It was not sent",
    "routing_plan.created": "A route plan was begun",
    "routing_plan.updated": "A route plan's draft was changed",
    "routing_plan.published": "A route plan's draft is in force",
    "routing_plan.rolled_back": "An earlier version of a route plan is in force again",
    "routing_plan.deleted": "A route plan holds no more",
    "message.rerouted": "A carrier did not deliver it by its own fault; it goes by another one",
    "message.unknown": "Nobody knows whether it was sent",
    "message.cancelled": "It was taken back before it was sent",
    "message.edited": "It was written anew",
    "message.deleted": "Its author took it back",
    "message.reacted": "Somebody put a sign at it, or took it away",
    "message.noted": "A note among colleagues was written",
    "attachment.ready": "A file of a message has been fetched",
    "attachment.refused": "A file of a message was not to be had, or may not be",
    "suppression.created": "Somebody wants no more messages",
    "suppression.removed": "Somebody wants messages again",
    "conversation.participants": "Somebody takes part in it, or does no more",
    "content.created": "A template, canned reply, macro, label, view, rule, SLA policy or schedule was made",
    "content.updated": "One of these was changed",
    "content.deleted": "One of these was deleted",
    "automation.emitted": "A rule, macro or bulk order told those outside by a name of its own",
    "sla.breached": "A service level was missed",
    "agent.created": "Somebody takes work from now on",
    "agent.updated": "An agent's skills, queues or capacity were changed",
    "agent.deleted": "Somebody takes no more work",
    "agent.online": "An agent's page is connected",
    "agent.offline": "An agent's page is gone",
    "agent.state_changed": "An agent is ready, or not, or works in other queues",
    "queue.entered": "Somebody waits in a queue",
    "queue.left": "Somebody waits no more: served, or gone",
    "queue.changed": "A queue was changed, or somebody's place in it",
    "queue_settings.changed": "What holds for all queues was changed",
    "skill.changed": "A skill was made, changed or deleted",
    "disposition.changed": "A disposition was made, changed or deleted",
    "inbound_route.changed": "Where a number leads was changed",
    "reservation.offered": "Something is offered to an agent",
    "reservation.accepted": "An agent takes it",
    "reservation.connected": "They hear each other, or the conversation is the agent's",
    "reservation.changed": "In a conversation it is the other one's turn",
    "reservation.declined": "An agent does not want it",
    "reservation.missed": "An agent did not answer",
    "reservation.withdrawn": "It is offered no more",
    "reservation.failed": "It was accepted, and nothing came of it",
    "reservation.wrap_up": "A talk is over and is written down",
    "reservation.extended": "An agent takes more time to write",
    "reservation.done": "An agent is done with it",
    "webhook.created": "An endpoint was added",
    "webhook.updated": "An endpoint was changed",
    "webhook.deleted": "An endpoint was removed",
    "webhook.secret_rotated": "An endpoint has a new secret",
    "webhook.failing": "An endpoint has failed for an hour",
    "webhook.recovered": "An endpoint works again",
    "webhook.disabled": "An endpoint was switched off after three days of failure, or wants no more",
    "webhook.gap": "The log has forgotten entries that an endpoint had not heard",
    "webhook.replayed": "A range of the log is delivered again",
    "webhook.tested": "Somebody tried an endpoint",
}


class LogItem(Struct):
    """One entry of the numbered log."""

    seq: int
    """Its number: grows by one with every entry of the tenant, without gaps."""
    id: str
    type: str
    occurred_at: str
    recorded_at: str
    resource: str
    """The id of what it is about."""
    data: dict[str, Any]
    causation_id: str
    request_id: str
    schema_version: int


class LogPage(Struct):
    """A part of the log, oldest first."""

    data: list[LogItem]
    has_more: bool
    head_seq: int
    """The newest number there is."""
    oldest_seq: int
    """The oldest that is kept: whoever is further behind lists things again instead."""


class EventType(Struct):
    name: str
    description: str


class EventTypeList(Struct):
    data: list[EventType]


@events.operation(
    "GET",
    "/events",
    permission="events:read",
    summary="Read the log from a number on",
    answers=LogPage,
    params=[
        AFTER_SEQ,
        int_param("limit", 1, 200, "At most so many.", 50),
        TYPES,
        RESOURCE,
    ],
)
async def list_events(ask: Ask[None]) -> Answer:
    """Oldest first; go on with the last entry's number as `after_seq`. Numbers need no cursor."""
    after, limit = ask.value("after_seq", 0), ask.value("limit", 50)
    database = ask.services.database
    # The bounds first: what is read after them is at least as new as they say.
    oldest, head = await log.bounds(database, ask.tenant_id)
    found = await log.read(
        database,
        ask.tenant_id,
        after_seq=after,
        limit=limit + 1,
        types=ask.value("types", ()),
        resource=ask.value("resource", ""),
    )
    return Answer(200, log_page(found, limit, oldest, head))


@events.operation(
    "GET",
    "/events/{event_id}",
    permission="events:read",
    summary="One entry of the log",
    answers=LogItem,
    paths=[EVENT],
    problems=[404],
)
async def get_event(ask: Ask[None]) -> Answer:
    """By its id. Entries never change."""
    body = await log.get(ask.services.database, ask.tenant_id, ask.path["event_id"])
    if body is None:
        raise NotFound(f"there is no entry {ask.path['event_id']}, or no longer", code="no_such_event")
    return Answer(200, body)


@events.operation(
    "GET",
    "/event-types",
    permission=SIGNED_IN,
    summary="The types of entries there are",
    answers=EventTypeList,
)
async def list_event_types(ask: Ask[None]) -> Answer:
    """What `types` can ask for."""
    return json_answer(EventTypeList([EventType(name, text) for name, text in EVENT_TYPES.items()]))


def log_page(found: list[bytes], limit: int, oldest: int, head: int) -> bytes:
    """`LogPage` from entries that are JSON already."""
    more = b"true" if len(found) > limit else b"false"
    return b'{"data":[%s],"has_more":%s,"head_seq":%d,"oldest_seq":%d}' % (
        b",".join(found[:limit]),
        more,
        head,
        oldest,
    )
